"""Fine-tuning, the same for every backend: freeze, then run the loop on batches or features."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import tensorflow as tf

from classlift.detectors.detector import Batch, Detector
from classlift.detectors.freeze import frozen_names
from classlift.settings.recipe import Recipe
from classlift.training.cache import FeatureCache, Features, Place, cached
from classlift.training.hooks.progress import Progress
from classlift.training.loop import Hook, Training, TrainingResult, parameter_count
from classlift.training.step import Teacher, TrainingStep

Batches = Callable[[int], Iterable[Batch]]
"""Endless batches from a step on: the same ones, however often and wherever training starts."""


def fit(
    detector: Detector,
    batches: Batches,
    recipe: Recipe,
    *,
    hooks: Sequence[Hook] = (),
    teacher: Teacher | None = None,
    features: Path | FeatureCache | None = None,
    version: str = "",
) -> TrainingResult:
    """Trains the detector in place by the recipe.

    Args:
        detector: that learns.
        batches: of `recipe.batch_size` images each, as many as there are steps at least.
        recipe: what training does.
        hooks: what is done around the steps, beside the lines of progress: `hooks.resume`, first of
            all, `hooks.board`, `hooks.keep_best`. Without this one the weights of the last step
            stay.
        teacher: the champion, for `recipe.distillation`.
        features: a folder that keeps cached features from run to run, a temporary one by default;
            or those of the first batches, where they are there already (`features_of_each`).
        version: of the code, whose change makes kept features worthless.

    Returns:
        What training did, with the figures for provenance.

    Raises:
        ModelError: a loss is no longer finite: the data or the learning rate are at fault; the
            batches end too soon; or the freeze policy does not fit the model.

    """
    frozen, trained = freeze(detector, recipe)
    if teacher is not None:
        teacher.detector.freeze(frozen)
    training = Training(
        detector,
        TrainingStep(detector, trained, recipe, teacher),
        recipe,
        {name: v for name, v in detector.variables().items() if name not in frozen},
        parameter_count(trained),
        (*hooks, Progress()),
    )
    with ExitStack() as stack:

        def inputs(start: int) -> Iterable[tuple[Features, Batch]]:
            cache = features
            if not isinstance(cache, FeatureCache) and can_cache(recipe, detector.prefix):
                place = _place(detector, recipe, frozen, cache, version)
                (cache,) = stack.enter_context(
                    cached(lambda images, _: [detector.features(images)], batches(0), [place])
                )
            if isinstance(cache, FeatureCache) and len(cache):
                return cache.draw(recipe.batch_size, recipe.seed, start)
            return (((), batch) for batch in batches(start))

        return training.run(inputs)


@contextmanager
def features_of_each(
    learners: Sequence[tuple[Detector, Recipe, Path]], batches: Batches, version: str
) -> Iterator[list[FeatureCache]]:
    """The features of what is trained one after the other on the same batches, from one pass.

    Those of an earlier one are kept even where it sees each of them once: for the last one, images
    are augmented anyway.

    Args:
        learners: each with what its training does, and the folder that keeps its features; none
            takes more steps than the last, or more features.
        batches: of all.
        version: as `fit`.

    Yields:
        The features of each, for `fit`; none where the first one's are not kept, or one has none.

    """
    detectors = [detector for detector, _, _ in learners]
    frozen = [freeze(detector, recipe)[0] for detector, recipe, _ in learners]
    _, recipe, _ = learners[-1]
    if not all(can_cache(recipe, detector.prefix) for detector in detectors):
        yield []
        return
    places = [
        _place(detector, recipe, names, folder, version)
        for (detector, recipe, folder), names in zip(learners, frozen, strict=True)
    ]

    deeper_makes_both = [one.prefix for one in detectors] == ["neck", "backbone"]

    def features(images: tf.Tensor, wanted: Sequence[int]) -> list[Features]:
        if not deeper_makes_both:
            return [detectors[number].features(images) for number in wanted]
        # The deeper one still has the weights of the other, all the way.
        deeper = detectors[1].features(images)
        return [deeper if number else detectors[1].neck_maps(deeper) for number in wanted]

    with cached(features, batches(0), places) as caches:
        yield caches


def _place(
    detector: Detector, recipe: Recipe, frozen: frozenset[str], folder: Path | None, version: str
) -> Place:
    """Where the features of a detector are kept: of as many batches as training can see."""
    key = f"{version} {features_key(detector, frozen)}"
    return Place(min(recipe.cached_batches, recipe.steps), folder, key)


def freeze(detector: Detector, recipe: Recipe) -> tuple[frozenset[str], dict[str, tf.Variable]]:
    """Prepares a detector to learn by a recipe: what is frozen, and its focal loss.

    Args:
        detector: that is to learn.
        recipe: what training does.

    Returns:
        The names of the variables that are frozen, and the variables that are trained, by name.

    Raises:
        ModelError: the freeze policy does not fit the model.

    """
    names = list(detector.variables())
    frozen = frozen_names(recipe.freeze_policy, names, detector.trained_branches)
    detector.set_focal(recipe.focal_gamma, recipe.focal_alpha)
    return frozen, detector.freeze(frozen)


def features_key(detector: Detector, frozen: frozenset[str]) -> str:
    """A hash of all that features depend on beside the images: what makes them, and its weights."""
    made_for = f"{detector.prefix} {detector.trained_branches} {detector.frame}"
    digest = hashlib.blake2b(made_for.encode())
    for name, variable in detector.variables().items():
        if name in frozen:
            digest.update(name.encode() + variable.numpy().tobytes())
    return digest.hexdigest()


def can_cache(recipe: Recipe, prefix: str | None) -> bool:
    """Whether training draws from cached features: their makers are frozen, and it pays."""
    return prefix is not None and 0 < recipe.cached_batches < recipe.steps
