"""The version, where every room can read it."""

__version__ = "0.1.0"  # the version of the library, as text
