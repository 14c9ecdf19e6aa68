"""A folder with a KerasHub model and its label map, and what all such models have in common."""

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras
import keras_hub
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.detections import Detections
from classlift.detectors.detector import (
    Batch,
    ChampionOutputs,
    HeadsAlone,
    WithoutFeatures,
    share_of_replica,
)
from classlift.detectors.frame import Frame
from classlift.errors import ModelError
from classlift.settings.freeze import TARGET_BRANCH

MODEL, LABEL_MAP = "model.keras", "label_map.pbtxt"

Owners = Mapping[str, tuple[keras.layers.Layer, ...]]
"""Layers by part, in the order of the image. What is within a layer of the head and a layer of the
class head belongs to the class head."""


class KerasHubDetector(HeadsAlone, WithoutFeatures, ABC):
    """What the models share: the file, names, freezing, preprocessing.

    Raises ModelError for a model that does not fit its label map, or has no fixed input size.
    """

    kind: ClassVar[type[keras.Model]]
    """The model's class in KerasHub."""

    branch: ClassVar[Callable[..., Any]]
    """Makes a branch of this detector, for the ids of its classes."""

    described = "a model of KerasHub"
    can_branch = True
    takes_new_classes = True

    def __init__(self, model: keras.Model, label_map: LabelMap) -> None:
        label_map.require_fit(model.num_classes, MODEL)
        self.model = model
        self.label_map = label_map
        self.named_columns = tuple(
            number in label_map.ids for number in range(1, model.num_classes + 1)
        )
        self.frame = frame_of(model)
        model.trainable = True  # what is frozen is for the policy to say, not for the file
        policy = keras.config.dtype_policy()
        for layer in self._layers():
            layer.dtype_policy = policy
        self._learns = {name for name, v in self._weights().items() if v.trainable}

    @abstractmethod
    def _owners(self) -> Owners:
        """The layers through which an image passes."""

    @abstractmethod
    def set_focal(self, gamma: float | None, alpha: float | None) -> None:
        """Replaces the parameters of the focal loss; None for the model's own."""

    @abstractmethod
    def losses(
        self,
        batch: Batch,
        features: tuple[tf.Tensor, ...] | None = None,
        champion_outputs: ChampionOutputs | None = None,
    ) -> Mapping[str, tf.Tensor]:
        """The training losses by name, scalars."""

    @abstractmethod
    def detect_with(
        self, images: tf.Tensor, branches: Sequence[Any]
    ) -> tuple[Detections, list[Detections], tuple[tf.Tensor, ...]]:
        """The detections in images [batch, height, width, 3] of the frame, each branch's, and maps
        that describe them, where there are some.
        """

    def cut(self, prefix: str | None) -> None:
        """Does nothing: features are kept for branches alone."""

    def branch_of(self, numbers: Sequence[int], parts: frozenset[str]) -> Any:
        """A branch for the classes of these ids. Raises ModelError for parts that it can't have."""
        if "neck" in parts:
            raise ModelError(
                "In a model of KerasHub a class can have a head of its own, and no neck; choose "
                f"the freeze policy {TARGET_BRANCH}."
            )
        return type(self).branch(self, numbers)

    def _layers(self) -> Iterator[keras.layers.Layer]:
        """All layers, those within others too."""
        for owners in self._owners().values():
            for owner in owners:
                yield from owner._flatten_layers()

    def _weights(self) -> dict[str, keras.Variable]:
        """The weights by name, in the order of the parts."""
        parts = self._owners()
        scoring = {id(weight) for owner in parts["class-head"] for weight in owner.weights}
        return {
            f"{part}/{_name(weight.path, owner.name)}": weight
            for part, owners in parts.items()
            for owner in owners
            for weight in owner.weights
            if part == "class-head" or id(weight) not in scoring
        }

    def variables(self) -> dict[str, tf.Variable]:
        """All variables by name, in the order in which an image passes them."""
        return {name: weight.value for name, weight in self._weights().items()}

    def freeze(self, names: frozenset[str]) -> dict[str, tf.Variable]:
        """Freezes variables by name; returns what is left to train."""
        frozen = {id(weight) for name, weight in self._weights().items() if name in names}
        for layer in self._layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = id(layer.moving_mean) not in frozen
        learns = self._learns - names
        return {name: v for name, v in self.variables().items() if name in learns}

    def save(self, folder: Path) -> None:
        """Writes model and label map."""
        folder.mkdir(parents=True, exist_ok=True)
        frozen = [layer for layer in self._layers() if not layer.trainable]
        self.model.trainable = True
        self.model.save(folder / MODEL)
        for layer in frozen:
            layer.trainable = False
        self.label_map.write(folder / LABEL_MAP)

    def _preprocessed(self, images: tf.Tensor) -> tf.Tensor:
        """Images as the model takes them, of images in the frame, RGB from 0 to 255."""
        preprocessor = self.model.preprocessor
        if preprocessor is None:
            return images
        converter = preprocessor.image_converter
        images = images * (1.0 if converter.scale is None else converter.scale)
        return images + (0.0 if converter.offset is None else converter.offset)

    def _answers(self, images: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """The model's outputs for images in the frame, RGB from 0 to 255."""
        found = self.model(self._preprocessed(images), training=training)
        return {name: tf.cast(value, tf.float32) for name, value in found.items()}

    def _of_named(self, scores: tf.Tensor) -> tf.Tensor:
        """Those of scores [..., columns] that are of the columns that the label map names."""
        return tf.gather(scores, [number - 1 for number in self.label_map.ids], axis=-1)

    def _ids(self, classes: tf.Tensor) -> tf.Tensor:
        """Class ids, from the places in `_of_named`."""
        return tf.gather(tf.constant(self.label_map.ids), tf.cast(classes, tf.int32))

    def _regularization(self) -> tf.Tensor:
        return share_of_replica(tf.add_n([tf.constant(0.0), *self.model.losses]))


def read_model(path: Path) -> keras.Model:
    """Reads a `.keras` file. Code that it brings is never run.

    Args:
        path: of the file.

    Returns:
        The model, not compiled.

    Raises:
        ModelError: it is missing, or none that can be read here.

    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file; a model of KerasHub is saved there.")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(
            f"{path}: not a model that Keras {keras.__version__} and KerasHub "
            f"{keras_hub.__version__} can read ({first}); save it with these versions."
        ) from error


def frame_of(model: keras.Model) -> Frame:
    """The frame of a model, with its preprocessor's own way to resize."""
    size = input_size(model)
    if model.preprocessor is None:
        return Frame(*size)
    converter = model.preprocessor.image_converter
    ways: dict[str, bool] = {
        "pad": converter.pad_to_aspect_ratio,
        "crop": converter.crop_to_aspect_ratio,
    }
    centred: Any = next((way for way, is_used in ways.items() if is_used), None)
    return Frame(
        *size,
        centred=centred,
        interpolation=converter.interpolation,
        antialias=converter.antialias,
    )


def input_size(model: keras.Model) -> tuple[int, int]:
    """The size of the images that a model takes.

    Args:
        model: a detector of KerasHub.

    Returns:
        Height and width in pixels.

    Raises:
        ModelError: neither the model nor its preprocessor fixes them.

    """
    backbone, preprocessor = model.backbone, model.preprocessor
    built: Any = getattr(backbone, "anchor_image_size", backbone.image_shape[:2])
    if None in built and preprocessor is not None:
        built = preprocessor.image_converter.image_size
    if built is None or None in built:
        raise ModelError(
            "The model takes images of any size, and training needs one: give it an image "
            "converter with `image_size`, or make its folder with `classlift new-model --size`."
        )
    return int(built[0]), int(built[1])


def _name(path: str, owner: str) -> str:
    """A weight's path, where each layer's name leaves out that of the layer around it.

    Returns:
        The shorter path.

    >>> _name("hgnet_stem/hgnet_stem_conv/kernel", "hgnet")
    'stem/conv/kernel'

    """
    around, found = owner, []
    for part in path.split("/"):
        found.append(part.removeprefix(around + "_"))
        around = part
    return "/".join(found)
