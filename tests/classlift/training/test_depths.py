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
FOUND = Depths(
    BLOCK,
    1.5,
    100,
    tuple(Depth(p, COSTS[p], a) for p, a in zip(COSTS, (0.4, 0.5, 0.6, 0.7), strict=True)),
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
    nan = float("nan")
    ap50 = {policy: {"scooter": share} for policy, share in zip(COSTS, shares, strict=False)}
    found = Depths.judged(ap50, COSTS, 1.5, 100)
    assert (found.chosen, found.images) == (chosen, 100)
    assert [depth.policy for depth in found.trained] == [HEAD, NECK, BLOCK]
    assert [depth.ap50 for depth in found.trained] == list(shares)
    # a class that eval does not show has no say
    with_another = {policy: {**own, "tram": nan} for policy, own in ap50.items()}
    assert Depths.judged(with_another, COSTS, 1.5, 100) == found
    assert (
        Depths.judged({policy: {"tram": nan} for policy in COSTS}, COSTS, 1.5, 100).chosen == HEAD
    )


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
