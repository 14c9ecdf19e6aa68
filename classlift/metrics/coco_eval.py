"""The way to faster-coco-eval: from tables to COCO's records, and what it makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from faster_coco_eval import COCO, COCOeval_faster

from classlift.errors import EvaluationError


@dataclass(frozen=True)
class Evaluation:
    """What faster-coco-eval says of one model on one split.

    Attributes:
        objects: the table that went in; a row's id in `matched` is its number, from 1.
        detections: as `objects`.
        matched: IoU by "detection's id_object's id", of all IoU thresholds and sizes together.
        precision: [IoU thresholds, 101 recalls, classes, sizes]; -1 where a class has no object.
        recall: [IoU thresholds, classes, sizes]; likewise.

    """

    objects: pd.DataFrame
    detections: pd.DataFrame
    matched: dict[str, float]
    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]


def evaluate(
    boxes: pa.Table,
    detections: pa.Table,
    image_ids: Sequence[str],
    labels: Sequence[str],
    iou_thresholds: Sequence[float],
    areas: Mapping[str, tuple[float, float]],
    max_detections: int,
) -> Evaluation:
    """Matches and accumulates as COCO does, by image and class.

    Args:
        boxes: `schema.BOXES` of the images to judge, in pixels.
        detections: `schema.DETECTIONS` of the same.
        image_ids: all images.
        labels: all classes.
        iou_thresholds: 0 to 1.
        areas: from and to, of boxes in pixels², by name; others count neither for nor against.
        max_detections: of one class in one image; those with the highest scores stay.

    Returns:
        The matches, and the precision and recall that they give.

    Raises:
        EvaluationError: as `require_scores`; or labels or images are not among those given.

    """
    truth, found = boxes.to_pandas(), detections.to_pandas()
    truth["label"] = truth["label"].astype(str)
    _require_judgeable(truth, found, image_ids, labels)
    image_numbers = {image_id: i for i, image_id in enumerate(image_ids, 1)}
    label_numbers = {label: i for i, label in enumerate(labels, 1)}
    frame = {
        "images": [{"id": number} for number in image_numbers.values()],
        "categories": [{"id": i, "name": label} for label, i in label_numbers.items()],
    }
    sides = [
        COCO({**frame, "annotations": _records(table, image_numbers, label_numbers, *extra)})
        for table, *extra in (
            (truth, "iscrowd", truth["is_crowd"].astype(int)),
            (found, "score", found["score"]),
        )
    ]
    evaluation = COCOeval_faster(*sides, "bbox", print_function=_quiet)
    evaluation.params.iouThrs = np.array(iou_thresholds)
    evaluation.params.areaRng = [list(area) for area in areas.values()]
    evaluation.params.areaRngLbl = list(areas)
    evaluation.params.maxDets = [max_detections]
    evaluation.evaluate()
    evaluation.accumulate()
    return Evaluation(
        objects=truth,
        detections=found,
        matched=evaluation.eval["matched"],
        precision=evaluation.eval["precision"][..., 0],
        recall=evaluation.eval["recall"][..., 0],
    )


def _require_judgeable(
    truth: pd.DataFrame, found: pd.DataFrame, image_ids: Sequence[str], labels: Sequence[str]
) -> None:
    for table, what in ((truth, "label"), (found, "detection")):
        for column, known in (("image_id", image_ids), ("label", labels)):
            unknown = set(table[column]) - set(known)
            if unknown:
                raise EvaluationError(
                    f"A {what} names the {column} {sorted(unknown)[0]!r}, which is not in the "
                    "set to judge: labels and predictions must be of the same data and label map."
                )
    require_scores(found)


def require_scores(detections: pd.DataFrame) -> None:
    """Checks what a model answered before anything is counted.

    Args:
        detections: with the columns of `schema.DETECTIONS`.

    Raises:
        EvaluationError: a score is not from 0 to 1, or a side is not finite.

    """
    scores = detections["score"].to_numpy()
    sides = detections[["xmin", "ymin", "xmax", "ymax"]].to_numpy()
    is_sound = (scores >= 0) & (scores <= 1) & np.isfinite(sides).all(axis=1)  # NaN is neither
    if not is_sound.all():
        row = detections.iloc[int(np.flatnonzero(~is_sound)[0])]
        box = ", ".join(f"{row[side]:g}" for side in ("xmin", "ymin", "xmax", "ymax"))
        raise EvaluationError(
            f"Image {row['image_id']}: a detection of class {row['label']} has the score "
            f"{row['score']} and the box {box}; a score is from 0 to 1 and a box is of finite "
            "numbers. A model that answers so can't be judged: check it, or how it was exported."
        )


def _records(
    table: pd.DataFrame,
    image_numbers: Mapping[str, int],
    label_numbers: Mapping[str, int],
    name: str,
    values: "pd.Series[Any]",
) -> list[dict[str, Any]]:
    """COCO's annotations, with one more value; their ids are row numbers, from 1."""
    corners = table[["xmin", "ymin", "xmax", "ymax"]].to_numpy(np.float64)
    extents = corners[:, 2:] - corners[:, :2]
    columns = (
        range(1, len(table) + 1),
        table["image_id"].map(image_numbers),
        table["label"].map(label_numbers),
        np.hstack([corners[:, :2], extents]).tolist(),
        extents.prod(axis=1).tolist(),
        values.tolist(),
    )
    return [
        {"id": i, "image_id": image, "category_id": label, "bbox": box, "area": area, name: value}
        for i, image, label, box, area, value in zip(*columns, strict=True)
    ]


def _quiet(*_: object) -> None:
    pass
