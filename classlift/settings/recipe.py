"""The recipe: what training will do. The diagnosis writes it, the user may override any part."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from classlift.errors import ConfigError
from classlift.settings.field import Value, Values, require_in_range, setting
from classlift.settings.freeze import (
    FORMS,
    MAX_LENGTH,
    PATTERN,
    POLICIES,
    TARGET_BRANCH,
    branch_parts,
    check_policy,
)

SECTION, DETAILS = "Training", "Training, in detail"
"""Sections of the form, which keeps the details folded away."""

DEVICES = ("auto", "cpu", "gpu")


@dataclass(frozen=True)
class Recipe:
    """What one training run does.

    Attributes:
        class_weights: Factor on the loss of each box, by class name; 1 where a class is not named.

    Raises ConfigError for a value out of its range, and for parts that contradict each other.

    """

    freeze_policy: str = setting(
        TARGET_BRANCH,
        "Freeze policy",
        f"What of the model stays as it is: {', '.join(POLICIES)}, {FORMS[0]} (a branch from that "
        "block of the backbone on), first:N (blocks) or regex:... (names of variables).",
        section=SECTION,
        unset="the diagnosis chooses",
        pattern=PATTERN,
        max_length=MAX_LENGTH,
        examples=POLICIES,
        forms=FORMS,
    )
    class_weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    steps: int = setting(
        900,
        "Steps",
        "Training steps, each on one batch.",
        section=SECTION,
        minimum=1,
        maximum=1_000_000,
    )
    learning_rate: float = setting(
        2e-3,
        "Learning rate",
        "Adam's rate at the first step; it falls by a cosine to 2% at the last.",
        section=SECTION,
        above=0,
        maximum=1,
    )
    recalibrate: bool = setting(
        False,
        "Recalibrate only",
        "Train nothing: the target's threshold alone moves to where its precision is right.",
        section=SECTION,
    )
    seed: int = setting(
        0,
        "Seed",
        "The start of everything random: order of the images, augmentation, first weights.",
        section=SECTION,
        minimum=0,
        maximum=2**31 - 1,
    )
    max_inference: float = setting(
        1.5,
        "Most work of inference",
        "Operations of the network for one image, of the champion's without a branch of the "
        "target, up to which a branch may be deeper than a head: the deepest that fits is trained "
        "beside the head, and eval chooses; 1: the diagnosis does. Where the freeze policy is set, "
        "there is nothing to choose.",
        section=DETAILS,
        minimum=1,
        maximum=10,
    )
    batch_size: int = setting(
        32,
        "Batch size",
        "Images in each step.",
        section=DETAILS,
        unit="images",
        minimum=1,
        maximum=4096,
    )
    focal_gamma: float | None = setting(
        None,
        "Focal gamma",
        "How much less easy examples count in the focal loss.",
        section=DETAILS,
        unset="the model's own",
        minimum=0,
        maximum=10,
    )
    focal_alpha: float | None = setting(
        None,
        "Focal alpha",
        "Share of the objects against the background in the focal loss.",
        section=DETAILS,
        unset="the model's own",
        minimum=0,
        maximum=1,
    )
    distillation: float = setting(
        0.0,
        "Distillation",
        "Weight of the loss that keeps the champion's answers for the other classes.",
        section=DETAILS,
        minimum=0,
        maximum=1e6,
    )
    auxiliary: float = setting(
        0.0,
        "Auxiliary classes",
        "Weight of the other classes' loss in training a branch: what tells them apart helps to "
        "tell the target, and they stay as they are; 0: none.",
        section=DETAILS,
        minimum=0,
        maximum=1e6,
    )
    l2_to_start: float = setting(
        0.0,
        "L2 to start",
        "Weight of staying near the champion: of the squared distance from its weights.",
        section=DETAILS,
        minimum=0,
        maximum=1e6,
    )
    rivalry: bool = setting(
        True,
        "Rivalry",
        "Eval may choose that an object which is surely of another class is hardly the target: "
        "of the branch alone, the other classes stay as they are.",
        section=DETAILS,
    )
    verifier: bool = setting(
        True,
        "Verifier",
        "A second look at what a branch finds, by what the common head says of the place and by "
        "features: fitted to train, kept where more is found on eval; the other classes stay as "
        "they are.",
        section=DETAILS,
    )
    interpolation: bool = setting(
        False,
        "Interpolation",
        "Look for the best mixture of old and new weights, on eval.",
        section=DETAILS,
    )
    evaluations: int = setting(
        1,
        "Evaluations",
        "How often eval is asked in training, evenly over the steps, to keep the best weights; "
        "with 1, the last ones are kept.",
        section=DETAILS,
        minimum=0,
        maximum=1000,
    )
    eval_floor: float = setting(
        0.05,
        "Floor on eval",
        "Drop of another class's recall on eval beyond which weights are not kept.",
        section=DETAILS,
        minimum=0,
        maximum=1,
    )
    patience: int = setting(
        0,
        "Patience",
        "Evaluations without progress after which training stops; 0: never.",
        section=DETAILS,
        unit="evaluations",
        minimum=0,
        maximum=1000,
    )
    augmentation: bool = setting(
        True,
        "Augmentation",
        "Change colour, zoom and position of the training images.",
        section=DETAILS,
    )
    flip: bool = setting(
        False,
        "Flip",
        "Mirror half of the training images, left to right; not for digits or text.",
        section=DETAILS,
    )
    mosaic: float = setting(
        0.0,
        "Mosaic",
        "Share of the training images that are put together from four.",
        section=DETAILS,
        minimum=0,
        maximum=1,
    )
    cached_batches: int = setting(
        300,
        "Cached batches",
        "Batches whose features are kept, where what makes them is frozen: training draws from "
        "them again and again; 0: none.",
        section=DETAILS,
        unit="batches",
        minimum=0,
        maximum=1_000_000,
    )
    device: str = setting(
        "auto",
        "Device",
        "auto: a GPU if there is one; gpu: no training without one.",
        section=DETAILS,
        choices=DEVICES,
    )
    mixed_precision: bool = setting(
        False,
        "Mixed precision",
        "Compute in bfloat16; the weights stay in float32.",
        section=DETAILS,
    )
    jit_compile: bool = setting(
        False,
        "XLA",
        "Compile the step with XLA.",
        section=DETAILS,
    )

    def __post_init__(self) -> None:
        check_policy(self.freeze_policy)
        require_in_range(self, "recipe")
        for label, weight in self.class_weights.items():
            if not weight > 0:
                raise ConfigError(f"Recipe: the weight of class {label!r} must be above 0.")
        if self.distillation and branch_parts(self.freeze_policy):
            raise ConfigError(
                "Recipe: distillation keeps the other classes, and a branch leaves them as they "
                "are; choose another freeze policy, or no distillation."
            )

    @property
    def leaves_other_classes(self) -> bool:
        """Whether it can't change a class but the target: a branch is trained, or nothing."""
        return self.recalibrate or bool(branch_parts(self.freeze_policy))

    @property
    def chooses_depth(self) -> bool:
        """Whether several depths of a branch are trained, of which eval chooses one."""
        return self.max_inference > 1 and bool(branch_parts(self.freeze_policy))

    def override(self, values: Values) -> "Recipe":
        """The recipe with some parts replaced.

        Args:
            values: the new values by part.

        Returns:
            A recipe with them.

        Raises:
            ConfigError: there is no such part, or a value is out of its range.

        >>> Recipe().override({"steps": 10}).steps
        10

        """
        known = [f.name for f in dataclasses.fields(self)]
        for name in values:
            if name not in known:
                raise ConfigError(f"A recipe has no {name!r}; it has: {', '.join(known)}.")
        return dataclasses.replace(self, **cast(Any, values))  # checked as it is made

    def to_dict(self) -> dict[str, Value]:
        """The parts by name, as plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """Reads what `json.dumps(recipe.to_dict())` wrote; missing parts take their default."""
        return cls().override(json.loads(text))
