"""The plain ways, an image and a class at a time: what the fast ones must equal."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from classlift.metrics.curves import Curve, average_precision
from classlift.metrics.iou import iou_matrix
from classlift.metrics.matching import IOU_THRESHOLD, Matches
from classlift.metrics.taxonomy import (
    BACKGROUND,
    BACKGROUND_IOU,
    BOTH,
    CLASSIFICATION,
    DUPLICATE,
    KINDS,
    LOCALISATION,
    MISSED,
    Taxonomy,
)

_SIDES = ["xmin", "ymin", "xmax", "ymax"]


def confusion_matrix(matches: Matches, thresholds: Mapping[str, float]) -> npt.NDArray[np.int64]:
    """[classes + 1, classes + 1]: rows are labels, columns detections, the last is background.

    Detections at their class's threshold are matched to objects of any class, greedily by score,
    at IoU 0.5. The last row counts detections of nothing, the last column missed objects.
    """
    numbers = {label: number for number, label in enumerate(matches.labels)}
    background = len(numbers)
    table = np.zeros((background + 1, background + 1), np.int64)
    kept = matches.detections[
        matches.detections["score"] >= matches.detections["label"].map(thresholds)
    ].sort_values("score", ascending=False, kind="stable")
    sides = ["xmin", "ymin", "xmax", "ymax"]
    by_image = dict(iter(kept.groupby("image_id")))
    empty = kept.iloc[:0]
    objects_by_image = dict(iter(matches.objects.groupby("image_id")))
    for image_id in matches.image_ids:
        found: pd.DataFrame = by_image.get(image_id, empty)
        objects = objects_by_image.get(image_id, matches.objects.iloc[:0])
        overlap = iou_matrix(found[sides].to_numpy(np.float64), objects[sides].to_numpy(np.float64))
        rows = [numbers[label] for label in objects["label"]]
        free = np.ones(len(objects), bool)
        for detection, label in enumerate(found["label"]):
            candidates = np.where(free, overlap[detection], -1.0)
            best = int(candidates.argmax()) if len(candidates) else -1
            if best >= 0 and candidates[best] >= IOU_THRESHOLD:
                free[best] = False
                table[rows[best], numbers[label]] += 1
            else:
                table[background, numbers[label]] += 1
        for row in np.asarray(rows, int)[free]:
            table[row, background] += 1
    return table


def curve(matches: Matches, label: str) -> Curve:
    """The curve of one class, with one point a distinct score.

    precision = matched detections / detections, recall = found objects / objects, both counting
    the detections whose score is at least the point's.
    """
    of_label = matches.detections[matches.detections["label"] == label]
    ordered = of_label.sort_values("score", ascending=False, kind="stable")
    scores = ordered["score"].to_numpy(np.float64)
    found = np.cumsum(ordered["is_match"].to_numpy())
    last = np.append(np.diff(scores) != 0, True)[: len(scores)]
    objects = int((matches.objects["label"] == label).sum())
    return Curve(
        scores=scores[last],
        precision=(found / np.arange(1, len(found) + 1))[last],
        recall=(found / max(objects, 1))[last],
    )


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
