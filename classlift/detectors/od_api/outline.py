"""What a zoo entry on disk is, told before anything heavy is imported: which model its config
describes, whether it can be fine-tuned here, where its label map and its checkpoint are.

Read without TensorFlow and the OD API: the fields of `pipeline.config` that this takes are declared
here (as in object_detection/protos/), and all others are skipped.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from classlift.data.label_map import COCO, COCO_CLASSES, LabelMap, quoted
from classlift.errors import DataError, ModelError
from classlift.reading import MEGA, read_text
from classlift.text import printable, shorten

logger = logging.getLogger(__name__)

CONFIG, LABEL_MAP, CHECKPOINT = "pipeline.config", "label_map.pbtxt", "checkpoint"

MAX_BYTES = MEGA
"""Size of a pipeline.config: those of the zoo have up to 9 KB."""

MAX_CLASSES = 100_000

EXTRACTORS = {
    "ssd": frozenset(
        f"ssd_{name}_keras"
        for name in (
            "mobilenet_v1",
            "mobilenet_v1_fpn",
            "mobilenet_v2",
            "mobilenet_v2_fpn",
            "resnet50_v1_fpn",
            "resnet101_v1_fpn",
            "resnet152_v1_fpn",
            *(f"efficientnet-b{size}_bifpn" for size in range(8)),
        )
    ),
    "faster_rcnn": frozenset(
        f"faster_rcnn_{name}_keras"
        for name in (
            "resnet50",
            "resnet101",
            "resnet152",
            "inception_resnet_v2",
            "resnet50_fpn",
            "resnet101_fpn",
            "resnet152_fpn",
        )
    ),
    "center_net": frozenset(
        (
            "resnet_v2_50",
            "resnet_v2_101",
            *(f"resnet_v1_{depth}_fpn" for depth in (18, 34, 50, 101)),
            *(f"hourglass_{depth}" for depth in (10, 20, 32, 52, 104)),
            "mobilenet_v2",
            "mobilenet_v2_fpn",
            "mobilenet_v2_fpn_sep_conv",
        )
    ),
}
"""The feature extractors that this version fine-tunes, by meta-architecture, as configs name them:
those of TensorFlow 2 in object_detection/builders/model_builder.py."""

TASKS = {
    "keypoint_estimation_task": "keypoints",
    "mask_estimation_task": "masks",
    "deepmac_mask_estimation": "masks",
    "densepose_estimation_task": "poses",
    "track_estimation_task": "tracks",
    "temporal_offset_task": "tracks",
}
"""What a CenterNet may answer beside boxes, by the config's word for it."""

INSTEAD = (
    "take an SSD (MobileNet, ResNet FPN, EfficientDet), a Faster R-CNN or a CenterNet that answers "
    "with boxes, of the TensorFlow 2 model zoo, or a RetinaNet or D-FINE of KerasHub (`classlift "
    "new-model`)"
)
"""The way on from a model that can't be fine-tuned."""


@dataclass(frozen=True)
class Outline:
    """What a config says of its model.

    Attributes:
        meta_architecture: as the config names it.
        classes: `num_classes`.
        extractor: the type of its feature extractor.

    """

    meta_architecture: str
    classes: int
    extractor: str


def read_config_text(folder: Path) -> str:
    """The text of the config in a folder. Raises ModelError when there is none that can be read."""
    path = folder / CONFIG
    if not path.exists():
        raise ModelError(f"{folder}: there is no {CONFIG}; is this a TF OD API zoo entry?")
    return read_text(path, "the pipeline config of the OD API", MAX_BYTES, ModelError)


def read_outline(folder: Path) -> Outline:
    """Reads what `pipeline.config` says of its model.

    Args:
        folder: of the zoo entry.

    Returns:
        What is told without TensorFlow.

    Raises:
        ModelError: it can't be read, or the model can't be fine-tuned here.

    """  # noqa: DOC501 - `malformed` makes one of them
    path = folder / CONFIG
    config = _CONFIG()
    try:
        text_format.Parse(read_config_text(folder), config, allow_unknown_field=True)
    except (text_format.ParseError, RecursionError) as error:
        raise malformed(path, error) from None
    found = config.model.WhichOneof("model")
    if found is None:
        raise ModelError(
            f"{path}: it describes no model (ssd, faster_rcnn or center_net); {INSTEAD}."
        )
    model = getattr(config.model, found)
    if found not in EXTRACTORS:
        raise ModelError(f"{path}: the model is {found}, which this version can't take; {INSTEAD}.")
    extractor = model.feature_extractor.type
    if extractor not in EXTRACTORS[found]:
        tf1 = found != "center_net" and not extractor.endswith("_keras")
        raise ModelError(
            f"{path}: the feature extractor {quoted(extractor)} of {found} "
            + ("is not one of TensorFlow 2" if tf1 else "is unknown")
            + f"; {INSTEAD}."
        )
    if found == "faster_rcnn" and model.number_of_stages != 2:
        kind = "Mask R-CNN" if model.number_of_stages == 3 else "proposal network alone"
        raise ModelError(
            f"{path}: a {kind} (number_of_stages: {model.number_of_stages}) can't be fine-tuned by "
            f"this version; {INSTEAD}."
        )
    if found == "center_net":
        others = [what for name, what in TASKS.items() if _has(model, name)]
        if others or not model.HasField("object_detection_task"):
            kind = f"CenterNet with {others[0]}" if others else "CenterNet without boxes"
            raise ModelError(f"{path}: a {kind} can't be fine-tuned by this version; {INSTEAD}.")
    if not 1 <= model.num_classes <= MAX_CLASSES:
        raise ModelError(
            f"{path}: num_classes is {model.num_classes}; it must be 1 to {MAX_CLASSES:,}, as the "
            "checkpoint has it."
        )
    return Outline(found, model.num_classes, extractor)


def _has(message: Any, name: str) -> bool:
    """Whether a field is set, which may be repeated."""
    return any(field.name == name for field, _ in message.ListFields())


def malformed(path: Path, error: Exception) -> ModelError:
    """The error of a config that protobuf can't parse."""
    reason = printable(shorten(str(error), 300))
    return ModelError(f"{path}: not a pipeline config of the OD API ({reason}).")


def label_map_file(folder: Path) -> Path:
    """The label map of a zoo entry.

    Args:
        folder: of the entry.

    Returns:
        The file: its own, or COCO's where it brings none and has the 90 classes of the zoo's
        models.

    Raises:
        DataError: there is none: the zoo's archives bring none.

    """
    own = folder / LABEL_MAP
    if own.exists():
        return own
    if (folder / CONFIG).is_file() and read_outline(folder).classes == COCO_CLASSES:
        return COCO
    others = sorted(path for path in folder.glob("*.pbtxt") if path.is_file())
    if others:
        raise DataError(
            f"{own}: the label map can't be read, for there is none: if {quoted(others[0].name)} "
            "is it, call it so."
        )
    raise DataError(
        f"{own}: the label map can't be read, for there is none: write it beside {CONFIG}, with an "
        'item { id: 1 name: "..." } for each class, as the model was trained with (its '
        "label_map_path); the model zoo's archives bring none."
    )


def read_label_map(folder: Path) -> LabelMap:
    """The label map of a zoo entry; says so when it is not its own."""
    path = label_map_file(folder)
    if path == COCO:
        logger.info(
            f"{folder}: it brings no {LABEL_MAP} and has {COCO_CLASSES} classes: they are taken to "
            "be COCO's"
        )
    return LabelMap.read(path)


def require_fit(label_map: LabelMap, classes: int, where: Path) -> None:
    """Raises ModelError for a label map that can't be that of a model with so many classes."""
    label_map.require_fit(classes, where)
    if classes == COCO_CLASSES and label_map.ids == tuple(range(1, 81)):
        raise ModelError(
            f"{where}: the model predicts {classes} classes and its label map has the ids 1 to 80, "
            "and COCO's 80 classes have ids up to 90: numbered without their gaps, most would be "
            f"named wrongly. Leave {LABEL_MAP} out, or give each class its id in COCO."
        )


def find_checkpoint(folder: Path) -> Path:
    """The newest of `checkpoints`; says so when it is one of several."""
    found = checkpoints(folder)
    newest = found[-1]
    if len(found) > 1:
        logger.info(f"{folder}: of {len(found)} checkpoints the newest is taken, {newest.name}")
    return newest


def checkpoints(folder: Path) -> list[Path]:
    """Finds the checkpoints of a zoo entry.

    They are in the folder `checkpoint`, as in the zoo's archives, or beside the config, as
    model_main_tf2 writes them; the newest is the one of the latest step. The state file
    `checkpoint` is not needed, and not asked: it names paths of where the model was trained.

    Args:
        folder: of the entry.

    Returns:
        Their prefixes, as TensorFlow takes them, the newest last.

    Raises:
        ModelError: there is none, which says what is there instead, or a part of the newest is
            missing.

    """
    places = [folder / CHECKPOINT, folder]
    found = [path for place in places if place.is_dir() for path in place.glob("*.index")]
    of_tf2 = [path for path in found if not path.with_suffix(".meta").exists()]
    of_tf2 = [path for path in of_tf2 if path.parent == of_tf2[0].parent]
    if not of_tf2:
        require_no_tensorflow_1(*places)
        raise ModelError(
            f"{folder / CHECKPOINT}: there is no checkpoint (ckpt-0.index, ...); copy it beside "
            f"{CONFIG}."
        )
    of_tf2.sort(key=lambda path: (_step(path), path.name))
    _require_shards(of_tf2[-1])
    return [path.with_suffix("") for path in of_tf2]


def require_no_tensorflow_1(*places: Path) -> None:
    """Raises ModelError where a folder holds what TensorFlow 1 wrote."""
    for place in places:
        for pattern in ("*.ckpt*", "*.meta", "frozen_inference_graph*.pb"):
            for path in sorted(place.glob(pattern)):
                raise ModelError(
                    f"{path} is of TensorFlow 1, which can't be fine-tuned here; {INSTEAD}."
                )


def _step(index: Path) -> int:
    """The number at the end of a checkpoint's name; -1 for none."""
    found = re.search(r"-([0-9]{1,18})$", index.stem)
    return int(found[1]) if found else -1


def _require_shards(index: Path) -> None:
    """Raises ModelError when a file of the checkpoint is missing or empty."""
    shards = sorted(index.parent.glob(f"{_escaped(index.stem)}.data-*-of-*"))
    counts = {path.name.rpartition("-of-")[2] for path in shards}
    count = counts.pop() if len(counts) == 1 else ""
    whole = count.isdecimal() and len(shards) == int(count[:9])
    empty = [path for path in (index, *shards) if not path.is_file() or not path.stat().st_size]
    if empty or not whole:
        what = (
            f"{empty[0].name} is empty" if empty else f"parts of {index.stem}.data-... are missing"
        )
        raise ModelError(
            f"{index.with_suffix('')}: the checkpoint is damaged: {what}; copy it again, whole."
        )


def _escaped(name: str) -> str:
    """A name as a pattern of `glob`."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _config_class() -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    package = "classlift.od_api.outline"
    file = descriptor_pb2.FileDescriptorProto(
        name="classlift/od_api/outline.proto", package=package, syntax="proto2"
    )

    def message(name: str, **fields: Any) -> descriptor_pb2.DescriptorProto:
        found = file.message_type.add(name=name)
        for number, (field_name, kind) in enumerate(fields.items(), start=1):
            added = found.field.add(name=field_name, number=number, label=field.LABEL_OPTIONAL)
            if isinstance(kind, str):
                added.type, added.type_name = field.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                added.type = kind
        return found

    message("Extractor", type=field.TYPE_STRING)
    message("Anything")
    tasks = dict.fromkeys(("object_detection_task", *TASKS), "Anything")
    message("Ssd", num_classes=field.TYPE_INT32, feature_extractor="Extractor")
    rcnn = message(
        "FasterRcnn",
        number_of_stages=field.TYPE_INT32,
        num_classes=field.TYPE_INT32,
        feature_extractor="Extractor",
    )
    rcnn.field[0].default_value = "2"
    center = message(
        "CenterNet", num_classes=field.TYPE_INT32, feature_extractor="Extractor", **tasks
    )
    for task in center.field:
        if task.name == "keypoint_estimation_task":
            task.label = field.LABEL_REPEATED
    model = message(
        "Model",
        faster_rcnn="FasterRcnn",
        ssd="Ssd",
        experimental_model="Anything",
        center_net="CenterNet",
    )
    model.oneof_decl.add(name="model")
    for member in model.field:
        member.oneof_index = 0
    message("Config", model="Model")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Config"))


_CONFIG = _config_class()
