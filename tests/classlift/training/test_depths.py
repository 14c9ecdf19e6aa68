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
    better,
    can_try,
    cheapest_of_the_best,
    rung_steps,
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


@pytest.mark.parametrize(
    ("ap50", "ahead"),
    [
        ((0.5, 0.4, 0.3, 0.1), [HEAD, NECK]),  # two of the three that may be chosen
        ((0.3, 0.4, 0.5, 0.45), [NECK, BLOCK]),
        ((0.3, 0.4, 0.5, 0.6), [NECK, BLOCK, IMAGE]),  # which shows what could be bought
        ((0.4, 0.4, 0.4, 0.4), [HEAD, NECK]),  # of equals the cheaper
    ],
)
def test_the_better_half_goes_on(ap50, ahead):
    assert [depth.policy for depth in better(depths(*ap50), 1.5)] == ahead


@pytest.mark.parametrize("affordable", [1, 2, 3, 4])
def test_the_steps_of_all_trials_are_bounded(affordable):
    """Also where what may not be chosen is the best, and goes on."""
    others = 4 - affordable
    steps = rung_steps(225, affordable, others)
    ap50 = [0.1] * affordable + [0.9] * others
    tried = depths(*ap50)
    limit = list(COSTS.values())[affordable - 1]
    spent = steps * (len(tried) + len(better(tried, limit)))
    assert 225 - 8 < spent <= 225


def test_too_few_steps_are_no_trials():
    assert can_try(Recipe())
    assert not can_try(Recipe(trials=0))
    assert not can_try(Recipe(steps=4 * FEWEST_STEPS))


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
        ((0.5, 0.51, 0.51), HEAD),  # one image more is luck
        ((0.5, 0.7, 0.71), NECK),
        ((0.5, 0.6, 0.8), BLOCK),
        ((0.8, 0.6, 0.5), HEAD),
    ],
)
def test_what_costs_more_has_to_be_better_than_by_luck(shares, chosen):
    matches = dict(zip(COSTS, map(finding, shares), strict=False))
    assert cheapest_of_the_best(matches, COSTS, ["scooter"]) == chosen
    # a class that eval does not show has no say
    assert cheapest_of_the_best(matches, COSTS, ["scooter", "tram"]) == chosen
    assert cheapest_of_the_best(matches, COSTS, ["tram"]) == HEAD


def test_says_what_was_tried_and_what_could_be_bought():
    words = " ".join(TRIED.sentences())
    assert "Freeze policy target-branch+block:15, by trials of 30 steps" in words
    assert "target-branch 0.400 at 1.10 times the work; " in words
    assert "target-branch+image may reach more, at 2.00 times" in words
    assert "set max_inference to 2." in words
    assert "was not tried" in words
    by_luck = replace(TRIED, chosen=NECK)
    assert "target-branch+block:15 is no better beyond" in " ".join(by_luck.sentences())


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
