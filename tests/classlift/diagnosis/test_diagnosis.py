"""`diagnosis.json`, in a pipeline and outside of one."""

import json
from dataclasses import replace

import pytest

from classlift.diagnosis.causes import (
    ARCHITECTURE,
    FEW,
    IMBALANCE,
    LABELS,
    OVERLAP,
    Cause,
    FewFigures,
    ImbalanceFigures,
    LabelFigures,
    OverlapFigures,
    SizeFigures,
)
from classlift.diagnosis.diagnosis import FILE, Diagnosis
from classlift.diagnosis.probe import Point
from classlift.diagnosis.weakness import Weakness
from classlift.errors import DataError
from classlift.quality.suspicions import Suspicion
from classlift.settings.recipe import Recipe
from tests.classlift.examples.test_rebalanced import REBALANCED

pytestmark = pytest.mark.unit
CURVE = (Point(5, 0.1, 0.8), Point(10, 0.2, 0.4))
DIAGNOSIS = Diagnosis(
    weakness=Weakness(
        target="scooter",
        precision=0.8,
        deployed=0.1,
        recalibrated=0.25,
        others=0.9,
        ap50=0.3,
        causes=(
            Cause(FEW, 0.4, "Few.", FewFigures(20, CURVE, 1.0, 0.3)),
            Cause(IMBALANCE, 0.3, "Rare.", ImbalanceFigures(0.1, 0.5)),
            Cause(LABELS, 0.2, "Doubted.", LabelFigures(3, 1, 0.5, 0.7)),
            Cause(OVERLAP, 0.1, "Alike.", OverlapFigures("car", 0.2)),
            Cause(ARCHITECTURE, 0.0, "Not known.", SizeFigures()),
        ),
    ),
    reasons=("Few examples.",),
    advice="Label more.",
    stop=None,
    recipe=Recipe(class_weights={"scooter": 2.0}, steps=10),
    overridden=("steps",),
    rebalanced=REBALANCED,
    doubts=(Suspicion("missing label", "a", "", "scooter", 0.9, (1.0, 2.0, 3.5, 4.0), ""),),
)
ALONE = replace(
    DIAGNOSIS, stop="Training does not help.", overridden=(), rebalanced=None, doubts=()
)
FIGURES = ["target", "precision", "deployed", "recalibrated", "others", "ap50"]
WORDS = ["causes", "sentences", "reasons", "advice"]


@pytest.mark.parametrize(
    ("diagnosis", "rest"),
    [
        (DIAGNOSIS, ["overridden", "recipe", "rebalancing", "relabel"]),
        (ALONE, ["stop", "recipe"]),
    ],
)
def test_what_is_written_is_read(tmp_path, diagnosis, rest):
    diagnosis.write(tmp_path)
    assert Diagnosis.read(tmp_path) == diagnosis
    document = json.loads((tmp_path / FILE).read_text())
    assert list(document) == [*FIGURES, *WORDS, *rest]
    assert document["sentences"] == diagnosis.weakness.sentences()
    assert document["causes"][0]["figures"] == {
        "objects": 20,
        "curve": [
            {"objects": 5, "recall": 0.1, "error": 0.8},
            {"objects": 10, "recall": 0.2, "error": 0.4},
        ],
        "decay": 1.0,
        "gain_of_twice": 0.3,
    }
    # what was not measured is not there
    assert document["causes"][1]["figures"] == {"share": 0.1, "even_share": 0.5}
    assert document["causes"][4]["figures"] == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"advice": None}, "`advice` is missing or of the wrong type"),
        ({"causes": [{"name": "luck"}]}, r"`causes\[0\].figures` is missing"),
        (
            {"causes": [{"name": "luck", "figures": {}}]},
            r"`causes\[0\].name` is missing or of the wrong type",
        ),
        (
            {"causes": [{"name": FEW, "figures": {"cars": 1}, "score": 0, "sentence": ""}]},
            r"`causes\[0\].figures` is missing or of the wrong type",
        ),
        ({"rebalancing": {"data": 1}}, "`rebalancing.method` is missing or of the wrong type"),
        ({"relabel": [{"box": [1]}]}, r"`relabel\[0\].box` is missing or of the wrong type"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, changes, words):
    (tmp_path / FILE).write_text(json.dumps({**DIAGNOSIS.to_json(), **changes}))
    with pytest.raises(DataError, match=rf"diagnosis.json: it is damaged \({words}"):
        Diagnosis.read(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "7"])
def test_no_json_object(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DataError, match=r"diagnosis.json: it is damaged"):
        Diagnosis.read(tmp_path)


def test_none_at_all(tmp_path):
    with pytest.raises(DataError, match=r"diagnosis.json: it can't be read"):
        Diagnosis.read(tmp_path)
