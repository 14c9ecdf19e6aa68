"""Fine-tuning, as one story: freeze, step, watch, stop. The same for every backend."""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from components.detectors.cache import Features, cached
from components.detectors.detector import Batch, Detector
from components.detectors.freeze import frozen_parts
from components.detectors.recipe import Recipe
from components.errors import ModelError

GRADIENT_NORM = 10.0  # as in the OD API's own training configs
FINAL_LEARNING_RATE = 0.02  # share of the first that the cosine ends at
REPORT_SECONDS = 5.0


@dataclass(frozen=True)
class TrainingResult:
    """What a training run did: for the log, TensorBoard and the report."""

    steps: int
    seconds: float
    images_per_second: float
    trained_parameters: int
    losses: dict[str, float]


def fit(
    detector: Detector,
    batches: Iterable[Batch],
    recipe: Recipe,
    report: Callable[[str], None] = print,
) -> TrainingResult:
    """Trains the detector in place for `recipe.steps` steps.

    batches: at least `recipe.steps` batches of `recipe.batch_size` images each.

    Raises ModelError when a loss is no longer finite: the data or the learning rate are at fault.
    """
    variables = detector.freeze(frozen_parts(recipe.freeze_policy))
    optimizer = tf.keras.optimizers.Adam(
        tf.keras.optimizers.schedules.CosineDecay(
            recipe.learning_rate, recipe.steps, alpha=FINAL_LEARNING_RATE
        )
    )
    # Building first keeps the optimizer's variables out of the step, which is then traced once.
    optimizer.build(variables)

    with ExitStack() as stack:
        inputs: Iterable[tuple[Features, Batch]] = (((), batch) for batch in batches)
        if can_cache(recipe):
            cache = stack.enter_context(cached(detector, batches, recipe.cached_batches, report))
            inputs = cache.draw(recipe.batch_size, recipe.seed) if len(cache) else ()
        return _run(detector, inputs, variables, optimizer, recipe, report)


def can_cache(recipe: Recipe) -> bool:
    """Whether training draws from cached features: their makers are frozen, and it pays."""
    makers = {"backbone", "neck"}
    return makers <= frozen_parts(recipe.freeze_policy) and 0 < recipe.cached_batches < recipe.steps


def training_step(
    detector: Detector, variables: list[tf.Variable], optimizer: tf.keras.optimizers.Optimizer
) -> Callable[[Features, Batch], dict[str, tf.Tensor]]:
    """One step of training, from cached features where there are some; returns the losses."""

    def step(
        features: Features,
        images: tf.Tensor,
        boxes: tf.Tensor,
        labels: tf.Tensor,
        weights: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            losses = dict(detector.losses(Batch(images, boxes, labels, weights), features or None))
            total = tf.add_n(list(losses.values()))
        gradients, _ = tf.clip_by_global_norm(tape.gradient(total, variables), GRADIENT_NORM)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return losses

    compiled: Any = None

    def run(features: Features, batch: Batch) -> dict[str, tf.Tensor]:
        nonlocal compiled
        tensors = (features, batch.images, batch.boxes, batch.labels, batch.weights)
        if compiled is None:  # one trace for any number of boxes
            compiled = tf.function(step, input_signature=_signature(*tensors), autograph=False)
        found: dict[str, tf.Tensor] = compiled(*tensors)
        return found

    return run


def _signature(features: Features, images: tf.Tensor, *labels: tf.Tensor) -> list[Any]:
    """Of one step: as the first batch, with any number of boxes."""
    return [
        tuple(tf.TensorSpec(f.shape, f.dtype) for f in features),
        tf.TensorSpec(images.shape, images.dtype),
        *(tf.TensorSpec([t.shape[0], None, *t.shape[2:]], t.dtype) for t in labels),
    ]


def _run(
    detector: Detector,
    inputs: Iterable[tuple[Features, Batch]],
    variables: list[tf.Variable],
    optimizer: tf.keras.optimizers.Optimizer,
    recipe: Recipe,
    report: Callable[[str], None],
) -> TrainingResult:
    step = training_step(detector, variables, optimizer)
    report(f"training {_count(variables):,} parameters, freeze policy {recipe.freeze_policy}")
    done, images, started, reported = 0, 0, 0.0, time.monotonic()
    losses: dict[str, tf.Tensor] = {}
    for features, batch in inputs:
        losses = step(features, batch)
        done += 1
        if done == 1:
            started = time.monotonic()  # the first step is the tracing
        else:
            images += int(batch.labels.shape[0])
        if done == recipe.steps or (done > 1 and time.monotonic() - reported >= REPORT_SECONDS):
            _require_finite(losses, done)
            seconds = max(time.monotonic() - started, 1e-9)
            remaining = seconds / max(done - 1, 1) * (recipe.steps - done)
            report(
                f"step {done}/{recipe.steps}, "
                + ", ".join(f"{name} loss {float(value):.3f}" for name, value in losses.items())
                + f", {images / seconds:.0f} images/s, {remaining:.0f} s left"
            )
            reported = time.monotonic()
        if done == recipe.steps:
            break
    if done < recipe.steps:
        raise ModelError(f"The training data ended after {done} of {recipe.steps} steps.")
    seconds = max(time.monotonic() - started, 1e-9)
    return TrainingResult(
        steps=done,
        seconds=seconds,
        images_per_second=images / seconds,
        trained_parameters=_count(variables),
        losses={name: float(value) for name, value in losses.items()},
    )


def _require_finite(losses: dict[str, tf.Tensor], step: int) -> None:
    for name, value in losses.items():
        if not math.isfinite(float(value)):
            raise ModelError(
                f"The {name} loss is {float(value)} at step {step}: lower the learning rate, "
                "or look for boxes without area in the training data."
            )


def _count(variables: list[tf.Variable]) -> int:
    return sum(int(tf.size(variable)) for variable in variables)
