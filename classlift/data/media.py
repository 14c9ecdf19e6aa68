"""Where an image's bytes are: a file, or an Example inside a TFRecord file."""

import os
import re
from pathlib import Path

from classlift.data.schema import ExampleKeys
from classlift.reading import MEGA, open_regular
from classlift.reading import read_bytes as read_file

MAX_BYTES = 500 * MEGA
"""The most bytes of one encoded image: more than the largest that is decoded takes without any
compression."""

_RECORD = "#record@"
_RECORD_NAME = re.compile(r"[._](tf)?records?(-\d+-of-\d+)?$")


def is_record(path: Path) -> bool:
    """Whether a file is called as TFRecord files are.

    >>> is_record(Path("train.record-00001-of-00010")), is_record(Path("labels.json"))
    (True, False)
    """
    return bool(_RECORD_NAME.search(path.name))


def record_files(path: Path) -> list[Path]:
    """The TFRecord files at a path: itself, or those directly in the folder, by name."""
    if not os.path.isdir(path):
        return [path]
    return sorted(file for file in path.iterdir() if is_record(file) and file.is_file())


def record_uri(path: Path, offset: int) -> str:
    """The URI of the image in the Example that starts at a byte offset of a TFRecord file."""
    return f"{path}{_RECORD}{offset}"


def file_of(uri: str) -> str:
    """The file that holds the image, itself or the record with it."""
    return uri.partition(_RECORD)[0]


def read_bytes(uri: str) -> bytes:
    """The encoded image behind a URI of the images table.

    Raises DataError when the file can't be read or is no regular one, when it is larger than
    `MAX_BYTES`, and when the record is damaged.
    """
    path, separator, offset = uri.partition(_RECORD)
    if not separator:
        return read_file(uri, "an image", MAX_BYTES)
    from classlift.data.formats.tfrecord import decode_examples, read_record

    with open_regular(path, "a file of records") as file:
        file.seek(int(offset))
        record = read_record(file, path)
    encoded = decode_examples([record], path)[0].get(ExampleKeys.ENCODED) or [b""]
    return bytes(encoded[0])
