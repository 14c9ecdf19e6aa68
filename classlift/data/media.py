"""Where an image's bytes are: a file, an Example inside a TFRecord file, or a LabelMe JSON."""

import base64
import binascii
import os
import re
from pathlib import Path

from classlift.data.schema import ExampleKeys
from classlift.errors import DataError
from classlift.reading import MEGA, open_regular, read_json
from classlift.reading import read_bytes as read_file

MAX_BYTES = 500 * MEGA
"""The most bytes of one encoded image: more than the largest that is decoded takes without any
compression."""

_RECORD = "#record@"
_EMBEDDED = "#imageData"
_RECORD_NAME = re.compile(
    r"([._](tf)?rec(ord)?s?(-\d+-of-\d+)?|-\d{5}-of-\d{5})(\.gz)?$", re.IGNORECASE
)


def is_record(path: Path) -> bool:
    """Whether a file is called as TFRecord files are.

    Args:
        path: of a file, which is not opened.

    Returns:
        True for `.record`, `.tfrecord`, `.tfrec` and the like, and for numbered shards.

    >>> is_record(Path("train.record-00001-of-00010")), is_record(Path("labels.json"))
    (True, False)
    >>> is_record(Path("train-00000-of-00010")), is_record(Path("train.tfrec"))
    (True, True)

    """
    return bool(_RECORD_NAME.search(path.name))


def record_files(path: Path) -> list[Path]:
    """The TFRecord files at a path: itself, or those directly in the folder, by name."""
    if not os.path.isdir(path):
        return [path]
    return sorted(file for file in path.iterdir() if is_record(file) and file.is_file())


def label_map_beside(path: Path) -> Path | None:
    """The label map of a record, or of those in a folder: `label_map.pbtxt` beside it, else the one
    that is called as Roboflow (`cars_label_map.pbtxt`) or tutorials (`labelmap.pbtxt`) do.

    Returns:
        Its path; None where there is none, or several that may be meant.

    """
    folder = path if os.path.isdir(path) else path.parent
    found = sorted(
        file
        for file in folder.glob("*.pbtxt")
        if "labelmap" in re.sub("[^a-z]", "", file.stem.lower()) and file.is_file()
    )
    plain = folder / "label_map.pbtxt"
    return plain if plain in found else found[0] if len(found) == 1 else None


def record_uri(path: Path, offset: int) -> str:
    """The URI of the image in the Example that starts at a byte offset of a TFRecord file."""
    return f"{path}{_RECORD}{offset}"


def embedded_uri(path: Path) -> str:
    """The URI of the image in the `imageData` of a LabelMe JSON file."""
    return f"{path}{_EMBEDDED}"


def file_of(uri: str) -> str:
    """The file that holds the image: itself, the record with it, or the JSON that it is in."""
    return uri.removesuffix(_EMBEDDED).partition(_RECORD)[0]


def read_bytes(uri: str) -> bytes:
    """Reads the encoded image behind a URI of the images table.

    Args:
        uri: a path, or what `record_uri` or `embedded_uri` gave.

    Returns:
        The bytes of an image file.

    Raises:
        DataError: the file can't be read, is no regular one, or is larger than `MAX_BYTES`; or the
            record is damaged.

    """
    if uri.endswith(_EMBEDDED):
        return _embedded(file_of(uri))
    path, separator, offset = uri.partition(_RECORD)
    if not separator:
        return read_file(uri, "an image", MAX_BYTES)
    from classlift.data.formats.tfrecord import decode_examples, read_record

    with open_regular(path, "a file of records") as file:
        file.seek(int(offset))
        record = read_record(file, path)
    encoded = decode_examples([record], path)[0].get(ExampleKeys.ENCODED) or [b""]
    return bytes(encoded[0])


def _embedded(path: str) -> bytes:
    document = read_json(path, "LabelMe JSON", 2 * MAX_BYTES)
    encoded = document.get("imageData") if isinstance(document, dict) else None
    try:
        return base64.b64decode(encoded or b"", validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise DataError(f"{path}: its `imageData` is no image in base64.") from None
