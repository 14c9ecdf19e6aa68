"""TFRecord files of the TF Object Detection API, read without TensorFlow."""

import io
import os
import struct
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from classlift.data.images import size_of_image
from classlift.data.label_map import LabelMap
from classlift.data.labels import (
    LabelledBox,
    LabelledImage,
    Labels,
    Shard,
    chunks,
    flag_of,
    nameless,
    size_of,
)
from classlift.data.media import label_map_beside, record_files, record_uri
from classlift.data.places import Place, split_of
from classlift.data.schema import ExampleKeys
from classlift.errors import DataError
from classlift.paths import state
from classlift.reading import LFS_ADVICE, LFS_POINTER, open_regular

EXAMPLES_AT_ONCE = 64
GZIP = b"\x1f\x8b"
"""What a file begins with that gzip, or TFX, compressed."""
_MASK_DELTA = 0xA282EAD8  # the masked CRC of the TFRecord format: rotate right by 15, add this
_HEADER, _FOOTER = 12, 4  # bytes: the length with its CRC; the CRC of the data
_MAX_LENGTH = 2**31 - 1  # of a protobuf message
SHOWN = 10
"""Features that a sentence lists."""

_LISTS = (ExampleKeys.XMIN, ExampleKeys.YMIN, ExampleKeys.XMAX, ExampleKeys.YMAX)

Features = dict[str, Any]
"""The features of one Example, as lists by name: whatever another program wrote."""


def tfrecord_shards(place: Place) -> Iterator[Shard]:
    """The records of a TFRecord file, or of all such files of a folder, by their byte offsets.

    Args:
        place: of the file or folder.

    Yields:
        Shards for `read_tfrecord_shard`.

    Raises:
        DataError: a file can't be read or is compressed, its headers are damaged, or no file has a
            record.

    """
    path = place.path
    files = record_files(path)
    if not any(state(file)[0] for file in files):
        raise DataError(f"{path}: there is no record in it; copy the file again.")
    for file in files:
        _require_unpacked(file)
        names = place.label_map or label_map_beside(file)
        states = (file.name, state(file), str(names or ""), state(names) if names else ())
        first = 0
        for offsets in chunks(_offsets(file)):
            yield Shard("tfrecord", file, (*states, first, offsets))
            first += len(offsets)


def _require_unpacked(path: Path) -> None:
    """Raises DataError for a compressed file: its records could only be read from the beginning."""
    with open_regular(path, "a file of records") as file:
        beginning = file.read(len(LFS_POINTER))
        if beginning == LFS_POINTER.encode():
            raise DataError(f"{path}: {LFS_ADVICE}.")
        if beginning.startswith(GZIP):
            raise DataError(
                f"{path}: it is compressed (gzip): unpack it, as with `gunzip`, and name what "
                "comes out."
            )


def read_tfrecord_shard(shard: Shard) -> Labels:
    """Reads Examples in the OD API's layout.

    Class names come from `image/object/class/text`, or by `image/object/class/label` from a label
    map; a box of a class that nothing names has an empty label. Boxes are stored as shares of the
    image and become pixels. The name of the file says the split, where it says one.

    Args:
        shard: one of `tfrecord_shards`.

    Returns:
        Its images and boxes.

    Raises:
        DataError: a record is damaged or has no image, its lists are of unequal length, or boxes
            have ids and there is no label map; names file and record.

    """  # noqa: DOC501 - the DataError has a maker
    path, (_, _, names, _, first, offsets) = shard.path, shard.items
    label_map = LabelMap.read(Path(names)) if names else None
    split = split_of(path.name)
    images: list[LabelledImage] = []
    boxes: list[LabelledBox] = []
    for number, (offset, example) in enumerate(_examples(path, offsets), start=first):
        where = f"{path.parent.name}/{path.name} record {number}"
        name = _name(example, where) or f"record {number}"
        if not any(example.get(ExampleKeys.ENCODED) or ()):
            raise _without_image(example, path, offset, where)
        width, height, is_sized = _size(example, where)
        uri = record_uri(path, offset)
        images.append(LabelledImage(name, uri, width, height, where, is_sized, split))
        boxes += _boxes(example, name, width, height, label_map, where)
    return Labels(images, boxes)


def _boxes(
    example: Features,
    name: str,
    width: int,
    height: int,
    label_map: LabelMap | None,
    where: str,
) -> list[LabelledBox]:
    sides = [example.get(key) or [] for key in _LISTS]
    texts = [_text(value, where) for value in example.get(ExampleKeys.LABEL_TEXT) or []]
    ids = example.get(ExampleKeys.LABEL) or []
    lengths = {len(values) for values in (*sides, texts or ids, ids or texts)}
    if len(lengths) > 1:
        raise DataError(
            f"{where}: the lists of one record have unequal lengths {sorted(lengths)}; each box "
            "needs four sides and a class."
        )
    if not texts and ids and label_map is None:
        raise DataError(
            f"{where}: the boxes have class ids but no names; name their label map "
            "(`--label-map`, `label_map` of the source), or put label_map.pbtxt beside it."
        )
    names = dict(zip(label_map.ids, label_map.names, strict=True)) if label_map else {}
    texts = texts or [""] * len(ids)
    flags = {
        key: example.get(key) or [0] * len(texts)
        for key in (ExampleKeys.IS_CROWD, ExampleKeys.DIFFICULT)
    }
    for key, values in flags.items():
        if len(values) != len(texts):
            raise DataError(f"{where}: {key} has {len(values)} values for {len(texts)} boxes.")
    boxes = []
    for number, (label, xmin, ymin, xmax, ymax) in enumerate(zip(texts, *sides, strict=True)):
        source = f"{where} box {number}"
        if not label and ids:
            label = names.get(ids[number], "")
            label, source = (label, source) if label else nameless(source, ids[number])
        boxes.append(
            LabelledBox(
                file_name=name,
                label=label,
                box=(xmin * width, ymin * height, xmax * width, ymax * height),
                source=source,
                is_crowd=flag_of(flags[ExampleKeys.IS_CROWD][number], "is_crowd", where),
                difficult=flag_of(flags[ExampleKeys.DIFFICULT][number], "difficult", where),
            )
        )
    return boxes


def _name(example: Features, where: str) -> str:
    for key in (ExampleKeys.FILENAME, ExampleKeys.SOURCE_ID):
        values = example.get(key)
        if values:
            return _text(values[0], where)
    return ""


def _text(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    try:
        return bytes(value).decode()
    except (UnicodeDecodeError, TypeError):
        raise DataError(f"{where}: {value!r} is no text in UTF-8.") from None


def _size(example: Features, where: str) -> tuple[int, int, bool]:
    """The size of the image in an Example.

    Returns:
        Width and height in pixels, 0 where nothing has them, and whether it is the record that has
        them. Where it has none, they are those of its image.

    """
    width, height = (
        size_of(next(iter(example.get(key) or []), None), key, where)
        for key in (ExampleKeys.WIDTH, ExampleKeys.HEIGHT)
    )
    if width is None or height is None:
        image = io.BytesIO(bytes(example[ExampleKeys.ENCODED][0]))
        return *size_of_image(image), False
    return width, height, True


def _without_image(example: Features, path: Path, offset: int, where: str) -> DataError:
    """What is said of a record that has no image: some tools export boxes alone."""
    with open_regular(path, "a file of records") as file:
        file.seek(offset)
        record = read_record(file, str(path))
    if _is_sequence(record):
        return DataError(f"{where} is a tf.SequenceExample, which is not read; write tf.Examples.")
    if ExampleKeys.HEIGHT in example or any(key in example for key in _LISTS):
        return DataError(f"{where} has no {ExampleKeys.ENCODED}: export the records with images.")
    names = ", ".join(sorted(key for key, value in example.items() if value)[:SHOWN]) or "nothing"
    return DataError(
        f"{where} has no {ExampleKeys.ENCODED}, and is none of the OD API's: it has {names}."
    )


def _is_sequence(record: bytes) -> bool:
    """Whether a message has the field 2, which an Example has not: a SequenceExample's lists."""
    return any(field == 2 for field in _fields(record))


def _fields(message: bytes) -> Iterator[int]:
    """The numbers of the length-delimited fields of a message; it ends at any other."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        length, place = _varint(message, place)
        if tag & 7 != 2:
            return
        yield tag >> 3
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number of the wire format, and the place behind it."""
    number = shift = 0
    while place < len(message):
        byte = message[place]
        number, shift, place = number | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            break
    return number, place


def _offsets(path: Path) -> list[int]:
    """The byte offset of each record, from the headers alone."""
    offsets: list[int] = []
    try:
        with open_regular(path, "a file of records") as file:
            size = os.fstat(file.fileno()).st_size
            while (offset := file.tell()) < size:
                end = offset + _HEADER + _length(file, str(path)) + _FOOTER
                if end > size:
                    raise _damaged(str(path), offset)
                file.seek(end)
                offsets.append(offset)
    except OSError as error:
        raise DataError(f"{path}: the records can't be read ({error.strerror}).") from error
    return offsets


def _examples(path: Path, offsets: Sequence[int]) -> Iterator[tuple[int, Features]]:
    """(byte offset, features by name) of each Example."""
    try:
        with open_regular(path, "a file of records") as file:
            for start in range(0, len(offsets), EXAMPLES_AT_ONCE):
                part = offsets[start : start + EXAMPLES_AT_ONCE]
                records = []
                for offset in part:
                    file.seek(offset)
                    records.append(read_record(file, str(path)))
                yield from zip(part, decode_examples(records, str(path)), strict=True)
    except OSError as error:
        raise DataError(f"{path}: the records can't be read ({error.strerror}).") from error


def count_records(files: Iterable[str]) -> int:
    """How many records there are in files, from their headers alone."""
    return sum(len(_offsets(Path(file))) for file in files)


def encoded_images(files: Iterable[str], image_ids: Set[str]) -> dict[str, bytes]:
    """The encoded images with these ids (`image/source_id`) in record files, by id."""
    found: dict[str, bytes] = {}
    for file in map(Path, files):
        if len(found) == len(image_ids):
            break
        for _, example in _examples(file, _offsets(file)):
            image_id = _text(example[ExampleKeys.SOURCE_ID][0], str(file))
            if image_id in image_ids:
                found[image_id] = bytes(example[ExampleKeys.ENCODED][0])
    return found


def read_record(file: BinaryIO, path: str) -> bytes:
    """The record at the position of an open TFRecord file.

    A record is its length (uint64), the masked CRC32C of the length, the data, and their masked
    CRC32C, little-endian.

    Args:
        file: at the beginning of a record; at its end afterwards.
        path: of the file, for errors.

    Returns:
        The data.

    Raises:
        DataError: the record is truncated or damaged.

    """  # noqa: DOC501 - the DataError has a maker
    offset = file.tell()
    length = _length(file, path)
    data = file.read(length)
    footer = file.read(_FOOTER)
    if (
        len(data) < length
        or len(footer) < _FOOTER
        or _masked_crc(data) != struct.unpack("<I", footer)[0]
    ):
        raise _damaged(path, offset)
    return data


def _length(file: BinaryIO, path: str) -> int:
    """The length in the header at the position of the file, checked by its CRC."""
    offset = file.tell()
    header = file.read(_HEADER)
    if len(header) < _HEADER:
        raise _damaged(path, offset)
    length, length_crc = struct.unpack("<QI", header)
    if _masked_crc(header[:8]) != length_crc or length > _MAX_LENGTH:
        raise _damaged(path, offset)
    return int(length)


def _damaged(path: str, offset: int) -> DataError:
    return DataError(
        f"{path}: the record at byte {offset} is damaged or truncated; copy the file again."
    )


def _masked_crc(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def write_record(file: BinaryIO, data: bytes) -> None:
    """Appends one record to an open TFRecord file."""
    length = struct.pack("<Q", len(data))
    file.write(length + struct.pack("<I", _masked_crc(length)))
    file.write(data)
    file.write(struct.pack("<I", _masked_crc(data)))


def decode_examples(records: Sequence[bytes], path: str) -> list[Features]:
    """Serialized Examples as plain lists by feature. Raises DataError for what is no Example."""
    try:
        batch = ExamplesToRecordBatchDecoder().DecodeBatch(list(records))
    except RuntimeError as error:  # what the C++ decoder raises for any malformed record
        raise DataError(f"{path}: a record is no tf.Example ({error}).") from error
    rows: list[Features] = batch.to_pylist()
    return rows
