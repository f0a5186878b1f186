"""`python -m wanrun`: the command line, for where the script is not on the path."""

from __future__ import annotations

from wanrun.cli import main

if __name__ == "__main__":
    main()
