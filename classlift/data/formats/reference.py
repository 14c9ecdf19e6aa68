"""The page of docs/reference on formats, made from the table of formats and from its readers."""

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

from classlift.data.formats import FORMATS, Format
from classlift.data.formats.unread import UNREAD, UNREAD_TEXTS
from classlift.data.images import FOR_TENSORFLOW, MAX_PIXELS, SUFFIXES
from classlift.data.labels import read_packed_shard

PAGE = "formats.md"

_NOT_FOR_USERS = ("Args:", "Returns:", "Yields:", "Raises:", ">>>")


def page() -> str:
    """The page in Markdown."""
    lines = [
        "# Which labels can I bring?",
        "",
        "This page is made from `classlift/data/formats` by `make reference`. The path of a file",
        "or a folder is enough: its format is told by looking, in this order; `--format` (in a",
        "config, the source's `format`) names another. Images are found by the names that labels",
        "give them; where they lie elsewhere, `--images` (in a config, `images`) names it.",
        "",
        "| format | `--format` | made by | what lies where | `--images` |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.title} | `{row.name}` | {row.made_by} | {row.layout} | "
        f"{'yes' if row.images else 'no'} |"
        for row in FORMATS.values()
    ]
    lines += ["", "## What is read of each"]
    for row in FORMATS.values():
        lines += ["", f"### {row.title}", "", *_rules(row)]
    lines += [
        "",
        "## What if an image is missing, or a label file is damaged?",
        "",
        "In every format, an image that is not there, and a file that labels one image and can't",
        "be read, is one critical finding with its name, and not a refused data set: `validate",
        "--fix` leaves it out, and so does a run with `bad_boxes: drop`, up to a share. An image",
        "that is called otherwise than in its labels (another suffix, other capitals, a path of",
        "another machine, or, where a file labels one image, the name of that file) is taken where",
        "exactly one can be meant, and that is said; where several can, none is taken, and it is",
        "one critical finding, too. No path, and no link, leads out of the folder.",
        "",
        "Data whose sides are in another unit than their format has (shares of the image where it",
        "has pixels, or pixels where it has shares) are refused.",
    ]
    others = {row.title: row.todo for row in (*UNREAD, *UNREAD_TEXTS)}
    lines += [
        "",
        "## What is not read",
        "",
        "These are told from the others, and the sentence says what to do; so it does of whatever",
        "else names images and boxes. Beside labels that are read, each is said in one finding.",
        "",
        "| format | what to do |",
        "|---|---|",
        *(f"| {title} | {todo} |" for title, todo in others.items()),
        "",
        "## Which image files?",
        "",
        f"{_listed(SUFFIXES)}, of up to {MAX_PIXELS:,} pixels. What is neither",
        f"{' nor '.join(name.upper() for name in FOR_TENSORFLOW)} is encoded anew for models, as",
        "PNG where it has no loss itself, else as JPEG. Of several pictures in one file, as of an",
        "animation, the first counts; of 16 bits, the upper 8.",
    ]
    return "\n".join(lines) + "\n"


def _listed(names: Iterable[str]) -> str:
    *first, last = [name.upper().replace("WEBP", "WebP") for name in names]
    return f"{', '.join(first)} and {last}"


def _rules(row: Format) -> list[str]:
    """What the docstring of a format's reader says to those who bring labels.

    Returns:
        Lines: all but its first sentence and its sections, which are for those who call it.

    """
    reader: Callable[..., Any] = row.shards if row.read is read_packed_shard else row.read
    words = re.split(r"(?<=\.)\s+", inspect.getdoc(reader) or "", maxsplit=1)
    paragraphs = words[-1].split("\n\n")
    kept = [paragraph for paragraph in paragraphs if not paragraph.startswith(_NOT_FOR_USERS)]
    return "\n\n".join(kept).split("\n")
