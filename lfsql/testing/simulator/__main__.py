"""`python -m lfsql.testing.simulator`."""

from __future__ import annotations

import sys

from lfsql.testing.simulator.command import main

sys.exit(main(sys.argv[1:]))
