"""How deep a branch begins, as short trials on eval say."""

import json
from dataclasses import replace

import pytest

from classlift.errors import ModelError
from classlift.gate.run import trials_of
from classlift.metrics.matching import Matches, match
from classlift.serving.bundle import Bundle
from classlift.serving.provenance import Provenance
from classlift.settings.recipe import Recipe
from classlift.training.depths import (
    FEWEST_STEPS,
    TRIALS,
    Depth,
    Trials,
    can_try,
    deepest_of_the_best,
)
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


def depths(*ap50: float, steps: int = 30) -> list[Depth]:
    return [Depth(p, COSTS[p], steps, a) for p, a in zip(COSTS, ap50, strict=True)]


TRIED = Trials(BLOCK, 1.5, 100, tuple(depths(0.4, 0.5, 0.6, 0.7)))


def test_too_few_steps_are_no_trials():
    assert can_try(Recipe())
    assert not can_try(Recipe(trials=0))
    assert can_try(Recipe(steps=8 * FEWEST_STEPS))  # a quarter of them, for two depths
    assert not can_try(Recipe(steps=8 * FEWEST_STEPS - 1))


def finding(share: float) -> Matches:
    """One scooter in each image, of which a share is found."""
    boxes = boxes_table([(image, "scooter", 0, 0, 20, 20) for image in IMAGES])
    found = IMAGES[: int(share * len(IMAGES))]
    rows = [(image, "scooter", 0.9, 0, 0, 20, 20) for image in found]
    return match(boxes, detections_table(rows), IMAGES, ("scooter", "tram"))


@pytest.mark.parametrize(
    ("shares", "chosen"),
    [
        ((0.5, 0.5, 0.5), BLOCK),  # of equals the deepest
        ((0.51, 0.51, 0.5), BLOCK),  # one image more is luck
        ((0.5, 0.71, 0.6), NECK),
        ((0.5, 0.6, 0.8), BLOCK),
        ((0.8, 0.6, 0.5), HEAD),
    ],
)
def test_what_is_less_deep_has_to_be_better_than_by_luck(shares, chosen):
    matches = dict(zip(COSTS, map(finding, shares), strict=False))
    assert deepest_of_the_best(matches, COSTS, ["scooter"]) == chosen
    # a class that eval does not show has no say
    assert deepest_of_the_best(matches, COSTS, ["scooter", "tram"]) == chosen
    assert deepest_of_the_best(matches, COSTS, ["tram"]) == BLOCK


def test_says_what_was_tried_and_what_could_be_bought():
    words = " ".join(TRIED.sentences())
    assert "Freeze policy target-branch+block:15, by trials of 30 steps" in words
    assert "target-branch 0.400 at 1.10 times the work; " in words
    assert "Full fine-tuning, which changes the other classes too, was not tried" in words
    assert "max_inference" not in words  # the whole network was tried
    without = replace(TRIED, tried=TRIED.tried[:-1])
    assert "to have it tried too, set max_inference to 2.1" in " ".join(without.sentences())
    assert "target-branch+image is no better beyond" in words


def test_what_was_found_travels_with_the_model(tmp_path):
    bundle = Bundle(tmp_path)
    bundle.entry.mkdir()
    assert trials_of(bundle) is None
    bundle.write_provenance(Provenance(training={"steps": 3}))
    assert trials_of(bundle) is None
    bundle.write_provenance(Provenance(training={TRIALS: TRIED.to_json()}))
    assert trials_of(bundle) == TRIED
    assert json.dumps(TRIED.to_json())
    bundle.write_provenance(Provenance(training={TRIALS: {"chosen": HEAD}}))
    with pytest.raises(ModelError, match=r"`training.trials.max_inference` is missing"):
        trials_of(bundle)
