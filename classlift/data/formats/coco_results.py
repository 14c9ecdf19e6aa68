"""COCO results: what a model found, as evaluation tools exchange it, beside the labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from classlift.data.formats.coco import MAX_BYTES, load, names_by_id, shards_of
from classlift.data.formats.coco_columns import corners_of
from classlift.data.labels import NO_PLACE, Corners, LabelledBox, read_packed_shard
from classlift.data.predictions import Predictions
from classlift.data.schema import BOXES, DETECTIONS
from classlift.errors import DataError
from classlift.metrics.coco_eval import require_scores
from classlift.reading import read_json


def read_coco_results(annotations: Path, results: Path) -> Predictions:
    """Reads one model's predictions on the images of a COCO file, with their labels.

    The images themselves are not looked at. Images without a detection count: the model found
    nothing in them.

    Args:
        annotations: COCO JSON with `images`, `categories` and `annotations`.
        results: a JSON list of `{"image_id", "category_id", "bbox", "score"}`; `bbox` is x, y,
            width, height in pixels, `score` 0 to 1.

    Returns:
        The predictions; images are named by their `file_name`.

    Raises:
        DataError: a file can't be read, or a result names an image or a category that the labels
            do not have.
        EvaluationError: a score or a box is no finite number, or a score is not from 0 to 1.

    """
    coco = load(annotations)
    image_ids: list[str] = []
    boxes: list[dict[str, Any]] = []
    for shard in shards_of(coco, annotations):
        labels = read_packed_shard(shard)
        image_ids += [image.file_name for image in labels.images]
        boxes += [
            {
                "image_id": box.file_name,
                "label": box.label,
                **dict(zip(_SIDES, _placed(box, annotations), strict=True)),
                "is_crowd": box.is_crowd,
                "difficult": False,
                "source": box.source,
            }
            for box in labels.boxes
        ]
    ids, categories = names_by_id(coco, annotations)
    rows = read_json(results, "COCO results", MAX_BYTES)
    if not isinstance(rows, list):
        raise DataError(f"{results}: COCO results are a list of detections.")
    detections = pa.Table.from_pylist(
        [_detection(row, number, results, ids, categories) for number, row in enumerate(rows)],
        DETECTIONS,
    )
    require_scores(detections.to_pandas())
    numbered = [{**row, "box_id": number} for number, row in enumerate(boxes)]
    return Predictions(tuple(image_ids), pa.Table.from_pylist(numbered, BOXES), detections)


_SIDES = ("xmin", "ymin", "xmax", "ymax")


def _placed(box: LabelledBox, annotations: Path) -> Corners:
    if box.box is NO_PLACE:
        raise DataError(f"{annotations}: {box.source} needs {_BBOX}.")
    return box.box


_BBOX = "bbox: [x, y, width, height], four numbers"


def _detection(
    row: object,
    number: int,
    path: Path,
    ids: Mapping[int | str, str],
    categories: Mapping[int | str, str],
) -> dict[str, Any]:
    where = f"{path}: result {number}"
    if not isinstance(row, dict):
        raise DataError(f"{where} is no JSON object.")
    names = []
    for key, known in (("image_id", ids), ("category_id", categories)):
        value: Any = row.get(key)
        if type(value) not in (int, str) or value not in known:
            raise DataError(f"{where}: {key} {value!r:.80} is not among those of the labels.")
        names.append(known[value])
    score: Any = row.get("score")
    if type(score) not in (int, float):
        raise DataError(f"{where} needs a number as `score`.")
    box = corners_of(row.get("bbox"))
    if box is None:
        raise DataError(f"{where} needs {_BBOX}.")
    return {
        "image_id": names[0],
        "label": names[1],
        "score": float(score),
        **dict(zip(_SIDES, box, strict=True)),
    }
