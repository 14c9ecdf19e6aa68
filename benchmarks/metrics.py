"""How long it takes to judge a model: everything the gate reads, against pycocotools.

    make bench

Champion and challenger on the same synthetic images: 1.5 detections an object, some of them badly
boxed, of the wrong class, found twice or invented. pycocotools makes its summary of both, from
records in memory. ClassLift makes the same figures of both from the predictions' tables, and
besides what the gate and its report show: curves, operating points, confusion, kinds of error and
what each costs, and the bounds of all changes from 2000 resamples. The images serve as eval and as
test. All in one process, in turn.
"""

import argparse
import contextlib
import io
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from classlift.data import schema
from classlift.gate.evidence import weigh
from classlift.gate.reading import ModelMatches
from classlift.metrics.confusion import confusion_matrix
from classlift.metrics.curves import precision_recall_curve
from classlift.metrics.matching import match
from classlift.metrics.summary import summarize
from classlift.metrics.taxonomy import classify, costs, counts_at
from classlift.settings.gate import GateSettings

IMAGES, OBJECTS_AN_IMAGE, CLASSES, ROUNDS = 5000, 20, 80, 3
SIDE = 640  # px
LABELS = tuple(f"class {k:02d}" for k in range(CLASSES))
TOLERANCE = 1e-6

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


class Stopwatch:
    """Seconds of named parts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Adds what is done inside to a part."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def judge(
    boxes: pa.Table, models: Sequence[pa.Table], image_ids: Sequence[str], watch: Stopwatch
) -> list[pd.DataFrame]:
    """Makes all figures of champion and challenger; returns their COCO summaries."""
    target, deployed = LABELS[0], dict.fromkeys(LABELS, 0.5)
    with watch.part("matching"):
        matches = [match(boxes, found, image_ids, LABELS) for found in models]
    with watch.part("COCO's summary by size"):
        summaries = [summarize(boxes, found, image_ids, LABELS) for found in models]
    with watch.part("operating points, 2000 resamples, bounds"):
        both = [ModelMatches(model, model) for model in matches]
        compared = weigh(*both, LABELS, target, GateSettings(), deployed)
    points = (compared.champion_points, compared.challenger_points)
    for model, chosen in zip(matches, points, strict=True):
        with watch.part("curves"):
            for label in LABELS:
                precision_recall_curve(model, label)
        with watch.part("confusion"):
            confusion_matrix(model, chosen)
        with watch.part("kinds of error and their costs"):
            taxonomy = classify(model)
            costs(model, taxonomy)
            counts_at(model, taxonomy, chosen, LABELS)
    return summaries


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    boxes = labelled(rng, arguments.images)
    models = [detected(rng, boxes) for _ in ("champion", "challenger")]
    image_ids = boxes["image_id"].unique().to_pylist()
    theirs, ours, parts = [], [], []
    for _ in range(arguments.rounds):
        sides = [[records(t, image_ids, LABELS) for t in (boxes, found)] for found in models]
        started = time.perf_counter()
        oracle = [pycocotools(*side, len(image_ids), CLASSES) for side in sides]
        theirs.append(time.perf_counter() - started)
        del sides
        watch = Stopwatch()
        started = time.perf_counter()
        summaries = judge(boxes, models, image_ids, watch)
        ours.append(time.perf_counter() - started)
        parts.append(watch.seconds)
    print(
        f"Two models on {len(image_ids)} images, {boxes.num_rows} objects of {CLASSES} classes, "
        f"{models[0].num_rows} detections each; median of {arguments.rounds} rounds:\n"
    )
    print("| | seconds | against pycocotools |\n|---|---|---|")
    print(f"| pycocotools: AP and AR by size | {median(theirs):.1f} | 1 |")
    ratios = [mine / his for mine, his in zip(ours, theirs, strict=True)]
    print(f"| all that the gate and its report read | {median(ours):.1f} | {median(ratios):.2f} |")
    for name in parts[0]:
        seconds = median(part[name] for part in parts)
        print(f"| – {name} | {seconds:.1f} | {seconds / median(theirs):.2f} |")
    print(f"\nRatios from {min(ratios):.2f} to {max(ratios):.2f}.")
    apart = {"AP": 0.0, "AP50": 0.0}
    for found, evaluation in zip(summaries, oracle, strict=True):
        by_threshold = evaluation["precision"][..., 0, -1].mean(axis=1)  # [IoU thresholds, classes]
        for name, values in (("AP", by_threshold.mean(axis=0)), ("AP50", by_threshold[0])):
            apart[name] = max(apart[name], np.abs(found["all", name] - values).max())
    print(f"Largest difference of a class: {apart['AP']:.0e} in AP, {apart['AP50']:.0e} in AP50.")
    if max(apart.values()) > TOLERANCE:
        raise SystemExit("The summaries differ.")


if __name__ == "__main__":
    main()
