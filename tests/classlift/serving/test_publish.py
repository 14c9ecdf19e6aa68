"""A push is whole or not at all: whatever fails or kills it, at whatever step, whoever else pushes.

That the copy is loaded before it is served is shown in `tests/pipelines/test_push.py`; here the
models are a few bytes that nobody could load.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from classlift.errors import ConfigError, EvaluationError, ModelError, UnavailableError
from classlift.serving import publish as module
from classlift.serving.bundle import Bundle
from classlift.serving.folder import damage, served_versions
from classlift.serving.manifest import Manifest
from classlift.serving.places import LOCK, ServingFolder
from classlift.serving.provenance import Provenance, Signature
from classlift.serving.publish import publish, signed
from tests.classlift.serving.test_folder import serve

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def loads(monkeypatch):
    """Nothing is loaded; the names under which it would have been are kept."""
    asked = []
    monkeypatch.setattr(module, "require_answers", lambda folder, name: asked.append(folder))
    return asked


@pytest.fixture
def source(tmp_path) -> Path:
    serve(tmp_path, 1)
    (tmp_path / "1" / "assets.extra" / "manifest.json").unlink()
    return (tmp_path / "1").rename(tmp_path / "export")


@pytest.fixture
def serving(tmp_path) -> Path:
    """Version 5 is served."""
    serve(tmp_path / "served", 5)
    return tmp_path / "served"


ADA = Signature("Ada", "Why.")


def nothing(*_: object) -> None:
    """Takes anything and does nothing."""


def push(serving_dir, source, **parts):
    given = {"note": None, "require": nothing, "record": nothing, **parts}
    return publish(ServingFolder(serving_dir), source, "the model of run one", **given)


def names(folder: Path) -> list[str]:
    """What is in a folder but its lock, the shorter names first: versions stand in their order."""
    found = (path.name for path in folder.iterdir() if not path.name.startswith(LOCK))
    return sorted(found, key=lambda name: (len(name), name))


def test_a_version_is_a_whole_copy_with_its_manifest(serving, source, loads):
    seen = []

    def look(folder):
        seen.append((folder.exists(), names(serving)))

    folder = push(serving, source, note=lambda p: replace(p, approval=ADA), record=look)
    assert names(serving) == ["5", folder.name]
    assert Bundle(folder).provenance() == Provenance(targets=("car",), approval=ADA)
    assert damage(folder) is None
    assert Manifest.read(folder) == Manifest.of(folder, Manifest.of(source).digest())
    assert (folder / "saved_model.pb").read_bytes() == (source / "saved_model.pb").read_bytes()
    # when it was recorded it was not there yet, but its draft was, and had been loaded
    [(was_there, there)] = seen
    assert not was_there
    assert "5" in there
    assert [path.parent.parent for path in loads] == [serving]
    assert loads[0].parent.name in there


def test_what_served_before_is_never_above(serving, source):
    (serving / "202611270330").mkdir()
    assert push(serving, source).name == "202611270331"


def raising(error):
    def raise_it(*_):
        raise error

    return raise_it


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("require", EvaluationError("another one is served")),
        ("record", RuntimeError("the database is away")),
        ("load", ModelError("it does not load")),
        ("second look", EvaluationError("another one is served")),
    ],
)
def test_what_fails_leaves_nothing(serving, source, monkeypatch, step, error):
    looks = iter([None, error])

    def look():
        found = next(looks)
        if found:
            raise found

    parts = {"second look": {"require": look}, "load": {}}
    given = parts.get(step, {step: raising(error)})
    if step == "load":
        monkeypatch.setattr(module, "require_answers", raising(error))
    with pytest.raises(type(error), match=str(error)):
        push(serving, source, **given)
    assert names(serving) == ["5"]


@pytest.mark.parametrize(
    ("harm", "parts", "error", "words"),
    [
        (lambda s: (s / "saved_model.pb").unlink(), {}, ModelError, "one is gone: it has no saved"),
        (lambda s: s.rename(s.parent / "away"), {}, ModelError, "one is gone: it has no saved_mod"),
        (nothing, {"blessed": "0" * 64}, EvaluationError, "has other bytes than when it passed"),
    ],
)
def test_a_model_that_is_not_what_was_checked(serving, source, harm, parts, error, words):
    harm(source)
    with pytest.raises(error, match=words):
        push(serving, source, **parts)
    assert names(serving) == ["5"]


def test_what_was_checked_is_pushed(serving, source):
    assert push(serving, source, blessed=Manifest.of(source).digest())


def test_a_copy_that_is_not_like_its_source_is_never_served(serving, source, monkeypatch):
    real = module.shutil.copy

    def flip(path, target):
        real(path, target)
        if path.name == "variables.index":
            target.write_text("Index")

    monkeypatch.setattr(module.shutil, "copy", flip)
    with pytest.raises(
        UnavailableError, match=r"variables.index: its copy has other bytes; try again"
    ):
        push(serving, source)
    assert names(serving) == ["5"]


def test_the_same_model_is_not_pushed_twice(serving, source, caplog):
    first = push(serving, source)
    caplog.clear()
    assert push(serving, source, require=raising(AssertionError)) == first
    assert names(serving) == ["5", first.name]
    assert str(first) in caplog.messages[0]
    (first / "saved_model.pb").write_text("other")  # what is damaged is no push
    assert push(serving, source) != first


def test_a_rollback_serves_again_what_was_a_version(serving, source):
    first = push(serving, source)
    assert push(serving, first, again=True) != first
    assert len(served_versions(serving)) == 3


def test_pushes_at_once_get_versions_of_their_own(tmp_path):
    pushes = 8
    for number in range(pushes):
        serve(tmp_path / "exports", number)
    start = threading.Barrier(pushes)

    def begin(number):
        start.wait()
        return push(tmp_path / "served", tmp_path / "exports" / str(number))

    with ThreadPoolExecutor(pushes) as pool:
        found = list(pool.map(begin, range(pushes)))
    assert names(tmp_path / "served") == sorted(folder.name for folder in found)
    texts = {(folder / "saved_model.pb").read_text() for folder in found}
    assert texts == {f"model {number}" for number in range(pushes)}


def test_two_pushes_of_one_model_at_once_are_one(serving, source):
    start = threading.Barrier(2)

    def begin(_):
        start.wait()
        return push(serving, source)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(begin, range(2))
    assert first == second
    assert names(serving) == ["5", first.name]


def test_who_waits_is_told_for_whom_and_looks_again(serving, source, tmp_path, on_line):
    serve(tmp_path / "exports", 7)
    holds, may_go = threading.Event(), threading.Event()
    said = []

    def hold(_):
        holds.set()
        may_go.wait(60)

    def tell(line):
        if line.startswith("waiting, "):
            said.append(line)
            may_go.set()

    def look():
        if served_versions(serving) != [5]:
            raise EvaluationError("another one is served")

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(push, serving, source, record=hold)
        assert holds.wait(60)
        on_line(tell)
        with pytest.raises(EvaluationError, match="another one is served"):
            push(serving, tmp_path / "exports" / "7", require=look)
        assert names(serving) == ["5", first.result().name]
    assert said[0].startswith("waiting, for ")
    assert "push of the model of run one" in said[0]
    assert str(os.getpid()) in said[0]


CHILD = """
import json, os, signal, sys
from dataclasses import replace
from pathlib import Path
from classlift.serving import publish as module
from classlift.parent import Terminated, raise_on_sigterm
from classlift.serving.places import ServingFolder
from classlift.serving.provenance import Signature

serving, source, step, number = sys.argv[1:]
raise_on_sigterm()
module.require_answers = lambda *_: None

def end_at(owner, name, call=1, after=False):
    real, calls = getattr(owner, name), []
    def ending(*arguments, **named):
        calls.append(name)
        now = len(calls) == call
        if now and not after:
            os.kill(os.getpid(), int(number))
        found = real(*arguments, **named)
        if now and after:
            os.kill(os.getpid(), int(number))
        return found
    setattr(owner, name, ending)

end_at(*{
    "locked": (module, "_remove_drafts"),
    "draft made": (module.own_folders, "make", 1, True),
    "first file": (module.shutil, "copy"),
    "third file": (module.shutil, "copy", 3),
    "manifest": (module.Manifest, "write"),
    "check": (module, "require_answers"),
    "record": (module, "next_number", 1, True),
    "before the rename": (Path, "rename"),
    "after the rename": (Path, "rename", 1, True),
}[step])
try:
    module.publish(
        ServingFolder(Path(serving)), Path(source), "the model of run one",
        note=lambda p: replace(p, approval=Signature("Ada", "Why.")),
        require=lambda: None, record=lambda _: None,
    )
except Terminated:
    sys.exit(143)
"""
STEPS = ["locked", "draft made", "first file", "third file", "manifest", "check", "record"]
STEPS += ["before the rename", "after the rename"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_a_push_that_is_killed_at_any_step(serving, source, step, number):
    words = [str(serving), str(source), step, str(int(number))]
    result = subprocess.run(
        [sys.executable, "-c", CHILD, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    ended = {signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    assert result.returncode == ended, result.stderr
    versions = served_versions(serving)
    assert len(versions) == (2 if step == "after the rename" else 1)
    assert [damage(serving / str(version)) for version in versions] == [None] * len(versions)
    if number == signal.SIGTERM:  # nothing but versions is there
        assert names(serving) == [str(version) for version in versions]

    # The next push cleans up, and does not push a second time what is there already.
    folder = push(serving, source)
    assert names(serving) == ["5", folder.name]
    assert damage(folder) is None
    if step == "after the rename":
        assert folder.name == str(versions[-1])
        assert Bundle(folder).provenance().approval == ADA


def test_what_is_not_ours_is_never_removed(serving, source):
    (serving / ".classlift-draft-notes").mkdir()
    (serving / ".classlift-draft-notes" / "mine.txt").write_text("mine")
    (serving / ".classlift-draft-file").write_text("mine")
    (serving / ".tmp").mkdir()
    before = names(serving)
    folder = push(serving, source)
    assert sorted(names(serving)) == sorted([*before, folder.name])
    assert (serving / ".classlift-draft-notes" / "mine.txt").read_text() == "mine"


FULL = """
import resource, sys
from pathlib import Path
from classlift.errors import ClassLiftError
from classlift.serving import publish as module
from classlift.serving.places import ServingFolder

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), -1))
try:
    module.publish(
        ServingFolder(Path(sys.argv[1])), Path(sys.argv[2]), "the model of run one", note=None,
        require=lambda: None, record=lambda _: None,
    )
except ClassLiftError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("room", [10, 300, 3000])  # bytes that a file may have
def test_a_file_that_can_not_be_written_is_a_sentence(serving, source, room):
    (source / "variables" / "variables.data-00000-of-00001").write_bytes(b"0" * 5000)
    words = [sys.executable, "-c", FULL, str(serving), str(source), str(room)]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "")
    assert "the model of run one can't be served, for its files can't be copied" in result.stdout
    assert "File too large" in result.stdout
    assert served_versions(serving) == [5]
    assert names(serving) == ["5"]


@pytest.fixture
def disk(tmp_path):
    """Mounts a file system of so many KB, as root can."""
    mounted = []

    def mount(folder: Path, options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("file systems can't be mounted here")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run([shutil.which("umount") or "", str(folder)], check=True)


def test_a_full_disk_leaves_nothing(tmp_path, source, disk):
    (source / "variables" / "variables.data-00000-of-00001").write_bytes(b"0" * 300_000)
    serving = tmp_path / "small"
    serving.mkdir()
    disk(serving, "size=64k")
    for _ in range(2):  # a retry leaves nothing more
        with pytest.raises(UnavailableError, match=r"No space left on device.*served stays"):
            push(serving, source)
        assert names(serving) == []


def test_a_folder_that_can_not_be_written_to(tmp_path, source, disk):
    serving = tmp_path / "closed"
    serving.mkdir()
    disk(serving, "ro")
    with pytest.raises(UnavailableError, match=r"Read-only file system.*what was served stays"):
        push(serving, source)


def test_a_push_may_be_forbidden(serving, source, monkeypatch):
    monkeypatch.setattr(module.shutil, "copy", raising(PermissionError(13, "Permission denied")))
    with pytest.raises(ConfigError, match="Permission denied"):  # no retry mends it
        push(serving, source)
    assert names(serving) == ["5"]


@pytest.mark.parametrize("text", ["", "  ", "Ada\nLovelace", "A" * 3000, "\x1b[2J"])
def test_who_and_why_are_a_line_each(text):
    with pytest.raises(ConfigError, match="--by must be one line"):
        signed(text, "why")
    with pytest.raises(ConfigError, match="--reason must be one line"):
        signed("Ada", text)


def test_json_of_a_manifest_is_for_people_too(serving, source):
    record = json.loads((push(serving, source) / "assets.extra" / "manifest.json").read_text())
    assert record["files"]["saved_model.pb"]["size"] == 7
