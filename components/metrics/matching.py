"""One matching of detections to labelled objects, which everything that judges a model reads."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from faster_coco_eval import COCO, COCOeval_faster

from components.errors import EvaluationError

IOU_THRESHOLD = 0.5
MAX_DETECTIONS = 1000
"""Of one class in one image; more than any detector here returns."""


@dataclass(frozen=True)
class Matches:
    """Detections of one model matched to the labels of one split, class by class.

    Crowd boxes are no objects; detections that match one are left out, as in COCO.

    image_ids: all images, also those without objects or detections.
    objects: a row a labelled object: image_id, label, box_id, its box in pixels, and `score` and
        `iou` of the detection that found it (NaN where none did).
    detections: a row a detection: image_id, label, score, its box in pixels, `is_match`.
    ap50: average precision at IoU 0.5 by label (COCO's 101 points); NaN without objects.
    """

    image_ids: tuple[str, ...]
    labels: tuple[str, ...]
    objects: pd.DataFrame
    detections: pd.DataFrame
    ap50: dict[str, float]


def match(
    boxes: pa.Table,
    detections: pa.Table,
    image_ids: Sequence[str],
    labels: Sequence[str],
    iou_threshold: float = IOU_THRESHOLD,
) -> Matches:
    """Matches greedily by score within each image and class, as COCO does (faster-coco-eval).

    boxes: `schema.BOXES` of the images to judge.
    detections: `schema.DETECTIONS` of the same images.

    Because the match is greedy by score, it holds at every score threshold at once.

    Raises EvaluationError for scores that are not finite, and for labels or images that are not
    among those given.
    """
    truth, found = boxes.to_pandas(), detections.to_pandas()
    truth["label"] = truth["label"].astype(str)
    for frame, what in ((truth, "label"), (found, "detection")):
        for column, known in (("image_id", image_ids), ("label", labels)):
            strange = set(frame[column]) - set(known)
            if strange:
                raise EvaluationError(
                    f"A {what} names the {column} {sorted(strange)[0]!r}, which is not in the "
                    "set to judge: labels and predictions must be of the same data and label map."
                )
    numbers = found[["score", "xmin", "ymin", "xmax", "ymax"]].to_numpy()
    if not np.isfinite(numbers).all():
        row = found.iloc[int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])]
        raise EvaluationError(
            f"Image {row['image_id']}: a detection of class {row['label']} has the score "
            f"{row['score']}; a model that answers so can't be judged."
        )
    coco, results = _to_coco(truth, found, image_ids, labels)
    evaluation = COCOeval_faster(coco, results, "bbox", extra_calc=True, print_function=_quiet)
    evaluation.params.iouThrs = np.array([iou_threshold])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()

    scores, ious = np.full(len(truth), np.nan), np.full(len(truth), np.nan)
    is_match, is_ignored = np.zeros(len(found), bool), np.zeros(len(found), bool)
    crowd = truth["is_crowd"].to_numpy()
    for pair, iou in evaluation.eval["matched"].items():
        detection, row = (int(part) - 1 for part in pair.split("_"))
        if crowd[row]:
            is_ignored[detection] = True
        else:
            scores[row], ious[row] = found["score"].iloc[detection], iou
            is_match[detection] = True
    precision = evaluation.eval["precision"][0, :, :, 0, 0]
    ap50 = {
        label: float(points.mean()) if (points := precision[:, i]).min() >= 0 else float("nan")
        for i, label in enumerate(labels)
    }
    return Matches(
        image_ids=tuple(image_ids),
        labels=tuple(labels),
        objects=truth.assign(score=scores, iou=ious)[~crowd].reset_index(drop=True),
        detections=found.assign(is_match=is_match)[~is_ignored].reset_index(drop=True),
        ap50=ap50,
    )


def _to_coco(
    truth: pd.DataFrame, found: pd.DataFrame, image_ids: Sequence[str], labels: Sequence[str]
) -> tuple[COCO, COCO]:
    """Both tables as COCO objects; an annotation's id is its row number, from 1."""
    image_numbers = {image_id: i for i, image_id in enumerate(image_ids, 1)}
    label_numbers = {label: i for i, label in enumerate(labels, 1)}

    def records(frame: pd.DataFrame) -> list[dict[str, object]]:
        width, height = frame["xmax"] - frame["xmin"], frame["ymax"] - frame["ymin"]
        columns = zip(
            range(1, len(frame) + 1),
            frame["image_id"].map(image_numbers),
            frame["label"].map(label_numbers),
            np.stack([frame["xmin"], frame["ymin"], width, height], axis=1).astype(float).tolist(),
            (width * height).astype(float),
            strict=True,
        )
        names = ("id", "image_id", "category_id", "bbox", "area")
        return [dict(zip(names, row, strict=True)) for row in columns]

    annotations = records(truth)
    for annotation, is_crowd in zip(annotations, truth["is_crowd"], strict=True):
        annotation["iscrowd"] = int(is_crowd)
    results = records(found)
    for result, score in zip(results, found["score"], strict=True):
        result["score"] = float(score)
    with redirect_stdout(io.StringIO()):  # the library reports its progress there
        coco = COCO(
            {
                "images": [{"id": number} for number in image_numbers.values()],
                "categories": [{"id": i, "name": label} for label, i in label_numbers.items()],
                "annotations": annotations,
            }
        )
        empty = {**coco.dataset, "annotations": []}
        return coco, coco.loadRes(results) if results else COCO(empty)


def _quiet(*_: object) -> None:
    pass
