"""`python -m classlift`: the command line, as the installed `classlift`."""

import sys

from classlift.cli import main

if __name__ == "__main__":
    sys.exit(main())
