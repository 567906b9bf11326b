"""``tidegate``, ``python -m tidegate``, and what torchrun starts."""

import sys


def run() -> int:
    """Run the command line; Ctrl-C while it is loaded ends as Ctrl-C later does."""
    try:
        from tidegate.cli import main

        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(run())
