"""Several targets of one challenger, judged one by one."""

import json
import re
from dataclasses import replace

import jsonschema
import pytest

from classlift.colour import to_text
from classlift.data.predictions import Predictions
from classlift.errors import EvaluationError
from classlift.gate.evidence import ModelPredictions
from classlift.gate.predictions import gate_predictions
from classlift.gate.several import gate_each, joined
from classlift.gate.terminal import render_verdict
from classlift.gate.verdict import LIFTED, NOT_LIFTED, PUSH, REFUSE, UNCHANGED, Verdict
from tests.classlift.conftest import boxes_table, detections_table
from tests.classlift.gate.test_holes import SCHEMA
from tests.classlift.gate.verdicts import VERDICT as SOME

pytestmark = pytest.mark.unit
IMAGES = tuple(f"{n}.jpg" for n in range(60))
PLACES = {"bike": 10, "car": 40, "motobike": 70}
"""Each image shows one object of each class, by where it begins."""


def model(**found):
    """A model that finds each class in the first so many images, with the score 0.9."""
    boxes = [(i, c, x, 10, x + 20, 30) for i in IMAGES for c, x in PLACES.items()]
    detections = [
        (i, c, 0.9, x, 10, x + 20, 30)
        for c, x in PLACES.items()
        for i in IMAGES[: found.get(c, 60)]
    ]
    split = Predictions(IMAGES, boxes_table(boxes), detections_table(detections))
    return ModelPredictions(split, split)


CHAMPION = model(bike=20, motobike=20)


def test_each_target_is_judged_as_if_it_alone_were_pushed():
    given = gate_each(CHAMPION, model(bike=50, motobike=19), ["motobike", "bike"])
    assert list(given) == ["motobike", "bike"]
    bike, motobike = given["bike"].verdict, given["motobike"].verdict
    assert (bike.verdict, motobike.verdict) == (PUSH, REFUSE)
    assert bike.classes["bike"].status == LIFTED
    assert motobike.classes["motobike"].status == NOT_LIFTED
    # What one target loses is no loss of a push without it.
    assert bike.classes["motobike"].status == motobike.classes["bike"].status == UNCHANGED
    assert bike.classes["car"].status == UNCHANGED
    alone = gate_predictions(CHAMPION, model(bike=50, motobike=20), "bike").verdict
    assert bike.classes["bike"].lift == alone.classes["bike"].lift


def test_targets_share_the_error_of_the_bounds():
    challenger = model(bike=30, motobike=50)
    one = gate_predictions(CHAMPION, model(bike=30, motobike=20), "bike", use=3).verdict
    two = gate_each(CHAMPION, challenger, ["bike", "motobike"], use=3)["bike"].verdict
    assert two.test_uses == one.test_uses == 3
    assert 1 - two.confidence == pytest.approx((1 - one.confidence) / 2)
    assert two.classes["bike"].lower_bound < one.classes["bike"].lower_bound


def test_one_target_is_judged_as_ever():
    challenger = model(bike=50, motobike=20)
    for given in (challenger, model(bike=50, motobike=20, car=30)):  # with all that has changed
        [found] = gate_each(CHAMPION, given, ["bike"]).values()
        assert found.verdict == gate_predictions(CHAMPION, given, "bike").verdict
    assert found.verdict.verdict == REFUSE
    assert joined([found.verdict]) is found.verdict


@pytest.mark.parametrize(
    ("challenger", "targets", "words"),
    [
        (model(bike=50, car=59), ["bike", "motobike"], "Class car has changed too and is no targ"),
        (model(bike=50), [], "at least one and each once"),
        (model(bike=50), ["bike", "bike"], "at least one and each once"),
        (model(), ["bike", "motobike", "tram"], "No class is called 'tram'"),
    ],
)
def test_what_can_not_be_judged_one_by_one_is_a_sentence(challenger, targets, words):
    with pytest.raises(EvaluationError, match=words):
        gate_each(CHAMPION, challenger, targets)


def test_other_images_are_a_sentence():
    fewer = Predictions(IMAGES[1:], CHAMPION.test.boxes, CHAMPION.test.detections)
    with pytest.raises(EvaluationError, match="different images of test"):
        gate_each(CHAMPION, replace(CHAMPION, test=fewer), ["bike"])


def each(challenger, targets):
    return [found.verdict for found in gate_each(CHAMPION, challenger, targets).values()]


def test_what_is_lifted_is_pushed_and_the_rest_is_left_out(tmp_path):
    verdict = joined(each(model(bike=50, motobike=19), ["motobike", "bike"]))
    assert (verdict.verdict, verdict.targets) == (PUSH, ("bike", "motobike"))
    assert verdict.left_out == ("motobike",)
    # The classes are as production would see them.
    statuses = {label: found.status for label, found in verdict.classes.items()}
    assert statuses == {"bike": LIFTED, "car": UNCHANGED, "motobike": UNCHANGED}
    assert [row.label for row in verdict.rows() if row.is_target] == ["bike", "motobike"]
    first, second, third = re.split(r"(?<=\.) (?=[A-Z])", verdict.sentence)
    assert first.startswith("Push: class bike is lifted")
    assert second.startswith("Refused: class motobike is not lifted")
    assert third == "Left out of what is pushed: class motobike."
    assert any("motobike" in reason for reason in verdict.reasons)

    jsonschema.validate(verdict.to_json(), json.loads(SCHEMA.read_text()))
    verdict.write(tmp_path)
    assert Verdict.read(tmp_path) == verdict
    shown = to_text(render_verdict(verdict))
    assert "Class motobike: recall 0.333 as deployed" in shown
    assert shown.endswith("Left out of what is pushed: class motobike.")


def test_all_that_are_lifted_are_pushed_together():
    verdict = joined(each(model(bike=50, motobike=51), ["motobike", "bike"]))
    assert (verdict.verdict, verdict.target, verdict.left_out) == (PUSH, "motobike", ())
    assert [verdict.classes[c].status for c in verdict.targets] == [LIFTED, LIFTED]


def test_where_none_is_lifted_nothing_is_pushed():
    verdict = joined(each(model(bike=20, motobike=19), ["bike", "motobike"]))
    assert (verdict.verdict, verdict.left_out) == (REFUSE, ())
    doubt = replace(SOME, verdict="inconclusive")
    assert joined([doubt, replace(doubt, verdict=REFUSE, target="x")]).target == "x"
    assert joined([doubt, replace(doubt, target="x")]).target == doubt.target


def test_the_thresholds_that_are_carried_are_checked_for_all():
    """Each target is judged at its own, and all others at those of the champion."""
    challenger, at_half = model(bike=50, motobike=50), dict.fromkeys(PLACES, 0.5)
    carried = {**at_half, "bike": 0.9, "motobike": 0.9}
    found = gate_each(
        CHAMPION,
        challenger,
        ["bike", "motobike"],
        champion_thresholds=at_half,
        challenger_thresholds=carried,
    )
    served = [gated.comparison.served for gated in found.values()]
    assert served == [{**at_half, "bike": 0.9}, {**at_half, "motobike": 0.9}]
    whole = joined([gated.verdict for gated in found.values()])
    assert {c: r.served.threshold.after for c, r in whole.classes.items()} == carried
    with pytest.raises(EvaluationError, match="other operating points"):
        gate_each(
            CHAMPION,
            challenger,
            ["bike", "motobike"],
            champion_thresholds=at_half,
            challenger_thresholds={**carried, "motobike": 0.3},
        )
