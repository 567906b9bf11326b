"""Private training, measured."""
