"""Whole reports with pictures, of any number of classes, from predictions that are drawn here."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from classlift.data.examples import to_example
from classlift.data.formats.tfrecord import write_record
from classlift.data.label_map import LabelMap
from classlift.data.predictions import Predictions
from classlift.gate.evidence import ModelPredictions
from classlift.gate.predictions import Origin, gate_predictions
from classlift.gate.report import write_report
from classlift.gate.verdict import Verdict
from classlift.metrics.summary import summarize
from tests.classlift.conftest import boxes_table, detections_table
from tests.classlift.gate.test_report import DIAGNOSIS

TARGET = "scooter"
WIDTH, HEIGHT = 320, 240
STREET = ("car", TARGET, "person", "teddy bear", "bus", "traffic light")

Detection = tuple[str, str, float, float, float, float, float]


@dataclass(frozen=True)
class Case:
    """One report.

    Attributes:
        name: of its pictures.
        classes: how many the models know.
        images: how many each split has.
        lift: how much better the challenger tells the target from what is none.
        worse: classes of which the challenger tells less.
        moved: whether the other classes' scores move a little.
    """

    name: str
    classes: int
    images: int
    lift: float = 2.0
    worse: tuple[str, ...] = ()
    moved: bool = False


PUSH = Case("push_3", classes=3, images=150)
REFUSE = Case("refuse_80", classes=80, images=150, worse=("teddy bear",))
INCONCLUSIVE = Case("inconclusive_365", classes=365, images=60, moved=True)
CASES = (PUSH, REFUSE, INCONCLUSIVE)


def labels_of(case: Case) -> list[str]:
    """Names of classes, the street's first."""
    return [*STREET, *(f"object {n}" for n in range(case.classes))][: case.classes]


def write_case(case: Case, folder: Path, run: str | None = "scheduled__2026-11-27") -> Verdict:
    """Writes `report.html` of a case; returns its verdict."""
    labels = labels_of(case)
    splits = [_split(case, labels, seed) for seed in (1, 2)]
    models = [
        ModelPredictions(*(Predictions(s[0], s[1], detections_table(s[2][m])) for s in splits))
        for m in (0, 1)
    ]
    gated = gate_predictions(
        *models,
        TARGET,
        labels=labels,
        champion_thresholds=dict.fromkeys(labels, 0.5),
        origin=Origin("version 7", "3f2a9c1d5e7b8a60", "0.3.0", run),
    )
    images = splits[1][0]
    _write_images(images, splits[1][1].to_pylist(), folder / "examples" / "Split-test", labels)
    summaries = [
        summarize(m.test.boxes, m.test.detections, m.test.image_ids, labels) for m in models
    ]
    diagnosis = replace(DIAGNOSIS, weakness=replace(DIAGNOSIS.weakness, target=TARGET))
    write_report(
        folder / "report.html",
        gated.verdict,
        {TARGET: gated.comparison},
        summaries,
        diagnosis,
        folder / "examples",
    )
    return gated.verdict


def _split(case: Case, labels: Sequence[str], seed: int):
    """Image ids, boxes, and the detections of champion and challenger."""
    rng = np.random.default_rng([seed, case.classes])
    ids = tuple(f"street/{n:04}.jpg" for n in range(case.images))
    boxes, found = [], ([], [])
    others = [label for label in labels if label != TARGET]
    for n, image in enumerate(ids):
        street = others[n % len(STREET[:-1]) % len(others)]
        rest = [others[(4 * n + k) % len(others)] for k in range(4)]
        for place, label in enumerate((TARGET, TARGET, street, *rest)):
            box = _box(rng, place)
            boxes.append((image, label, *box))
            for models, rows in zip(found, _detections(rng, case, image, label, box), strict=True):
                models.extend(rows)
    return ids, boxes_table(boxes), found


def _box(rng: np.random.Generator, place: int) -> tuple[float, float, float, float]:
    x, y = 10 + 75 * (place % 4), 15 + 110 * (place // 4)
    width, height = rng.uniform(20, 65), rng.uniform(25, 95)
    return x, y, x + width, y + height


def _detections(rng, case, image, label, box) -> tuple[list[Detection], list[Detection]]:
    """What champion and challenger detect at an object, and beside it."""
    before = after = 1.0 if label == TARGET else 4.0
    if label == TARGET:
        after += case.lift
    elif label in case.worse:
        after -= 3.5
    at = tuple(float(side + move) for side, move in zip(box, rng.normal(0, 2, 4), strict=True))
    false = (box[0] + 4, box[1] + 4, box[0] + 14, box[1] + 16)
    drawn = rng.normal(size=3)
    moved = rng.normal(0, 0.4, 2) if case.moved and label != TARGET else (0.0, 0.0)

    def rows(quality: float, moves) -> list[Detection]:
        found = (image, label, _score(quality + drawn[0] + moves[0]), *at)
        beside = (image, label, _score(drawn[1] - 1.0 + moves[1]), *false)
        return [found, beside]

    is_confused = label == TARGET and drawn[2] > 1
    confused = [(image, "person", _score(drawn[2]), *at)] if is_confused else []
    return [*rows(before, (0.0, 0.0)), *confused], [*rows(after, moved), *confused]


def _score(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))


def _write_images(ids: Sequence[str], boxes: list[dict], folder: Path, labels) -> None:
    """The images of test, as the pipeline writes them: a box is a filled shape."""
    folder.mkdir(parents=True)
    label_map = LabelMap(labels)
    of_image: dict[str, list[dict]] = {}
    for box in boxes:
        of_image.setdefault(box["image_id"], []).append(box)
    with (folder / "data.tfrecord").open("wb") as file:
        for n, image_id in enumerate(ids):
            picture = Image.effect_noise((WIDTH, HEIGHT), 40).convert("RGB")
            draw = ImageDraw.Draw(picture)
            for box in of_image[image_id]:
                hue = 37 * labels.index(box["label"]) % 256
                colour = Image.new("HSV", (1, 1), (hue, 150, 190)).convert("RGB").getpixel((0, 0))
                draw.ellipse([box[s] for s in ("xmin", "ymin", "xmax", "ymax")], fill=colour)
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG")
            row = {
                "image_id": image_id,
                "width": WIDTH,
                "height": HEIGHT,
                "format": "jpeg",
                "sha256": f"{n:064}",
            }
            record = to_example(row, of_image[image_id], buffer.getvalue(), label_map)
            write_record(file, record)
