"""An entry of the OD API's model zoo on disk: config, checkpoint, label map, note of branches."""

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import tensorflow as tf
from google.protobuf import text_format

from components.dataset.label_map import LabelMap
from components.detectors.frame import Frame
from components.detectors.freeze import PARTS
from components.detectors.od_api.api import FreezableBatchNorm, pipeline_pb2
from components.errors import ModelError

CONFIG, LABEL_MAP, CHECKPOINT = "pipeline.config", "label_map.pbtxt", "checkpoint"
BRANCHES = "branches.json"
"""The note beside the config of a model in which classes have heads of their own."""


class ZooEntry(ABC):
    """What the meta-architectures share: a config, a label map that fits it, a checkpoint.

    Raises ModelError for a label map that does not fit the config, for an image resizer that makes
    images of different sizes, and for a checkpoint that does not fit the model.
    """

    meta_architecture: str
    """As the config names it."""

    def __init__(self, config: pipeline_pb2.TrainEvalPipelineConfig, label_map: LabelMap) -> None:
        settings = getattr(config.model, self.meta_architecture)
        if settings.num_classes != len(label_map):
            raise ModelError(
                f"The model predicts {settings.num_classes} classes, its label map names "
                f"{len(label_map)}: they must agree."
            )
        self._config = config
        self._settings = settings
        self.label_map = label_map
        self.frame = read_frame(settings.image_resizer)
        self._model = self._build()

    @abstractmethod
    def _build(self) -> Any:
        """The OD API's model, with its variables made."""

    @abstractmethod
    def _checkpoint(self) -> tf.train.Checkpoint:
        """All that is saved."""

    @abstractmethod
    def _note(self) -> dict[str, Any]:
        """What `BRANCHES` says; empty for none."""

    def _read_note(self, folder: Path) -> None:  # noqa: B027
        """Prepares what the note promises the checkpoint to hold."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Loads a zoo entry with its weights."""
        detector = cls(read_config(folder), LabelMap.read(folder / LABEL_MAP))
        checkpoint = tf.train.latest_checkpoint(str(folder / CHECKPOINT))
        if checkpoint is None:
            raise ModelError(f"{folder / CHECKPOINT}: there is no checkpoint (ckpt-0.index, ...).")
        detector._read_note(folder)
        try:
            status = detector._checkpoint().restore(checkpoint)
            status.expect_partial().assert_existing_objects_matched()
        except (AssertionError, ValueError) as error:  # objects missing, shapes that differ
            raise ModelError(
                f"{checkpoint}: the checkpoint does not fit {folder / CONFIG}; "
                "take both from the same export."
            ) from error
        return detector

    def save(self, folder: Path) -> None:
        """Writes the zoo entry, without an exported SavedModel."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(text_format.MessageToString(self._config))
        self.label_map.write(folder / LABEL_MAP)
        (folder / BRANCHES).unlink(missing_ok=True)
        note = self._note()
        if note:
            (folder / BRANCHES).write_text(json.dumps(note))
        shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
        checkpoint = self._checkpoint()
        manager = tf.train.CheckpointManager(checkpoint, str(folder / CHECKPOINT), max_to_keep=1)
        manager.save(checkpoint_number=0)

    def _shapes(self, batch: int | tf.Tensor) -> tf.Tensor:
        """int32[batch, 3]: the true shapes of images, as the OD API wants them."""
        return tf.tile([[*self.frame.size, 3]], [batch, 1])


def named(part: str, variables: Iterable[tf.Variable], owner: Any = None) -> dict[str, tf.Variable]:
    """Variables by `part/layer/.../variable`; the class head is a part beside the head.

    owner: the layer up to whose name, which may have a suffix, all is left out.
    """
    found = {}
    for variable in variables:
        name = variable.name.partition(":")[0]
        if owner is not None:
            name = name.partition(f"{owner.name}/")[2] or name
        is_class_head = part.endswith("head") and "ClassPredictor" in name
        found[f"{part[:-4]}class-head/{name}" if is_class_head else f"{part}/{name}"] = variable
    return found


def freeze_batch_norm(owners: Iterable[Any], frozen: set[Any]) -> None:
    """Fixes the statistics of the batch norms whose variables (`ref()`) are frozen."""
    for layer in (layer for owner in owners for layer in owner.submodules):
        if isinstance(layer, FreezableBatchNorm) and layer.built:  # of a shared tower, some are not
            layer._training = False if layer.moving_mean.ref() in frozen else None


def read_branches(folder: Path, label_map: LabelMap) -> dict[str, list[str]]:
    """The classes with a branch and its parts, by its note. Raises ModelError for a damaged one."""
    path = folder / BRANCHES
    if not path.exists():
        return {}
    try:
        note = json.loads(path.read_text())["branches"]
        found = {label: list(parts) for label, parts in note.items()}
        if not all(
            label in label_map and set(parts) <= set(PARTS) for label, parts in found.items()
        ):
            raise KeyError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(
            f'{path}: must be {{"branches": {{class of the label map: [its parts]}}}}; take it '
            "from the same folder as the checkpoint."
        ) from None
    return found


def read_config(folder: Path) -> pipeline_pb2.TrainEvalPipelineConfig:
    """Reads `pipeline.config`. Raises ModelError when it is missing or malformed."""
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"{folder}: there is no {CONFIG}; is this a TF OD API zoo entry?")
    try:
        return text_format.Parse(path.read_text(), pipeline_pb2.TrainEvalPipelineConfig())
    except text_format.ParseError as error:
        raise ModelError(f"{path}: not a pipeline config of the OD API ({error}).") from error


def read_frame(resizer: Any) -> Frame:
    """The frame that an image resizer of a config asks for. Raises ModelError when it varies."""
    if resizer.WhichOneof("image_resizer_oneof") == "keep_aspect_ratio_resizer":
        range_ = resizer.keep_aspect_ratio_resizer
        if not range_.pad_to_max_dimension or any(range_.per_channel_pad_value):
            raise ModelError(
                f"{CONFIG}: keep_aspect_ratio_resizer makes images of different sizes; set "
                "pad_to_max_dimension: true, and leave per_channel_pad_value out."
            )
        side = range_.max_dimension
        return Frame(side, side, range_.min_dimension, pixel_centres=False)
    require(resizer, "image_resizer_oneof", "fixed_shape_resizer")
    fixed = resizer.fixed_shape_resizer
    return Frame(fixed.height, fixed.width, pixel_centres=False)


def require(message: Any, field: str, expected: str) -> None:
    """Raises ModelError unless the oneof of a config is set to what is expected."""
    found = message.WhichOneof(field)
    if found != expected:
        raise ModelError(
            f"{CONFIG}: {found or 'nothing'} is set where this version of ClassLift can only "
            f"fine-tune {expected}."
        )


@contextmanager
def learning_phase(training: bool) -> Iterator[None]:
    """Batch norm of legacy Keras follows a global switch: without it, it never updates."""
    backend = tf.keras.backend
    backend.set_learning_phase(training)
    try:
        yield
    finally:
        backend.set_learning_phase(False)
