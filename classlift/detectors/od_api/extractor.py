"""The cut through a feature extractor of the OD API: its backbone, and its neck alone.

Every Keras extractor of the SSD family calls its backbone once. So whatever stands there instead is
what the neck is fed with, whichever family it is of.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from classlift.detectors.frame import Frame
from classlift.detectors.od_api.private import backbone_of, in_place_of_backbone
from classlift.detectors.od_api.zoo_entry import learning_phase
from classlift.errors import ModelError

Maps = tuple[tf.Tensor, ...]


def backbone_variables(extractor: Any) -> list[tf.Variable]:
    """In the order of the layers."""
    return list(backbone_of(extractor).variables)


def neck_variables(extractor: Any) -> list[tf.Variable]:
    """All that comes after the backbone."""
    owners = (backbone_of(extractor), extractor.classification_backbone)
    owned = {variable.ref() for owner in owners for variable in owner.variables}
    return [variable for variable in extractor.variables if variable.ref() not in owned]


def neck_regularization(extractor: Any) -> tf.Tensor:
    """The config's regularization of the neck alone."""
    zero = [tf.constant(0.0)]
    return tf.add_n(zero + extractor.losses) - tf.add_n(
        zero + extractor.classification_backbone.losses
    )


@contextmanager
def recorded(extractor: Any) -> Iterator[list[Maps]]:
    """Within the block, what the backbone answers each time is added to the list."""
    seen: list[Maps] = []
    backbone = backbone_of(extractor)

    def record(images: tf.Tensor) -> Maps:
        seen.append(_maps(backbone(images)))
        return seen[-1]

    with in_place_of_backbone(extractor, record):
        yield seen


def run_backbone(extractor: Any, images: tf.Tensor) -> Maps:
    """The backbone's maps of preprocessed images [batch, height, width, 3]."""
    with recorded(extractor) as seen:
        extractor(images)  # in a graph, what the neck adds is pruned
    return seen[0]


def run_neck(extractor: Any, images: tf.Tensor, maps: Sequence[tf.Tensor]) -> Maps:
    """Runs the neck alone.

    Args:
        extractor: that it is a part of.
        images: of the batch; only their shape is read.
        maps: of the backbone, finest first.

    Returns:
        The neck's maps, finest first.

    """
    with in_place_of_backbone(extractor, lambda _: list(maps)):
        return _maps(extractor(images))


def used_by_neck(extractor: Any, images: tf.Tensor, maps: Sequence[tf.Tensor]) -> list[bool]:
    """Which of the backbone's maps the neck reads: some families answer with more."""

    def run(*given: tf.Tensor) -> Maps:
        return run_neck(extractor, tf.zeros_like(images), given)

    specs = [tf.TensorSpec(m.shape, m.dtype) for m in maps]
    traced = tf.function(run, autograph=False).get_concrete_function(*specs)
    return [bool(given.consumers()) for given in traced.inputs[: len(maps)]]


def pooled(maps: Maps, boxes: tf.Tensor) -> tf.Tensor:
    """Features of boxes: maps within each box, on a grid of two by two.

    Args:
        maps: [batch, rows, columns, channels] each.
        boxes: [batch, boxes, 4], ymin, xmin, ymax, xmax in 0..1.

    Returns:
        float32[batch, boxes, depth].

    """
    batch, count = tf.shape(boxes)[0], tf.shape(boxes)[1]
    flat, owners = tf.reshape(boxes, [-1, 4]), tf.repeat(tf.range(batch), count)
    found = []
    for feature_map in maps:
        crops = tf.image.crop_and_resize(feature_map, flat, owners, [4, 4])
        cells = tf.nn.avg_pool2d(crops, 2, 2, "VALID")
        found.append(tf.reshape(cells, [batch, count, 4 * feature_map.shape[-1]]))
    return tf.concat(found, axis=-1)


class Trunk:
    """What comes before a head: a model's backbone, and a neck, the model's own or a branch's.

    Args:
        extractor: whose backbone it is.
        neck: the extractor whose neck it is, where it is another one.
        prefix: the last of `backbone` and `neck` up to which all is frozen, so that features can be
            kept; None while the backbone is trained.

    """

    def __init__(self, extractor: Any, frame: Frame, neck: Any = None) -> None:
        self._extractor, self._size = extractor, frame.size
        self._neck = neck
        self._used: list[bool] = []
        self.prefix: str | None = None

    def cut(self, prefix: str | None) -> None:
        """Prepares for features of the parts up to this one."""
        self.prefix = prefix
        if prefix == "backbone":
            image = tf.zeros([1, *self._size, 3])
            maps = run_backbone(self._extractor, image)
            self._used = used_by_neck(self._extractor, image, maps)

    def features(self, images: tf.Tensor) -> Maps:
        """The feature maps of the frozen prefix, those that the rest of the model reads.

        Args:
            images: [batch, height, width, 3], of the frame.

        Returns:
            [batch, rows, columns, channels] each, finest first.

        Raises:
            ModelError: no part from the image on is frozen.

        """
        if self.prefix is None:
            raise ModelError("The backbone is to be trained: it has no features to keep.")
        with learning_phase(False):
            preprocessed = self._extractor.preprocess(images)
            maps = run_backbone(self._extractor, preprocessed)
            if self.prefix == "backbone":
                return tuple(m for m, used in zip(maps, self._used, strict=True) if used)
            return self._run_neck(preprocessed, maps)

    def maps(self, images: tf.Tensor, features: Maps | None = None) -> Maps:
        """What the head is fed with, from features where there are some."""
        if features is not None and self.prefix == "neck":
            return features
        if features is None:
            preprocessed = self._extractor.preprocess(images)
            maps = run_backbone(self._extractor, preprocessed)
        else:
            given = iter(features)
            maps = tuple(next(given) if used else tf.zeros([]) for used in self._used)
            preprocessed = tf.zeros([tf.shape(features[0])[0], *self._size, 3])
        return self._run_neck(preprocessed, maps)

    def own_maps(self, images: tf.Tensor, backbone_maps: Maps, common_maps: Maps) -> Maps:
        """What the head is fed with, where the backbone and the model's own neck were run.

        Args:
            images: preprocessed.
            backbone_maps: of them, finest first.
            common_maps: of the model's own neck.

        Returns:
            The maps of the neck of its own, or the common ones where it has none.

        """
        return common_maps if self._neck is None else self._run_neck(images, backbone_maps)

    def _run_neck(self, images: tf.Tensor, maps: Maps) -> Maps:
        return run_neck(self._extractor if self._neck is None else self._neck, images, maps)


def _maps(answer: Any) -> Maps:
    return tuple(answer) if isinstance(answer, list | tuple) else (answer,)
