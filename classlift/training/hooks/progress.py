"""Lines that say how far training has come."""

import logging
import time

from classlift.training.loop import Hook, Training

logger = logging.getLogger(__name__)

SECONDS = 5.0
"""Between two lines."""


class Progress(Hook):
    """Reports losses, speed and what time is left, every few seconds and before each evaluation."""

    def __init__(self) -> None:
        self._reported = 0.0

    def before_training(self, training: Training) -> None:
        """Says what is trained."""
        policy = training.recipe.freeze_policy
        logger.info(f"training {training.trained_parameters:,} parameters, freeze policy {policy}")
        self._reported = time.monotonic()

    def after_step(self, training: Training) -> None:
        """Reports when it is time. Raises ModelError when a loss is not finite then."""
        if not training.is_due and time.monotonic() - self._reported < SECONDS:
            return
        losses = ", ".join(f"{name} loss {loss:.3f}" for name, loss in training.losses().items())
        recipe, rate = training.recipe, training.images_per_second
        left = (recipe.steps - training.done) * recipe.batch_size / max(rate, 1e-9)
        logger.info(
            f"step {training.done}/{recipe.steps}, {losses}"
            + (f", {rate:.0f} images/s, {left:.0f} s left" if rate else "")
        )
        self._reported = time.monotonic()
