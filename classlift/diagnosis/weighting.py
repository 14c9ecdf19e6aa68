"""Weights of the classes in the loss, by how rare they are."""

from collections.abc import Callable, Collection, Mapping

from classlift.examples.rebalance import EFFECTIVE_BETA
from classlift.settings.field import Value, Values


def weights_by_frequency(boxes: Mapping[str, int], method: str) -> dict[str, float]:
    """A weight for each class, normalised so that the mean over all boxes is 1.

    - inverse_frequency: 1 / n
    - effective_number: (1 - b) / (1 - b^n), b = `EFFECTIVE_BETA` (Cui et al.: Class-balanced loss
      based on effective number of samples, CVPR 2019)

    Args:
        boxes: of the train split as it is shown to training, by class.
        method: `none`, or one of the above.

    Returns:
        The weights by class; a class without any box gets 1.

    >>> weights_by_frequency({"car": 30, "scooter": 10}, "inverse_frequency")
    {'car': 0.6667, 'scooter': 2.0}

    """
    formulas: dict[str, Callable[[int], float]] = {
        "none": lambda n: 1.0,
        "inverse_frequency": lambda n: 1 / n,
        "effective_number": lambda n: (1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**n),
    }
    raw = {label: formulas[method](count) for label, count in boxes.items() if count}
    mean = sum(raw[label] * boxes[label] for label in raw) / max(sum(boxes.values()), 1)
    return {label: round(raw[label] / mean, 4) if label in raw else 1.0 for label in boxes}


def with_class_weights(
    changes: Values, targets: Collection[str], boxes: Mapping[str, int]
) -> dict[str, Value]:
    """The changes that a user makes to a recipe, with the weights of classes by name.

    The targets' own weight goes before that of the method.

    Args:
        changes: with `class_weighting` and `class_weight`, where they are set.
        targets: the weak classes.
        boxes: of the train split as it is shown to training, by class.

    Returns:
        Changes for `Recipe.override`.

    """
    recipe = dict(changes)
    method, own = recipe.pop("class_weighting", None), recipe.pop("class_weight", None)
    weights = weights_by_frequency(boxes, str(method)) if method else {}
    if isinstance(own, int | float):
        weights |= dict.fromkeys(targets, own)
    return recipe if method is own is None else {**recipe, "class_weights": weights}
