"""The settings that the diagnosis turns into parts of the recipe, or reads for itself."""

from dataclasses import dataclass

from classlift.settings import recipe
from classlift.settings.field import setting

WEIGHTINGS = ("none", "inverse_frequency", "effective_number")
"""How the classes are weighted in the loss, see `classlift.diagnosis.weighting`."""


@dataclass(frozen=True)
class DiagnosisSettings:
    """What a run asks of the diagnosis, beside parts of the recipe; None: what it finds best."""

    class_weight: float | None = setting(
        None,
        "Class weight",
        "Factor on the loss of the target class.",
        section=recipe.SECTION,
        unset="the diagnosis chooses",
        above=0,
        maximum=100,
        after="learning_rate",
    )
    train_anyway: bool = setting(
        False,
        "Train anyway",
        "Train also where the diagnosis says that training will not help.",
        section=recipe.SECTION,
        after="recalibrate",
    )
    class_weighting: str | None = setting(
        None,
        "Class weighting",
        "How the loss weights the classes, by how rare they are.",
        section=recipe.DETAILS,
        unset="the diagnosis chooses",
        choices=WEIGHTINGS,
    )
