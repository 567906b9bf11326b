"""``tidegate``, ``python -m tidegate``, and what torchrun starts."""

import gc
import sys

OBJECTS = 50_000  # new ones before Python looks for circles; at its 700 that is a quarter of the time to load torch


def run() -> int:
    """Run the command line; Ctrl-C while it is loaded ends as Ctrl-C later does."""
    gc.set_threshold(OBJECTS)
    try:
        from tidegate.cli import main

        return main()
    except KeyboardInterrupt:
        return 130
    finally:
        gc.freeze()  # the end of the process frees all; looking for circles before that takes a second


if __name__ == "__main__":
    sys.exit(run())
