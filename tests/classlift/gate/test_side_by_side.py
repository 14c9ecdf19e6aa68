"""Two models or two files of COCO results side by side, as `classlift compare` does it."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from classlift import cli
from classlift.data.snapshot import Source, take_snapshot
from classlift.errors import ConfigError
from classlift.gate.side_by_side import compare_models, halved
from classlift.serving.bundle import Bundle
from classlift.settings.gate import GateSettings
from pipelines.commands.compare import _place
from tests.project import ROOT

pytestmark = pytest.mark.unit
RESULTS = ROOT / "docs" / "tutorials" / "data"
LABEL_MAP = 'item { id: 1 name: "car" } item { id: 2 name: "scooter" }'


def compared(monkeypatch, capsys, *words: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["classlift", "compare", *map(str, words)])
    code = cli.main()
    out, err = capsys.readouterr()
    return code, out, err


def results(model: str) -> list[object]:
    return [RESULTS / f"test_{name}.json" for name in ("champion", model)]


def test_coco_results_are_enough(monkeypatch, capsys):
    words = [*results("challenger"), "--data", RESULTS / "test.json", "--target", "scooter"]
    code, out, _ = compared(monkeypatch, capsys, *words)
    assert code == 0
    assert out.startswith("class    objects  before")
    assert "Score thresholds were chosen on one half of the images" in out
    asked = ["--set", "precision_tolerance=0.3", "--json"]
    verdict = json.loads(compared(monkeypatch, capsys, *words, *asked)[1])
    assert verdict["verdict"] == "push"
    assert verdict["settings"]["precision_tolerance"] == 0.3
    assert verdict["classes"]["car"]["status"] == "unchanged"
    assert [verdict["classes"][c]["objects"] for c in ("bike", "car", "scooter")] == [60, 120, 60]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["7", "8"], "7: a served version's number needs --config"),
        (["nowhere", "8"], "nowhere: there is no such file or folder."),
        ([*results("challenger"), "--eval", RESULTS], "--eval is for models"),
        ([RESULTS / "test.json", ROOT / "demo" / "model"], "compare two models, or two files"),
        ([*results("challenger"), "--set", "precision=2"], "Invalid input for param precision: 2"),
        ([*results("challenger"), "--target", "tram"], "No class is called 'tram'"),
    ],
)
def test_what_can_not_be_compared_is_said(monkeypatch, capsys, words, sentence):
    given = ["--data", RESULTS / "test.json", "--target", "scooter"]
    code, out, err = compared(monkeypatch, capsys, *given, *words)
    assert (code, out) == (78, "")
    assert sentence in err


def test_a_folder_with_several_files_of_labels_is_not_guessed_at(monkeypatch, capsys):
    words = [*results("challenger"), "--data", RESULTS, "--target", "scooter"]
    _, _, err = compared(monkeypatch, capsys, *words)
    assert "COCO results need one file of COCO labels; found: " in err


def test_numbers_are_served_versions(tmp_path):
    (tmp_path / "served" / "7" / "assets.extra").mkdir(parents=True)
    with pytest.raises(ConfigError, match="there is no version 8; there are: 7"):
        _place("8", tmp_path / "served")


@pytest.fixture
def streets(coco) -> Path:
    """Twenty images, each with a car that fills it, or with a scooter."""
    annotations = [
        {"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [0, 0, 40, 30]}
        for n in range(1, 21)
    ]
    path = coco(
        images=[
            {"id": n, "file_name": f"images/{n}.jpg", "width": 40, "height": 30}
            for n in range(1, 21)
        ],
        annotations=annotations,
    )
    noise = path.parent / "images"
    for number in range(1, 21):
        Image.effect_noise((40, 30), 20 + 9 * number).convert("RGB").save(noise / f"{number}.jpg")
    return path


def test_each_half_has_its_part_of_each_class(streets):
    split = halved(take_snapshot([Source(streets, "test")]))
    splits = dict(zip(*(split.images[c].to_pylist() for c in ("image_id", "split")), strict=True))
    shown = zip(*(split.boxes[c].to_pylist() for c in ("image_id", "label")), strict=True)
    counts = [(splits[image], label) for image, label in shown]
    assert {pair: counts.count(pair) for pair in sorted(set(counts))} == {
        ("eval", "car"): 5, ("eval", "scooter"): 5, ("test", "car"): 5, ("test", "scooter"): 5,
    }  # fmt: skip


def test_two_saved_models(streets, saved_model, tmp_path):
    """The small model finds one car everywhere: it is as good as itself."""
    model = tmp_path / "model"
    shutil.copytree(saved_model, model)
    bundle = Bundle(model)
    bundle.entry.mkdir()
    (bundle.entry / "label_map.pbtxt").write_text(LABEL_MAP)
    bundle.write_operating_points({"car": 0.4, "scooter": 0.4})
    snapshot = take_snapshot([Source(streets, "test")])
    settings = GateSettings(precision=0.4)
    verdict = compare_models(model, model, snapshot, "car", settings)
    assert verdict.verdict == "refuse"
    assert verdict.champion == str(model)
    assert verdict.classes["car"].champion_recall == 1
    assert verdict.classes["car"].lift == 0
    assert verdict.thresholds_known
    assert verdict.classes["scooter"].status == "unchanged"
