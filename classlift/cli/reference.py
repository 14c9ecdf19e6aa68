"""`python -m classlift.cli.reference FOLDER`: the pages of docs/reference that are made of code."""

import sys
from pathlib import Path

from classlift import environment
from classlift.settings import reference as settings

PAGES = {
    "environment.md": environment.reference,
    settings.PAGE: settings.page,
    settings.SCHEMA_FILE: settings.schema_text,
}
"""What makes each page, by its name."""


def main() -> None:
    """Writes every page anew."""
    folder = Path(sys.argv[1])
    for name, page in PAGES.items():
        (folder / name).write_text(page(), "utf-8")
        print(folder / name)


if __name__ == "__main__":
    main()
