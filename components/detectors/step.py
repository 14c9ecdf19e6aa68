"""One step of training: losses, gradients, weights; on one device or on all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tf_keras

from components.detectors.cache import Features
from components.detectors.detector import (
    Batch,
    Detector,
    Remembered,
    over_replicas,
    share_of_replica,
)
from components.detectors.recipe import Recipe
from components.errors import ConfigError, ModelError

GRADIENT_NORM = 10.0  # as in the OD API's own training configs
FINAL_LEARNING_RATE = 0.02  # share of the first that the cosine ends at


@dataclass(frozen=True)
class Teacher:
    """The champion, as frozen as the detector that learns; free: the classes that may change."""

    detector: Detector
    free: frozenset[str]


class TrainingStep:
    """Adam on the trained variables, compiled at the first call.

    trained: variables by name; teacher: for the recipe's distillation.

    Under a distribution strategy a batch is split over its replicas, and losses and gradients are
    those of the whole batch. Raises ConfigError when it can't be split evenly.
    """

    def __init__(
        self,
        detector: Detector,
        trained: Mapping[str, tf.Variable],
        recipe: Recipe,
        teacher: Teacher | None = None,
    ) -> None:
        if recipe.distillation and teacher is None:
            raise ModelError("Distillation needs the champion beside the challenger.")
        self._detector, self._recipe = detector, recipe
        self._teacher = teacher if recipe.distillation else None
        self._variables = list(trained.values())
        self._start = [v.numpy() for v in self._variables] if recipe.l2_to_start else []
        self._strategy = tf.distribute.get_strategy()
        replicas = self._strategy.num_replicas_in_sync
        if recipe.batch_size % replicas:
            raise ConfigError(
                f"A batch of {recipe.batch_size} images can't be split over {replicas} devices: "
                f"make batch_size a multiple of {replicas}."
            )
        # Of Keras 2 for all backends: it works on TensorFlow's own variables, whoever made them.
        self._schedule = tf_keras.optimizers.schedules.CosineDecay(
            recipe.learning_rate, recipe.steps, alpha=FINAL_LEARNING_RATE
        )
        self._optimizer = tf_keras.optimizers.Adam(self._schedule)
        # Building first keeps the optimizer's variables out of the step, which is then traced once.
        self._optimizer.build(self._variables)
        self._compiled: Any = None

    def optimizer_variables(self) -> list[tf.Variable]:
        """The optimizer's state, in a stable order."""
        found = self._optimizer.variables
        return list(found() if callable(found) else found)

    def learning_rate(self) -> float:
        """Of the next step."""
        return float(self._schedule(self._optimizer.iterations))

    def __call__(self, features: Features, batch: Batch) -> Mapping[str, tf.Tensor]:
        """Trains on a batch, from its features where there are some; returns its losses.

        Raises ModelError for a model that XLA can't compile, where the recipe asks for that.
        """
        tensors = (*features, batch.images, batch.boxes, batch.labels, batch.weights)
        if self._compiled is None:  # one trace for any number of boxes
            self._compiled = self._compile(len(features), tensors)
        try:
            found: Mapping[str, tf.Tensor] = self._compiled(*tensors)
        except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError) as error:
            if not self._recipe.jit_compile:
                raise
            reason = next(iter(error.message.splitlines()), "")
            raise ModelError(
                f"XLA can't compile the training of this model ({reason}); leave jit_compile out."
            ) from error
        return found

    def _compile(self, features: int, tensors: tuple[tf.Tensor, ...]) -> Any:
        def step(*given: tf.Tensor) -> dict[str, tf.Tensor]:
            return self._step(given[:features], Batch(*given[features:]))

        options: dict[str, Any] = {"autograph": False}
        if self._recipe.jit_compile:
            options["jit_compile"] = True
        if self._strategy.num_replicas_in_sync == 1:
            return tf.function(step, input_signature=_signature(features, tensors), **options)

        @tf.function(autograph=False, reduce_retracing=True)
        def distributed(*parts: Any) -> dict[str, tf.Tensor]:
            losses = self._strategy.run(tf.function(step, **options), args=parts)
            total = tf.distribute.ReduceOp.SUM
            return {n: self._strategy.reduce(total, v, axis=None) for n, v in losses.items()}

        def split(*whole: tf.Tensor) -> dict[str, tf.Tensor]:
            def part(tensor: tf.Tensor) -> Any:
                return self._strategy.experimental_distribute_values_from_function(
                    lambda context: tf.split(tensor, context.num_replicas_in_sync)[
                        context.replica_id_in_sync_group
                    ]
                )

            found: dict[str, tf.Tensor] = distributed(*map(part, whole))
            return found

        return split

    def _step(self, features: Features, batch: Batch) -> dict[str, tf.Tensor]:
        remembered = self._remembered(features, batch)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._variables)
            losses = dict(self._detector.losses(batch, features or None, remembered))
            for name in ("distillation", "auxiliary"):
                if name in losses:
                    losses[name] *= getattr(self._recipe, name)
            if self._start:
                losses["l2_to_start"] = share_of_replica(self._distance())
            total = tf.add_n(list(losses.values()))
        gradients = [over_replicas(g) for g in tape.gradient(total, self._variables)]
        gradients, _ = tf.clip_by_global_norm(gradients, GRADIENT_NORM)
        self._optimizer.apply_gradients(
            zip(gradients, self._variables, strict=True), skip_gradients_aggregation=True
        )
        return losses

    def _remembered(self, features: Features, batch: Batch) -> Remembered | None:
        if self._teacher is None:
            return None
        outputs = self._teacher.detector.outputs(batch.images, features or None)
        ids = frozenset(self._detector.label_map.id_of(label) for label in self._teacher.free)
        return Remembered(outputs, ids)

    def _distance(self) -> tf.Tensor:
        """L2-SP of Li et al., "Explicit Inductive Bias for Transfer Learning" (2018)."""
        squares = [
            tf.reduce_sum(tf.square(variable - start))
            for variable, start in zip(self._variables, self._start, strict=True)
        ]
        return self._recipe.l2_to_start / 2 * tf.add_n(squares)


def _signature(features: int, tensors: tuple[tf.Tensor, ...]) -> list[tf.TensorSpec]:
    """Of one step: as the first batch, with any number of boxes."""
    fixed, labels = tensors[: features + 1], tensors[features + 1 :]
    return [
        *(tf.TensorSpec(t.shape, t.dtype) for t in fixed),
        *(tf.TensorSpec([t.shape[0], None, *t.shape[2:]], t.dtype) for t in labels),
    ]
