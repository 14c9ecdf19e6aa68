"""Checkpoints while training runs, and the way back to the last one after a kill."""

import logging
import time
from dataclasses import dataclass, field

from classlift.records import Json
from classlift.training.checkpoints import Arrays, Checkpoints
from classlift.training.loop import Hook, Training

logger = logging.getLogger(__name__)

SECONDS = 30.0
"""Between two checkpoints."""


@dataclass
class Resume(Hook):
    """Goes on where the last run of the same training was killed: at the step of its checkpoint,
    with the same batches, to the same weights on CPUs of the same kind.

    Has to be the first of the hooks: its checkpoints hold the state of the others, after each has
    seen the step.
    """

    checkpoints: Checkpoints
    _saved: float = field(default=0.0, init=False)

    def before_training(self, training: Training) -> None:
        """Takes up weights, optimizers and the other hooks' state from the checkpoint, if any."""
        self._saved = time.monotonic()
        checkpoint = self.checkpoints.load()
        if checkpoint is None:
            return
        arrays, notes = checkpoint
        training.assign(part(arrays, "weights/"))
        for number, variable in enumerate(training.train_step.optimizer_variables()):
            variable.assign(arrays[f"optimizer/{number}"])
        training.done, training.seconds = notes.count("step"), notes.figure("seconds")
        training.images, training.shown = notes.count("images"), notes.figures("losses")
        logger.info(f"going on from step {training.done}")
        self._point_to_checkpoint(training)
        for hook in training.hooks:
            hook.restore(training, arrays, notes)

    def after_step(self, training: Training) -> None:
        """Writes a checkpoint when it is time, of finite weights alone."""
        waiting = not training.is_due and time.monotonic() - self._saved < SECONDS
        if waiting or training.stopping:
            return
        losses = training.losses()
        arrays: Arrays = {f"weights/{name}": value for name, value in training.values().items()}
        variables = training.train_step.optimizer_variables()
        arrays |= {f"optimizer/{i}": variable.numpy() for i, variable in enumerate(variables)}
        notes: dict[str, Json] = {
            "seconds": training.seconds,
            "images": training.images,
            "losses": losses,
        }
        for hook in training.hooks:
            own_arrays, own_notes = hook.state()
            arrays |= own_arrays
            notes |= own_notes
        self.checkpoints.save(training.done, arrays, notes)
        self._point_to_checkpoint(training)
        self._saved = time.monotonic()

    def _point_to_checkpoint(self, training: Training) -> None:
        training.last_checkpoint = (
            f" The last good weights, of step {training.done}, are in {self.checkpoints.path}."
        )


def part(arrays: Arrays, prefix: str) -> Arrays:
    """The arrays whose names begin with a prefix, by the rest of their names."""
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
