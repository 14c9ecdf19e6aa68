"""The gate from end to end, without TFX and without a model."""

from pathlib import Path

import pyarrow as pa
import pytest

from classlift.data.schema import BOXES, IMAGES
from classlift.data.snapshot import Snapshot
from classlift.errors import EvaluationError
from classlift.gate import report
from classlift.gate.predictions import THRESHOLDS_ASSUMED, Origin, gate_predictions
from classlift.gate.run import classes_left_alone, run
from classlift.gate.several import gate_each
from classlift.gate.uses import confidence_of_use
from classlift.gate.verdict import read_evaluation
from classlift.serving.bundle import THRESHOLDS_UNKNOWN, Bundle
from classlift.serving.provenance import Provenance
from classlift.settings.gate import GateSettings
from tests.classlift.gate.test_holes import AT_HALF, LABELS, TARGET, fewer_resamples, model
from tests.classlift.gate.test_holes import IMAGES as NAMES
from tests.classlift.gate.test_report import DIAGNOSIS

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures(fewer_resamples.__name__)]
ENTRY = 'item {{ id: {} name: "{}" }}\n'


def bundle(folder: Path, points: dict[str, float] | None, **recipe: object) -> Bundle:
    """A served model without its weights; without a recipe, one that ClassLift did not make."""
    made = Bundle(folder)
    made.entry.mkdir(parents=True)
    names = "".join(ENTRY.format(number, name) for number, name in enumerate(LABELS, 1))
    (made.entry / "label_map.pbtxt").write_text(names)
    if points is not None:
        made.write_notes(points, Provenance(recipe=recipe) if recipe else Provenance())
    return made


@pytest.mark.parametrize(
    ("recipe", "left_alone"),
    [
        # a branch is the target's own: the other classes can't have changed
        ({"freeze_policy": "target-branch"}, {"car"}),
        ({"freeze_policy": "target-branch+neck"}, {"car"}),
        # nothing was trained
        ({"freeze_policy": "none", "recalibrate": True}, {"car"}),
        # any class may have changed
        ({"freeze_policy": "all-but-class-head"}, None),
        ({}, None),
    ],
)
def test_which_classes_a_recipe_leaves_alone(tmp_path, recipe, left_alone):
    assert classes_left_alone(bundle(tmp_path, AT_HALF, **recipe), [TARGET]) == left_alone


def make_snapshot() -> Snapshot:
    rows = [
        {
            **dict.fromkeys(IMAGES.names, ""),
            "image_id": name,
            "sha256": f"{number:064x}",
            "width": 200,
            "height": 200,
            "split": split,
        }
        for split in ("eval", "test")
        for number, name in enumerate(NAMES)
    ]
    images = pa.Table.from_pylist(rows, IMAGES)
    return Snapshot(images, BOXES.empty_table(), pa.table({}), "abc")


@pytest.fixture
def snapshot() -> Snapshot:
    return make_snapshot()


def gated(tmp_path, snapshot, champion, challenger, models, targets=(TARGET,), **settings):
    DIAGNOSIS.write(tmp_path)
    return run(
        champion,
        challenger,
        *models,
        snapshot=snapshot,
        targets=targets,
        settings=GateSettings(**settings),
        origin=Origin("version 1", "abc", "def", "one"),
        use=2,
        diagnosis=tmp_path,
        examples=tmp_path,
        folder=tmp_path / "evaluation",
    )


def test_a_run_with_two_targets_leaves_one_evaluation(tmp_path, snapshot, monkeypatch):
    monkeypatch.setattr(report, "gallery", lambda *_: [])  # there are no images
    models = (model(1.0), model(3.0, car=1.0))
    alone = gate_each(*models, LABELS, champion_thresholds=AT_HALF, left_alone=frozenset())
    chosen = {label: found.comparison.served[label] for label, found in alone.items()}
    champion = bundle(tmp_path / "champion", AT_HALF)
    challenger = bundle(tmp_path / "challenger", chosen, freeze_policy="target-branch")
    verdict = gated(tmp_path, snapshot, champion, challenger, models, targets=LABELS)
    assert read_evaluation(tmp_path / "evaluation") == verdict
    assert (verdict.verdict, verdict.targets, verdict.left_out) == ("push", LABELS, ("car",))
    assert verdict.classes["car"].served.threshold == (0.5, 0.5)  # the champion's
    assert [beside.run for beside in verdict.beside] == [None]
    page = (tmp_path / "evaluation" / "report.html").read_text("utf-8")
    assert "Classes bike, car:" in page
    assert "It is left out of what is pushed." in page
    assert page.count("recall of class car as deployed today") == 1
    assert page.count("<!--outcome-->") == 1


def test_a_run_leaves_a_whole_evaluation(tmp_path, snapshot, monkeypatch):
    """A branch's challenger, whose other class changed all the same: judged where it is served."""
    monkeypatch.setattr(report, "gallery", lambda *_: [])  # there are no images
    models = (model(1.0), model(3.0, car=1.0))
    chosen = gate_predictions(
        *models, TARGET, labels=LABELS, champion_thresholds=AT_HALF, left_alone={"car"}
    ).comparison.served
    assert chosen["car"] == 0.5
    champion = bundle(tmp_path / "champion", None)  # it brings no thresholds
    challenger = bundle(tmp_path / "challenger", chosen, freeze_policy="target-branch")
    verdict = gated(tmp_path, snapshot, champion, challenger, models)
    assert read_evaluation(tmp_path / "evaluation") == verdict
    assert (verdict.verdict, verdict.classes["car"].status) == ("refuse", "regressed")
    assert verdict.classes["car"].served.threshold == (0.5, 0.5)
    assert not verdict.thresholds_known
    assert verdict.reasons[-1] == THRESHOLDS_UNKNOWN
    assert (verdict.test_uses, verdict.confidence) == (2, confidence_of_use(2))
    assert verdict.units.test == "150 images, each its own"
    assert (verdict.champion, verdict.snapshot, verdict.run) == ("version 1", "abc", "one")


def test_a_recalibration_names_where_the_threshold_went(tmp_path, snapshot, monkeypatch):
    monkeypatch.setattr(report, "gallery", lambda *_: [])
    same, moved = model(2.0), {**AT_HALF, TARGET: 0.4}
    champion = bundle(tmp_path / "champion", AT_HALF, freeze_policy="none")
    challenger = bundle(tmp_path / "challenger", moved, recalibrate=True)
    verdict = gated(tmp_path, snapshot, champion, challenger, (same, same))
    assert verdict.recalibrated
    assert verdict.recall.trained is None
    assert "by moving its threshold from 0.500 to 0.400" in verdict.reasons[0]
    assert verdict.thresholds_known


def test_a_fixed_threshold_that_the_champion_does_not_carry_is_noted(
    tmp_path, snapshot, monkeypatch
):
    monkeypatch.setattr(report, "gallery", lambda *_: [])
    models, cut = (model(1.0), model(3.0)), dict.fromkeys(LABELS, 0.6)
    champion = bundle(tmp_path / "champion", AT_HALF, freeze_policy="none")
    challenger = bundle(tmp_path / "challenger", cut, freeze_policy="none")
    verdict = gated(tmp_path, snapshot, champion, challenger, models, score_threshold=0.6)
    assert "carries another threshold for 2 of them" in verdict.reasons[-1]


def test_predictions_alone_are_enough():
    """What a user of the library has: no bundle, no thresholds, no names of classes."""
    verdict, comparison = gate_predictions(model(1.0), model(3.0), TARGET)
    assert verdict.verdict == "push"
    assert tuple(verdict.classes) == LABELS
    assert verdict.reasons[-1] == THRESHOLDS_ASSUMED
    assert verdict.units.eval == "150 images, each its own"
    assert comparison.deployed == AT_HALF


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"target": "tram"}, "No class is called 'tram'; there are: bike, car"),
        ({"target": "bikes"}, r"'bikes' \(did you mean 'bike'\?\); there are: bike, car"),
        ({"champion_thresholds": {"bike": 0.5}}, "Class car has no score threshold"),
    ],
)
def test_what_can_not_be_gated_is_said(parts, words):
    with pytest.raises(EvaluationError, match=words):
        gate_predictions(model(1.0), model(3.0), **{"target": TARGET, **parts})
