"""What kind of error each detection makes, and how much average precision each kind costs.

After Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors" (ECCV 2020).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from classlift.metrics.curves import average_precision
from classlift.metrics.matching import IOU_THRESHOLD, Matches
from classlift.metrics.overlaps import Overlaps, overlaps

BACKGROUND_IOU = 0.1
"""Below it, a detection has nothing to do with an object (the paper's t_b)."""

LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND, BOTH, MISSED = (
    "localisation",
    "classification",
    "duplicate",
    "background",
    "both",
    "missed",
)
KINDS = (CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND, MISSED)


@dataclass(frozen=True)
class Taxonomy:
    """errors: a row a detection of `Matches.detections`, in its order: `error` (of `KINDS`, None
    for a match) and `object`, the row of `Matches.objects` that the error is about, or -1.
    missed: rows of `Matches.objects` that no detection found, and no error above speaks of.
    """

    errors: pd.DataFrame
    missed: npt.NDArray[np.int64]


def classify(matches: Matches) -> Taxonomy:
    """The error of every detection that is no match, at any score.

    With t = 0.5 and t_b = 0.1, tried in this order, IoU being the largest with such an object:

    - localisation: t_b <= IoU < t with an object of its class
    - classification: IoU >= t with an object of another class
    - duplicate: IoU >= t with an object of its class, which a higher score has found
    - background: IoU < t_b with any object
    - both: what is left, t_b <= IoU < t with an object of another class

    Args:
        matches: of one split.

    Returns:
        The kind of error of each detection.

    """
    is_match = matches.detections["is_match"].to_numpy(bool)
    near = overlaps(matches, np.flatnonzero(~is_match), BACKGROUND_IOU)
    same = (
        matches.classes_of(matches.detections)[near.detections]
        == matches.classes_of(matches.objects)[near.objects]
    )
    own, own_object = _best(near, same, len(is_match))
    other, other_object = _best(near, ~same, len(is_match))
    conditions = [
        is_match,
        (own >= BACKGROUND_IOU) & (own < IOU_THRESHOLD),
        other >= IOU_THRESHOLD,
        own >= IOU_THRESHOLD,
        np.maximum(own, other) < BACKGROUND_IOU,
    ]
    names = [None, LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND, BOTH]
    number = np.select(conditions, range(5), 5)
    errors = np.array(names, object)[number]
    nothing = np.full(len(is_match), -1)
    about = np.choose(
        number, [nothing, own_object, other_object, own_object, nothing, other_object]
    )
    spoken_of = about[np.isin(errors, (LOCALISATION, CLASSIFICATION))]
    unfound = np.flatnonzero(matches.objects["score"].isna())
    return Taxonomy(
        pd.DataFrame({"error": errors, "object": about}), np.setdiff1d(unfound, spoken_of)
    )


def _best(
    near: Overlaps, among: npt.NDArray[np.bool_], count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """For each of `count` detections, the largest IoU among some overlaps, and with which object.

    Returns:
        [count] IoU and [count] objects; 0 and -1 where there is none; of equals, the first object.

    """
    detections, objects, shares = (
        column[among] for column in (near.detections, near.objects, near.iou)
    )
    order = np.lexsort((-objects, shares))  # what is written last stays
    best, which = np.zeros(count), np.full(count, -1)
    best[detections[order]], which[detections[order]] = shares[order], objects[order]
    return best, which


def costs(matches: Matches, taxonomy: Taxonomy | None = None) -> dict[str, dict[str, float]]:
    """By class and kind, the AP50 that would be gained if errors of that kind were mended.

    As in the paper, each kind is mended alone: a localisation or a classification error becomes a
    match of its object (or goes, where that has a better match already), the others go, and missed
    objects are no longer counted. So the costs of a class do not add up to 1 - AP50.

    Args:
        matches: of one split.
        taxonomy: of these matches; made here by default.

    Returns:
        The gain in AP50, 0 to 1, by class and kind; NaN for a class without objects.

    """
    taxonomy = taxonomy or classify(matches)
    classes = matches.classes_of(matches.objects)
    counts = np.bincount(classes, minlength=len(matches.labels))
    missed = np.bincount(classes[taxonomy.missed], minlength=len(matches.labels))
    detections = pd.DataFrame(
        {
            "class": matches.classes_of(matches.detections),
            "score": matches.detections["score"].to_numpy(np.float64),
            "is_match": matches.detections["is_match"].to_numpy(bool),
            "error": taxonomy.errors["error"].to_numpy(),
            "object": taxonomy.errors["object"].to_numpy(),
        }
    ).sort_values("score", ascending=False, kind="stable")
    found = matches.objects["score"].notna().to_numpy()
    before = _average_precisions(detections, counts)
    gains = {}
    for kind in KINDS:
        mended = _mended(detections, kind, classes, found)
        gains[kind] = _average_precisions(mended, counts - missed * (kind == MISSED)) - before
    return {
        label: {kind: float(gains[kind][k]) for kind in KINDS}
        for k, label in enumerate(matches.labels)
    }


def _mended(
    detections: pd.DataFrame,
    kind: str,
    classes: npt.NDArray[np.int64],
    found: npt.NDArray[np.bool_],
) -> pd.DataFrame:
    """The detections, by falling score, with one kind of error mended.

    Args:
        detections: with their `error`, by falling score.
        kind: of the errors to mend.
        classes: [objects], the class of each.
        found: [objects], whether a detection matches it.

    Returns:
        The detections that are left, as `detections`.

    """
    wrong = (detections["error"] == kind).to_numpy()
    if kind not in (LOCALISATION, CLASSIFICATION):
        return detections[~wrong]
    candidates = detections[wrong]
    candidates = candidates[~found[candidates["object"].to_numpy()]].drop_duplicates("object")
    best = candidates.assign(**{"class": classes[candidates["object"].to_numpy()]}, is_match=True)
    mended = pd.concat([detections[~wrong], best])
    ordered: pd.DataFrame = mended.sort_values("score", ascending=False, kind="stable")
    return ordered


def _average_precisions(
    detections: pd.DataFrame, counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """By class, of detections by falling score; counts: its objects."""
    classes = detections["class"].to_numpy()
    order = np.argsort(classes, kind="stable")
    is_match = detections["is_match"].to_numpy()[order]
    parts = np.split(is_match, np.searchsorted(classes[order], range(1, len(counts))))
    return np.array(
        [average_precision(p, int(count)) for p, count in zip(parts, counts, strict=True)]
    )


def counts_at(
    matches: Matches, taxonomy: Taxonomy, thresholds: Mapping[str, float], labels: Sequence[str]
) -> dict[str, dict[str, int]]:
    """How many errors of each kind the detections at their thresholds make, by their own class.

    Args:
        matches: of one split.
        taxonomy: of these matches.
        thresholds: the score threshold of each class.
        labels: the classes to count.

    Returns:
        Counts by class and kind. Missed are the objects of the class that nothing finds at its
        threshold.

    """
    kept = matches.detections["score"] >= matches.detections["label"].map(thresholds)
    errors = taxonomy.errors["error"].where(kept.to_numpy())
    pairs = zip(matches.detections["label"], errors, strict=True)
    wrong = Counter((label, error) for label, error in pairs if isinstance(error, str))
    found = matches.objects["score"] >= matches.objects["label"].map(thresholds)
    missed = Counter(matches.objects["label"][~found])
    return {
        label: {kind: missed[label] if kind == MISSED else wrong[label, kind] for kind in KINDS}
        for label in labels
    }
