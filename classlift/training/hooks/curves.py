"""The curves of a training, written as it goes on, for a page that shows them meanwhile.

`dags/curves.py` draws the file; a test says that both agree.
"""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from classlift.paths import replacing
from classlift.records import Record, without_nan
from classlift.training.checkpoints import Arrays, Notes
from classlift.training.loop import Hook, Training
from classlift.training.selection import Evaluation

SECONDS = 5.0
"""Between two points of the losses."""

MOST = 1000
"""Points that are kept; of more, every second one goes."""


@dataclass
class Curves(Hook):
    """Writes losses and the recalls of the targets into a file: whole, or not at all.

    Attributes:
        path: of the file, whose folder is made; JSON with `policy` (what is frozen; where two
            branches are trained, each begins the file anew), `steps` (that the recipe asks for),
            `done` (the last step), `images_per_second`, `chosen` (the step whose weights were
            kept; null until training has ended), `losses` (a list of `step` and `losses` by name)
            and `evaluations` (a list of `step`, and of the targets `recalls` and `ap50`).

    """

    path: Path
    _losses: list[dict[str, object]] = field(default_factory=list, init=False)
    _evaluations: dict[int, dict[str, object]] = field(default_factory=dict, init=False)
    _written: float = field(default=0.0, init=False)

    def before_training(self, training: Training) -> None:
        """Writes what a resumed training begins with, over what a try that failed has left."""
        self._write(training)

    def after_step(self, training: Training) -> None:
        """Adds a point when it is time."""
        if not training.is_due and time.monotonic() - self._written < SECONDS:
            return
        self._losses.append({"step": training.done, "losses": training.losses()})
        if len(self._losses) > MOST:
            self._losses = self._losses[1::2]  # the last one stays
        self._write(training)

    def after_evaluation(self, training: Training, evaluation: Evaluation) -> None:
        """Adds the targets' recalls and AP50."""
        self._evaluations[evaluation.step] = {
            "step": evaluation.step,
            "recalls": {label: evaluation.recalls[label] for label in evaluation.targets},
            "ap50": evaluation.ap50,
        }
        self._write(training)

    def after_training(self, training: Training) -> None:
        """Says of which step the weights are that the hooks inside this one have kept."""
        self._write(training, training.chosen)

    def state(self) -> tuple[Arrays, Notes]:
        """The points of the losses; of evaluations a training that is resumed tells again."""
        return {}, {"curves": without_nan(self._losses)}

    def restore(self, training: Training, arrays: Arrays, notes: Record) -> None:
        """Takes up the points of the losses."""
        self._losses = [
            {"step": point.count("step"), "losses": point.figures("losses")}
            for point in notes.items("curves")
        ]

    def _write(self, training: Training, chosen: int | None = None) -> None:
        document = {
            "policy": training.recipe.freeze_policy,
            "steps": training.recipe.steps,
            "done": training.done,
            "images_per_second": training.images_per_second,
            "chosen": chosen,
            "losses": self._losses,
            "evaluations": [self._evaluations[step] for step in sorted(self._evaluations)],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as draft:
            draft.write_text(json.dumps(without_nan(document)), "utf-8")
        self._written = time.monotonic()
