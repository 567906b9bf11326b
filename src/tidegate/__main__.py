"""``python -m tidegate``, which is also what torchrun starts."""

import sys

from tidegate.cli import main

sys.exit(main())
