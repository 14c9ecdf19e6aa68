"""Only what carries our mark is removed or replaced; what is a user's stays, to the byte."""

import os
from pathlib import Path

import pytest

from classlift import own_folders
from classlift.errors import ConfigError

pytestmark = pytest.mark.unit
WHAT = "checkpoints"


def content_of(folder: Path) -> dict[str, str]:
    """Every file below a folder with its text, and every link with its target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_text("latin-1")
    return found


def users_folder(path: Path) -> None:
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "labels.txt").write_text("months of work")
    (path / "best.npz").write_text("weights")


def a_file(path: Path) -> None:
    path.write_text("a file")


def a_dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def a_link_to_a_users_folder(path: Path) -> None:
    users_folder(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def marked_for_another_purpose(path: Path) -> None:
    own_folders.make(path, "memory")
    (path / "splits.parquet").write_text("splits")


def with_a_mark_that_is_no_json(path: Path) -> None:
    users_folder(path)
    (path / own_folders.MARK).write_text("mine")


def with_the_mark_of_another_program(path: Path) -> None:
    users_folder(path)
    (path / own_folders.MARK).write_text('{"what": "checkpoints"}')


OF_OTHERS = [
    users_folder,
    a_file,
    a_dangling_link,
    a_link_to_a_users_folder,
    marked_for_another_purpose,
    with_a_mark_that_is_no_json,
    with_the_mark_of_another_program,
]


@pytest.mark.parametrize("prepare", OF_OTHERS)
@pytest.mark.parametrize(
    "act",
    [
        lambda folder: own_folders.make(folder, WHAT),
        lambda folder: own_folders.clear(folder, WHAT),
        lambda folder: own_folders.remove(folder, WHAT),
    ],
)
def test_what_is_not_ours_is_named_and_not_touched(tmp_path, prepare, act):
    folder = tmp_path / "x" / "place"
    folder.parent.mkdir()
    prepare(folder)
    before = content_of(tmp_path)
    with pytest.raises(ConfigError) as error:
        act(folder)
    after = {name: text for name, text in content_of(tmp_path).items() if "draft" not in name}
    assert after == before
    assert f"{folder}: " in str(error.value)
    assert "nothing of it was touched; move it away" in str(error.value)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_new_or_an_empty_folder_becomes_ours(tmp_path, is_there):
    folder = tmp_path / "new" / WHAT
    if is_there:
        folder.mkdir(parents=True)
    assert own_folders.make(folder, WHAT) == folder
    assert own_folders.is_own(folder, WHAT)
    (folder / "1.npz").write_text("ours")
    assert content_of(own_folders.make(folder, WHAT))["1.npz"] == "ours"  # a second time
    own_folders.clear(folder, WHAT)
    assert list(content_of(folder)) == [own_folders.MARK]
    own_folders.remove(folder, WHAT)
    assert not folder.exists()
    own_folders.remove(folder, WHAT)  # nothing is there


def test_links_in_our_folder_are_not_followed(tmp_path):
    users_folder(tmp_path / "users")
    before = content_of(tmp_path / "users")
    folder = own_folders.make(tmp_path / "ours", WHAT)
    (folder / "link").symlink_to(tmp_path / "users")
    own_folders.clear(folder, WHAT)
    assert content_of(tmp_path / "users") == before
    assert list(content_of(folder)) == [own_folders.MARK]


def test_a_folder_that_a_user_put_elsewhere_by_a_link_stays_linked(tmp_path):
    (tmp_path / "big disk").mkdir()
    folder = tmp_path / "ours"
    folder.symlink_to(tmp_path / "big disk")
    (own_folders.make(folder, WHAT) / "1.npz").write_text("ours")
    own_folders.remove(folder, WHAT)
    assert folder.is_symlink()
    assert not list((tmp_path / "big disk").iterdir())
