"""`make clean` removes what carries our mark, and nothing of a user's."""

import json
from types import SimpleNamespace

import pytest

from classlift import own_folders
from classlift.errors import UnavailableError
from pipelines.clean import clean
from pipelines.running import running
from tests.classlift.test_own_folders import content_of

pytestmark = pytest.mark.unit
MARKED = (".classlift", "kept")


@pytest.fixture
def build(tmp_path):
    """A folder in which a run has been, and a user."""
    build = tmp_path / "build"
    config = tmp_path / "a.yaml"
    folders = {"work": build / "a" / "state", "serving": build / "a" / "serving"}
    config.write_text(json.dumps({key: str(folder) for key, folder in folders.items()}))
    topology = SimpleNamespace(name="a", config=config, **folders)
    with running(topology, "run 1", node="Trainer"):
        pass
    for name in ("state/report.html", "state/pipeline/Trainer/model/1/x", "state/runs/run 1/x.log"):
        (build / "a" / name).parent.mkdir(parents=True, exist_ok=True)
        (build / "a" / name).write_text("ours")
    own_folders.make(build / "a" / "data", own_folders.DEMO_DATA)
    own_folders.make(build / "compiled" / "a", own_folders.COMPILED)
    for name, what in (("memory", own_folders.MEMORY), ("watch", own_folders.WATCH)):
        (own_folders.make(build / "a" / "state" / name, what) / "kept").write_text("remembered")
    (build / "a" / "state" / "metadata.db").write_text("remembered")
    (build / "a" / "serving" / "7").mkdir()
    (build / "a" / "serving" / "7" / "saved_model.pb").write_text("served")
    for name in ("a/state/notes.txt", "a/state/mine/labels.json", "photos/1.jpg", "plan.md"):
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        (build / name).write_text("a user's")
    (build / "a" / "data" / "link").symlink_to(build / "photos")
    return build, topology


def test_what_is_ours_goes_and_what_is_a_users_or_served_stays(build, caplog):
    folder, _ = build
    caplog.clear()
    clean(folder)
    assert set(content_of(folder)) == {
        "a/serving/.classlift",
        "a/serving/7/saved_model.pb",
        *(f"a/state/{name}/{file}" for name in ("memory", "watch") for file in MARKED),
        "a/state/.classlift",
        "a/state/metadata.db",
        "a/state/notes.txt",
        "a/state/mine/labels.json",
        "photos/1.jpg",
        "plan.md",
    }
    assert not (folder / "compiled").exists()
    assert sorted(line.split(",")[0] for line in caplog.messages) == [
        f"kept: {folder / name}"
        for name in ("a/serving", "a/state/memory", "a/state/metadata.db", "a/state/watch",
                     "photos", "plan.md")
    ]  # fmt: skip


def test_a_work_folder_that_remembers_nothing_goes_with_its_mark(build):
    folder, _ = build
    for name in ("memory", "watch"):
        own_folders.remove(folder / "a" / "state" / name, own_folders.mark_of(
            folder / "a" / "state" / name)["what"])  # fmt: skip
    (folder / "a" / "state" / "metadata.db").unlink()
    clean(folder)
    assert not (folder / "a" / "state" / own_folders.MARK).exists()


def test_nothing_is_removed_under_a_run(build):
    folder, topology = build
    before = content_of(folder / "a" / "data") | content_of(folder / "a" / "state" / "pipeline")
    with running(topology, "run 2"), pytest.raises(UnavailableError, match="run run 2 of a"):
        clean(folder)
    after = content_of(folder / "a" / "data") | content_of(folder / "a" / "state" / "pipeline")
    assert after == before
