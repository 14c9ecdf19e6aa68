"""How deep a branch begins, as eval says of what was trained."""

import json
from dataclasses import replace

import pytest

from classlift.errors import ModelError
from classlift.gate.run import depths_of
from classlift.serving.bundle import Bundle
from classlift.serving.provenance import Provenance
from classlift.training.depths import DEPTHS, Depth, Depths

pytestmark = pytest.mark.unit
HEAD, NECK, BLOCK, IMAGE = (
    "target-branch",
    "target-branch+neck",
    "target-branch+block:15",
    "target-branch+image",
)
COSTS = {HEAD: 1.1, NECK: 1.3, BLOCK: 1.5, IMAGE: 2.0}
NAN = float("nan")
FOUND = Depths(
    {"target": BLOCK},
    1.5,
    100,
    tuple(
        Depth(p, COSTS[p], {"target": a}) for p, a in zip(COSTS, (0.4, 0.5, 0.6, 0.7), strict=True)
    ),
)
SEVERAL = Depths(
    {"other": HEAD, "target": BLOCK},
    1.5,
    100,
    (
        Depth(HEAD, COSTS[HEAD], {"other": 0.8, "target": 0.4}),
        Depth(BLOCK, COSTS[BLOCK], {"other": 0.7, "target": 0.6}),
    ),
)


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
    ap50 = {policy: {"scooter": share} for policy, share in zip(COSTS, shares, strict=False)}
    found = Depths.judged(ap50, COSTS, 1.5, 100)
    assert (found.chosen, found.deepest, found.images) == ({"scooter": chosen}, chosen, 100)
    assert [depth.policy for depth in found.trained] == [HEAD, NECK, BLOCK]
    assert [depth.ap50 for depth in found.trained] == [{"scooter": share} for share in shares]


def test_each_class_keeps_what_is_best_for_it():
    ap50 = {
        BLOCK: {"scooter": 0.6, "tram": 0.7, "van": NAN, "bus": 0.5},
        HEAD: {"scooter": 0.5, "tram": 0.8, "van": NAN, "bus": 0.5},
    }
    found = Depths.judged(ap50, COSTS, 1.5, 100)
    # of equals the cheapest, and of a class that eval does not show
    assert found.chosen == {"scooter": BLOCK, "tram": HEAD, "van": HEAD, "bus": HEAD}
    assert found.deepest == BLOCK
    assert [depth.policy for depth in found.trained] == [HEAD, BLOCK]


def test_says_what_was_trained_and_what_could_be_bought():
    words = " ".join(FOUND.sentences())
    assert "Freeze policy target-branch+block:15: each depth was trained, the head" in words
    assert "target-branch 0.400 at 1.10 times the work; " in words
    assert "Full fine-tuning, which changes the other classes too, was not tried" in words
    several = SEVERAL.sentences()[0]
    assert f"Freeze policy {HEAD} for class other, {BLOCK} for class target: each" in several
    assert f"{HEAD} 0.800 (class other), 0.400 (class target) at 1.10 times" in several
    assert "max_inference" not in words  # the whole network was trained
    without = " ".join(replace(FOUND, trained=FOUND.trained[:-1]).sentences())
    assert "to have it trained too, set max_inference to 2.1" in without


def test_what_was_found_travels_with_the_model(tmp_path):
    bundle = Bundle(tmp_path)
    bundle.entry.mkdir()
    assert depths_of(bundle) is None
    bundle.write_provenance(Provenance(training={"steps": 3}))
    assert depths_of(bundle) is None
    for found in (FOUND, SEVERAL):
        bundle.write_provenance(Provenance(training={DEPTHS: found.to_json()}))
        assert depths_of(bundle) == found
    unknown = replace(FOUND, trained=(Depth(HEAD, 1.1, {"target": NAN}),))
    assert json.dumps(unknown.to_json(), allow_nan=False)
    bundle.write_provenance(Provenance(training={DEPTHS: {"chosen": {"target": HEAD}}}))
    with pytest.raises(ModelError, match=r"`training.depths.max_inference` is missing"):
        depths_of(bundle)
