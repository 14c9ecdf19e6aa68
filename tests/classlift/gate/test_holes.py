"""What production sees of a push, and what the gate can't read: whole comparisons of two models."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow.compute as pc
import pytest

from classlift.data.predictions import Predictions
from classlift.errors import EvaluationError
from classlift.gate.evidence import Comparison, ModelPredictions, compare
from classlift.gate.rules import Judgement, judge
from classlift.gate.verdict import EqualPrecision, TargetRecall
from classlift.metrics import resampling, statistics
from classlift.settings.gate import GateSettings
from tests.classlift.conftest import boxes_table, detections_table
from tests.classlift.gate.verdicts import verdict_on

pytestmark = pytest.mark.unit
LABELS = ("bike", "car")
TARGET = "bike"
IMAGES = tuple(f"image {i}" for i in range(150))
PLACES = {"bike": 0.0, "car": 100.0}
SCHEMA = Path(__file__).parents[3] / "docs" / "reference" / "verdict.schema.json"
AT_HALF = dict.fromkeys(LABELS, 0.5)


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    """Bounds are a little rougher, and much sooner there."""
    monkeypatch.setattr(resampling, "RESAMPLES", 200)
    monkeypatch.setattr(statistics, "RESAMPLES", 200)


def predictions(
    split: int,
    qualities: dict[str, float],
    shifts: dict[str, float] | None = None,
    labelled: tuple[str, ...] = LABELS,
    images: tuple[str, ...] = IMAGES,
) -> Predictions:
    """One object of each class in each image, and one detection of nothing beside it.

    qualities: how far the logits of true and false detections are apart, by class; a class that is
    not named is not detected. The same quality gives the same bits. shifts: pixels by which boxes
    of 20 pixels miss their objects, to the right. labelled: the classes that have objects.
    """
    boxes, detections = [], []
    for label, place in PLACES.items():
        rng = np.random.default_rng([split, LABELS.index(label)])
        noise = rng.normal(size=(len(images), 2))
        shift = (shifts or {}).get(label, 0.0)
        for image, (own, other) in zip(images, noise, strict=True):
            if label in labelled:
                boxes.append((image, label, place, 0.0, place + 20, 20.0))
            if label in qualities:
                for logit, left in ((own + qualities[label], place + shift), (other, place + 50)):
                    score = float(1 / (1 + np.exp(-logit)))
                    detections.append((image, label, score, left, 0.0, left + 20, 20.0))
    return Predictions(images, boxes_table(boxes), detections_table(detections))


def model(bike: float, car: float = 2.0, **parts) -> ModelPredictions:
    qualities = {"bike": bike, "car": car}
    return ModelPredictions(*(predictions(split, qualities, **parts) for split in (1, 2)))


def gate(
    champion: ModelPredictions, challenger: ModelPredictions, deployed=None, **settings
) -> tuple[Judgement, Comparison]:
    asked = GateSettings(**settings)
    comparison = compare(champion, challenger, LABELS, TARGET, asked, deployed or AT_HALF)
    return judge(comparison.evidence, TARGET, asked), comparison


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.7, 0.9, 0.999])
def test_an_unchanged_class_keeps_the_threshold_it_is_served_with(threshold):
    judgement, comparison = gate(model(1.0), model(3.0), {"bike": 0.5, "car": threshold})
    assert judgement.verdict == "push", judgement.reasons
    car = comparison.of("car")
    assert judgement.statuses == {"bike": "lifted", "car": "unchanged"}
    assert car.served.threshold == (threshold, threshold)
    assert car.served.recall[0] == car.served.recall[1] == car.challenger_recall
    assert car.served.false_alarms[0] == car.served.false_alarms[1]
    assert comparison.served["car"] == threshold


@pytest.mark.parametrize(
    ("deployed", "status", "words"),
    [
        # the precision asked for costs recall that production has
        (0.2, "regressed", "its recall as production sees it fell from 1.000 to 0.947"),
        # it gives recall, at a price in false alarms that is told
        (0.9, "not worse", "class car from 0.900 to"),
    ],
)
def test_matched_thresholds_move_an_unchanged_class_and_say_so(deployed, status, words):
    points = {"bike": 0.5, "car": deployed}
    judgement, comparison = gate(model(1.0), model(3.0), points, thresholds="matched")
    assert judgement.statuses["car"] == status
    assert judgement.verdict == ("refuse" if status == "regressed" else "push")
    assert words in " ".join(judgement.reasons)
    car = comparison.of("car")
    assert car.served.threshold.before == deployed != car.served.threshold.after
    said = f"its false alarms from {car.served.false_alarms.before}"
    assert said in " ".join(judgement.reasons)
    assert "classes are unchanged" not in " ".join(judgement.reasons)


def test_a_changed_class_is_as_precise_as_in_production():
    """Its detections changed: the lowest threshold with the champion's precision as deployed."""
    judgement, comparison = gate(model(1.0), model(3.0, car=3.0), {"bike": 0.5, "car": 0.7})
    car = comparison.of("car")
    assert judgement.verdict == "push", judgement.reasons
    assert judgement.statuses["car"] == "not worse"
    assert car.read_at.before == car.served.threshold.before == 0.7
    assert car.read_at.after == car.served.threshold.after != 0.7
    assert car.challenger_recall > car.champion_recall
    assert car.precision == pytest.approx(car.champion_precision, abs=0.06)


def test_a_class_that_got_worse_is_refused():
    judgement, _ = gate(model(1.0), model(3.0, car=1.0), {"bike": 0.5, "car": 0.7})
    assert judgement.verdict == "refuse"
    assert judgement.statuses["car"] == "regressed"


def without(found: ModelPredictions, split: str, label: str) -> ModelPredictions:
    """A model's predictions where a split has no object of a class."""
    number = {"eval": 1, "test": 2}[split]
    labelled = tuple(c for c in LABELS if c != label)
    kept = getattr(found, split)
    bare = predictions(number, {}, labelled=labelled)
    parts = {"eval": found.eval, "test": found.test}
    parts[split] = Predictions(kept.image_ids, bare.boxes, kept.detections)
    return ModelPredictions(**parts)


@pytest.mark.parametrize(
    ("challenger", "split", "settings", "verdict", "words"),
    [
        # the class may have changed, and eval can't say where to read it
        (model(3.0, car=2.1), "eval", {}, "inconclusive", "eval has no object of class car"),
        (
            model(3.0, car=2.1),
            "eval",
            {"thresholds": "matched"},
            "inconclusive",
            "eval has no object of class car",
        ),
        # nor test
        (model(3.0, car=2.1), "test", {}, "inconclusive", "test has no object of class car"),
        # it fell on test, which its average precision tells
        (model(3.0, car=0.5), "eval", {}, "refuse", "Class car regressed: its"),
        # it is the same, to the bit: nothing needs to be read
        (model(3.0), "eval", {}, "push", "1 of the 1 other classes are unchanged"),
        (model(3.0), "test", {}, "push", "1 of the 1 other classes are unchanged"),
    ],
)
def test_a_class_that_can_not_be_read_is_named(challenger, split, settings, verdict, words):
    both = (without(found, split, "car") for found in (model(1.0), challenger))
    judgement, comparison = gate(*both, {"bike": 0.5, "car": 0.6}, **settings)
    assert judgement.verdict == verdict, judgement.reasons
    assert words in " ".join(judgement.reasons)
    if split == "eval":
        assert comparison.served["car"] == 0.6  # what production has, and never 1.0


def test_a_class_that_was_lost_is_refused_though_eval_does_not_show_it():
    """On eval neither model detects the class, so there it is the same, to the bit."""
    silent = predictions(1, {"bike": 1.0}, labelled=("bike",))
    better = predictions(1, {"bike": 3.0}, labelled=("bike",))
    champion = ModelPredictions(silent, predictions(2, {"bike": 1.0, "car": 3.0}))
    challenger = ModelPredictions(better, predictions(2, {"bike": 3.0}))
    for thresholds in ("keep", "matched"):
        judgement, comparison = gate(champion, challenger, thresholds=thresholds)
        assert judgement.verdict == "refuse"
        assert "eval has no object of class car" in " ".join(judgement.reasons)
        assert comparison.served["car"] == 0.5


@pytest.mark.parametrize("thresholds", ["keep", "matched"])
def test_a_precision_that_is_not_reached_leaves_a_class_unread(thresholds):
    """The challenger ranks false cars above true ones: it is never as precise."""
    champion, challenger = model(1.0), model(3.0, car=-9.0)
    judgement, comparison = gate(champion, challenger, thresholds=thresholds)
    assert "at no threshold has the challenger a precision of" in " ".join(judgement.reasons)
    assert judgement.verdict == "refuse"  # for AP50 fell, too
    assert comparison.served["car"] == 0.5


def test_a_target_that_is_never_precise_enough_is_not_lifted():
    judgement, comparison = gate(model(1.0), model(-9.0))
    assert judgement.verdict == "refuse"
    assert "Class bike is not lifted: at no threshold has the challenger" in judgement.reasons[0]
    assert comparison.served["bike"] == 0.5


def test_a_champion_that_is_never_precise_enough_is_said():
    judgement, _ = gate(model(-9.0), model(3.0))
    assert judgement.verdict == "push"
    assert "At no threshold has the champion a precision of 0.80" in " ".join(judgement.reasons)


@pytest.mark.parametrize(
    ("shifts", "status", "words"),
    [
        # IoU 0.54: all are found, and hardly where they are
        ({"bike": 6.0}, {"car": "unchanged"}, "The boxes of class bike fit worse"),
        ({"car": 6.0}, {"bike": "lifted", "car": "regressed"}, "its mean IoU fell from 1.000"),
        # IoU 0.9: seen by the eye
        ({"car": 1.0}, {"bike": "lifted", "car": "regressed"}, "its mean IoU fell from 1.000"),
    ],
)
def test_boxes_that_fit_worse_are_refused(shifts, status, words):
    judgement, _ = gate(model(1.0), model(3.0, shifts=shifts))
    assert judgement.verdict == "refuse"
    assert words in " ".join(judgement.reasons)
    assert status.items() <= judgement.statuses.items()


def test_boxes_that_move_by_less_than_is_seen_are_not():
    judgement, _ = gate(model(1.0), model(3.0, shifts={"car": 0.1}))
    assert judgement.verdict == "push", judgement.reasons
    assert judgement.statuses["car"] == "not worse"


@pytest.mark.parametrize(
    ("objects", "verdict"), [(3, "inconclusive"), (4, "inconclusive"), (12, "push")]
)
def test_a_few_objects_prove_no_lift(objects, verdict):
    """All that the champion missed are found, and nothing else is detected."""
    images = IMAGES[:objects]
    sure = {"bike": 40.0, "car": 40.0}
    champion, challenger = (
        ModelPredictions(*(certain(split, found, images) for split in (1, 2)))
        for found in ({"car": 40.0}, sure)
    )
    judgement, _ = gate(champion, challenger)
    assert judgement.verdict == verdict, judgement.reasons


def certain(split: int, qualities: dict[str, float], images: tuple[str, ...]) -> Predictions:
    """Without the detections of nothing."""
    found = predictions(split, qualities, images=images)
    is_sure = pc.greater(found.detections["score"], 0.99)
    return Predictions(images, found.boxes, found.detections.filter(is_sure))


def test_thresholds_that_were_not_chosen_here_are_an_error():
    served = {"bike": 0.123, "car": 0.5}
    with pytest.raises(EvaluationError, match="carries other operating points"):
        compare(model(1.0), model(3.0), LABELS, TARGET, GateSettings(), AT_HALF, served=served)


def test_a_branch_that_changed_another_class_is_judged_at_its_threshold():
    """`kept`: the recipe says that it can't have; the detections say that it did."""
    kept = frozenset({"car"})
    asked = GateSettings()
    comparison = compare(model(1.0), model(3.0, car=1.0), LABELS, TARGET, asked, AT_HALF, kept=kept)
    judgement = judge(comparison.evidence, TARGET, asked)
    assert comparison.served["car"] == 0.5
    assert judgement.verdict == "refuse"
    assert judgement.statuses["car"] == "regressed"


@pytest.mark.parametrize(
    ("challenger", "settings"),
    [
        (model(3.0), {}),
        (model(3.0, car=1.0), {"thresholds": "matched"}),
        (model(3.0, car=2.1), {"score_threshold": 0.5}),
        (model(-9.0, car=-9.0), {}),
    ],
)
def test_the_document_is_as_its_schema_says(challenger, settings):
    judgement, comparison = gate(model(1.0), challenger, **settings)
    own, on_test = comparison.of(TARGET), comparison.on_test
    document = verdict_on(
        comparison.evidence,
        TARGET,
        GateSettings(**settings),
        judgement,
        recall=TargetRecall(own.served.recall.before, own.champion_recall, None),
        at_equal_precision=EqualPrecision(
            on_test.before, on_test.after, on_test.change.change, on_test.change.lower_bound
        ),
    ).to_json()
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(json.dumps(document, allow_nan=False)), schema)
