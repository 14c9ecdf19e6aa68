"""tf.Examples in the TF Object Detection API's layout: writing them, and reading them back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow as tf

from components.dataset.label_map import LabelMap
from components.dataset.schema import BOXES, ExampleKeys

Row = Mapping[str, Any]

_SIDES = (
    (ExampleKeys.XMIN, "xmin", "width"),
    (ExampleKeys.YMIN, "ymin", "height"),
    (ExampleKeys.XMAX, "xmax", "width"),
    (ExampleKeys.YMAX, "ymax", "height"),
)
_FLOATS, _INTS = tf.io.VarLenFeature(tf.float32), tf.io.VarLenFeature(tf.int64)
_STRINGS = tf.io.VarLenFeature(tf.string)
FEATURES = {
    ExampleKeys.ENCODED: tf.io.FixedLenFeature([], tf.string),
    ExampleKeys.SOURCE_ID: tf.io.FixedLenFeature([], tf.string),
    ExampleKeys.WIDTH: tf.io.FixedLenFeature([], tf.int64),
    ExampleKeys.HEIGHT: tf.io.FixedLenFeature([], tf.int64),
    **{key: _FLOATS for key, _, _ in _SIDES},
    ExampleKeys.LABEL: _INTS,
    ExampleKeys.LABEL_TEXT: _STRINGS,
    ExampleKeys.DIFFICULT: _INTS,
    ExampleKeys.IS_CROWD: _INTS,
}


def to_example(image: Row, boxes: Sequence[Row], encoded: bytes, label_map: LabelMap) -> bytes:
    """One serialized Example.

    image, boxes: rows of `schema.IMAGES` and `schema.BOXES`; encoded: the image file's bytes.
    """

    def feature(**value: Any) -> tf.train.Feature:
        return tf.train.Feature(**value)

    def floats(values: Iterable[float]) -> tf.train.Feature:
        return feature(float_list=tf.train.FloatList(value=values))

    def ints(values: Iterable[int]) -> tf.train.Feature:
        return feature(int64_list=tf.train.Int64List(value=values))

    def strings(values: Iterable[str | bytes]) -> tf.train.Feature:
        data = [v.encode() if isinstance(v, str) else v for v in values]
        return feature(bytes_list=tf.train.BytesList(value=data))

    features = {
        ExampleKeys.ENCODED: strings([encoded]),
        ExampleKeys.FORMAT: strings([image["format"]]),
        ExampleKeys.SOURCE_ID: strings([image["image_id"]]),
        ExampleKeys.SHA256: strings([image["sha256"]]),
        ExampleKeys.HEIGHT: ints([image["height"]]),
        ExampleKeys.WIDTH: ints([image["width"]]),
        **{key: floats(b[side] / image[extent] for b in boxes) for key, side, extent in _SIDES},
        ExampleKeys.LABEL: ints(label_map.id_of(b["label"]) for b in boxes),
        ExampleKeys.LABEL_TEXT: strings(b["label"] for b in boxes),
        ExampleKeys.DIFFICULT: ints(int(b["difficult"]) for b in boxes),
        ExampleKeys.IS_CROWD: ints(int(b["is_crowd"]) for b in boxes),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def example_files(examples: Path, split: str) -> list[str]:
    """The record files of one split of a TFX Examples artifact."""
    return sorted(str(path) for path in (examples / f"Split-{split}").iterdir())


def read_examples(files: Sequence[str], batch: int) -> Iterator[dict[str, tf.Tensor]]:
    """Batches of parsed Examples; lists of unequal length are sparse tensors."""
    dataset = tf.data.TFRecordDataset(list(files)).batch(batch)
    return iter(dataset.map(lambda records: tf.io.parse_example(records, FEATURES)))


def labelled_boxes(parsed: Mapping[str, tf.Tensor]) -> pa.Table:
    """`schema.BOXES` of one batch of parsed Examples, in pixels."""
    columns: dict[str, Any] = {name: [] for name in BOXES.names}
    ids, extents = parsed[ExampleKeys.SOURCE_ID].numpy(), {}
    for name, key in (("width", ExampleKeys.WIDTH), ("height", ExampleKeys.HEIGHT)):
        extents[name] = parsed[key].numpy()
    labels = parsed[ExampleKeys.LABEL_TEXT]
    rows, order = labels.indices.numpy()[:, 0], labels.indices.numpy()[:, 1]
    columns["image_id"] = [ids[row].decode() for row in rows]
    columns["box_id"] = order
    columns["label"] = [label.decode() for label in labels.values.numpy()]
    for key, side, extent in _SIDES:
        columns[side] = (parsed[key].values.numpy() * extents[extent][rows]).astype("float32")
    columns["is_crowd"] = parsed[ExampleKeys.IS_CROWD].values.numpy().astype(bool)
    columns["difficult"] = parsed[ExampleKeys.DIFFICULT].values.numpy().astype(bool)
    columns["source"] = columns["image_id"]
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in BOXES]
    return pa.Table.from_arrays(arrays, schema=BOXES)
