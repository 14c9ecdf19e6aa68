"""The recipe: what training will do. The diagnosis writes it, the user may override any part."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from classlift.errors import ConfigError
from classlift.settings.freeze import BRANCH_PARTS, TARGET_BRANCH, check_policy

DEVICES = ("auto", "cpu", "gpu")
WEIGHTINGS = ("none", "inverse_frequency", "effective_number")
"""How the classes are weighted in the loss, see `classlift.diagnosis.weighting`."""


@dataclass(frozen=True)
class Recipe:
    """One training run.

    freeze_policy: in the words of `classlift.settings.freeze`.
    class_weights: factor on the loss of each box, by class name; 1 where a class is not named.
    steps, batch_size: optimizer steps, and images in each.
    learning_rate: of Adam at the first step; a cosine takes it to 2% at the last.
    focal_gamma, focal_alpha: of the focal loss; None for the model's own.
    distillation: weight of the loss that keeps the champion's answers for the other classes.
    auxiliary: weight of the class loss of all classes in training a branch: what tells the others
        apart helps to tell the target, and they are answered as before; 0 for none.
    l2_to_start: weight of the squared distance of the weights from where they started.
    interpolation: whether to look for the best mixture of old and new weights, on eval.
    rivalry: whether eval may choose that what is surely another class is hardly the branch's
        (`Detector.rivalry`).
    evaluations: how often eval is asked, evenly over the steps, to keep the best weights; with 1,
        the last ones are kept, which the falling learning rate is for.
    eval_floor: the drop of another class's recall on eval beyond which weights are passed over.
    patience: evaluations without a better one after which training stops; 0 for none.
    augmentation: photometric change, zoom and shift of the training images.
    flip: mirror half of the training images left to right; not for digits or text.
    mosaic: share of the training images that are put together from four.
    cached_batches: where the backbone, or backbone and neck, are frozen, so many batches pass
        through them once, and training draws from their views again and again; 0 for none.
    device: `auto`, `cpu`, or `gpu`: then a machine without one is an error.
    mixed_precision: compute in bfloat16, keep the weights in float32.
    jit_compile: compile the step with XLA.
    recalibrate: train nothing; the target's threshold alone moves to where its precision is right.
    seed: of the order of the images, the augmentation and the initial values.
    """

    freeze_policy: str = TARGET_BRANCH
    class_weights: Mapping[str, float] = field(default_factory=dict)
    steps: int = 900
    batch_size: int = 32
    learning_rate: float = 2e-3
    focal_gamma: float | None = None
    focal_alpha: float | None = None
    distillation: float = 0.0
    auxiliary: float = 0.0
    l2_to_start: float = 0.0
    interpolation: bool = False
    rivalry: bool = True
    evaluations: int = 1
    eval_floor: float = 0.05
    patience: int = 0
    augmentation: bool = True
    flip: bool = False
    mosaic: float = 0.0
    cached_batches: int = 300
    device: str = "auto"
    mixed_precision: bool = False
    jit_compile: bool = False
    recalibrate: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_policy(self.freeze_policy)
        for name in ("steps", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"Recipe: {name} is {getattr(self, name)}; it must be above 0.")
        counts = ("cached_batches", "evaluations", "patience")
        for name in (*counts, "distillation", "auxiliary", "l2_to_start"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"Recipe: {name} must be 0 or more.")
        for name, upper in (("focal_gamma", math.inf), ("focal_alpha", 1.0), ("mosaic", 1.0)):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= upper:
                raise ConfigError(f"Recipe: {name} is {value}; it must be 0 to {upper:g}.")
        if self.device not in DEVICES:
            raise ConfigError(
                f"Recipe: device is {self.device!r}, not one of {', '.join(DEVICES)}."
            )
        for label, weight in self.class_weights.items():
            if not weight > 0:
                raise ConfigError(f"Recipe: the weight of class {label!r} must be above 0.")
        if self.distillation and self.freeze_policy in BRANCH_PARTS:
            raise ConfigError(
                "Recipe: distillation keeps the other classes, and a branch leaves them as they "
                "are; choose another freeze policy, or no distillation."
            )

    @property
    def leaves_other_classes(self) -> bool:
        """Whether it can't change a class but the target: a branch is trained, or nothing."""
        return self.recalibrate or self.freeze_policy in BRANCH_PARTS

    def override(self, values: Mapping[str, Any]) -> "Recipe":
        """The recipe with some parts replaced. Raises ConfigError for a part there isn't.

        >>> Recipe().override({"steps": 10}).steps
        10
        """
        known = [f.name for f in dataclasses.fields(self)]
        for name in values:
            if name not in known:
                raise ConfigError(f"A recipe has no {name!r}; it has: {', '.join(known)}.")
        return dataclasses.replace(self, **values)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """Reads what `json.dumps(recipe.to_dict())` wrote; missing parts take their default."""
        return cls().override(json.loads(text))
