"""`python -m lfsql`: the command line, for where the `lfsql` script is not on the path."""

from __future__ import annotations

from lfsql.cli import main

if __name__ == "__main__":
    main()
