import json
from dataclasses import replace

import pytest

from classlift.errors import EvaluationError
from classlift.gate.class_evidence import ClassEvidence
from classlift.gate.rules import RULES, judge
from classlift.gate.verdict import ABOUT, EqualPrecision, Served
from classlift.metrics.change import Change, Measure, Pair
from classlift.settings.gate import GateSettings
from tests.classlift.gate.verdicts import verdict_on

pytestmark = pytest.mark.unit
SETTINGS = GateSettings(precision=0.8, precision_tolerance=0.1, min_lift=0.05, max_drop=0.05)


def evidence(label="other", change=0.0, lower=-0.02, p_worse=0.5, **parts):
    values = {
        "label": label,
        "objects": 300,
        "champion_recall": 0.6,
        "challenger_recall": 0.6 + change,
        "challenger_recall_upper": 0.63 + change,
        "recall": Change(change, lower, change + 0.02, 0.01, p_worse, 0.03),
        "unchanged": False,
        "champion_precision": 0.8,
        "precision": 0.8,
        "precision_lower": 0.76,
        "precision_upper": 0.84,
        "precision_change": None,
        "detections_needed": None,
        "champion_ap50": 0.7,
        "challenger_ap50": 0.8,
        "ap50": steady(0.1),
        "boxes": Measure(0.8, 0.8, replace(steady(0.0), lower_bound=-0.01)),
        "gained": 40,
        "lost": 0,
        "read_at": Pair(0.4, 0.4),
        "served": Served(Pair(0.4, 0.4), Pair(0.6, 0.6 + change), Pair(20, 20)),
        **parts,
    }
    return ClassEvidence(**values)


def steady(change: float) -> Change:
    """A change that is known well and is no fall."""
    return Change(change, change - 0.02, change + 0.02, 0.01, 0.5, 0.03)


LIFTED = evidence("target", change=0.3, lower=0.25, p_worse=1.0)
UNCERTAIN = {"change": 0.01, "lower": -0.2}
FELL = Change(-0.1, -0.13, -0.08, 0.01, 1e-4, 0.03)
HOLE = "eval has no object of class other"


@pytest.mark.parametrize(
    ("target", "others", "verdict", "words"),
    [
        # the plain good case
        (LIFTED, [evidence()], "push", "target is lifted"),
        # a class of three objects whose outputs are the same bits needs no statistics
        (LIFTED, [evidence(**UNCERTAIN, objects=3, unchanged=True)], "push", "unchanged"),
        # too little lift, though certain
        (evidence("target", 0.04, 0.02), [evidence()], "refuse", "not lifted"),
        # lift enough, but only bought: the ranking got worse
        (evidence("target", 0.3, 0.25, challenger_ap50=0.6), [evidence()], "refuse", "AP50 fell"),
        # lift enough, but the bound says it may be chance
        (evidence("target", 0.1, -0.01), [evidence()], "inconclusive", "may be lifted"),
        # another class fell, provably
        (LIFTED, [evidence(change=-0.1, lower=-0.13, p_worse=1e-4)], "refuse", "regressed"),
        # another class fell by less than max_drop, provably: a fall is a fall
        (LIFTED, [evidence(change=-0.03, lower=-0.04, p_worse=1e-4)], "refuse", "regressed"),
        # another class can't be judged
        (LIFTED, [evidence(**UNCERTAIN)], "inconclusive", "about 3375 more labelled objects"),
        # of so few objects no number is said
        (
            LIFTED,
            [evidence(change=0.6, lower=-0.2, objects=5)],
            "inconclusive",
            "so few can't tell",
        ),
        # its drop is already too large, though not proven: more labels won't settle it
        (LIFTED, [evidence(change=-0.06, lower=-0.2)], "inconclusive", "itself that large"),
        # no object of a class in a split: a hole, which is named
        (LIFTED, [evidence(hole=HOLE)], "inconclusive", "not read, for eval has no object"),
        # which does no harm where nothing changed
        (LIFTED, [evidence(hole=HOLE, unchanged=True)], "push", "unchanged"),
        # and hides no fall of AP50
        (LIFTED, [evidence(hole=HOLE, ap50=FELL)], "refuse", "its AP50 fell from 0.700 to 0.800"),
        # precision lost, provably
        (
            LIFTED,
            [evidence(precision=0.6, precision_lower=0.55, precision_upper=0.65)],
            "refuse",
            "lost its precision",
        ),
        # precision perhaps lost
        (
            LIFTED,
            [evidence(precision=0.69, precision_lower=0.64, precision_upper=0.74)],
            "inconclusive",
            "may have lost",
        ),
        # precision within the tolerance
        (LIFTED, [evidence(precision=0.77, precision_lower=0.72)], "push", "not worse"),
        # measured within the tolerance, but its bound is not: more detections would tell
        (
            LIFTED,
            [evidence(precision=0.75, precision_lower=0.67, detections_needed=90)],
            "inconclusive",
            "about 90 more detections of it on test would tell",
        ),
        # an unchanged class answers for the champion's precision, not for the challenger's
        (
            LIFTED,
            [evidence(unchanged=True, precision=0.6, precision_lower=0.5, precision_upper=0.65)],
            "push",
            "unchanged",
        ),
        # a refusal outweighs a doubt
        (
            evidence("target", 0.0, -0.02),
            [evidence(**UNCERTAIN)],
            "refuse",
            "not lifted",
        ),
    ],
)
def test_verdict(target, others, verdict, words):
    judgement = judge([target, *others], "target", SETTINGS)
    assert judgement.verdict == verdict
    assert words in " ".join(judgement.reasons)


def compared(change=0.0, lower=-0.02, p_worse=0.5, **parts):
    """A class whose precision is compared too; its recall is the same in both models."""
    change_of_precision = Change(change, lower, change + 0.02, 0.01, p_worse, 0.03)
    values = {
        "precision": 0.8 + change,
        "precision_lower": 0.76 + change,
        "precision_upper": 0.84 + change,
        "precision_change": change_of_precision,
        **parts,
    }
    return evidence(**values)


NAN = float("nan")
LOW = {"precision": 0.6, "precision_lower": 0.55, "precision_upper": 0.65}


@pytest.mark.parametrize(
    ("target", "others", "verdict", "words"),
    [
        # the plain good case
        (LIFTED, [compared()], "push", "to 0.900 at the score threshold 0.4"),
        # another class's precision fell, provably
        (LIFTED, [compared(-0.1, -0.13, 1e-4)], "refuse", "its precision fell from 0.800 to 0.700"),
        # both fell: each has its sentence
        (
            LIFTED,
            [compared(-0.1, -0.13, 1e-4, recall=Change(-0.1, -0.13, -0.08, 0.01, 1e-4, 0.03))],
            "refuse",
            "alpha 0.20), and its precision",
        ),
        # its drop can't be ruled out
        (LIFTED, [compared(-0.01, -0.08)], "inconclusive", "the change of its precision is -0.010"),
        # it rules the drop out, and with it recall is the lowest bound
        (LIFTED, [compared(0.1, 0.08)], "push", "that of class other's recall, -0.020"),
        # it was low before, and stays so: what is compared is the change
        (LIFTED, [compared(**LOW, champion_precision=0.6)], "push", "not worse"),
        # the champion detects none of it: nothing to compare with but the precision asked for
        (
            LIFTED,
            [compared(NAN, NAN, NAN, **LOW, champion_precision=NAN)],
            "refuse",
            "lost its precision",
        ),
        # the challenger detects none of it: a matter of recall
        (LIFTED, [compared(NAN, NAN, NAN)], "push", "not worse"),
        # the target answers for the precision asked for
        (
            compared(-0.1, -0.15, 1e-4, label="target", recall=LIFTED.recall),
            [compared()],
            "inconclusive",
            "may have lost its precision",
        ),
        # and not for its change: recall may cost precision down to that
        (
            compared(-0.05, -0.1, 1e-4, label="target", recall=LIFTED.recall),
            [compared()],
            "push",
            "lifted",
        ),
        # the same bits need no statistics
        (LIFTED, [compared(-0.1, -0.13, 1e-4, unchanged=True)], "push", "unchanged"),
    ],
)
def test_a_fixed_score_threshold(target, others, verdict, words):
    judgement = judge([target, *others], "target", replace(SETTINGS, score_threshold=0.4))
    assert judgement.verdict == verdict
    assert words in " ".join(judgement.reasons)


def test_holm_counts_every_test():
    """Two tests a class: p = 0.15 falls alone, and not beside another."""
    fixed = replace(SETTINGS, score_threshold=0.4)
    assert judge([LIFTED, evidence(p_worse=0.15)], "target", fixed).verdict == "refuse"
    beside = compared(recall=replace(LIFTED.recall, change=0.0, lower_bound=-0.02, p_worse=0.15))
    assert judge([LIFTED, beside], "target", fixed).verdict == "push"


@pytest.mark.parametrize(
    ("others", "floors", "verdict", "words"),
    [
        # recalls are 0.9 for the target and 0.6 for the other, which may be up to 0.63
        ([evidence()], {"target": 0.89, "other": 0.5}, "push", "not worse"),
        # below, provably
        ([evidence()], {"other": 0.64}, "refuse", "other is below its floor of 0.64"),
        ([evidence()], {"target": 0.95}, "refuse", "recall is 0.900, at most 0.930"),
        # below, perhaps
        ([evidence()], {"other": 0.62}, "inconclusive", "can't tell whether it is below its floor"),
        # below, but left alone
        ([evidence(unchanged=True)], {"other": 0.9}, "push", "as before, for it is unchanged"),
        # nothing is known of it, with or without a floor
        (
            [evidence(objects=0, challenger_recall=float("nan"), hole=HOLE)],
            {"other": 0.5},
            "inconclusive",
            "not read",
        ),
    ],
)
def test_recall_floors(others, floors, verdict, words):
    judgement = judge([LIFTED, *others], "target", replace(SETTINGS, recall_floors=floors))
    assert judgement.verdict == verdict
    assert words in " ".join(judgement.reasons)


def test_holm_protects_the_many():
    """p = 0.05 in one of nine classes is no regression at a family-wise alpha of 0.20."""
    others = [evidence(str(i), p_worse=0.05 if i == 0 else 0.9) for i in range(9)]
    assert judge([LIFTED, *others], "target", SETTINGS).verdict == "push"
    alone = judge([LIFTED, evidence("0", p_worse=0.05)], "target", SETTINGS)
    assert alone.verdict == "refuse"


@pytest.mark.parametrize("present", [[], [evidence("target", objects=0)]])
def test_a_target_without_evidence_is_an_error(present):
    with pytest.raises(EvaluationError, match="no object of class target"):
        judge([*present, evidence()], "target", SETTINGS)


def test_json_has_no_nan():
    nan = float("nan")
    empty = evidence(
        objects=0, precision=nan, champion_recall=nan, hole=HOLE, read_at=Pair(0.4, float("inf"))
    )
    classes = [LIFTED, empty]
    equal = EqualPrecision(nan, nan, nan, nan)
    document = verdict_on(classes, settings=SETTINGS, at_equal_precision=equal).to_json()
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text)["classes"]["other"]["champion_recall"] is None
    assert document["at_equal_precision"]["change"] is None
    assert document["version"] == 2
    assert document["pushed"] is None


def test_every_rule_is_named_in_words():
    assert set(ABOUT) == {*(rule.__name__ for rule in RULES), ""}


@pytest.mark.parametrize(
    ("others", "begins", "ends"),
    [
        # one reason
        ([evidence(change=-0.1, lower=-0.13, p_worse=1e-4)], "Refused: class other regressed", "."),
        # several
        (
            [evidence(hole=HOLE), evidence("more", **UNCERTAIN)],
            "Inconclusive: class other is not read",
            "(the first of 2 reasons).",
        ),
        # of a push, what was found of the target
        ([evidence()], "Push: class target is lifted", "bound above 0)."),
    ],
)
def test_one_sentence_decides(others, begins, ends):
    verdict = verdict_on([LIFTED, *others])
    assert verdict.sentence.startswith(begins)
    assert verdict.sentence.endswith(ends)
    assert {*verdict.further, verdict.deciding[0]} == set(verdict.findings)


@pytest.mark.parametrize(
    ("recall", "lower", "verdict", "words"),
    [
        (0.80, 0.70, "push", "Class 8 is new: the champion did not know it, and its recall is 0.8"),
        (0.60, 0.45, "inconclusive", "Class 8 may be found too seldom: the champion did not know"),
        (0.40, 0.35, "refuse", "Class 8 is found too seldom: the champion did not know it"),
    ],
)
def test_a_new_class_is_asked_for_a_recall(recall, lower, verdict, words):
    own = evidence("8", recall, lower, champion_recall=0.0, challenger_recall=recall)
    found = judge([own, evidence()], "8", GateSettings(), is_new=True)
    assert found.verdict == verdict
    assert any(reason.startswith(words) for reason in found.reasons), found.reasons
    known = judge([own, evidence()], "8", GateSettings())
    assert known.verdict == "push"  # of a class that was known, a lift is asked
    assert not any("did not know" in reason for reason in known.reasons)
