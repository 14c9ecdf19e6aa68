"""One step of training: losses, gradients, weights; on one device or on all of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from classlift.detectors.detector import (
    Batch,
    ChampionOutputs,
    Detector,
    over_replicas,
    share_of_replica,
)
from classlift.detectors.freeze import learner_of, part_of
from classlift.errors import ConfigError, ModelError
from classlift.settings.recipe import Recipe
from classlift.training.cache import Features

GRADIENT_NORM = 10.0  # as in the OD API's own training configs
FINAL_LEARNING_RATE = 0.02  # share of the first that the cosine ends at

INPUTS = 64
"""Inputs of a kernel of neck or head that is trained at the recipe's learning rate: those of the
demo's head, for which it was chosen. A kernel with more of them is trained at as much less: a step
of Adam moves each of its weights by the rate, so its output by as much as it has inputs. Yang et
al., "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer" (2022),
table 3.

At one rate for all, the first steps threw a head of 3 x 3 x 256 inputs, as a ResNet FPN's, to a
class loss of tens of thousands."""

BACKBONE = 0.5
"""The share of the recipe's learning rate at which a branch's own part of the backbone is trained,
whose features are good already. The tenth of Carion et al., "End-to-End Object Detection with
Transformers" (2020), left a champion's that had seen little nearly as they were; at the whole rate,
the first steps of the demo threw them away. Both are measured in docs/benchmarks/recipes.md."""


@dataclass(frozen=True)
class Teacher:
    """The champion, as frozen as the detector that learns; free: the classes that may change."""

    detector: Detector
    free: frozenset[str]


class TrainingStep:
    """Adam on the trained variables, compiled at the first call.

    Under a distribution strategy a batch is split over its replicas, and losses and gradients are
    those of the whole batch.

    Args:
        trained: variables by name.
        teacher: for the recipe's distillation.

    Raises:
        ConfigError: a batch can't be split evenly.

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
        self._masks = [
            _column_mask(name, variable, detector.named_columns)
            for name, variable in trained.items()
        ]
        owners = [learner_of(name) for name in trained]
        self._learners = [
            [i for i, owner in enumerate(owners) if owner == learner]
            for learner in dict.fromkeys(owners)
        ]
        self._start = [v.numpy() for v in self._variables] if recipe.l2_to_start else []
        self._strategy = tf.distribute.get_strategy()
        replicas = self._strategy.num_replicas_in_sync
        if recipe.batch_size % replicas:
            raise ConfigError(
                f"A batch of {recipe.batch_size} images can't be split over {replicas} devices: "
                f"make batch_size a multiple of {replicas}."
            )
        factors = [rate_factor(name, variable.shape) for name, variable in trained.items()]
        self._schedule = _schedule(recipe, 1.0)
        # Of Keras 2 for all backends: it works on TensorFlow's own variables, whoever made them.
        self._optimizers = {
            factor: tf_keras.optimizers.Adam(_schedule(recipe, factor))
            for factor in sorted(set(factors), reverse=True)
        }
        self._groups = {
            factor: [i for i, own in enumerate(factors) if own == factor]
            for factor in self._optimizers
        }
        # Building first keeps the optimizers' variables out of the step, which is then traced once.
        for factor, optimizer in self._optimizers.items():
            optimizer.build([self._variables[i] for i in self._groups[factor]])
        self._compiled: Any = None

    def optimizer_variables(self) -> list[tf.Variable]:
        """The optimizers' state, in a stable order."""
        states = [optimizer.variables for optimizer in self._optimizers.values()]
        return [v for state in states for v in (state() if callable(state) else state)]

    def learning_rate(self) -> float:
        """The recipe's learning rate at the next step, before `rate_factor`."""
        optimizer = next(iter(self._optimizers.values()))
        return float(self._schedule(optimizer.iterations))

    def __call__(self, features: Features, batch: Batch) -> Mapping[str, tf.Tensor]:
        """Trains on a batch.

        Args:
            features: of its images; none where there are none.
            batch: of images in the frame.

        Returns:
            Its losses by name, scalars.

        Raises:
            ModelError: the recipe asks for XLA, and it can't compile the model.
            UnimplementedError: TensorFlow's own, where the recipe does not ask for that.
            InvalidArgumentError: as `UnimplementedError`.

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

        compiled = partial(
            tf.function, autograph=False, jit_compile=self._recipe.jit_compile or None
        )
        if self._strategy.num_replicas_in_sync == 1:
            return compiled(step, input_signature=_signature(features, tensors))

        @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
        def distributed(*parts: Any) -> dict[str, tf.Tensor]:
            losses = self._strategy.run(compiled(step), args=parts)
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
        champion_outputs = self._champion_outputs(features, batch)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._variables)
            losses = dict(self._detector.losses(batch, features or None, champion_outputs))
            for name in ("distillation", "auxiliary"):
                if name in losses:
                    losses[name] *= getattr(self._recipe, name)
            if self._start:
                losses["l2_to_start"] = share_of_replica(self._distance())
            total = tf.add_n(list(losses.values()))
        gradients = [over_replicas(g) for g in tape.gradient(total, self._variables)]
        gradients = [
            gradient if mask is None else gradient * mask
            for gradient, mask in zip(gradients, self._masks, strict=True)
        ]
        gradients = self._clipped(gradients)
        for factor, optimizer in self._optimizers.items():
            optimizer.apply_gradients(
                [(gradients[i], self._variables[i]) for i in self._groups[factor]],
                skip_gradients_aggregation=True,
            )
        return losses

    def _clipped(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """Keeps gradients at the norm `GRADIENT_NORM`.

        Args:
            gradients: of the variables.

        Returns:
            The same, shortened where they were longer; those of each branch by themselves, so that
            it learns as it would alone.

        """
        clipped = list(gradients)
        for group in self._learners:
            parts, _ = tf.clip_by_global_norm([gradients[i] for i in group], GRADIENT_NORM)
            for i, part in zip(group, parts, strict=True):
                clipped[i] = part
        return clipped

    def _champion_outputs(self, features: Features, batch: Batch) -> ChampionOutputs | None:
        if self._teacher is None:
            return None
        outputs = self._teacher.detector.outputs(batch.images, features or None)
        ids = frozenset(self._detector.label_map.id_of(label) for label in self._teacher.free)
        return ChampionOutputs(outputs, ids)

    def _distance(self) -> tf.Tensor:
        """L2-SP of Li et al., "Explicit Inductive Bias for Transfer Learning" (2018)."""
        squares = [
            tf.reduce_sum(tf.square(variable - start))
            for variable, start in zip(self._variables, self._start, strict=True)
        ]
        return self._recipe.l2_to_start / 2 * tf.add_n(squares)


def _schedule(recipe: Recipe, factor: float) -> Any:
    return tf_keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate * factor, recipe.steps, alpha=FINAL_LEARNING_RATE
    )


def rate_factor(name: str, shape: Sequence[int]) -> float:
    """The share of the recipe's learning rate at which a variable is trained.

    Args:
        name: of the variable.
        shape: of the variable.

    Returns:
        `INPUTS` / inputs for the kernels of neck and heads that have more inputs, else 1.

    >>> rate_factor("head/tower/conv2d_0/kernel", (3, 3, 256, 256))
    0.027777777777777776
    >>> rate_factor("head/tower/conv2d_0/bias", (256,))
    1.0
    >>> rate_factor("branch/8/backbone/block_16_expand/kernel", (1, 1, 96, 576))
    0.5

    """
    if name.startswith(f"{learner_of(name)}/backbone/"):
        return BACKBONE
    if part_of(name) == "backbone" or len(shape) not in (2, 4) or "depthwise" in name:
        return 1.0
    return min(1.0, INPUTS / math.prod(shape[:-1]))


def _column_mask(
    name: str, variable: tf.Variable, named_columns: Sequence[bool]
) -> np.ndarray | None:
    """What training may change of a variable.

    The last axis of the kernels and biases that score the classes counts the columns of each
    anchor.

    Returns:
        1 for what it may, 0 for the columns of the class head that have no name, along the last
        axis; None where all may change.

    """
    columns = len(named_columns)
    if all(named_columns) or part_of(name) != "class-head" or variable.shape[-1] % columns:
        return None
    return np.tile(np.array(named_columns, np.float32), variable.shape[-1] // columns)


def _signature(features: int, tensors: tuple[tf.Tensor, ...]) -> list[tf.TensorSpec]:
    """The shapes of one step's inputs: as the first batch, with any number of boxes."""
    fixed, labels = tensors[: features + 1], tensors[features + 1 :]
    return [
        *(tf.TensorSpec(t.shape, t.dtype) for t in fixed),
        *(tf.TensorSpec([t.shape[0], None, *t.shape[2:]], t.dtype) for t in labels),
    ]
