"""Reading back the tf.Examples that `classlift.data.examples` makes."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import tensorflow as tf

from classlift.data.examples import SIDES, example_files
from classlift.data.schema import BOXES, ExampleKeys

__all__ = [
    "example_files",
    "labelled_boxes",
    "read_distinct",
    "read_examples",
    "reading_options",
]

_FLOATS, _INTS = tf.io.VarLenFeature(tf.float32), tf.io.VarLenFeature(tf.int64)
_STRINGS = tf.io.VarLenFeature(tf.string)
FEATURES = {
    ExampleKeys.ENCODED: tf.io.FixedLenFeature([], tf.string),
    ExampleKeys.SOURCE_ID: tf.io.FixedLenFeature([], tf.string),
    ExampleKeys.WIDTH: tf.io.FixedLenFeature([], tf.int64),
    ExampleKeys.HEIGHT: tf.io.FixedLenFeature([], tf.int64),
    **{key: _FLOATS for key, _, _ in SIDES},
    ExampleKeys.LABEL: _INTS,
    ExampleKeys.LABEL_TEXT: _STRINGS,
    ExampleKeys.DIFFICULT: _INTS,
    ExampleKeys.IS_CROWD: _INTS,
    ExampleKeys.UNLABELLED: _INTS,
}


def reading_options() -> tf.data.Options:
    """Options for reading without the autotuner.

    Its thread sleeps longer each time, a minute in the end, and whoever is done with an iterator
    may have to wait until it wakes.

    Returns:
        Options for `with_options` of a dataset.

    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def read_examples(files: Sequence[str], batch: int) -> Iterator[dict[str, tf.Tensor]]:
    """Batches of parsed Examples; lists of unequal length are sparse tensors."""
    dataset = tf.data.TFRecordDataset(list(files)).batch(batch)
    parsed = dataset.map(lambda records: tf.io.parse_example(records, FEATURES))
    return iter(parsed.with_options(reading_options()))


def read_distinct(files: Sequence[str], batch: int, images: int) -> Iterator[dict[str, tf.Tensor]]:
    """Reads Examples as `read_examples`, but of each image the first record alone.

    Args:
        files: of records.
        batch: the most images of one batch.
        images: after so many images or more, nothing further is read.

    Yields:
        The features of a batch, by key.

    """
    seen: set[bytes] = set()
    name = {ExampleKeys.SOURCE_ID: FEATURES[ExampleKeys.SOURCE_ID]}
    dataset = tf.data.TFRecordDataset(list(files)).batch(batch)
    for records in dataset.with_options(reading_options()):
        ids = tf.io.parse_example(records, name)[ExampleKeys.SOURCE_ID].numpy().tolist()
        new = [row for row, i in enumerate(ids) if i not in seen and ids.index(i) == row]
        seen.update(ids)
        if new:
            yield tf.io.parse_example(tf.gather(records, new), FEATURES)
        if len(seen) >= images:
            break


def labelled_boxes(parsed: Mapping[str, tf.Tensor]) -> pa.Table:
    """`schema.BOXES` of one batch of parsed Examples, in pixels."""
    ids = parsed[ExampleKeys.SOURCE_ID].numpy()
    extents = {
        "width": parsed[ExampleKeys.WIDTH].numpy(),
        "height": parsed[ExampleKeys.HEIGHT].numpy(),
    }
    labels = parsed[ExampleKeys.LABEL_TEXT]
    rows, order = labels.indices.numpy()[:, 0], labels.indices.numpy()[:, 1]
    image_ids = [ids[row].decode() for row in rows]
    columns = {
        "image_id": image_ids,
        "box_id": order,
        "label": [label.decode() for label in labels.values.numpy()],
        **{
            side: (parsed[key].values.numpy() * extents[extent][rows]).astype("float32")
            for key, side, extent in SIDES
        },
        "is_crowd": parsed[ExampleKeys.IS_CROWD].values.numpy().astype(bool),
        "difficult": parsed[ExampleKeys.DIFFICULT].values.numpy().astype(bool),
        "source": image_ids,
    }
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in BOXES]
    return pa.Table.from_arrays(arrays, schema=BOXES)
