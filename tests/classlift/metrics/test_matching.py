import numpy as np
import pyarrow as pa
import pytest

from classlift.errors import EvaluationError
from classlift.metrics.matching import match
from tests.classlift.conftest import boxes_table, detections_table
from tests.classlift.metrics.oracle import pycocotools_summary

pytestmark = pytest.mark.unit
LABELS = ("car", "scooter")


def random_case(seed: int, largest: float = 40) -> tuple[pa.Table, pa.Table, list[str]]:
    """Jittered, repeated, mislabelled and invented detections of random boxes.

    largest: the longest side of an object, in pixels.
    """
    rng = np.random.default_rng(seed)
    images = [f"image {i}" for i in range(30)]
    boxes, detections = [], []
    for image in images:
        for _ in range(rng.integers(0, 6)):
            label = LABELS[rng.integers(2)]
            x, y, w, h = (*rng.uniform(0, 60, 2), *rng.uniform(8, largest, 2))
            boxes.append((image, label, x, y, x + w, y + h))
            for _ in range(rng.integers(0, 3)):
                jx, jy = rng.normal(0, 3, 2)
                found = LABELS[rng.integers(2)] if rng.random() < 0.2 else label
                corner = (x + jx, y + jy, x + w + jx, y + h + jy)
                detections.append((image, found, round(rng.random(), 2), *corner))  # with ties
    return boxes_table(boxes), detections_table(detections), images


def with_crowds(boxes: pa.Table, share: float, seed: int) -> pa.Table:
    """The same boxes, a share of them crowds."""
    crowd = pa.array(np.random.default_rng(seed).random(boxes.num_rows) < share)
    return boxes.set_column(boxes.schema.get_field_index("is_crowd"), "is_crowd", crowd)


def crowded_case(seed: int) -> tuple[pa.Table, pa.Table, list[str]]:
    """The same with crowds, and with objects in one place: of equal overlap, the first counts."""
    boxes, detections, images = random_case(seed)
    return with_crowds(pa.concat_tables([boxes, boxes.slice(0, 20)]), 0.1, seed), detections, images


@pytest.mark.parametrize("seed", range(5))
def test_ap50_equals_pycocotools(seed):
    boxes, detections, images = random_case(seed)
    ours = match(boxes, detections, images, LABELS).ap50
    oracle = pycocotools_summary(boxes, detections, images, LABELS)["all", "AP50"]
    assert ours == pytest.approx(oracle.to_dict(), abs=1e-6)


def test_match_table():
    boxes = boxes_table([("a", "car", 0, 0, 10, 10), ("b", "car", 0, 0, 10, 10)])
    detections = detections_table(
        [
            ("a", "car", 0.9, 0, 0, 10, 9),  # a match
            ("a", "car", 0.8, 0, 0, 10, 10),  # a duplicate, though it fits better
            ("b", "scooter", 0.7, 0, 0, 10, 10),  # another class
        ]
    )
    matches = match(boxes, detections, ["a", "b", "c"], LABELS)
    assert matches.detections["is_match"].tolist() == [True, False, False]
    assert matches.objects["score"].tolist() == pytest.approx([0.9, np.nan], nan_ok=True)
    assert matches.objects["iou"].iloc[0] == pytest.approx(0.9)
    assert np.isnan(matches.ap50["scooter"])  # it has no object


def test_crowds_are_no_objects():
    boxes = boxes_table([("a", "car", 0, 0, 10, 10), ("a", "car", 20, 20, 30, 30)])
    is_crowd = boxes.schema.get_field_index("is_crowd")
    boxes = boxes.set_column(is_crowd, "is_crowd", pa.array([False, True]))
    detections = detections_table([("a", "car", 0.9, 20, 20, 30, 30)])
    matches = match(boxes, detections, ["a"], LABELS)
    assert len(matches.objects) == 1
    assert matches.detections.empty  # it found the crowd, which counts neither for nor against


@pytest.mark.parametrize("empty", ["boxes", "detections", "both"])
def test_empty_tables(empty):
    boxes, detections, images = random_case(0)
    boxes = boxes.slice(0, 0) if empty in ("boxes", "both") else boxes
    detections = detections.slice(0, 0) if empty in ("detections", "both") else detections
    matches = match(boxes, detections, images, LABELS)
    assert not matches.detections["is_match"].any()


@pytest.mark.parametrize(
    ("detection", "sentence"),
    [
        (("a", "car", float("nan"), 0, 0, 1, 1), "score nan"),
        (("a", "car", 0.5, 0, 0, float("inf"), 1), "can't be judged"),
        (("z", "car", 0.5, 0, 0, 1, 1), "image_id 'z'"),
        (("a", "tram", 0.5, 0, 0, 1, 1), "label 'tram'"),
    ],
)
def test_refuses_what_can_not_be_judged(detection, sentence):
    boxes = boxes_table([("a", "car", 0, 0, 10, 10)])
    with pytest.raises(EvaluationError, match=sentence):
        match(boxes, detections_table([detection]), ["a"], LABELS)
