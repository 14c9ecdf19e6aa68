"""`python -m classlift.cli.reference FOLDER`: the pages of docs/reference that are made of code."""

import inspect
import sys
from pathlib import Path

from classlift import api, environment
from classlift.data.formats import reference as formats
from classlift.settings import reference as settings


def python_api() -> str:
    """The page of what `import classlift` gives, in Markdown, from the docstrings."""
    parts = [
        "# What does `import classlift` give me?",
        "",
        "This page is made from `classlift/api.py` by `make reference`. All is typed, and nothing",
        "heavy is imported before it is first asked for. Progress is logged, by the logger",
        "`classlift`; a program that sets up no logging sees it on stderr.",
    ]
    for name in sorted(api.__all__, key=lambda name: (name[0].isupper(), name)):
        entry = getattr(api, name)
        text = inspect.getdoc(entry) or ""
        head = name if inspect.isclass(entry) else f"{name}{inspect.signature(entry)}"
        parts += [
            "",
            f"## `classlift.{name}`",
            "",
            "```python",
            head,
            "```",
            "",
            "```text",
            text,
            "```",
        ]
    return "\n".join(parts) + "\n"


PAGES = {
    "environment.md": environment.reference,
    formats.PAGE: formats.page,
    "python-api.md": python_api,
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
