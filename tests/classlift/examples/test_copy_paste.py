import io

import numpy as np
import pytest
from PIL import Image

from classlift.examples.copy_paste import MIN_VISIBLE, Donor, Paste, find_donors, paste, plan_pastes

pytestmark = pytest.mark.unit
IMAGE = {"image_id": "a", "uri": "a.png", "sha256": "", "width": 100, "height": 80}


def box(xmin, ymin, xmax, ymax, label="car", is_crowd=False):
    sides = {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}
    return {**sides, "label": label, "is_crowd": is_crowd, "difficult": False}


@pytest.mark.parametrize(
    ("boxes", "found"),
    [
        ([box(1.5, 2, 30, 40, "bike")], [(1, 2, 30, 40)]),
        ([box(1, 2, 30, 40)], []),  # of another class
        ([box(1, 2, 6, 40, "bike")], []),  # too small
        ([box(1, 2, 30, 40, "bike", is_crowd=True)], []),
        ([box(1, 2, 30, 40, "bike"), box(20, 2, 60, 40)], []),  # another object would come along
        ([box(1, 2, 30, 40, "bike"), box(29, 2, 60, 40)], [(1, 2, 30, 40)]),  # it hardly touches
    ],
)
def test_donors_stand_clear(boxes, found):
    assert [d.box for d in find_donors([IMAGE], {"a": boxes}, ["bike"])] == found


def test_each_target_has_donors():
    boxes = {"a": [box(1, 2, 30, 40, "bike"), box(40, 2, 70, 40, "tram"), box(80, 2, 99, 40)]}
    found = find_donors([IMAGE], boxes, ["tram", "bike"])
    assert [(d.label, d.box[0]) for d in found] == [("bike", 1), ("tram", 40)]


DONOR = Donor("a.png", "", "bike", (10, 10, 30, 30))


def raster(boxes, shape=(80, 100)):
    """What each box covers."""
    masks = []
    for b in boxes:
        mask = np.zeros(shape, bool)
        mask[int(b["ymin"]) : int(b["ymax"]), int(b["xmin"]) : int(b["xmax"])] = True
        masks.append(mask)
    return masks


@pytest.mark.parametrize("seed", range(30))
def test_boxes_are_what_stays_visible(seed):
    """Against plain painting: whoever is pasted later hides what lies below."""
    rng = np.random.default_rng(seed)
    before = [box(5, 5, 45, 60), box(50, 10, 70, 30), box(0, 0, 100, 80, is_crowd=True)]
    pastes, after = plan_pastes(IMAGE, before, [DONOR], rng)
    assert 1 <= len(pastes) <= 3
    layers = [
        *before[:2],
        *(box(*p.at, p.at[0] + p.size[0], p.at[1] + p.size[1], "bike") for p in pastes),
    ]
    masks = raster(layers)
    expected = [before[2]]
    for number, (layer, mask) in enumerate(zip(layers, masks, strict=True)):
        visible = mask.copy()
        for later in masks[max(number + 1, 2) :]:
            visible &= ~later
        if visible.sum() >= MIN_VISIBLE * mask.sum():
            rows, columns = np.nonzero(visible)
            expected.append(
                box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, layer["label"])
            )
    keys = ("label", "xmin", "ymin", "xmax", "ymax")
    assert sorted([b[k] for k in keys] for b in after) == sorted(
        [b[k] for k in keys] for b in expected
    )


def test_the_same_seed_gives_the_same_plan():
    plans = [plan_pastes(IMAGE, [], [DONOR], np.random.default_rng(5)) for _ in range(2)]
    assert plans[0] == plans[1]


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_pixels_go_where_the_box_says():
    donor = Image.new("RGB", (40, 40), "blue")
    donor.paste((255, 0, 0), (10, 10, 20, 30))  # the left half of the object is red
    donor.paste((0, 255, 0), (20, 10, 30, 30))
    canvas = Image.new("RGB", (100, 80))
    plain, mirrored = (
        paste(png(canvas), "png", [(Paste(DONOR, (50, 40), (20, 20), flip), png(donor))])
        for flip in (False, True)
    )
    for data, left in ((plain, (255, 0, 0)), (mirrored, (0, 255, 0))):
        image = Image.open(io.BytesIO(data))
        assert image.getpixel((52, 50)) == left
        assert image.getbbox() == (50, 40, 70, 60)  # and nowhere else
