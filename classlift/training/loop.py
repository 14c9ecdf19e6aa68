"""The training loop, and the hooks around its steps."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice

import numpy as np
import tensorflow as tf

from classlift.detectors.detector import Batch, Detector
from classlift.errors import ModelError
from classlift.records import Record
from classlift.settings.recipe import Recipe
from classlift.training.cache import Features
from classlift.training.checkpoints import Arrays, Notes
from classlift.training.selection import Evaluation
from classlift.training.step import TrainingStep

Inputs = Callable[[int], Iterable[tuple[Features, Batch]]]
"""Endless batches from a step on, each with its cached features or an empty tuple: the same ones,
however often and wherever training starts."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training run did: for the log and the provenance of its model.

    Attributes:
        steps: done.
        chosen: the step whose weights were kept.
        mixture: the share of the new weights in them.
        rivalries: as chosen, of branches by class.
        ap50: of each target on eval, with what was kept; empty where eval was not asked.
        judgements: evaluations on eval, in the order of the steps, then of the mixtures and
            rivalries tried.

    """

    steps: int
    seconds: float
    images_per_second: float
    trained_parameters: int
    losses: dict[str, float]
    chosen: int
    mixture: float = 1.0
    rivalries: dict[str, float] = field(default_factory=dict)
    ap50: dict[str, float] = field(default_factory=dict)
    judgements: list[dict[str, object]] = field(default_factory=list)


class LossError(ModelError):
    """A loss is no longer finite."""


class Hook:
    """What is done around the steps; a hook overrides the moments that it needs.

    Hooks lie around the step as layers: what is before goes from the first to the last, what is
    after from the last to the first.
    """

    def before_training(self, training: "Training") -> None:
        """Runs once, before the first batch is drawn."""

    def after_step(self, training: "Training") -> None:
        """Runs after each step."""

    def after_evaluation(self, training: "Training", evaluation: Evaluation) -> None:
        """Runs when weights were evaluated during training, or were so before it was resumed."""

    def after_training(self, training: "Training") -> None:
        """Runs once, after the last step; may put other weights in place."""

    def state(self) -> tuple[Arrays, Notes]:
        """What a checkpoint holds of this hook: arrays by name, and what JSON can hold."""
        return {}, {}

    def restore(self, training: "Training", arrays: Arrays, notes: Record) -> None:
        """Takes up the state of a checkpoint, among that of all other hooks."""


@dataclass
class Training:
    """A training on its way: what the hooks see of it, and change.

    Attributes:
        variables: those that steps change, batch-norm statistics too.
        start: their values before the first step.
        done: steps.
        seconds: of the steps after the first, which is compiled.
        images: shown in these steps.
        shown: the losses when they were last looked at.
        last_checkpoint: where good weights lie, as a sentence.
        stopping: no further step is made.

    """

    detector: Detector
    train_step: TrainingStep
    recipe: Recipe
    variables: Mapping[str, tf.Variable]
    trained_parameters: int
    hooks: Sequence[Hook]
    start: Arrays = field(init=False)
    done: int = 0
    seconds: float = 0.0
    images: int = 0
    shown: dict[str, float] = field(default_factory=dict)
    last_checkpoint: str = ""
    stopping: bool = False
    chosen: int = 0
    mixture: float = 1.0
    ap50: dict[str, float] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    _losses: Mapping[str, tf.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.start = self.values()

    def run(self, inputs: Inputs) -> TrainingResult:
        """Runs to the last step, or until a hook stops it.

        Args:
            inputs: gives features and batches from the number of a step on.

        Returns:
            What training did.

        Raises:
            ModelError: the batches end before.
            LossError: a loss is no longer finite.

        """
        for hook in self.hooks:
            hook.before_training(self)
        left = self.recipe.steps - self.done
        drawn = islice(inputs(self.done), left) if left else ()
        started, is_compiled = time.monotonic(), False
        for features, batch in drawn:
            self._losses = self.train_step(features, batch)
            self.done += 1
            if is_compiled:
                self.images += int(batch.labels.shape[0])
                self.seconds += time.monotonic() - started
            for hook in reversed(self.hooks):
                hook.after_step(self)
            if self.stopping:
                break
            started, is_compiled = time.monotonic(), True
        if self.done < self.recipe.steps and not self.stopping:
            steps = self.recipe.steps
            raise ModelError(f"The training data ended after {self.done} of {steps} steps.")
        self.chosen = self.done
        for hook in reversed(self.hooks):
            hook.after_training(self)
        return self._result()

    @property
    def is_due(self) -> bool:
        """Whether the last step was the recipe's last one, or is followed by an evaluation."""
        return self.done == self.recipe.steps or self.done in evaluation_steps(self.recipe)

    @property
    def images_per_second(self) -> float:
        """The speed of the steps alone, without what hooks do between them."""
        return self.images / max(self.seconds, 1e-9)

    def values(self) -> Arrays:
        """Copies of the variables, by name."""
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def assign(self, values: Arrays) -> None:
        """Puts values in place of all variables."""
        for name, variable in self.variables.items():
            variable.assign(values[name])

    def losses(self) -> dict[str, float]:
        """The losses of the last step by name. Raises LossError when one is not finite."""
        losses = {name: float(value) for name, value in self._losses.items()}
        for name, value in losses.items():
            if not math.isfinite(value):
                raise LossError(
                    f"The {name} loss is {value} at step {self.done}: lower the learning rate, or "
                    f"look for boxes without area in the training data.{self.last_checkpoint}"
                )
        self.shown = losses
        return losses

    def tell(self, evaluation: Evaluation) -> None:
        """Tells all hooks of an evaluation."""
        for hook in self.hooks:
            hook.after_evaluation(self, evaluation)

    def _result(self) -> TrainingResult:
        return TrainingResult(
            steps=self.done,
            seconds=self.seconds,
            images_per_second=self.images_per_second,
            trained_parameters=self.trained_parameters,
            losses=self.shown,
            chosen=self.chosen,
            mixture=self.mixture,
            rivalries={label: float(value) for label, value in self.detector.rivalries.items()},
            ap50=self.ap50,
            judgements=[asdict(evaluation) for evaluation in self.evaluations],
        )


def evaluation_steps(recipe: Recipe) -> frozenset[int]:
    """The steps after which eval is asked: evenly spaced, the last one among them.

    Args:
        recipe: says how many of how many.

    Returns:
        Their numbers, from 1; none where nothing is asked.

    >>> sorted(evaluation_steps(Recipe(steps=10, evaluations=2)))
    [5, 10]

    """
    if not recipe.evaluations:
        return frozenset()
    count = min(recipe.evaluations, recipe.steps)
    return frozenset(round(recipe.steps * (i + 1) / count) for i in range(count))


def parameter_count(variables: Mapping[str, tf.Variable]) -> int:
    """The numbers in all variables together."""
    return sum(int(np.prod(variable.shape)) for variable in variables.values())
