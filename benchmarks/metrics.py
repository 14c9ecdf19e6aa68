"""How long it takes to judge a model: everything the gate reads, against pycocotools.

    make bench

Champion and challenger on the same synthetic images: 1.5 detections an object, some of them badly
boxed, of the wrong class, found twice or invented. pycocotools makes its summary of both, from
records in memory. ClassLift makes the same figures of both from the predictions' tables, and
besides what the gate and its report show: curves, operating points, confusion, kinds of error and
what each costs, and the bounds of all changes from 2000 resamples. The images serve as eval and as
test. All in one process, in turn.
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from components.dataset import schema

IMAGES, OBJECTS_AN_IMAGE, CLASSES, ROUNDS = 5000, 20, 80, 3
SIDE = 640  # px
LABELS = tuple(f"class {k:02d}" for k in range(CLASSES))
PRECISION = 0.8

FOUND, AGAIN, INVENTED = 0.85, 0.25, 0.40
"""Detections of each sort, as a share of the objects."""


def labelled(rng: np.random.Generator, images: int) -> pa.Table:
    """`schema.BOXES` with objects of all sizes, 8 to 400 px a side."""
    count = images * OBJECTS_AN_IMAGE
    extent = np.exp(rng.normal(np.log(60), 0.8, (count, 2))).clip(8, 400)
    corner = rng.uniform(size=(count, 2)) * (SIDE - extent)
    table = pd.DataFrame(
        {
            "image_id": np.repeat([f"{i:06d}" for i in range(images)], OBJECTS_AN_IMAGE),
            "box_id": np.arange(count),
            "label": rng.choice(LABELS, count),
            **_sides(corner, corner + extent),
            "is_crowd": False,
            "difficult": False,
            "source": "",
        }
    )
    return pa.Table.from_pandas(table, schema.BOXES, preserve_index=False)


def detected(rng: np.random.Generator, boxes: pa.Table) -> pa.Table:
    """`schema.DETECTIONS` of a model whose COCO AP is about 0.5, and AP50 0.75."""
    truth = boxes.to_pandas()
    parts = []
    for share, jitter, wrong, logit in (
        (FOUND, 0.06, 0.05, 1.0),
        (AGAIN, 0.20, 0.05, -1.0),
        (INVENTED, 1.00, 0.50, -1.5),
    ):
        rows = truth.iloc[rng.permutation(len(truth))[: int(share * len(truth))]]
        low, high = (rows[names].to_numpy() for names in (["xmin", "ymin"], ["xmax", "ymax"]))
        moved = [side + rng.normal(0, jitter, low.shape) * (high - low) for side in (low, high)]
        other = rng.choice(LABELS, len(rows))
        part = {
            "image_id": rows["image_id"],
            "label": np.where(rng.random(len(rows)) < wrong, other, rows["label"]),
            "score": 1 / (1 + np.exp(-rng.normal(logit, 1.0, len(rows)))),
            **_sides(np.minimum(*moved), np.maximum(*moved)),
        }
        parts.append(pd.DataFrame(part))
    table = pd.concat(parts).sort_values("image_id", kind="stable")
    return pa.Table.from_pandas(table, schema.DETECTIONS, preserve_index=False)


def _sides(low: np.ndarray, high: np.ndarray) -> dict[str, np.ndarray]:
    return {"xmin": low[:, 0], "ymin": low[:, 1], "xmax": high[:, 0], "ymax": high[:, 1]}


def records(
    table: pa.Table, image_ids: Sequence[str], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Boxes or detections as COCO's annotations."""
    images = {image_id: i for i, image_id in enumerate(image_ids, 1)}
    classes = {label: i for i, label in enumerate(labels, 1)}
    found = []
    for number, row in enumerate(table.to_pylist(), 1):
        width, height = row["xmax"] - row["xmin"], row["ymax"] - row["ymin"]
        record = {
            "id": number,
            "image_id": images[row["image_id"]],
            "category_id": classes[row["label"]],
            "bbox": [row["xmin"], row["ymin"], width, height],
            "area": width * height,
            "iscrowd": int(row.get("is_crowd", False)),
        }
        found.append(record | ({"score": row["score"]} if "score" in row else {}))
    return found


def pycocotools(
    truth: list[dict[str, Any]], found: list[dict[str, Any]], images: int, classes: int
) -> dict[str, np.ndarray]:
    """`COCOeval.eval` after its summary of `records`: `precision`, `recall` and others."""
    coco = COCO()
    coco.dataset = {
        "images": [{"id": i} for i in range(1, images + 1)],
        "categories": [{"id": i} for i in range(1, classes + 1)],
        "annotations": truth,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(evaluation.eval)
