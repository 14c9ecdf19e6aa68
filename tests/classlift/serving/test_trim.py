"""What of a challenger is pushed: each class must be answered as by the model that was judged."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classlift.data.label_map import LabelMap
from classlift.data.snapshot import Source, take_snapshot
from classlift.detectors.backends import load_detector
from classlift.detectors.export import Serving
from classlift.errors import ModelError
from classlift.gate.push import Origin, push
from classlift.metrics.change import Pair
from classlift.serving import trim
from classlift.serving.bundle import Bundle
from classlift.serving.folder import champion_name
from classlift.serving.manifest import Manifest
from classlift.serving.places import ServingFolder
from classlift.serving.provenance import Provenance
from classlift.serving.shipment import Shipment, leave_out
from classlift.serving.write import import_entry, write_bundle
from classlift.settings.freeze import BRANCH_PARTS, TARGET_BRANCH, TARGET_BRANCH_NECK
from classlift.settings.recipe import Recipe
from demo import scenes
from tests.classlift.conftest import DEMO_MODEL
from tests.classlift.gate.test_rules import evidence
from tests.classlift.gate.verdicts import verdict_on

pytestmark = pytest.mark.pipeline
CAR, BUS, TRAM = (
    [1, 0.9, 0, 0, 1, 1],
    [2, 0.8, 0, 0, 0.5, 0.5],
    [3, 0.7, 0.1, 0.1, 0.5, 0.5],
)
SHIPMENT = Shipment("champion", "challenger", "od_api", ["bus"], {}, [""], "made")


def answers(**rows):
    """What each of the three models answers for one image."""
    return lambda folder, images: [np.array(rows[Path(folder).name], np.float32)]


@pytest.fixture
def bundle(tmp_path):
    made = Bundle(tmp_path / "made")
    made.entry.mkdir(parents=True)
    LabelMap(("car", "bus", "tram")).write(made.entry / "label_map.pbtxt")
    return made


def moved(row):
    return [*row[:2], 0.25, *row[3:]]


def test_the_targets_are_the_challengers_and_all_else_the_champions(bundle, monkeypatch):
    answered = {
        "champion": [CAR, moved(BUS), TRAM],
        "challenger": [CAR, BUS, moved(TRAM)],
        "made": [TRAM, CAR, BUS],
    }
    monkeypatch.setattr(trim, "_answers", answers(**answered))
    trim.require_same_answers(SHIPMENT, bundle)
    for wrong in ([CAR, moved(BUS), TRAM], [CAR, BUS, moved(TRAM)], [CAR, BUS], [CAR, TRAM]):
        monkeypatch.setattr(trim, "_answers", answers(**{**answered, "made": wrong}))
        with pytest.raises(ModelError, match="is answered otherwise than by the model that was"):
            trim.require_same_answers(SHIPMENT, bundle)


def test_what_can_not_be_made_is_a_sentence(tmp_path):
    given = (tmp_path / "champion", tmp_path / "challenger", "od_api", ["bus"], {}, [])
    with pytest.raises(ModelError, match=r"so nothing is pushed: .*no such folder"):
        leave_out(*given, tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.fixture
def models(tmp_path):
    """A champion, and a challenger that answers 8 and 3 otherwise, by branches of two depths; a
    threshold of each moved.
    """
    detector = load_detector("od_api", DEMO_MODEL)
    champion = import_entry(detector, DEMO_MODEL, tmp_path / "champion")
    detector.grow_branches(["8"], BRANCH_PARTS[TARGET_BRANCH_NECK])
    detector.grow_branches(["3", "8"], BRANCH_PARTS[TARGET_BRANCH])
    for name, variable in detector.variables().items():
        if name.startswith("branch/"):
            variable.assign(variable * 1.25)
    challenger = write_bundle(detector, Serving(detector), tmp_path / "challenger")
    points = {**champion.operating_points(), "8": 0.7, "3": 0.6}
    recipe = Recipe(freeze_policy=TARGET_BRANCH_NECK).to_dict()
    challenger.write_notes(points, Provenance(recipe=recipe, targets=("3", "8")))
    return champion, challenger


def verdict_to_push(champion):
    """8 is lifted and 3 is not; the thresholds are those that were judged."""
    before = champion.operating_points()
    found = verdict_on([evidence(label) for label in before], target="8")
    after = {**before, "8": 0.7}
    classes = {
        label: replace(row, served=replace(row.served, threshold=Pair(before[label], point)))
        for (label, point), row in zip(after.items(), found.classes.values(), strict=True)
    }
    given = {"champion": champion_name([], DEMO_MODEL), "classes": classes, "findings": ()}
    three = replace(found, target="3", verdict="refuse", run=None, **given)
    return replace(found, verdict="push", beside=(three,), **given)


def test_a_push_serves_what_is_lifted_and_leaves_out_the_rest(models, tmp_path):
    champion, challenger = models
    scenes.write_split(scenes.EVAL, tmp_path / "scenes", 3)
    source = Source(tmp_path / "scenes" / "annotations.json", "eval")
    take_snapshot([source]).write(tmp_path / "snapshot")
    (tmp_path / "evaluation").mkdir()
    verdict_to_push(champion).write(tmp_path / "evaluation")
    (tmp_path / "evaluation" / "report.html").touch()

    def served(challenger):
        return push(
            challenger.saved_model,
            tmp_path / "evaluation",
            ServingFolder(tmp_path / "served"),
            DEMO_MODEL,
            "one",
            None,
            Manifest.of(challenger.saved_model).digest(),
            Origin(champion.saved_model, "od_api", tmp_path / "snapshot"),
        )

    version = served(challenger)
    pushed = Bundle(version)
    assert load_detector("od_api", pushed.entry).branches() == ("8",)
    assert pushed.operating_points() == {**champion.operating_points(), "8": 0.7}
    assert pushed.provenance() == replace(challenger.provenance(), targets=("8",))
    assert served(challenger) == version  # killed before it could say so, it is not pushed twice
