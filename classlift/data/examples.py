"""tf.Examples in the TF Object Detection API's layout, made without TensorFlow.

Importing TensorFlow costs each worker five seconds and half a gigabyte, so the message is declared
here (as in tensorflow/core/example/example.proto) and protobuf does the rest. The same row gives
the same bytes, for map entries are written in the order of their keys.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from classlift.data.label_map import LabelMap
from classlift.data.schema import ExampleKeys

Row = Mapping[str, Any]

SIDES = (
    (ExampleKeys.XMIN, "xmin", "width"),
    (ExampleKeys.YMIN, "ymin", "height"),
    (ExampleKeys.XMAX, "xmax", "width"),
    (ExampleKeys.YMAX, "ymax", "height"),
)
"""Feature, column of the boxes, and the column of the images that it is a share of."""


def example_files(examples: Path, split: str) -> list[str]:
    """The record files of one split of a TFX Examples artifact."""
    return sorted(str(path) for path in (examples / f"Split-{split}").iterdir())


def _example_class() -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="classlift/example.proto", package="classlift", syntax="proto3"
    )

    def message(name: str, *fields: tuple[str, int, int, str]) -> Any:
        found = file.message_type.add(name=name)
        for number, (title, kind, label, type_name) in enumerate(fields, start=1):
            added = found.field.add(name=title, number=number, type=kind, label=label)
            if type_name:
                added.type_name = type_name
        return found

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    message("BytesList", ("value", field.TYPE_BYTES, many, ""))
    message("FloatList", ("value", field.TYPE_FLOAT, many, ""))
    message("Int64List", ("value", field.TYPE_INT64, many, ""))
    feature = message(
        "Feature",
        ("bytes_list", field.TYPE_MESSAGE, one, ".classlift.BytesList"),
        ("float_list", field.TYPE_MESSAGE, one, ".classlift.FloatList"),
        ("int64_list", field.TYPE_MESSAGE, one, ".classlift.Int64List"),
    )
    feature.oneof_decl.add(name="kind")
    for member in feature.field:
        member.oneof_index = 0
    features = message(
        "Features", ("feature", field.TYPE_MESSAGE, many, ".classlift.Features.FeatureEntry")
    )
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=one)
    entry.field.add(
        name="value", number=2, type=field.TYPE_MESSAGE, label=one, type_name=".classlift.Feature"
    )
    message("Example", ("features", field.TYPE_MESSAGE, one, ".classlift.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("classlift.Example"))


_Example = _example_class()


def to_example(image: Row, boxes: Sequence[Row], encoded: bytes, label_map: LabelMap) -> bytes:
    """One image with its boxes as an Example in the OD API's layout.

    Args:
        image: a row of `schema.IMAGES`.
        boxes: its rows of `schema.BOXES`, sides in pixels; in the Example they are shares.
        encoded: the image file's bytes.
        label_map: has the ids of all labels.

    Returns:
        The Example, serialized.

    """
    example = _Example()
    feature = example.features.feature

    def strings(key: str, values: Iterable[str | bytes]) -> None:
        data = [v.encode() if isinstance(v, str) else v for v in values]
        feature[key].bytes_list.value.extend(data)

    def ints(key: str, values: Iterable[int]) -> None:
        feature[key].int64_list.value.extend(values)

    strings(ExampleKeys.ENCODED, [encoded])
    strings(ExampleKeys.FORMAT, [image["format"]])
    strings(ExampleKeys.SOURCE_ID, [image["image_id"]])
    strings(ExampleKeys.SHA256, [image["sha256"]])
    ints(ExampleKeys.HEIGHT, [image["height"]])
    ints(ExampleKeys.WIDTH, [image["width"]])
    for key, side, extent in SIDES:
        feature[key].float_list.value.extend(box[side] / image[extent] for box in boxes)
    ints(ExampleKeys.LABEL, (label_map.id_of(box["label"]) for box in boxes))
    strings(ExampleKeys.LABEL_TEXT, (box["label"] for box in boxes))
    ints(ExampleKeys.DIFFICULT, (int(box["difficult"]) for box in boxes))
    ints(ExampleKeys.IS_CROWD, (int(box["is_crowd"]) for box in boxes))
    if image.get("unlabelled"):
        ints(ExampleKeys.UNLABELLED, (label_map.id_of(label) for label in image["unlabelled"]))
    return bytes(example.SerializeToString(deterministic=True))
