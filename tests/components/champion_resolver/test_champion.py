import pytest

from components.champion_resolver.champion import resolve_champion
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


def test_a_missing_pre_trained_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none: there is no such folder; check `model.path`"):
        resolve_champion(
            tmp_path / "served", tmp_path / "none", "od_api", tmp_path / "out", lambda _: None
        )
