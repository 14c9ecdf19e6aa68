"""The cut through a feature extractor of the OD API: its backbone, and its neck alone.

Every Keras extractor of the SSD family holds its backbone as `classification_backbone` and calls
it once. So whatever stands there instead is what the neck is fed with, whichever family it is of.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

Maps = tuple[tf.Tensor, ...]


def backbone_variables(extractor: Any) -> list[tf.Variable]:
    """In the order of the layers."""
    return list(extractor.classification_backbone.variables)


def neck_variables(extractor: Any) -> list[tf.Variable]:
    """All that the backbone does not own."""
    owned = {variable.ref() for variable in backbone_variables(extractor)}
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
    backbone = extractor.classification_backbone

    def record(images: tf.Tensor) -> Maps:
        seen.append(_maps(backbone(images)))
        return seen[-1]

    with _in_place_of_backbone(extractor, record):
        yield seen


def run_backbone(extractor: Any, images: tf.Tensor) -> Maps:
    """The backbone's maps of preprocessed images [batch, height, width, 3]."""
    with recorded(extractor) as seen:
        extractor(images)  # in a graph, what the neck adds is pruned
    return seen[0]


def run_neck(extractor: Any, images: tf.Tensor, maps: Sequence[tf.Tensor]) -> Maps:
    """The neck's maps, finest first, from those of the backbone.

    images: of the batch; only their shape is read.
    """
    with _in_place_of_backbone(extractor, lambda _: list(maps)):
        return _maps(extractor(images))


def used_by_neck(extractor: Any, images: tf.Tensor, maps: Sequence[tf.Tensor]) -> list[bool]:
    """Which of the backbone's maps the neck reads: some families answer with more."""

    def run(*given: tf.Tensor) -> Maps:
        return run_neck(extractor, tf.zeros_like(images), given)

    specs = [tf.TensorSpec(m.shape, m.dtype) for m in maps]
    traced = tf.function(run, autograph=False).get_concrete_function(*specs)
    return [bool(given.consumers()) for given in traced.inputs[: len(maps)]]


def _maps(answer: Any) -> Maps:
    return tuple(answer) if isinstance(answer, list | tuple) else (answer,)


@contextmanager
def _in_place_of_backbone(extractor: Any, function: Callable[[tf.Tensor], Any]) -> Iterator[None]:
    # Through __dict__, past Keras: it would track the change, and reorder the variables.
    backbone = extractor.classification_backbone
    vars(extractor)["classification_backbone"] = function
    try:
        yield
    finally:
        vars(extractor)["classification_backbone"] = backbone
