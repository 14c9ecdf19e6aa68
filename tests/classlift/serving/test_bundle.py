import json

import pytest

from classlift.errors import ModelError
from classlift.serving.bundle import DEFAULT_THRESHOLD, Bundle, read_operating_points
from classlift.serving.provenance import Provenance

pytestmark = pytest.mark.unit
LABELS = ("car", "scooter")


def bundle(folder) -> Bundle:
    (folder / "assets.extra").mkdir()
    items = "".join(f'item {{ id: {n} name: "{c}" }}\n' for n, c in enumerate(LABELS, 1))
    (folder / "assets.extra" / "label_map.pbtxt").write_text(items)
    return Bundle(folder)


def test_thresholds_are_read_as_they_are(tmp_path):
    found = bundle(tmp_path)
    (found.entry / "operating_points.json").write_text('{"scooter": 1, "car": 0.25}')
    assert found.operating_points() == {"car": 0.25, "scooter": 1.0}
    assert found.brings_operating_points()


def test_a_model_that_brings_none_is_told_apart(tmp_path):
    found = bundle(tmp_path)
    assert found.operating_points() == dict.fromkeys(LABELS, DEFAULT_THRESHOLD)
    assert not found.brings_operating_points()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not valid JSON"),
        ("{", "is not valid JSON"),
        (b"\xff\xfe", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[]", "holds no object of classes"),
        ("0.5", "holds no object of classes"),
        ("null", "holds no object of classes"),
        ("{}", "class 'car' has no score threshold"),
        ('{"car": 0.5}', "class 'scooter' has no score threshold"),
        ('{"car": 0.5, "scooter": 0.5, "tram": 0.5}', "'tram' is no class of the label map"),
        ('{"car": 0.5, "scooter": 0.5, "\\ud800": 0.5}', "\\ud800' is no class"),
        *(
            (f'{{"car": {value}, "scooter": 0.5}}', "threshold of class 'car' is")
            for value in ("NaN", "Infinity", "-1", "-1e-9", "1.01", "8", "1e308", "1e999")
        ),
        *(
            (f'{{"car": {value}, "scooter": 0.5}}', "threshold of class 'car' is")
            for value in ("true", "null", '"0.5"', "[0.5]", "{}", "1" * 4000)
        ),
    ],
)
def test_wrong_thresholds_are_refused_with_a_sentence(tmp_path, text, words):
    path = tmp_path / "operating_points.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelError) as error:
        read_operating_points(path, LABELS)
    assert words in str(error.value)
    assert str(error.value).startswith(str(path))
    assert len(str(error.value)) < 800


def test_a_missing_file_and_a_folder_are_sentences(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ModelError, match="it can't be read"):
            read_operating_points(path, LABELS)


@pytest.mark.parametrize("point", [float("inf"), float("nan"), -0.1, 1.5])
def test_no_threshold_that_is_none_is_written(tmp_path, point):
    found = bundle(tmp_path)
    with pytest.raises(ModelError, match="nothing is written"):
        found.write_notes({"car": 0.5, "scooter": point}, Provenance())
    assert not (found.entry / "operating_points.json").exists()


def test_which_recipes_leave_other_classes(tmp_path):
    found = bundle(tmp_path)
    assert not found.leaves_other_classes()
    for recipe, leaves in (
        ({"freeze_policy": "target-branch"}, True),
        ({"freeze_policy": "none"}, False),
        ({"freeze_policy": "none", "recalibrate": True}, True),
    ):
        found.write_provenance(Provenance(recipe=recipe))
        assert found.leaves_other_classes() == leaves
        assert json.loads((found.entry / "provenance.json").read_text())["recipe"] == recipe
