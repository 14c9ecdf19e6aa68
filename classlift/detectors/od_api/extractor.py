"""The cut through a feature extractor of the OD API: its backbone, and its neck alone.

Every Keras extractor of the SSD family calls its backbone once. So whatever stands there instead is
what the neck is fed with, whichever family it is of.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from classlift.detectors.frame import Frame
from classlift.detectors.freeze import blocks
from classlift.detectors.od_api.private import backbone_of, in_place_of_backbone, split, tapped
from classlift.detectors.od_api.zoo_entry import learning_phase, named
from classlift.errors import ModelError
from classlift.settings.freeze import TARGET_BRANCH_BLOCK

Maps = tuple[tf.Tensor, ...]


@dataclass(frozen=True)
class Passed:
    """What a backbone made of images.

    Attributes:
        maps: its answers, finest first.
        taps: the answers of some of its layers, by their place among all.

    """

    maps: Maps
    taps: Mapping[int, tf.Tensor] = field(default_factory=dict)


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
def recorded(extractor: Any, taps: Sequence[int] = ()) -> Iterator[list[Passed]]:
    """Within the block, what the backbone answers each time is added to the list.

    Args:
        extractor: whose backbone it is.
        taps: places of layers of it whose answers are recorded, too.

    Yields:
        The list.

    """
    seen: list[Passed] = []
    backbone = tapped(backbone_of(extractor), taps)

    def record(images: tf.Tensor) -> Maps:
        answers = _maps(backbone(images))
        maps = answers[: len(answers) - len(taps)]
        seen.append(Passed(maps, dict(zip(taps, answers[len(maps) :], strict=True))))
        return maps

    with in_place_of_backbone(extractor, record):
        yield seen


def run_backbone(extractor: Any, images: tf.Tensor, taps: Sequence[int] = ()) -> Passed:
    """What the backbone makes of preprocessed images [batch, height, width, 3]."""
    with recorded(extractor, taps) as seen:
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


def cuts(extractor: Any) -> dict[int, frozenset[str]]:
    """The blocks of a backbone before which it can be cut.

    Args:
        extractor: whose backbone it is.

    Returns:
        From 2, as the freeze policy `first:N` counts them, each with the names of the layers that
        come after the cut.

    """
    backbone = backbone_of(extractor)
    names = named("backbone", backbone_variables(extractor))
    found = blocks(list(names))
    after: dict[int, frozenset[str]] = {}
    for number in range(2, len(found) + 1):
        parts = split(backbone, _variables_from(number, names, found))
        if parts is not None:
            after[number] = frozenset(layer.name for layer in parts[1].layers[1:])
    return after


def _variables_from(
    block: int, names: Mapping[str, tf.Variable], found: Sequence[Sequence[str]]
) -> set[Any]:
    """The variables (`ref()`) of a backbone from a block on."""
    return {names[name].ref() for own in found[block - 1 :] for name in own}


class OwnBackbone:
    """A branch's own copy of a backbone: all of it, or its last blocks.

    Args:
        extractor: whose backbone is the copy.
        block: the first of its own blocks, from 1, as the freeze policy `first:N` counts them; 0
            for all, from the image on.

    Raises:
        ModelError: the backbone has no such block, or it can't be cut before it.

    """

    def __init__(self, extractor: Any, block: int) -> None:
        self._extractor = extractor
        self.variables = backbone_variables(extractor)
        self.tap: int | None = None
        self.answers = [True] * len(backbone_of(extractor).outputs)
        """Which of the backbone's maps are its own."""
        if block:
            self._cut(block)

    def _cut(self, block: int) -> None:
        names = named("backbone", self.variables)
        found = blocks(list(names))
        policy = f"Freeze policy {TARGET_BRANCH_BLOCK}{block}"
        if block > len(found):
            raise ModelError(f"{policy}: the backbone has {len(found)} blocks.")
        self.variables = [names[name] for own in found[block - 1 :] for name in own]
        parts = split(backbone_of(self._extractor), _variables_from(block, names, found))
        if parts is None:
            raise ModelError(
                f"{policy}: more than the block before it leads into block {block} of this "
                "backbone; choose another block."
            )
        self.tap, self._rest, self.answers = parts

    def __call__(self, images: tf.Tensor, passed: Passed) -> Maps:
        """The backbone's maps, its own and those from before it.

        Args:
            images: preprocessed; only those read them that begin with the image.
            passed: of the common backbone, with the tap.

        Returns:
            The maps, finest first.

        """
        if self.tap is None:
            return run_backbone(self._extractor, images).maps
        own = iter(_maps(self._rest(passed.taps[self.tap])))
        return tuple(
            next(own) if is_own else common
            for is_own, common in zip(self.answers, passed.maps, strict=True)
        )


class Trunk:
    """What comes before a head: a model's backbone, and a neck, the model's own or a branch's.

    Args:
        extractor: whose backbone it is.
        neck: the extractor whose neck it is, where it is another one.
        own: what a branch has of its own of the backbone, if anything.
        prefix: the last of `backbone` and `neck` up to which all is frozen, so that features can be
            kept: of the backbone, those that its own part goes on from. None while nothing is.

    """

    def __init__(
        self, extractor: Any, frame: Frame, neck: Any = None, own: OwnBackbone | None = None
    ) -> None:
        self._extractor, self._size = extractor, frame.size
        self._neck = neck
        self._own = own
        self._used: list[bool] = []
        self.taps = [] if own is None or own.tap is None else [own.tap]
        self.prefix: str | None = None

    def cut(self, prefix: str | None) -> None:
        """Prepares for features of the parts up to this one."""
        from_image = self._own is not None and self._own.tap is None
        self.prefix = None if prefix == "backbone" and from_image else prefix
        if self.prefix == "backbone" and not self._used:
            image = tf.zeros([1, *self._size, 3])
            maps = run_backbone(self._extractor, image).maps
            used = used_by_neck(self._extractor, image, maps)
            own = [False] * len(used) if self._own is None else self._own.answers
            self._used = [u and not is_own for u, is_own in zip(used, own, strict=True)]

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
            passed = run_backbone(self._extractor, preprocessed, self.taps)
            if self.prefix == "backbone":
                kept = [m for m, used in zip(passed.maps, self._used, strict=True) if used]
                return (*kept, *passed.taps.values())
            return self._run_rest(preprocessed, passed)

    def maps(self, images: tf.Tensor, features: Maps | None = None) -> Maps:
        """What the head is fed with, from features where there are some."""
        if features is not None and self.prefix == "neck":
            return features
        if features is None:
            preprocessed = self._extractor.preprocess(images)
            passed = run_backbone(self._extractor, preprocessed, self.taps)
        else:
            given = iter(features)
            maps = tuple(next(given) if used else tf.zeros([]) for used in self._used)
            passed = Passed(maps, dict(zip(self.taps, given, strict=True)))
            preprocessed = tf.zeros([tf.shape(features[0])[0], *self._size, 3])
        return self._run_rest(preprocessed, passed)

    def own_maps(self, images: tf.Tensor, passed: Passed, common_maps: Maps) -> Maps:
        """What the head is fed with, where the backbone and the model's own neck were run.

        Args:
            images: preprocessed.
            passed: what the backbone made of them, with the taps.
            common_maps: of the model's own neck.

        Returns:
            The maps of the neck of its own, or the common ones where it has none.

        """
        return common_maps if self._neck is None else self._run_rest(images, passed)

    def _run_rest(self, images: tf.Tensor, passed: Passed) -> Maps:
        """Runs its own part of the backbone, and the neck."""
        maps = passed.maps if self._own is None else self._own(images, passed)
        return run_neck(self._extractor if self._neck is None else self._neck, images, maps)


def _maps(answer: Any) -> Maps:
    return tuple(answer) if isinstance(answer, list | tuple) else (answer,)
