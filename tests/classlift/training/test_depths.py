"""How deep a branch begins, as eval says of what was trained."""

import json
from dataclasses import replace

import pytest

from classlift.errors import ModelError
from classlift.gate.run import depths_of
from classlift.metrics.matching import Matches, match
from classlift.serving.bundle import Bundle
from classlift.serving.provenance import Provenance
from classlift.training.depths import DEPTHS, Depth, Depths
from tests.classlift.conftest import boxes_table, detections_table

pytestmark = pytest.mark.unit
HEAD, NECK, BLOCK, IMAGE = (
    "target-branch",
    "target-branch+neck",
    "target-branch+block:15",
    "target-branch+image",
)
COSTS = {HEAD: 1.1, NECK: 1.3, BLOCK: 1.5, IMAGE: 2.0}
IMAGES = tuple(f"image {number}" for number in range(100))


FOUND = Depths(
    BLOCK,
    1.5,
    100,
    tuple(Depth(p, COSTS[p], a) for p, a in zip(COSTS, (0.4, 0.5, 0.6, 0.7), strict=True)),
)


def finding(share: float) -> Matches:
    """One scooter in each image, of which a share is found."""
    boxes = boxes_table([(image, "scooter", 0, 0, 20, 20) for image in IMAGES])
    found = IMAGES[: int(share * len(IMAGES))]
    rows = [(image, "scooter", 0.9, 0, 0, 20, 20) for image in found]
    return match(boxes, detections_table(rows), IMAGES, ("scooter", "tram"))


@pytest.mark.parametrize(
    ("shares", "chosen"),
    [
        ((0.5, 0.5, 0.5), HEAD),  # of equals the cheapest
        ((0.5, 0.6, 0.6), NECK),
        ((0.5, 0.5, 0.51), BLOCK),
        ((0.8, 0.6, 0.5), HEAD),
    ],
)
def test_what_finds_most_on_eval_is_kept(shares, chosen):
    matches = dict(zip(COSTS, map(finding, shares), strict=False))
    found = Depths.judged(matches, COSTS, ["scooter"], 1.5)
    assert (found.chosen, found.images) == (chosen, 100)
    assert [depth.policy for depth in found.trained] == [HEAD, NECK, BLOCK]
    assert [depth.ap50 for depth in found.trained] == pytest.approx(shares, abs=0.01)
    # a class that eval does not show has no say
    assert Depths.judged(matches, COSTS, ["scooter", "tram"], 1.5) == found
    assert Depths.judged(matches, COSTS, ["tram"], 1.5).chosen == HEAD


def test_says_what_was_trained_and_what_could_be_bought():
    words = " ".join(FOUND.sentences())
    assert "Freeze policy target-branch+block:15: each depth was trained, the deeper" in words
    assert "target-branch 0.400 at 1.10 times the work; " in words
    assert "Full fine-tuning, which changes the other classes too, was not tried" in words
    assert "max_inference" not in words  # the whole network was trained
    without = " ".join(replace(FOUND, trained=FOUND.trained[:-1]).sentences())
    assert "to have it trained too, set max_inference to 2.1" in without


def test_what_was_found_travels_with_the_model(tmp_path):
    bundle = Bundle(tmp_path)
    bundle.entry.mkdir()
    assert depths_of(bundle) is None
    bundle.write_provenance(Provenance(training={"steps": 3}))
    assert depths_of(bundle) is None
    bundle.write_provenance(Provenance(training={DEPTHS: FOUND.to_json()}))
    assert depths_of(bundle) == FOUND
    assert json.dumps(FOUND.to_json())
    bundle.write_provenance(Provenance(training={DEPTHS: {"chosen": HEAD}}))
    with pytest.raises(ModelError, match=r"`training.depths.max_inference` is missing"):
        depths_of(bundle)
