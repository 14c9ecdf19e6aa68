"""The recipe: what training will do. The diagnosis writes it, the user may override any part."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.detectors.freeze import TARGET_BRANCH, frozen_parts
from components.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """One training run.

    freeze_policy: a name of `components.detectors.freeze.POLICIES`.
    class_weights: factor on the loss of each box, by class name; 1 where a class is not named.
    steps, batch_size: optimizer steps, and images in each.
    learning_rate: of Adam at the first step; a cosine takes it to 2% at the last.
    augmentation: photometric change, zoom and shift of the training images.
    cached_batches: where backbone and neck are frozen, so many batches pass through them once, and
        training draws from their views again and again; 0 for none.
    seed: of the order of the images, the augmentation and the initial values.
    """

    freeze_policy: str = TARGET_BRANCH
    class_weights: Mapping[str, float] = field(default_factory=dict)
    steps: int = 1500
    batch_size: int = 32
    learning_rate: float = 2e-3
    augmentation: bool = True
    cached_batches: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        frozen_parts(self.freeze_policy)
        for name in ("steps", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"Recipe: {name} is {getattr(self, name)}; it must be above 0.")
        if self.cached_batches < 0:
            raise ConfigError("Recipe: cached_batches must be 0 or more.")
        for label, weight in self.class_weights.items():
            if not weight > 0:
                raise ConfigError(f"Recipe: the weight of class {label!r} must be above 0.")

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
