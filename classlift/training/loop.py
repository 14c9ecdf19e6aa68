"""Fine-tuning, as one story: freeze, step, watch, keep the best. The same for every backend."""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from classlift.detectors.detector import Batch, Detector
from classlift.detectors.freeze import frozen_names
from classlift.errors import ModelError
from classlift.settings.recipe import Recipe
from classlift.training.board import Board
from classlift.training.cache import Features, cached
from classlift.training.checkpoints import Checkpoints
from classlift.training.selection import Judgement, best_of
from classlift.training.step import Teacher, TrainingStep

REPORT_SECONDS = 5.0
CHECKPOINT_SECONDS = 30.0

MIXTURES = (0.2, 0.4, 0.6, 0.8)
"""Shares of the new weights that interpolation tries, beside 1."""

RIVALRIES = (0.0, 0.5)
"""Values of `Detector.rivalry` that are tried."""

Values = dict[str, np.ndarray]

Batches = Callable[[int], Iterable[Batch]]
"""Endless batches from a step on: the same ones, however often and wherever training starts."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training run did: for the log and the report.

    steps: done; chosen: the step whose weights were kept; mixture: the share of the new weights in
    them; rivalry: as chosen, of a branch; judgements: on eval, in the order of the steps, then of
    the mixtures and rivalries tried.
    """

    steps: int
    seconds: float
    images_per_second: float
    trained_parameters: int
    losses: dict[str, float]
    chosen: int
    mixture: float = 1.0
    rivalry: float | None = None
    judgements: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class _Progress:
    """What a checkpoint holds beside the weights."""

    step: int = 0
    seconds: float = 0.0
    images: int = 0
    losses: dict[str, float] = field(default_factory=dict)
    before: Judgement | None = None
    judgements: list[Judgement] = field(default_factory=list)
    best: Values = field(default_factory=dict)


def fit(
    detector: Detector,
    batches: Batches,
    recipe: Recipe,
    report: Callable[[str], None] = print,
    *,
    judge: Callable[[int], Judgement] | None = None,
    teacher: Teacher | None = None,
    checkpoints: Checkpoints | None = None,
    board: Board | None = None,
    features: Path | None = None,
    version: str = "",
) -> TrainingResult:
    """Trains the detector in place by the recipe, and leaves the best weights in it.

    batches: of `recipe.batch_size` images each, as many as there are steps at least.
    judge: of the present weights, of a step, on eval; chooses among them, and stops early by
        `recipe.patience`.
    teacher: the champion, for `recipe.distillation`.
    checkpoints: where training goes on after it was killed: at the step of the last checkpoint,
        with the same batches, to the same weights on CPUs of the same kind.
    features: a folder that keeps cached features from run to run; a temporary one by default.
    version: of the code, whose change makes kept features worthless.

    Raises ModelError when a loss is no longer finite: the data or the learning rate are at fault.
    """
    names = list(detector.variables())
    frozen = frozen_names(recipe.freeze_policy, names, detector.branch)
    detector.set_focal(recipe.focal_gamma, recipe.focal_alpha)
    trained = detector.freeze(frozen)
    if teacher is not None:
        teacher.detector.freeze(frozen)
    changing = {name: v for name, v in detector.variables().items() if name not in frozen}
    start = _values(changing)
    step = TrainingStep(detector, trained, recipe, teacher)
    progress = _resumed(checkpoints, changing, step, board, report)
    compares = recipe.evaluations > 1 or recipe.interpolation
    if judge is not None and compares and progress.before is None:
        progress.before = _judged(judge, 0, board, report)
    count = sum(int(np.prod(v.shape)) for v in trained.values())
    report(f"training {count:,} parameters, freeze policy {recipe.freeze_policy}")
    with ExitStack() as stack:
        inputs: Iterator[tuple[Features, Batch]] | None = None
        if can_cache(recipe, detector.prefix):
            key = f"{version} {_key(detector, frozen)}"
            cache = stack.enter_context(
                cached(detector, batches(0), recipe.cached_batches, report, features, key)
            )
            if len(cache):
                inputs = cache.draw(recipe.batch_size, recipe.seed, progress.step)
        if inputs is None:
            inputs = (((), batch) for batch in batches(progress.step))
        loop = _Loop(step, changing, recipe, report, judge, checkpoints, board, progress)
        loop.run(inputs)
    chosen, mixture, judgement = _choose(changing, start, progress, judge, report, recipe)
    rivalry = detector.rivalry
    if recipe.rivalry and rivalry is not None and judge is not None and judgement is not None:
        _choose_rivalry(rivalry, judgement, progress, judge, report)
    return TrainingResult(
        steps=progress.step,
        seconds=progress.seconds,
        images_per_second=progress.images / max(progress.seconds, 1e-9),
        trained_parameters=count,
        losses=progress.losses,
        chosen=chosen,
        mixture=mixture,
        rivalry=None if rivalry is None else float(rivalry),
        judgements=[asdict(judgement) for judgement in progress.judgements],
    )


def _key(detector: Detector, frozen: frozenset[str]) -> str:
    """Of all that features depend on beside the images: what makes them, and where it is cut."""
    found = hashlib.blake2b(f"{detector.prefix} {detector.branch} {detector.frame}".encode())
    for name, variable in detector.variables().items():
        if name in frozen:
            found.update(name.encode() + variable.numpy().tobytes())
    return found.hexdigest()


def can_cache(recipe: Recipe, prefix: str | None) -> bool:
    """Whether training draws from cached features: their makers are frozen, and it pays."""
    return prefix is not None and 0 < recipe.cached_batches < recipe.steps


@dataclass
class _Loop:
    """The steps, and what is done between them."""

    step: TrainingStep
    changing: Mapping[str, tf.Variable]
    recipe: Recipe
    report: Callable[[str], None]
    judge: Callable[[int], Judgement] | None
    checkpoints: Checkpoints | None
    board: Board | None
    progress: _Progress

    def run(self, inputs: Iterator[tuple[Features, Batch]]) -> None:
        """Runs to the last step, or until nothing gets better."""
        progress, last = self.progress, self.recipe.steps
        evaluations = evaluation_steps(self.recipe)
        started = reported = kept = time.monotonic()
        losses: Mapping[str, tf.Tensor] = {}
        traced = False
        for found, batch in islice(inputs, last - progress.step):
            losses = self.step(found, batch)
            progress.step += 1
            if traced:
                progress.images += int(batch.labels.shape[0])
            else:  # the first step is the tracing
                traced, started = True, time.monotonic()
            now = time.monotonic()
            due = progress.step == last or progress.step in evaluations
            if due or now - reported >= REPORT_SECONDS:
                progress.seconds += now - started
                self._show(losses)
                reported = started = time.monotonic()
            if progress.step in evaluations and self._judge():
                self.report(f"stopped: no better for {self.recipe.patience} evaluations")
                break
            if due or now - kept >= CHECKPOINT_SECONDS:
                self._keep(losses)
                kept = started = time.monotonic()
        else:
            if progress.step < last:
                raise ModelError(f"The training data ended after {progress.step} of {last} steps.")

    def _show(self, losses: Mapping[str, tf.Tensor]) -> None:
        progress = self.progress
        found = progress.losses = self._finite(losses)
        rate = progress.images / max(progress.seconds, 1e-9)
        left = (self.recipe.steps - progress.step) * self.recipe.batch_size / max(rate, 1e-9)
        parts = ", ".join(f"{name} loss {value:.3f}" for name, value in found.items())
        self.report(
            f"step {progress.step}/{self.recipe.steps}, {parts}"
            + (f", {rate:.0f} images/s, {left:.0f} s left" if rate else "")
        )
        if self.board is not None:
            self.board.training(progress.step, found, self.step.learning_rate(), rate)

    def _finite(self, losses: Mapping[str, tf.Tensor]) -> dict[str, float]:
        """The losses as numbers. Raises ModelError when one is none."""
        found = {name: float(value) for name, value in losses.items()}
        for name, value in found.items():
            if not math.isfinite(value):
                kept = self.checkpoints.last() if self.checkpoints is not None else None
                good = (
                    f" The last good weights, of step {kept[0]}, are in {kept[1]}." if kept else ""
                )
                raise ModelError(
                    f"The {name} loss is {value} at step {self.progress.step}: lower the learning "
                    f"rate, or look for boxes without area in the training data.{good}"
                )
        return found

    def _judge(self) -> bool:
        """Judges the present weights; whether it is time to stop."""
        if self.judge is None:
            return False
        progress = self.progress
        progress.judgements.append(_judged(self.judge, progress.step, self.board, self.report))
        best = best_of(progress.before, progress.judgements, self.recipe.eval_floor)
        later = len(progress.judgements) - 1 - best
        if not later:
            progress.best = _values(self.changing)
        return 0 < self.recipe.patience <= later

    def _keep(self, losses: Mapping[str, tf.Tensor]) -> None:
        """Writes a checkpoint, of finite weights alone."""
        if self.checkpoints is None:
            return
        self._finite(losses)
        arrays = {
            **{f"weights/{name}": value for name, value in _values(self.changing).items()},
            **{f"best/{name}": value for name, value in self.progress.best.items()},
            **{f"optimizer/{i}": v.numpy() for i, v in enumerate(self.step.optimizer_variables())},
        }
        notes = asdict(self.progress)
        del notes["best"]
        self.checkpoints.save(self.progress.step, arrays, notes)


def evaluation_steps(recipe: Recipe) -> frozenset[int]:
    """The steps after which eval is asked: evenly spaced, the last one among them.

    >>> sorted(evaluation_steps(Recipe(steps=10, evaluations=2)))
    [5, 10]
    """
    if not recipe.evaluations:
        return frozenset()
    count = min(recipe.evaluations, recipe.steps)
    return frozenset(round(recipe.steps * (i + 1) / count) for i in range(count))


def _values(variables: Mapping[str, tf.Variable]) -> Values:
    return {name: variable.numpy() for name, variable in variables.items()}


def _assign(variables: Mapping[str, tf.Variable], values: Values) -> None:
    for name, variable in variables.items():
        variable.assign(values[name])


def _judged(
    judge: Callable[[int], Judgement], step: int, board: Board | None, report: Callable[[str], None]
) -> Judgement:
    judgement = judge(step)
    report(f"eval at step {step}: {judgement}")
    if board is not None:
        board.judgement(judgement)
    return judgement


def _resumed(
    checkpoints: Checkpoints | None,
    changing: Mapping[str, tf.Variable],
    step: TrainingStep,
    board: Board | None,
    report: Callable[[str], None],
) -> _Progress:
    """Goes back to where the last run of the same training was, if there was one."""
    found = checkpoints.load() if checkpoints is not None else None
    if found is None:
        return _Progress()
    arrays, notes = found

    def group(prefix: str) -> Values:
        return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}

    _assign(changing, group("weights/"))
    for number, variable in enumerate(step.optimizer_variables()):
        variable.assign(arrays[f"optimizer/{number}"])
    before, *judgements = (
        judgement and Judgement(**judgement)
        for judgement in (notes.pop("before"), *notes.pop("judgements"))
    )
    report(f"going on from step {notes['step']}")
    if board is not None:
        for judgement in judgements:
            board.judgement(judgement)
    return _Progress(**notes, before=before, judgements=judgements, best=group("best/"))


def _choose(
    changing: Mapping[str, tf.Variable],
    start: Values,
    progress: _Progress,
    judge: Callable[[int], Judgement] | None,
    report: Callable[[str], None],
    recipe: Recipe,
) -> tuple[int, float, Judgement | None]:
    """Puts the best weights in place; returns their step, the share of them that is new, and their
    judgement.

    Interpolation of old and new weights is after Wortsman et al., "Robust fine-tuning of zero-shot
    models" (2022), with the share chosen on eval.
    """
    if judge is None or not progress.best:
        return progress.step, 1.0, None
    before = progress.before
    chosen = progress.judgements[best_of(before, progress.judgements, recipe.eval_floor)]
    new = progress.best
    _assign(changing, new)
    mixture = 1.0
    if recipe.interpolation:
        tried = []
        for share in MIXTURES:
            _assign(changing, {n: (1 - share) * start[n] + share * new[n] for n in new})
            report(f"{share:.0%} of the new weights")
            tried.append(_judged(judge, chosen.step, None, report))
        progress.judgements += tried
        candidates = [*tried, chosen]
        best = best_of(before, candidates, recipe.eval_floor)
        mixture, chosen = (*MIXTURES, 1.0)[best], candidates[best]
        _assign(changing, {n: (1 - mixture) * start[n] + mixture * new[n] for n in new})
    report(
        f"kept: the weights of step {chosen.step}"
        + (f", {mixture:.0%} of them" if mixture < 1 else "")
    )
    return chosen.step, mixture, chosen


def _choose_rivalry(
    rivalry: tf.Variable,
    judgement: Judgement,
    progress: _Progress,
    judge: Callable[[int], Judgement],
    report: Callable[[str], None],
) -> None:
    """Sets the rivalry of a branch with the weights chosen to that with the highest AP50 on eval:
    recall at one point of the curve is too noisy to tell them apart.

    judgement: of these weights with the rivalry that the branch has.
    """
    tried, found = [float(rivalry)], [judgement]
    for value in RIVALRIES:
        if value not in tried:
            rivalry.assign(value)
            report(f"rivalry {value:g}")
            tried.append(value)
            found.append(_judged(judge, judgement.step, None, report))
    progress.judgements += found[1:]
    rivalry.assign(max(zip(tried, found, strict=True), key=lambda pair: pair[1].ap50)[0])
    report(f"kept: rivalry {float(rivalry):g}")
