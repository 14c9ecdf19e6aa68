import pytest

from components.champion_resolver.champion import resolve_champion
from components.dataset.label_map import LabelMap
from components.errors import ModelError
from components.serving_folder import served_versions

pytestmark = pytest.mark.pipeline  # it imports TensorFlow


def serve(folder, *versions):
    for version in versions:
        (folder / version).mkdir(parents=True)
        (folder / version / "saved_model.pb").write_text(version)


def test_versions_are_ordered_as_numbers(tmp_path):
    serve(tmp_path, "9", "10", "tmp")
    (tmp_path / "11").mkdir()  # a copy that has not finished
    assert served_versions(tmp_path) == [9, 10]


def test_nothing_is_served_yet(tmp_path):
    assert served_versions(tmp_path / "none") == []


def test_the_champion_is_what_is_served(tmp_path):
    serve(tmp_path / "served", "9", "10")
    name = resolve_champion(
        tmp_path / "served", tmp_path / "none", "od_api", tmp_path / "out", lambda _: None
    )
    assert name == "version 10"
    assert (tmp_path / "out" / "saved_model.pb").read_text() == "10"


def test_thresholds_that_are_not_known_are_said(tmp_path):
    serve(tmp_path / "served", "9")
    said = []
    resolve_champion(
        tmp_path / "served", tmp_path / "none", "od_api", tmp_path / "out", said.append
    )
    assert any("thresholds are not known" in s and "0.5 is assumed" in s for s in said)


@pytest.mark.parametrize("where", ["served", "pretrained"])
def test_wrong_thresholds_stop_before_any_work(tmp_path, where):
    """Before the pre-trained model, which is none here, would be loaded."""
    entry = tmp_path / "pretrained"
    if where == "served":
        serve(tmp_path / "served", "9")
        entry = tmp_path / "served" / "9" / "assets.extra"
    entry.mkdir(parents=True)
    (entry / "label_map.pbtxt").write_text('item { id: 1 name: "car" }')
    (entry / "operating_points.json").write_text('{"car": NaN}')
    with pytest.raises(ModelError, match=r"operating_points.json: the score threshold of class"):
        resolve_champion(
            tmp_path / "served", tmp_path / "pretrained", "od_api", tmp_path / "out", lambda _: None
        )
    assert not (tmp_path / "out").exists()


def test_a_missing_pre_trained_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none: there is no such folder; check `model.path`"):
        resolve_champion(
            tmp_path / "served", tmp_path / "none", "od_api", tmp_path / "out", lambda _: None
        )


@pytest.mark.parametrize(
    ("names", "ids", "sentence"),
    [
        (("bus", "car"), (1, 2), "id 1 is 'bus' in model.path and 'car' in version 10, which is"),
        (("car", "bus"), (1, 3), "id 2 is no class in model.path and 'bus' in version 10"),
        (("car", "bus", "tram"), (1, 2, 3), "id 3 is 'tram' in model.path and no class in version"),
    ],
)
def test_other_classes_than_those_served_are_refused(tmp_path, names, ids, sentence):
    serve(tmp_path / "served", "10")
    own = tmp_path / "served" / "10" / "assets.extra"
    for folder in (own, tmp_path / "model"):
        folder.mkdir()
    LabelMap(("car", "bus")).write(own / "label_map.pbtxt")
    arguments = tmp_path / "served", tmp_path / "model", "od_api", tmp_path / "out", lambda _: None
    LabelMap(names, ids).write(tmp_path / "model" / "label_map.pbtxt")
    with pytest.raises(ModelError, match=sentence):
        resolve_champion(*arguments)
    assert not (tmp_path / "out").exists()
    LabelMap(("car", "bus"), (1, 2), ("c", "b")).write(tmp_path / "model" / "label_map.pbtxt")
    assert resolve_champion(*arguments) == "version 10"
