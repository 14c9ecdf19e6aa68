"""How often each training image is repeated, so that the weak class carries its weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.errors import DataError


@dataclass(frozen=True)
class Rebalancing:
    """What rebalancing is asked to do.

    repeat_threshold: `t` of the repeat factors; None takes the median class frequency, so that
        the rarer half of the classes is repeated.
    replay_share: share of the draws that old data get; 0 leaves them out.
    max_growth: cap on the copies of the images that are kept, as a multiple of their number.
    """

    repeat_threshold: float | None = None
    replay_share: float = 0.5
    max_growth: float = 3.0
    seed: int = 0


def repeat_factors(
    labels_by_image: Sequence[frozenset[str]], threshold: float | None
) -> npt.NDArray[np.float64]:
    """r(i) = max over the classes c in image i of max(1, sqrt(t / f(c))).

    f(c) is the share of images that show class c (Gupta, Dollár, Girshick: LVIS, CVPR 2019).
    An image without objects gets 1.

    >>> images = [frozenset({"car"})] * 3 + [frozenset({"car", "scooter"})]
    >>> repeat_factors(images, threshold=1.0).tolist()
    [1.0, 1.0, 1.0, 2.0]
    """
    frequency = class_frequency(labels_by_image)
    if not frequency:
        return np.ones(len(labels_by_image))
    t = float(np.median(list(frequency.values()))) if threshold is None else threshold
    by_class = {label: max(1.0, np.sqrt(t / share)) for label, share in frequency.items()}
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
    stochastically, so that the expectation is exact.

    Raises DataError when a share is asked of a group that has no images.
    """
    old = np.asarray(is_old, bool)
    factors = repeat_factors(labels_by_image, plan.repeat_threshold)
    shares = {True: plan.replay_share, False: 1 - plan.replay_share}
    sums = {group: float(factors[old == group].sum()) for group in (True, False)}
    if sums[True] == 0:  # nothing to replay: all draws are new data
        shares = {True: 0.0, False: 1.0}
    for group, name in ((True, "old"), (False, "new")):
        if shares[group] > 0 and sums[group] == 0:
            raise DataError(f"There are no {name} training images to give a share of the draws.")
    total = max(sums[group] / share for group, share in shares.items() if share > 0)
    kept = sum(int((old == group).sum()) for group, share in shares.items() if share > 0)
    total = min(total, plan.max_growth * kept)
    for group, share in shares.items():
        factors[old == group] *= total * share / max(sums[group], 1e-12)
    whole = np.floor(factors)
    extra = np.random.default_rng(plan.seed).random(len(factors)) < factors - whole
    return (whole + extra).astype(np.int64)


def effective_sample_size(times: npt.NDArray[np.int64]) -> float:
    """(sum w)^2 / sum w^2 over the images' copies (Kish, Survey Sampling, 1965)."""
    return float(times.sum() ** 2 / max((times**2).sum(), 1))


def boxes_by_class(labels: Sequence[str], times: Sequence[int]) -> Mapping[str, int]:
    """Boxes of each class, each counted as often as its image is written."""
    counts: dict[str, int] = {}
    for label, count in zip(labels, times, strict=True):
        counts[label] = counts.get(label, 0) + int(count)
    return dict(sorted(counts.items()))
