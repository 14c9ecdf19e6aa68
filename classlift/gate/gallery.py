"""The pictures of the report: objects of the target that are found now, or not, in both models."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from classlift.data.examples import example_files
from classlift.data.formats.tfrecord import encoded_images
from classlift.data.images import decode_rgb
from classlift.gate.charts import AFTER, BEFORE
from classlift.gate.evidence import Comparison
from classlift.metrics.iou import iou_matrix
from classlift.metrics.matching import Matches
from classlift.pages import beside, surroundings, view

LABEL = "#2f9e44"
SIDES = ["xmin", "ymin", "xmax", "ymax"]


@dataclass(frozen=True)
class Pair:
    """An object as both models see it.

    Attributes:
        source: both pictures side by side, as a data URI.
        what: the object, and where it is.
        champion: what the champion makes of it, in words.
        challenger: what the challenger makes of it.

    """

    source: str
    what: str
    champion: str
    challenger: str


def changed_objects(comparison: Comparison, target: str) -> dict[str, pd.DataFrame]:
    """Objects of the target by what became of them: found now, lost now, still missed."""
    before = comparison.champion.objects
    after = comparison.challenger.objects
    was = before["score"] >= before["label"].map(comparison.champion_points)
    now = after["score"] >= after["label"].map(comparison.challenger_points)
    of_target = after["label"] == target
    return {
        "found now": after[of_target & ~was & now],
        "lost now": after[of_target & was & ~now],
        "still missed": after[of_target & ~was & ~now],
    }


def gallery(rows: pd.DataFrame, comparison: Comparison, examples: Path) -> list[Pair]:
    """Pictures of test objects: the surroundings of each as champion and challenger see them.

    Args:
        rows: the objects, of `Matches.objects`.
        comparison: both models on test.
        examples: the Examples artifact that has the images.

    Returns:
        A pair of pictures an object.

    """
    images = encoded_images(example_files(examples, "test"), set(rows["image_id"]))
    pictures = []
    boxes = rows[SIDES].to_numpy(np.float64)
    for row, image_id, label, box in zip(
        rows.index, rows["image_id"], rows["label"], boxes, strict=True
    ):
        image = decode_rgb(images[image_id])
        part = surroundings(image.size, box.tolist())
        views, words = [], []
        for matches, points, colour in (
            (comparison.champion, comparison.champion_points, BEFORE),
            (comparison.challenger, comparison.challenger_points, AFTER),
        ):
            seen = detection_of(matches, row)
            outlines = [(box.tolist(), LABEL)]
            if seen is not None:
                outlines.append((seen[SIDES].tolist(), colour))
            views.append(view(image, part, outlines))
            words.append(in_words(matches, row, seen, points))
        place = ", ".join(f"{side:.0f}" for side in box)
        pictures.append(Pair(beside(*views), f"{label} at {place} of {image_id}", *words))
    return pictures


def detection_of(matches: Matches, row: int) -> pd.Series | None:
    """What a model detects at an object.

    Args:
        matches: of the model.
        row: of `matches.objects`.

    Returns:
        The detection that found the object, whatever its score; where none did, the highest-scored
        of any class that overlaps its box by half; None where there is none either.

    """
    found = matches.objects.loc[row]
    of_image = matches.detections[matches.detections["image_id"] == found["image_id"]]
    box = found[["xmin", "ymin", "xmax", "ymax"]].to_numpy(np.float64)[None]
    overlap = iou_matrix(of_image[["xmin", "ymin", "xmax", "ymax"]].to_numpy(np.float64), box)
    near = of_image[overlap[:, 0] >= 0.5]
    own = near[(near["label"] == found["label"]) & (near["score"] == found["score"])]
    near = near if own.empty else own
    return None if near.empty else near.iloc[int(near["score"].to_numpy().argmax())]


def in_words(
    matches: Matches, row: int, seen: pd.Series | None, points: Mapping[str, float]
) -> str:
    """Whether a model finds an object at its thresholds, and what it detects there."""
    found = matches.objects.loc[row]
    if seen is None:
        return "nothing here"
    threshold = points[str(seen["label"])]
    words = f"{seen['label']} {seen['score']:.3f}"
    if np.isinf(threshold):
        return f"missed ({words}; no threshold has the precision asked for)"
    is_above = seen["score"] >= threshold
    is_found = is_above and seen["label"] == found["label"] and not np.isnan(found["score"])
    side = "at or above" if is_above else "below"
    return f"{'found' if is_found else 'missed'} ({words}, {side} its threshold {threshold:.3f})"
