from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from classlift.data.label_map import LabelMap
from classlift.data.predictions import Predictions
from classlift.errors import EvaluationError
from classlift.gate.class_evidence import Guarantee
from classlift.gate.evidence import (
    ModelPredictions,
    common_label_map,
    compare,
    require_all,
)
from classlift.gate.rules import judge
from classlift.metrics.change import Pair
from classlift.metrics.thresholds import same_bits
from classlift.settings.gate import GateSettings
from tests.classlift.conftest import boxes_table, detections_table

pytestmark = pytest.mark.unit
LABELS = ("car", "scooter")
IMAGES = tuple(f"image {i}" for i in range(200))
BOX = (0.0, 0.0, 10.0, 10.0)


def predictions(seed: int, quality: float, shout: float = 0.0, cars: int = 1) -> Predictions:
    """One car and one scooter in each image; scooters are found with scores of a given quality.

    quality: how far true and false scores are apart. shout: added to every scooter's logit.
    cars: detections of cars in an image, of which one is true.
    """
    boxes, detections = [], []
    rng = np.random.default_rng(seed)
    for image in IMAGES:
        boxes += [(image, "car", *BOX), (image, "scooter", 20.0, 20.0, 30.0, 30.0)]
        detections += [(image, "car", 0.9, x, 0.0, x + 10, 10.0) for x in range(0, 60 * cars, 60)]
        for logit, place in (
            (rng.normal(quality) + shout, (20.0, 20.0, 30.0, 30.0)),
            (rng.normal(0) + shout, (50.0, 50.0, 60.0, 60.0)),
        ):
            detections.append((image, "scooter", 1 / (1 + np.exp(-logit)), *place))
    return Predictions(IMAGES, boxes_table(boxes), detections_table(detections))


def model(quality: float, shout: float = 0.0, cars: int = 1) -> ModelPredictions:
    return ModelPredictions(*(predictions(seed, quality, shout, cars) for seed in (1, 2)))


def verdict(champion, challenger, **settings):
    gate = GateSettings(**settings)
    comparison = compare(champion, challenger, LABELS, "scooter", gate, dict.fromkeys(LABELS, 0.5))
    return judge(comparison.evidence, "scooter", gate), comparison


def test_a_better_model_is_pushed():
    judgement, comparison = verdict(model(1.0), model(2.5))
    assert judgement.verdict == "push"
    assert judgement.statuses == {"car": "unchanged", "scooter": "lifted"}
    target = comparison.evidence[1]
    assert target.recall.change == pytest.approx(target.challenger_recall - target.champion_recall)
    given = 1.645 * np.sqrt(0.98 * 0.02 / 200)  # at a threshold that were known
    assert target.challenger_recall_upper > target.challenger_recall + given


def test_shouting_is_no_lift():
    """The same ranking with every score of the target raised: found at 0.5, but not better."""
    judgement, comparison = verdict(model(1.0), model(1.0, shout=3.0))
    at_shared_threshold = comparison.challenger.objects["score"].gt(0.5).mean()
    assert at_shared_threshold > 0.9
    assert judgement.verdict == "refuse"
    assert judgement.statuses["scooter"] == "not lifted"


def test_the_same_model_is_refused():
    judgement, _ = verdict(model(1.0), model(1.0))
    assert judgement.verdict == "refuse"


@pytest.mark.parametrize(
    ("champion", "challenger", "expected", "words"),
    [
        # truly better: more is found, and what is found is right
        (model(2.0), model(4.0), "push", "at the score threshold 0.8"),
        # the same
        (model(2.0), model(2.0), "refuse", "a lift of +0.000"),
        # the target shouts: recall rises, and precision with it falls below what is asked
        (model(2.0), model(2.0, shout=2.0), "refuse", "Class scooter lost its precision"),
        # so does another class, which finds what it found before
        (model(2.0), model(4.0, cars=2), "refuse", "its precision fell from 1.000 to 0.500"),
    ],
)
def test_at_a_fixed_score_threshold(champion, challenger, expected, words):
    judgement, comparison = verdict(champion, challenger, score_threshold=0.8)
    assert judgement.verdict == expected
    assert words in " ".join(judgement.reasons)
    assert comparison.champion_points == comparison.challenger_points == dict.fromkeys(LABELS, 0.8)
    for e in comparison.evidence:
        assert e.precision_change.change == pytest.approx(e.precision - e.champion_precision)


@pytest.mark.parametrize(
    ("threshold", "expected", "words"),
    [
        (0.7, "push", "Class scooter is lifted"),  # more is found, with precision enough
        (0.1, "refuse", "Class scooter lost its precision"),  # too low: it shouts
        (0.95, "refuse", "Class scooter is not lifted"),  # hardly moved
    ],
)
def test_recalibration_is_judged_at_the_thresholds_in_production(threshold, expected, words):
    gate = GateSettings()
    champion, deployed = model(2.0), {"car": 0.5, "scooter": 0.955}
    moved = {**deployed, "scooter": threshold}
    comparison = compare(champion, champion, LABELS, "scooter", gate, deployed, moved)
    judgement = judge(comparison.evidence, "scooter", gate)
    assert judgement.verdict == expected
    assert words in " ".join(judgement.reasons)
    assert judgement.statuses["car"] == "unchanged"
    assert comparison.challenger_points == moved


@pytest.mark.parametrize(
    ("challenger", "moved"),
    [
        (model(2.1), {"car": 0.5, "scooter": 0.7}),  # another model
        (model(2.0), {"car": 0.4, "scooter": 0.7}),  # another class's threshold too
    ],
)
def test_recalibration_that_is_more_is_an_error(challenger, moved):
    deployed = {"car": 0.5, "scooter": 0.955}
    with pytest.raises(EvaluationError, match="differs in more than that"):
        compare(model(2.0), challenger, LABELS, "scooter", GateSettings(), deployed, moved)


@pytest.mark.parametrize("names", [("scooter", "car"), ("car",), ("car", "scooter", "tram")])
def test_other_label_maps_are_no_comparison(names):
    ours = LabelMap(LABELS)
    assert common_label_map(ours, LabelMap(LABELS)) == ours
    with pytest.raises(EvaluationError, match="the champion has car, scooter, the challenger"):
        common_label_map(ours, LabelMap(names))


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_never_judged(score):
    found = model(1.0)
    strange = detections_table([(IMAGES[0], "car", score, *BOX)])
    broken = replace(found, test=replace(found.test, detections=strange))
    with pytest.raises(EvaluationError, match=r"Image image 0: .* class car has the score"):
        verdict(found, broken)


def test_missing_images_are_an_error():
    split = [name for name in ("eval", "test") for _ in IMAGES]
    snapshot = pa.table({"image_id": [*IMAGES, *IMAGES], "split": split})
    whole = model(1.0)
    require_all("champion", whole, snapshot)
    short = replace(whole.test, image_ids=IMAGES[:-1])
    with pytest.raises(EvaluationError, match=r"predictions for 199 images of test.*'image 199'"):
        require_all("champion", replace(whole, test=short), snapshot)
    twice = replace(whole.test, image_ids=(*IMAGES, IMAGES[0]))
    with pytest.raises(EvaluationError, match="predictions for 201 images of test"):
        require_all("champion", replace(whole, test=twice), snapshot)


def test_same_bits_sees_the_last_bit():
    row = ("a", "car", np.float32(0.5), *BOX)
    table = detections_table([row, ("a", "scooter", 0.1, *BOX)])
    nudged = detections_table(
        [
            ("a", "car", np.nextafter(np.float32(0.5), np.float32(1)), *BOX),
            ("a", "scooter", 0.9, *BOX),
        ]
    )
    assert same_bits(table, table, "car")
    assert not same_bits(table, nudged, "car")
    assert not same_bits(table, nudged, "scooter")
    assert same_bits(table, nudged, "tram")  # neither finds any


def test_other_images_are_no_comparison():
    champion = model(1.0)
    fewer = Predictions(IMAGES[1:], champion.test.boxes, champion.test.detections)
    with pytest.raises(EvaluationError, match="different images of test"):
        verdict(champion, ModelPredictions(champion.eval, fewer))


def copied(model: ModelPredictions, times: int) -> tuple[ModelPredictions, dict[str, str]]:
    """Each image as often, and the unit of each copy: the image that it is of."""
    units = {f"{image}, copy {n}": image for image in IMAGES for n in range(times)}
    splits = []
    for split in (model.eval, model.test):
        tables = []
        for table in (split.boxes, split.detections):
            place = table.schema.get_field_index("image_id")
            copies = [
                table.set_column(
                    place,
                    "image_id",
                    pa.array([f"{i}, copy {n}" for i in table["image_id"].to_pylist()]),
                )
                for n in range(times)
            ]
            tables.append(pa.concat_tables(copies))
        splits.append(Predictions(tuple(units), *tables))
    return ModelPredictions(*splits), units


def test_copies_of_an_image_prove_no_more_than_it():
    gate, deployed = GateSettings(), dict.fromkeys(LABELS, 0.5)
    models = model(1.0), model(1.6)
    plain = compare(*models, LABELS, "scooter", gate, deployed)
    (champion, units), (challenger, _) = (copied(m, 5) for m in models)
    twins = compare(champion, challenger, LABELS, "scooter", gate, deployed, units=units)
    for one, five in zip(plain.evidence, twins.evidence, strict=True):
        for name in ("change", "lower_bound", "upper_bound", "standard_error", "p_worse"):
            assert getattr(five.recall, name) == pytest.approx(getattr(one.recall, name), abs=1e-9)
        assert five.precision_lower == pytest.approx(one.precision_lower)
    as_images = compare(champion, challenger, LABELS, "scooter", gate, deployed)
    assert as_images.evidence[1].recall.standard_error < plain.evidence[1].recall.standard_error / 2


def test_guaranteed_points_are_for_both_models_and_say_what_they_cost():
    judgement, comparison = verdict(model(2.0), model(3.0), operating_points="guaranteed")
    _, measured = verdict(model(2.0), model(3.0))
    assert judgement.verdict == "push"
    own, plain = comparison.of("scooter"), measured.of("scooter")
    for side in ("champion", "challenger"):
        points = (getattr(c, f"{side}_points")["scooter"] for c in (comparison, measured))
        assert next(points) > next(points)
        assert getattr(own, f"{side}_recall") < getattr(plain, f"{side}_recall")
    assert own.guarantee == Guarantee(Pair(plain.champion_recall, plain.challenger_recall), True)
    assert plain.guarantee is None
    assert comparison.served["scooter"] == comparison.challenger_points["scooter"]
    assert "at guaranteed precision 0.80" in judgement.reasons[0]
    [cost] = [reason for reason in judgement.reasons if "are guaranteed" in reason]
    assert f"would be {plain.challenger_recall:.3f} instead of {own.challenger_recall:.3f}" in cost
    assert f"champion's {plain.champion_recall:.3f} instead of {own.champion_recall:.3f}." in cost


def few(found: ModelPredictions, count: int) -> ModelPredictions:
    """A model's predictions where eval has the first images alone."""
    kept = IMAGES[:count]
    tables = (found.eval.boxes, found.eval.detections)
    part = (t.filter(pc.is_in(t["image_id"], pa.array(kept))) for t in tables)
    return ModelPredictions(Predictions(kept, *part), found.test)


def test_an_eval_too_small_for_a_guarantee_is_no_lift():
    """The challenger can't be read; the champion, at its measured point, is not read as nothing."""
    champion, challenger = few(model(2.0), 9), few(model(4.0), 9)
    judgement, comparison = verdict(champion, challenger, operating_points="guaranteed")
    assert judgement.verdict == "refuse"
    assert "the images of eval guarantee the challenger a precision of 0.80" in judgement.reasons[0]
    assert comparison.served["scooter"] == 0.5  # what production has
    assert comparison.of("scooter").champion_recall > 0
    [cost] = [reason for reason in judgement.reasons if "are guaranteed" in reason]
    assert cost.endswith("for the champion none is guaranteed, so it is read at its measured one.")


def test_a_recalibration_to_a_guaranteed_threshold_says_what_it_costs():
    """The champion is read as production has it, and that has cost nothing."""
    both, gate = model(3.0), GateSettings(operating_points="guaranteed")
    deployed, moved = dict.fromkeys(LABELS, 0.9), {"car": 0.9, "scooter": 0.8}
    comparison = compare(both, both, LABELS, "scooter", gate, deployed, moved)
    judgement = judge(comparison.evidence, "scooter", gate)
    [cost] = [reason for reason in judgement.reasons if "are guaranteed" in reason]
    assert cost.endswith(f"instead of {comparison.of('scooter').challenger_recall:.3f}.")
    assert "champion" not in cost
