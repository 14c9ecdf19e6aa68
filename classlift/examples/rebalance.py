"""How often each training image is repeated, so that the weak class carries its weight."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from classlift.errors import DataError
from classlift.settings.rebalancing import Rebalancing

EFFECTIVE_BETA = 0.999
"""Beta of the effective number of samples; Cui et al. use 0.9 to 0.9999."""


def class_factors(labels_by_image: Sequence[frozenset[str]], plan: Rebalancing) -> dict[str, float]:
    """How often an image of each class is to be shown; 1 for the most frequent ones.

    With f(c) the share of images that show class c, and n(c) their number:

    - repeat_factor: max(1, sqrt(t / f(c))) (Gupta, Dollár, Girshick: LVIS, CVPR 2019)
    - effective_number: (1 - b^n_max) / (1 - b^n(c)), b = `EFFECTIVE_BETA` (Cui et al.:
      Class-balanced loss based on effective number of samples, CVPR 2019)
    - inverse_frequency: f_max / f(c)
    - none: 1

    That of each target is multiplied by `target_boost`.

    Args:
        labels_by_image: the classes that each image shows.
        plan: says the method.

    Returns:
        The factors by class, 1 or more.

    >>> images = [frozenset({"car"})] * 3 + [frozenset({"scooter"})]
    >>> class_factors(images, Rebalancing("inverse_frequency", 2.0, targets=("scooter",)))
    {'car': 1.0, 'scooter': 6.0}

    """
    frequency = class_frequency(labels_by_image)
    if not frequency:
        return {}
    top, images = max(frequency.values()), len(labels_by_image)
    threshold = plan.repeat_threshold
    if threshold is None:
        threshold = float(np.median(list(frequency.values())))

    def effective(share: float) -> float:
        return 1 - float(EFFECTIVE_BETA ** (share * images))

    formulas: dict[str, Callable[[float], float]] = {
        "repeat_factor": lambda share: max(1.0, float(np.sqrt(threshold / share))),
        "effective_number": lambda share: effective(top) / effective(share),
        "inverse_frequency": lambda share: top / share,
        "none": lambda share: 1.0,
    }
    factors = {label: formulas[plan.method](share) for label, share in frequency.items()}
    for target in plan.targets:
        if target in factors:
            factors[target] *= plan.target_boost
    return factors


def repeat_factors(
    labels_by_image: Sequence[frozenset[str]], plan: Rebalancing
) -> npt.NDArray[np.float64]:
    """How often each image is to be shown, relative to one without objects.

    r(i) = max over the classes in image i of their factors.

    Args:
        labels_by_image: the classes that each image shows.
        plan: says the method.

    Returns:
        [images]; 1 for an image without objects.

    >>> images = [frozenset({"car"})] * 3 + [frozenset({"car", "scooter"})]
    >>> repeat_factors(images, Rebalancing(repeat_threshold=1.0)).tolist()
    [1.0, 1.0, 1.0, 2.0]

    """
    by_class = class_factors(labels_by_image, plan)
    return np.array(
        [max((by_class[label] for label in labels), default=1.0) for labels in labels_by_image]
    )


def class_frequency(labels_by_image: Sequence[frozenset[str]]) -> dict[str, float]:
    """Share of the images that show each class."""
    counts: dict[str, int] = {}
    for labels in labels_by_image:
        for label in labels:
            counts[label] = counts.get(label, 0) + 1
    return {label: count / len(labels_by_image) for label, count in sorted(counts.items())}


def copies(
    labels_by_image: Sequence[frozenset[str]], is_old: Sequence[bool], plan: Rebalancing
) -> npt.NDArray[np.int64]:
    """How many times each training image is written.

    New and old images are repeated by their repeat factors, then one of the two groups as a whole,
    so that old ones make up `replay_share`; the cap keeps that share. Fractions are rounded
    stochastically, so that the expectation is exact and the sum never exceeds the cap.

    Args:
        labels_by_image: the classes that each image shows.
        is_old: [images], whether the champion was trained on it.
        plan: says method, share, cap and seed.

    Returns:
        [images].

    Raises:
        DataError: a share is asked of a group that has no images.

    """
    old = np.asarray(is_old, bool)
    factors = repeat_factors(labels_by_image, plan)
    shares = {True: plan.replay_share, False: 1 - plan.replay_share}
    sums = {group: float(factors[old == group].sum()) for group in (True, False)}
    if sums[True] == 0:  # nothing to replay: all draws are new data
        shares = {True: 0.0, False: 1.0}
    for group, name in ((True, "old"), (False, "new")):
        if shares[group] > 0 and sums[group] == 0:
            raise DataError(f"There are no {name} training images to give a share of the draws.")
    total = max(sums[group] / share for group, share in shares.items() if share > 0)
    kept = sum(int((old == group).sum()) for group, share in shares.items() if share > 0)
    total = min(total, float(np.floor(plan.max_growth * kept)))
    for group, share in shares.items():
        factors[old == group] *= total * share / max(sums[group], 1e-12)
    return round_stochastically(factors, plan.seed)


def round_stochastically(values: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.int64]:
    """Each value up or down, with its fraction as the probability of up.

    Systematic sampling in a random order (Madow, 1949): the expectation of each is exact, and the
    sum is that of the values, up or down.

    Args:
        values: [n], 0 or more.
        seed: of the order, and of where sampling starts.

    Returns:
        [n] whole numbers.

    >>> round_stochastically(np.array([0.5, 0.5, 2.0]), seed=1).sum()
    np.int64(3)

    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(values))
    whole = np.floor(values)
    steps = np.cumsum((values - whole)[order])
    # Sums of floats miss integers by a hair; a billionth of a copy more or less is no bias.
    marks = np.floor(np.round(np.concatenate([[0.0], steps]), 9) + rng.random())
    extra = np.empty(len(values))
    extra[order] = np.diff(marks)
    return (whole + extra).astype(np.int64)


def effective_sample_size(times: npt.NDArray[np.int64]) -> float:
    """(sum w)^2 / sum w^2 over the images' copies (Kish, Survey Sampling, 1965)."""
    return float(times.sum() ** 2 / max((times**2).sum(), 1))
