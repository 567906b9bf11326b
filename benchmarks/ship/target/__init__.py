"""Files of ``tidegate.ship`` for other programs, loaded and run by those programs' own code."""
