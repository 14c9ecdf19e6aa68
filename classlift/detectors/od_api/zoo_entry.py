"""An entry of the OD API's model zoo on disk: config, checkpoint, label map."""

import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from classlift.data.label_map import LabelMap
from classlift.detectors.frame import Frame
from classlift.detectors.od_api.api import pipeline_pb2
from classlift.detectors.od_api.outline import (
    CHECKPOINT,
    CONFIG,
    INSTEAD,
    LABEL_MAP,
    find_checkpoint,
    malformed,
    read_config_text,
    read_label_map,
    read_outline,
    require_fit,
)
from classlift.errors import ModelError
from classlift.text import printable, shorten

MODEL = "model"
"""The one section of a config that says what the model is; the others are for training it."""

ELSEWHERE = "classlift_branches"
"""A section of the configs of ours alone, so that the OD API's tools refuse them."""

REFUSAL = f"""\
# Some classes of this detector have heads of their own. The Object Detection API knows nothing of
# them, and its exporters would write the model without: at the next line they stop. The SavedModel
# that ClassLift exports has all of them.
{ELSEWHERE} {{}}
"""

MAX_SIDE = 8192
"""Height and width of a frame, in pixels; the zoo's largest is 1536."""

BUILD_ERRORS = (
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    NotImplementedError,
    tf.errors.OpError,
)
"""What the OD API's builders raise for a config whose values contradict each other."""


class ZooEntry(ABC):
    """What the architectures share: a config, a label map that fits it, the OD API's model.

    config: of the model, as the entry has it; model: as the OD API builds it, with its variables.

    Raises ModelError for a label map that does not fit the config, and for an image resizer that
    makes images of different sizes.
    """

    meta_architecture: str
    """As the config names it."""

    def __init__(self, config: pipeline_pb2.TrainEvalPipelineConfig, label_map: LabelMap) -> None:
        settings = getattr(config.model, self.meta_architecture)
        require_fit(label_map, settings.num_classes, Path(CONFIG))
        self.config = config
        self._settings = settings
        self.label_map = label_map
        self.named_columns = (
            True,  # the background
            *(number in label_map.ids for number in range(1, settings.num_classes + 1)),
        )
        self.frame = read_frame(settings.image_resizer)
        try:
            self.model = self.build()
        except BUILD_ERRORS as error:
            raise ModelError(
                f"{CONFIG}: the OD API can't build the model that it describes "
                f"({_reason(error)}); take the config from the same export as the "
                "checkpoint."
            ) from error

    @abstractmethod
    def build(self) -> Any:
        """The OD API's model, with its variables made."""

    def shapes(self, batch: int | tf.Tensor) -> tf.Tensor:
        """int32[batch, 3]: the true shapes of images, as the OD API wants them."""
        return tf.tile([[*self.frame.size, 3]], [batch, 1])


def open_entry(
    folder: Path,
) -> tuple[pipeline_pb2.TrainEvalPipelineConfig, LabelMap, Path]:
    """Reads the config and the label map of a zoo entry, and finds its checkpoint.

    The checkpoint is read once; what was chosen is said where there was a choice.

    Args:
        folder: of the entry.

    Returns:
        The config, the label map, and the prefix of the newest checkpoint.

    Raises:
        ModelError: the entry can't be fine-tuned, or is damaged.
        DataError: its label map is missing, or none.

    """
    label_map = read_label_map(folder)
    checkpoint = find_checkpoint(folder)
    _require_readable(checkpoint)  # before the model is built, which takes longer
    return read_config(folder), label_map, checkpoint


def restore(saved: tf.train.Checkpoint, checkpoint: Path, folder: Path) -> None:
    """Puts the values of an entry's checkpoint into what was saved.

    Args:
        saved: the objects to fill.
        checkpoint: its prefix.
        folder: of the entry, for errors.

    Raises:
        ModelError: the checkpoint is damaged, or does not fit.

    """  # noqa: DOC501 - `_damaged` makes one of them
    try:
        saved.restore(str(checkpoint)).expect_partial().assert_existing_objects_matched()
    except (AssertionError, ValueError) as error:  # objects missing, shapes that differ
        raise ModelError(
            f"{checkpoint}: the checkpoint does not fit {folder / CONFIG}; "
            "take both from the same export."
        ) from error
    except UNREADABLE as error:
        raise _damaged(checkpoint, error) from error


def write_entry(
    folder: Path,
    config: pipeline_pb2.TrainEvalPipelineConfig,
    label_map: LabelMap,
    saved: tf.train.Checkpoint,
    is_whole: bool,
) -> None:
    """Writes a zoo entry: config, label map and checkpoint.

    Args:
        folder: to write into.
        config: of the model.
        label_map: of the model.
        saved: its weights.
        is_whole: whether the OD API makes the same detector of it; if not, its tools refuse the
            config.

    """
    folder.mkdir(parents=True, exist_ok=True)
    text = text_format.MessageToString(config)
    (folder / CONFIG).write_text(text if is_whole else REFUSAL + text)
    label_map.write(folder / LABEL_MAP)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    manager = tf.train.CheckpointManager(saved, str(folder / CHECKPOINT), max_to_keep=1)
    manager.save(checkpoint_number=0)


def named(part: str, variables: Iterable[tf.Variable], owner: Any = None) -> dict[str, tf.Variable]:
    """Names variables by `part/layer/.../variable`; the class head is a part beside the head.

    Args:
        part: that they are of.
        variables: of one part.
        owner: the layer up to whose name, which may have a suffix, all is left out.

    Returns:
        The variables by name, in their order.

    """
    found = {}
    for variable in variables:
        name = variable.name.partition(":")[0]
        if owner is not None:
            name = name.partition(f"{owner.name}/")[2] or name
        is_class_head = part.endswith("head") and "ClassPredictor" in name
        found[f"{part[:-4]}class-head/{name}" if is_class_head else f"{part}/{name}"] = variable
    return found


def numbered(part: str, variables: Iterable[tf.Variable]) -> dict[str, tf.Variable]:
    """Names variables by `part/layer/.../variable`, as Keras does, but for the numbers of layers:
    Keras counts through all models of a process, and these names are the same in each.

    Args:
        part: that they are of.
        variables: of one part.

    Returns:
        The variables by name, in their order.

    """
    found, seen = {}, dict[str, dict[str, int]]()
    for variable in variables:
        path = part
        for name in variable.name.partition(":")[0].split("/"):
            path = f"{path}/{re.sub('_[0-9]+$', '', name)}"
            number = seen.setdefault(path, {}).setdefault(name, len(seen[path]))
            path += f"_{number}" if number else ""
        found[path] = variable
    return found


OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""What each checkpoint of TensorFlow 2 has, and none of TensorFlow 1."""

UNREADABLE = (tf.errors.OpError, IndexError, KeyError, UnicodeDecodeError, DecodeError)
"""What TensorFlow raises for a checkpoint whose files are damaged."""


def _require_readable(checkpoint: Path) -> None:
    """Reads all of a checkpoint once, which checks its checksums.

    Raises:
        ModelError: it is damaged, or of TensorFlow 1.

    """  # noqa: DOC501 - `_damaged` makes one of them
    try:
        reader = tf.train.load_checkpoint(str(checkpoint))
        names = reader.get_variable_to_shape_map()
        for name in names:
            reader.get_tensor(name)
    except (*UNREADABLE, ValueError, RuntimeError) as error:
        raise _damaged(checkpoint, error) from error
    if OBJECT_GRAPH not in names:
        raise ModelError(
            f"{checkpoint}: the checkpoint is of TensorFlow 1, which can't be fine-tuned here; "
            f"{INSTEAD}."
        )


def _damaged(checkpoint: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{checkpoint}: the checkpoint is damaged ({_reason(error)}); copy it again, whole."
    )


def _reason(error: Exception) -> str:
    """The first line of an error's message, after the one in which Keras names the layer."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        del lines[0]
    return printable(shorten(lines[0] if lines else type(error).__name__, 300))


def read_config(folder: Path) -> pipeline_pb2.TrainEvalPipelineConfig:
    """Reads `pipeline.config`.

    Its model is read to the letter. The other sections are those of training by the OD API, which
    nothing here reads: what they have that this OD API does not know is left out.

    Args:
        folder: of the zoo entry.

    Returns:
        The config as the OD API has it.

    Raises:
        ModelError: it is missing or malformed, or the model can't be fine-tuned.

    """  # noqa: DOC501 - ParseError is caught
    read_outline(folder)
    path, config = folder / CONFIG, pipeline_pb2.TrainEvalPipelineConfig()
    try:
        for name, tokens in _sections(read_config_text(folder)):
            text = f"{name} {{ {' '.join(tokens)} }}"
            if name == MODEL:
                text_format.Merge(text, config)
            elif name == ELSEWHERE:
                continue
            elif name not in config.DESCRIPTOR.fields_by_name:
                raise text_format.ParseError(f"it has no section {name!r}")
            else:
                with suppress(text_format.ParseError):
                    text_format.Merge(text, config, allow_unknown_field=True)
    except (text_format.ParseError, RecursionError) as error:
        raise malformed(path, error) from error
    return config


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """The sections of a config, each with the tokens between its braces."""
    tokenizer = text_format.Tokenizer(text.splitlines())
    name, depth = "", 0
    tokens: list[str] = []
    while not tokenizer.AtEnd():
        token = tokenizer.token
        depth -= token in ("}", ">")
        if depth:
            tokens.append(token)
        elif token in ("}", ">"):
            yield name, tokens
            tokens = []
        elif token not in ("{", "<", ":", ",", ";"):
            name = token
        depth += token in ("{", "<")
        tokenizer.NextToken()


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
        _require_sides(range_.min_dimension, side)
        return Frame(side, side, range_.min_dimension, pixel_centres=False)
    require(resizer, "image_resizer_oneof", "fixed_shape_resizer")
    fixed = resizer.fixed_shape_resizer
    _require_sides(fixed.height, fixed.width)
    return Frame(fixed.height, fixed.width, pixel_centres=False)


def _require_sides(*sides: int) -> None:
    """Raises ModelError for images without pixels, or with more than any detector takes."""
    if not all(1 <= side <= MAX_SIDE for side in sides):
        raise ModelError(
            f"{CONFIG}: the image_resizer asks for {' and '.join(map(str, sides))} pixels a side; "
            f"they must be 1 to {MAX_SIDE}."
        )


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
