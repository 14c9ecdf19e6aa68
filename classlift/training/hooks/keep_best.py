"""Which weights a training leaves behind: the best on eval."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import tensorflow as tf

from classlift.records import Record
from classlift.training.checkpoints import Arrays, Notes
from classlift.training.hooks.resume import part
from classlift.training.loop import Hook, Training, evaluation_steps
from classlift.training.selection import Evaluation, best_of

logger = logging.getLogger(__name__)

MIXTURES = (0.2, 0.4, 0.6, 0.8)
"""Shares of the new weights that interpolation tries, beside 1."""

RIVALRIES = (0.0, 0.5)
"""Values of `Detector.rivalries` that are tried."""


@dataclass
class KeepBest(Hook):
    """Evaluates at the recipe's steps, stops early by its `patience`, keeps the best weights.

    Attributes:
        evaluate: the evaluation on eval of the present weights, of a step.

    """

    evaluate: Callable[[int], Evaluation]
    _before: Evaluation | None = field(default=None, init=False)
    _evaluations: list[Evaluation] = field(default_factory=list, init=False)
    _best: Arrays = field(default_factory=dict, init=False)

    def before_training(self, training: Training) -> None:
        """Evaluates the champion's weights where others are compared with them."""
        recipe = training.recipe
        if self._before is None and (recipe.evaluations > 1 or recipe.interpolation):
            self._before = self._evaluated(0)
            training.tell(self._before)

    def after_step(self, training: Training) -> None:
        """Evaluates where the recipe says so; stops when nothing has got better for long."""
        recipe = training.recipe
        if training.done not in evaluation_steps(recipe):
            return
        self._evaluations.append(self._evaluated(training.done))
        training.tell(self._evaluations[-1])
        later = len(self._evaluations) - 1 - self._number_of_best(training, self._evaluations)
        if not later:
            self._best = training.values()
        if 0 < recipe.patience <= later:
            logger.info(f"stopped: no better for {recipe.patience} evaluations")
            training.stopping = True

    def after_training(self, training: Training) -> None:
        """Puts the best weights in place: of a step, mixed with the old ones, with a rivalry."""
        training.evaluations = self._evaluations
        if not self._best:
            return
        kept = self._evaluations[self._number_of_best(training, self._evaluations)]
        training.assign(self._best)
        if training.recipe.interpolation:
            kept = self._interpolate(training, kept)
        training.chosen = kept.step
        share = f", {training.mixture:.0%} of them" if training.mixture < 1 else ""
        logger.info(f"kept: the weights of step {kept.step}{share}")
        training.ap50 = dict(kept.ap50)
        rivalries = training.detector.rivalries
        if training.recipe.rivalry and rivalries:
            training.ap50 |= self._choose_rivalries(rivalries, kept)

    def state(self) -> tuple[Arrays, Notes]:
        """The evaluations so far, and the best weights."""
        before = None if self._before is None else asdict(self._before)
        evaluations = [asdict(evaluation) for evaluation in self._evaluations]
        arrays = {f"best/{name}": value for name, value in self._best.items()}
        return arrays, {"before": before, "judgements": evaluations}

    def restore(self, training: Training, arrays: Arrays, notes: Record) -> None:
        """Takes up evaluations and best weights, and tells of the evaluations again."""
        self._best = part(arrays, "best/")
        self._before = Evaluation.read(notes.part("before")) if notes.has("before") else None
        self._evaluations = [
            Evaluation.read(evaluation) for evaluation in notes.items("judgements")
        ]
        before = [] if self._before is None else [self._before]
        for evaluation in (*before, *self._evaluations):
            training.tell(evaluation)

    def _evaluated(self, step: int) -> Evaluation:
        evaluation = self.evaluate(step)
        logger.info(f"eval at step {step}: {evaluation}")
        return evaluation

    def _number_of_best(self, training: Training, candidates: list[Evaluation]) -> int:
        return best_of(self._before, candidates, training.recipe.eval_floor)

    def _interpolate(self, training: Training, unmixed: Evaluation) -> Evaluation:
        """Puts the best mixture of old and new weights in place, chosen on eval.

        After Wortsman et al., "Robust fine-tuning of zero-shot models" (2022).

        Returns:
            Its evaluation.

        """

        def mix(share: float) -> None:
            start, new = training.start, self._best
            training.assign({n: (1 - share) * start[n] + share * new[n] for n in new})

        tried = []
        for share in MIXTURES:
            mix(share)
            logger.info(f"{share:.0%} of the new weights")
            tried.append(self._evaluated(unmixed.step))
        self._evaluations += tried
        candidates = [*tried, unmixed]
        best = self._number_of_best(training, candidates)
        training.mixture = (*MIXTURES, 1.0)[best]
        mix(training.mixture)
        return candidates[best]

    def _choose_rivalries(
        self, rivalries: Mapping[str, tf.Variable], kept: Evaluation
    ) -> dict[str, float]:
        """Sets the rivalry of each branch to that with the highest AP50 of its class on eval.

        Recall at one point of the curve is too noisy to tell them apart. No branch's has a say in
        another's, so one evaluation tries a value for all.

        Args:
            rivalries: of the branches, by class.
            kept: the evaluation of the weights in place, with the rivalries that the branches have.

        Returns:
            AP50 of each class, with what was chosen.

        """
        tried = {label: [float(rivalry)] for label, rivalry in rivalries.items()}
        evaluations = [kept]
        for value in RIVALRIES:
            if all(values[0] == value for values in tried.values()):
                continue
            for label, rivalry in rivalries.items():
                rivalry.assign(value)
                tried[label].append(value)
            logger.info(f"rivalry {value:g}")
            evaluations.append(self._evaluated(kept.step))
        self._evaluations += evaluations[1:]
        best = {}
        for label, rivalry in rivalries.items():
            ap50 = [evaluation.ap50[label] for evaluation in evaluations]
            best[label] = max(ap50)
            rivalry.assign(tried[label][ap50.index(best[label])])
            logger.info(f"kept: rivalry {float(rivalry):g} of class {label}")
        return best
