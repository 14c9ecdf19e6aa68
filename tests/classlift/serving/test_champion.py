"""Which model is the champion, and what stops a run that has none that is whole."""

import shutil
from pathlib import Path

import pytest

from classlift.data.label_map import LabelMap
from classlift.errors import ModelError
from classlift.serving.champion import resolve_champion
from classlift.serving.folder import served_versions
from classlift.serving.manifest import MANIFEST, Manifest
from tests.classlift.serving.test_folder import serve

pytestmark = pytest.mark.pipeline  # it imports TensorFlow
LABELS = "item { id: 1 name: 'car' }"


def resolve(folder: Path, labels: str = LABELS) -> str:
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "label_map.pbtxt").write_text(labels)
    return resolve_champion(folder / "served", folder / "model", "od_api", {}, folder / "out")


def test_nothing_is_served_yet(tmp_path):
    assert served_versions(tmp_path / "none") == []


def test_the_champion_is_what_is_served(tmp_path):
    serve(tmp_path / "served", 9, 10, "0000200", "tmp")
    (tmp_path / "served" / "11").mkdir()  # a copy that has not finished
    assert resolve(tmp_path) == "version 10"
    assert (tmp_path / "out" / "saved_model.pb").read_text() == "model 10"


def test_thresholds_that_are_not_known_are_said(tmp_path, caplog):
    serve(tmp_path / "served", "9")
    version = tmp_path / "served" / "9"
    (version / "assets.extra" / "operating_points.json").unlink()
    Manifest.of(version).write(version)
    resolve_champion(tmp_path / "served", tmp_path / "none", "od_api", {}, tmp_path / "out")
    assert any("thresholds are not known" in s and "0.5 is assumed" in s for s in caplog.messages)


@pytest.mark.parametrize("where", ["served", "pretrained"])
def test_wrong_thresholds_stop_before_any_work(tmp_path, where):
    """Before the pre-trained model, which is none here, would be loaded."""
    entry = tmp_path / "pretrained"
    if where == "served":
        serve(tmp_path / "served", "9")
        entry = tmp_path / "served" / "9" / "assets.extra"
    entry.mkdir(parents=True, exist_ok=True)
    (entry / "label_map.pbtxt").write_text('item { id: 1 name: "car" }')
    (entry / "operating_points.json").write_text('{"car": NaN}')
    if where == "served":  # it was pushed like this
        Manifest.of(entry.parent).write(entry.parent)
    with pytest.raises(ModelError, match=r"operating_points.json: the score threshold of class"):
        resolve_champion(
            tmp_path / "served", tmp_path / "pretrained", "od_api", {}, tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_a_missing_pre_trained_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none: there is no such folder; check `model.path`"):
        resolve_champion(tmp_path / "served", tmp_path / "none", "od_api", {}, tmp_path / "out")


@pytest.mark.parametrize(
    ("names", "ids", "sentence"),
    [
        (("bus", "car"), (1, 2), "id 1 is 'bus' in model.path and 'car' in version 10, which is"),
        (("car", "bus"), (1, 3), "id 2 is no class in model.path and 'bus' in version 10"),
        (("car", "bus", "tram"), (1, 2, 3), "id 3 is 'tram' in model.path and no class in version"),
    ],
)
def test_other_classes_than_those_served_are_refused(tmp_path, names, ids, sentence):
    serve(tmp_path / "served", 10)
    version = tmp_path / "served" / "10"
    LabelMap(("car", "bus")).write(version / "assets.extra" / "label_map.pbtxt")
    (version / "assets.extra" / "operating_points.json").write_text('{"car": 0.5, "bus": 0.5}')
    Manifest.of(version).write(version)
    (tmp_path / "model").mkdir()
    arguments = tmp_path / "served", tmp_path / "model", "od_api", {}, tmp_path / "out"
    LabelMap(names, ids).write(tmp_path / "model" / "label_map.pbtxt")
    with pytest.raises(ModelError, match=sentence):
        resolve_champion(*arguments)
    assert not (tmp_path / "out").exists()
    LabelMap(("car", "bus"), (1, 2), ("c", "b")).write(tmp_path / "model" / "label_map.pbtxt")
    assert resolve_champion(*arguments) == "version 10"


def cut(name: str):
    def harm(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return harm


@pytest.mark.parametrize("with_manifest", [True, False])
@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (cut("saved_model.pb"), r"saved_model.pb has .* bytes of|Cannot parse file"),
        (
            cut("variables/variables.data-00000-of-00001"),
            r"variables.data.*bytes of|Read less bytes",
        ),
        (
            lambda folder: shutil.rmtree(folder / "variables"),
            r"is missing|Failed to find any matching files",
        ),
    ],
)
def test_a_damaged_champion_is_named_with_the_way_out(
    tmp_path, saved_model, harm, found, with_manifest
):
    """As a push leaves it that an earlier release could not finish; or a disk, later."""
    serve(tmp_path / "served", 9)
    version = tmp_path / "served" / "10"
    shutil.copytree(saved_model, version)
    shutil.copytree(tmp_path / "served" / "9" / "assets.extra", version / "assets.extra")
    (version / MANIFEST).unlink()
    if with_manifest:
        Manifest.of(version).write(version)
    harm(version)
    words = (
        rf"served: version 10 is damaged \(.*(?:{found}).*\); roll back to version 9 \(`classlift"
    )
    with pytest.raises(ModelError, match=words):
        resolve(tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_version_from_before_there_were_manifests_is_loaded(tmp_path, saved_model):
    serve(tmp_path / "served", 9)
    shutil.copytree(saved_model, tmp_path / "served" / "9", dirs_exist_ok=True)
    (tmp_path / "served" / "9" / MANIFEST).unlink()
    assert resolve(tmp_path) == "version 9"
