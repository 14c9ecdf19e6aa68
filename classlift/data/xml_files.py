"""XML that people bring: entities are not expanded, nothing is fetched."""

import functools
from pathlib import Path
from typing import Any

from lxml import etree

from classlift.errors import DataError
from classlift.reading import read_bytes
from classlift.text import shorten

Element = Any  # lxml brings no types


def parse_xml(path: Path | str, what: str, limit: int) -> Element:
    """Parses an XML file.

    Args:
        path: of the file.
        what: what the file is to a user.
        limit: the most bytes of it; libxml2 bounds its depth by itself.

    Returns:
        The first element.

    Raises:
        DataError: it can't be read, is no XML, or defines a document type or entities.

    """
    try:
        root = etree.fromstring(read_bytes(path, what, limit), _parser())
    except etree.XMLSyntaxError as error:
        said = shorten(" ".join(str(error).split()), 300)
        advice = "; save it as UTF-8" if "encoding" in said else ""
        raise DataError(f"{path}: not valid XML ({said}){advice}.") from error
    if root.getroottree().docinfo.doctype:
        raise DataError(f"{path}: the XML defines a document type or entities, which are not read.")
    return root


@functools.cache
def _parser() -> Any:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
