"""A package of its own, since Opacus installs one of this name, which would hide these files."""
