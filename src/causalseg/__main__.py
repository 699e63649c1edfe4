"""`python -m causalseg` is the `causalseg` command."""

import sys

from causalseg.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
