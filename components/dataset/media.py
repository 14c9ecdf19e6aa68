"""Where an image's bytes are: a file, or an Example inside a TFRecord file."""

from pathlib import Path

from components.dataset.schema import ExampleKeys
from components.errors import DataError

_RECORD = "#record@"


def record_uri(path: Path, offset: int) -> str:
    """The URI of the image in the Example that starts at a byte offset of a TFRecord file."""
    return f"{path}{_RECORD}{offset}"


def read_bytes(uri: str) -> bytes:
    """The encoded image behind a URI of the images table.

    Raises OSError when the file can't be read, and DataError when the record is damaged.
    """
    path, separator, offset = uri.partition(_RECORD)
    if not separator:
        return Path(uri).read_bytes()
    from components.dataset.tfrecord import decode_examples, read_record

    with open(path, "rb") as file:
        file.seek(int(offset))
        record = read_record(file, path)
    if record is None:
        raise DataError(f"{path}: there is no record at byte {offset}; the file has changed.")
    encoded = decode_examples([record], path)[0].get(ExampleKeys.ENCODED) or [b""]
    return bytes(encoded[0])
