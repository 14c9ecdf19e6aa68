"""What kind of error each detection makes, and how much average precision each kind costs.

After Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors" (ECCV 2020).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.metrics.curves import average_precision
from components.metrics.iou import iou_matrix
from components.metrics.matching import IOU_THRESHOLD, Matches

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

_SIDES = ["xmin", "ymin", "xmax", "ymax"]


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
    """
    objects, detections = matches.objects, matches.detections
    errors = np.full(len(detections), None, object)
    about = np.full(len(detections), -1)
    is_match = detections["is_match"].to_numpy(bool)
    found_by_image = _rows_by_image(detections)
    for image_id, rows in _rows_by_image(objects).items():
        numbers = found_by_image.pop(image_id, np.empty(0, np.int64))
        numbers = numbers[~is_match[numbers]]
        if not len(numbers):
            continue
        overlap = iou_matrix(
            detections[_SIDES].to_numpy(np.float64)[numbers],
            objects[_SIDES].to_numpy(np.float64)[rows],
        )
        labels = detections["label"].to_numpy()[numbers]
        same = labels[:, None] == objects["label"].to_numpy()[rows][None]
        kinds, columns = _kinds(overlap, same)
        errors[numbers] = kinds
        about[numbers] = np.where(columns >= 0, rows[columns], -1)
    for numbers in found_by_image.values():  # images without objects
        errors[numbers[~is_match[numbers]]] = BACKGROUND
    spoken_of = about[np.isin(errors, (LOCALISATION, CLASSIFICATION))]
    unfound = np.flatnonzero(objects["score"].isna())
    return Taxonomy(
        pd.DataFrame({"error": errors, "object": about}), np.setdiff1d(unfound, spoken_of)
    )


def _rows_by_image(table: pd.DataFrame) -> dict[str, npt.NDArray[np.int64]]:
    found = table.groupby("image_id").indices
    return {str(image_id): np.asarray(rows, np.int64) for image_id, rows in found.items()}


def _kinds(
    overlap: npt.NDArray[np.float64], same: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """Kind, and column of the object it is about, of detections [n, objects] of one image."""
    rows = np.arange(len(overlap))
    own, others = np.where(same, overlap, -1.0), np.where(same, -1.0, overlap)
    best_own, best_other = own.argmax(axis=1), others.argmax(axis=1)
    iou_own, iou_other = own[rows, best_own], others[rows, best_other]
    near = (iou_own >= BACKGROUND_IOU) & (iou_own < IOU_THRESHOLD)
    conditions = [
        near,
        iou_other >= IOU_THRESHOLD,
        iou_own >= IOU_THRESHOLD,
        np.maximum(iou_own, iou_other) < BACKGROUND_IOU,
    ]
    names = np.array([LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND, BOTH], object)
    number = np.select(conditions, range(4), 4)
    column = np.select(
        [number == k for k in range(5)], [best_own, best_other, best_own, -1, best_other]
    )
    return names[number], column


def costs(matches: Matches, taxonomy: Taxonomy | None = None) -> dict[str, dict[str, float]]:
    """By class and kind, the AP50 that would be gained if errors of that kind were mended.

    As in the paper, each kind is mended alone: a localisation or a classification error becomes a
    match of its object (or goes, where that has a better match already), the others go, and missed
    objects are no longer counted. So the costs of a class do not add up to 1 - AP50. NaN for a
    class without objects.
    """
    taxonomy = taxonomy or classify(matches)
    detections = matches.detections.assign(
        error=taxonomy.errors["error"].to_numpy(), object=taxonomy.errors["object"].to_numpy()
    )
    matched = np.flatnonzero(matches.objects["score"].notna())
    labels = matches.objects["label"].to_numpy()
    counts = matches.objects["label"].value_counts()
    missed = pd.Series(labels[taxonomy.missed]).value_counts()
    mended = {kind: _mended(detections, kind, labels, matched) for kind in KINDS}
    found: dict[str, dict[str, float]] = {}
    for label in matches.labels:
        objects = int(counts.get(label, 0))
        before = _ap(detections, label, objects)
        found[label] = {}
        for kind in KINDS:
            left = objects - int(missed.get(label, 0)) * (kind == MISSED)
            found[label][kind] = _ap(mended[kind], label, left) - before
    return found


def _mended(
    detections: pd.DataFrame,
    kind: str,
    labels: npt.NDArray[np.object_],
    matched: npt.NDArray[np.int64],
) -> pd.DataFrame:
    """The detections with one kind of error mended."""
    wrong = (detections["error"] == kind).to_numpy()
    if kind not in (LOCALISATION, CLASSIFICATION):
        return detections[~wrong]
    candidates = detections[wrong & ~detections["object"].isin(matched)]
    best = candidates.sort_values("score", ascending=False, kind="stable").drop_duplicates("object")
    best = best.assign(label=labels[best["object"].to_numpy(int)], is_match=True)
    return pd.concat([detections[~wrong], best])


def _ap(detections: pd.DataFrame, label: str, objects: int) -> float:
    of_label = detections[detections["label"] == label]
    ordered = of_label.sort_values("score", ascending=False, kind="stable")
    return average_precision(ordered["is_match"].to_numpy(bool), objects)


def counts_at(
    matches: Matches, taxonomy: Taxonomy, thresholds: Mapping[str, float], labels: Sequence[str]
) -> dict[str, dict[str, int]]:
    """How many errors of each kind the detections at their thresholds make, by their own class.

    Missed are the objects of the class that nothing finds at its threshold.
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
