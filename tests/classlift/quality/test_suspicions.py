import io

import pytest
from PIL import Image

from classlift.quality.suspicions import pictures, suspicions
from tests.classlift.conftest import boxes_table, detections_table

pytestmark = pytest.mark.unit
CAR = ("a", "car", 10, 10, 50, 50)


@pytest.mark.parametrize(
    ("boxes", "detections", "expected"),
    [
        ([CAR], [("a", "car", 0.9, 11, 10, 50, 50)], []),  # as labelled
        ([CAR], [("a", "bike", 0.9, 11, 10, 50, 50)], [("other class", "car", "bike")]),
        ([CAR], [("a", "bike", 0.5, 11, 10, 50, 50)], []),  # not confident
        ([CAR], [("a", "car", 0.9, 70, 70, 90, 90)], [("missing label", "", "car")]),
        ([CAR], [("b", "car", 0.9, 70, 70, 90, 90)], [("missing label", "", "car")]),  # no boxes
        ([CAR], [("a", "bike", 0.9, 25, 25, 65, 65)], []),  # neither the object nor nothing
        (  # the class of the label is detected there with more confidence
            [CAR],
            [("a", "bike", 0.8, 11, 10, 50, 50), ("a", "car", 0.9, 10, 10, 50, 50)],
            [],
        ),
        (  # both classes are labelled at the place
            [CAR, ("a", "bike", 10, 10, 50, 48)],
            [("a", "bike", 0.9, 11, 10, 50, 50)],
            [],
        ),
        (  # two detections of one thing are one suspicion
            [],
            [("a", "car", 0.9, 10, 10, 50, 50), ("a", "bike", 0.8, 11, 10, 50, 50)],
            [("missing label", "", "car")],
        ),
        (  # the most confident first
            [CAR],
            [("a", "car", 0.8, 70, 70, 90, 90), ("b", "bike", 0.95, 0, 0, 9, 9)],
            [("missing label", "", "bike"), ("missing label", "", "car")],
        ),
    ],
)
def test_what_is_worth_a_look(boxes, detections, expected):
    found = suspicions(boxes_table(boxes), detections_table(detections))
    assert [(s.kind, s.label, s.detected) for s in found] == expected


def test_pictures_show_the_place():
    found = suspicions(boxes_table([]), detections_table([("a", "car", 0.9, 10, 10, 50, 50)]))
    buffer = io.BytesIO()
    Image.new("RGB", (100, 80)).save(buffer, "PNG")
    (picture,) = pictures(found, {"a": buffer.getvalue()}.__getitem__)
    assert picture.source.startswith("data:image/png;base64,")
    assert picture.caption == "not labelled, detected as car at 0.90: a"
