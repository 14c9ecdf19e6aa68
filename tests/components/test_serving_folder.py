"""The numbers of versions: one each, also for pushes at the same time."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from components.dataset.writers import new_folder
from components.errors import ConfigError, ModelError
from components.serving_folder import (
    champion_name,
    next_version,
    served_versions,
    version_folder,
    version_of,
)

pytestmark = pytest.mark.unit
FAR = 99_999_999_999


@pytest.mark.parametrize(
    ("names", "number"),
    [
        ([], None),  # nothing is served yet: the time
        (["7", "tmp"], None),  # the time is later
        ([str(FAR)], FAR + 1),  # a version of a clock that was ahead
        ([f".{FAR}", str(FAR - 1)], FAR + 1),  # somebody is writing FAR
    ],
)
def test_the_next_version_is_above_all_others(tmp_path, names, number):
    for name in names:
        (tmp_path / "served" / name).mkdir(parents=True)
    before = int(time.time())
    with next_version(tmp_path / "served") as folder:
        assert not folder.exists()
        if number is None:
            assert before <= int(folder.name) <= time.time()
        else:
            assert folder.name == str(number)
    assert sorted(p.name for p in (tmp_path / "served").iterdir()) == sorted(names)


def test_pushes_at_once_get_versions_of_their_own(tmp_path):
    pushes = 8
    start = Barrier(pushes)

    def push(text: str) -> None:
        start.wait()
        with next_version(tmp_path) as folder, new_folder(folder) as draft:
            (draft / "saved_model.pb").write_text(text)

    with ThreadPoolExecutor(pushes) as pool:
        list(pool.map(push, map(str, range(pushes))))
    texts = {(folder / "saved_model.pb").read_text() for folder in tmp_path.iterdir()}
    assert texts == set(map(str, range(pushes)))
    assert len(served_versions(tmp_path)) == pushes


def test_a_number_whose_push_failed_is_free_again(tmp_path):
    def push():
        with next_version(tmp_path) as folder, new_folder(folder):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        push()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda path: (path / "of_another").mkdir(parents=True),
        lambda path: path.write_text("a file"),
    ],
)
def test_what_somebody_made_meanwhile_stays(tmp_path, make):
    def write():
        with new_folder(tmp_path / "new"):
            make(tmp_path / "new")

    with pytest.raises(ConfigError, match="new: something is there already"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("version", "error", "words"),
    [
        (5, ConfigError, "there is no version 5; there are: 9, 10."),
        (11, ModelError, "11: this version is damaged.* no saved_model.pb"),
        (10, ModelError, "10: .*not of ClassLift's making: it has no assets.extra"),
    ],
)
def test_versions_that_can_not_be_named(tmp_path, version, error, words):
    (tmp_path / "11").mkdir()
    for whole in ("9", "10"):
        (tmp_path / whole).mkdir()
        (tmp_path / whole / "saved_model.pb").touch()
    (tmp_path / "9" / "assets.extra").mkdir()
    assert version_folder(tmp_path, 9) == tmp_path / "9"
    with pytest.raises(error, match=words):
        version_folder(tmp_path, version)


@pytest.mark.parametrize(("versions", "version"), [([], None), ([9, 10], 10)])
def test_the_name_of_a_champion_tells_its_version(tmp_path, versions, version):
    assert version_of(champion_name(versions, tmp_path / "model")) == version
