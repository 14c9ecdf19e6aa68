"""A linear probe: what the champion's frozen features allow, whatever its head makes of them.

After Alain, Bengio: Understanding intermediate layers using linear classifier probes, 2017. The
probe tells the target's objects of the train split from all else there is, other objects and places
where a detector sees something that is not labelled, with equal weight on both sides; it is judged
on eval. It is given the objects' places and a few places where nothing is, so its recalls are no
promise for a detector, which has to tell an object from all places of an image: where a probe found
95%, a head on the same features reached a recall of 0.46, and training everything 0.78. How much a
class gains from layers of its own, and how many it needs, training says (`training.depths`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from classlift.metrics.curves import average_precision

PENALTY = 0.003
"""C of the logistic regression: hundreds of features, tens to thousands of objects. In the data
sets of `benchmarks/causes.py` 0.03 gives the same picture, and 0.0003 underfits.
"""

SHARES = (0.125, 0.25, 0.5, 1.0)  # of the target's objects, on the learning curve
REPEATS = 3  # sub-samples of a share, whose results are averaged
FEWEST = 8
"""Objects of the target without which there is no probe."""


@dataclass(frozen=True)
class DescribedObjects:
    """What a detector describes of one split.

    Attributes:
        labels: the class of each, empty for what is not labelled.
        features: float32[objects, depth].

    """

    labels: npt.NDArray[np.object_]
    features: npt.NDArray[np.float32]

    @classmethod
    def read(cls, objects: pa.Table) -> "DescribedObjects":
        """From `schema.OBJECTS`."""
        depth = len(objects["features"][0]) if objects.num_rows else 0
        flat = objects["features"].combine_chunks().flatten().to_numpy()
        labels = np.array(objects["label"].to_pylist(), object)
        return cls(labels, flat.reshape(objects.num_rows, depth))


@dataclass(frozen=True)
class Point:
    """A point of the learning curve. objects: of the target, in training; recall: on eval at the
    precision asked for; error: 1 - average precision on eval.
    """

    objects: int
    recall: float
    error: float


def learning_curve(
    train: DescribedObjects, test: DescribedObjects, target: str, precision: float
) -> tuple[Point, ...] | None:
    """The probe with a growing share of the target's objects, drawn from a fixed seed.

    Args:
        train: objects that the probe learns from.
        test: objects on which it is judged.
        target: the class that it is to tell from all others.
        precision: 0 to 1, at which its recall is read.

    Returns:
        A point a share of `SHARES`; None when there are too few objects.

    """
    is_target, wanted = train.labels == target, test.labels == target
    own, rest = np.flatnonzero(is_target), np.flatnonzero(~is_target)
    if len(own) < FEWEST or not len(rest) or not wanted.any():
        return None
    rng = np.random.default_rng(0)
    points = []
    for share in SHARES:
        count = max(2, round(share * len(own)))
        found = []
        for _ in range(REPEATS if count < len(own) else 1):
            rows = np.concatenate([rest, rng.choice(own, count, replace=False)])
            found.append(_judge(_scores(train, rows, is_target, test), wanted, precision))
        recall, error = np.mean(found, axis=0)
        points.append(Point(count, float(recall), float(error)))
    return tuple(points)


def decay(curve: Sequence[Point]) -> float:
    """The exponent k of the power law error ~ objects^-k, fitted to a learning curve.

    That errors fall so: Hestness et al., Deep learning scaling is predictable, empirically, 2017.

    Args:
        curve: of `learning_curve`.

    Returns:
        k, 0 or more.

    >>> round(decay([Point(10, 0.0, 0.4), Point(20, 0.0, 0.2)]), 3)
    1.0

    """
    objects = np.log([point.objects for point in curve])
    errors = np.log([max(point.error, 1e-3) for point in curve])
    if np.ptp(objects) == 0:
        return 0.0
    return max(0.0, -float(np.polyfit(objects, errors, 1)[0]))


def separability(
    train: DescribedObjects, test: DescribedObjects, target: str, rival: str
) -> float | None:
    """How well a line tells two classes apart on eval.

    Args:
        train: objects that the line is fitted to.
        test: objects on which it is judged.
        target: one class.
        rival: the other one.

    Returns:
        2 AUC - 1, 0 for not at all, 1 for wholly; None when one of them has too few objects.

    """
    from sklearn.metrics import roc_auc_score

    pairs = [np.isin(things.labels, [target, rival]) for things in (train, test)]
    counts = [int((train.labels == label).sum()) for label in (target, rival)]
    wanted = test.labels[pairs[1]] == target
    if min(counts) < FEWEST or not 0 < wanted.sum() < len(wanted):
        return None
    scores = _scores(train, np.flatnonzero(pairs[0]), train.labels == target, test)[pairs[1]]
    return max(0.0, 2 * float(roc_auc_score(wanted, scores)) - 1)


def _scores(
    train: DescribedObjects,
    rows: npt.NDArray[np.int64],
    is_target: npt.NDArray[np.bool_],
    test: DescribedObjects,
) -> npt.NDArray[np.float64]:
    """The probe's scores of the things of eval, trained on some rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    line = LogisticRegression(
        C=PENALTY, class_weight="balanced", solver="newton-cholesky", max_iter=500
    )
    probe = make_pipeline(StandardScaler(), line)
    with threadpool_limits(1):  # for so little, more threads cost more, and change last digits
        probe.fit(train.features[rows], is_target[rows])
        scores: npt.NDArray[np.float64] = probe.decision_function(test.features)
    return scores


def _judge(
    scores: npt.NDArray[np.float64], wanted: npt.NDArray[np.bool_], precision: float
) -> tuple[float, float]:
    """Recall at the lowest threshold with the precision, and 1 - average precision."""
    ranked = pd.Series(wanted[np.argsort(-scores, kind="stable")])
    found = ranked.cumsum().to_numpy()
    enough = np.flatnonzero(found / np.arange(1, len(found) + 1) >= precision)
    total = int(wanted.sum())
    recall = found[enough[-1]] / total if len(enough) else 0.0
    return float(recall), 1 - average_precision(ranked.to_numpy(), total)
