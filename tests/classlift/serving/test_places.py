"""Versions in a bucket, against a local S3 server: whole for servers, or not there."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow.fs import FileSelector, FileType

from classlift.data.mirror import Mirror
from classlift.errors import ConfigError, EvaluationError, UnavailableError
from classlift.paths import state
from classlift.serving import publish as module
from classlift.serving.bundle import Bundle
from classlift.serving.folder import damage, served_versions
from classlift.serving.places import ServingBucket, ServingFolder, serving_place
from classlift.serving.provenance import Provenance, Signature
from classlift.serving.publish import publish
from tests.bucket_server import S3, bucket, bucket_server, upload
from tests.classlift.serving.test_folder import serve

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not S3.exists(), reason="`make test` installs the server"),
]
ROOT = Path(__file__).resolve().parents[3]
ADA = Signature("Ada", "Why.")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with bucket_server(tmp_path_factory.mktemp("server") / "log") as environment:
        yield environment


@pytest.fixture
def objects(server, monkeypatch, request):
    """The server's objects, and the place in them that this test serves from."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module, "require_answers", lambda *_: None)
    name = f"b{abs(hash(request.node.name))}"
    system = bucket(server)
    system.create_dir(name)
    return system, f"{name}/models/cars"


@pytest.fixture
def place(objects, tmp_path) -> ServingBucket:
    """Version 5 is served, which somebody else put there."""
    system, where = objects
    serve(tmp_path / "theirs", 5)
    upload(system, tmp_path / "theirs" / "5", f"{where}/5")
    return copy_of(tmp_path / "mirror", where)


@pytest.fixture
def source(tmp_path) -> Path:
    serve(tmp_path / "made", 1)
    (tmp_path / "made" / "1" / "assets.extra" / "manifest.json").unlink()
    return tmp_path / "made" / "1"


def copy_of(folder: Path, where: str) -> ServingBucket:
    mirror = Mirror(folder)
    place = serving_place(mirror.place(Path(f"s3://{where}")), mirror)
    assert isinstance(place, ServingBucket)
    return place


def push(place, source, **parts):
    given = {"note": None, "require": lambda: None, "record": lambda _: None, **parts}
    return publish(place, source, "the model of run one", **given)


def stored(objects) -> dict[str, bytes]:
    """What the bucket has below the place, by key."""
    system, where = objects
    found = system.get_file_info(FileSelector(where, recursive=True, allow_not_found=True))
    keys = [info.path for info in found if info.type == FileType.File]
    return {key.removeprefix(f"{where}/"): system.open_input_file(key).readall() for key in keys}


def versions_in(objects) -> set[str]:
    """What a server lists as versions that it can load."""
    names = {key.split("/")[0] for key in stored(objects) if key.endswith("/saved_model.pb")}
    return {name for name in names if name.isdecimal()}


def files_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_push_is_in_the_bucket_and_in_the_copy(place, objects, source):
    folder = push(place, source, note=lambda p: replace(p, approval=ADA))
    assert Bundle(folder).provenance() == Provenance(targets=("car",), approval=ADA)
    assert damage(folder) is None
    number = folder.name
    assert versions_in(objects) == {"5", number}
    assert {key.split("/")[0] for key in stored(objects)} == {"5", number}  # and nothing else
    in_bucket = {k.partition("/")[2]: v for k, v in stored(objects).items() if k[0] != "5"}
    assert in_bucket == files_of(folder)
    assert served_versions(place.folder) == [5, int(number)]
    assert place.shown(folder) == f"s3://{objects[1]}/{number}"

    before = {path: state(path) for path in folder.rglob("*")}
    place.refresh()
    assert {path: state(path) for path in folder.rglob("*")} == before  # nothing is fetched


def test_what_others_served_is_above_and_what_they_removed_is_gone(place, objects, source):
    system, where = objects
    with system.open_output_stream(f"{where}/000202611270330/notes.txt") as sink:
        sink.write(b"TF Serving reads this name as a number")
    first = push(place, source)
    assert first.name == "202611270331"
    system.delete_dir(f"{where}/5")
    with system.open_output_stream(f"{where}/{first.name}/assets.extra/warmup") as sink:
        sink.write(b"requests")
    place.refresh()
    assert served_versions(place.folder) == [int(first.name)]
    assert (first / "assets.extra" / "warmup").read_bytes() == b"requests"


def test_the_copy_can_be_lost(place, objects, source, tmp_path):
    folder = push(place, source)
    files = files_of(folder)
    other = copy_of(tmp_path / "anew", objects[1])
    other.refresh()
    assert files_of(other.folder / folder.name) == files
    assert push(other, source).name == folder.name  # it is known that it was pushed
    assert versions_in(objects) == {"5", folder.name}


def test_a_version_is_withdrawn(place, objects, source):
    folder = push(place, source)
    place.withdraw(place.folder / "5")
    assert {key.split("/")[0] for key in stored(objects)} == {folder.name}
    place.refresh()
    assert served_versions(place.folder) == [int(folder.name)]


@pytest.mark.parametrize("step", ["require", "record"])
def test_what_fails_leaves_nothing(place, objects, source, step):
    place.refresh()
    before = stored(objects)

    def fail(*_):
        raise EvaluationError("another one is served")

    with pytest.raises(EvaluationError, match="another one is served"):
        push(place, source, **{step: fail})
    assert stored(objects) == before
    assert served_versions(place.folder) == [5]


CHILD = """
import os, sys
from pathlib import Path
from classlift.data.mirror import Mirror
from classlift.serving import places, publish
from classlift.serving.places import ServingBucket

folder, mirror, source, step = sys.argv[1:]
publish.require_answers = lambda *_: None
real = places._at_once

def at_once(work, names):
    if len(calls) + 1 == at:  # but for one file
        real(work, sorted(names)[1:])
        os.kill(os.getpid(), 9)
    calls.append(1)
    real(work, names)

calls, at = [], {"uploading": 1, "copying": 2}.get(step)
places._at_once = at_once
if step == "copied":
    places.ServingFolder.serve = lambda *_: os.kill(os.getpid(), 9)
place = ServingBucket(Path(folder), Mirror(Path(mirror)))
publish.publish(
    place, Path(source), "the model of run one", note=None,
    require=lambda: None, record=lambda _: None,
)
"""


@pytest.mark.parametrize("step", ["uploading", "copying", "copied"])
def test_a_push_that_is_killed_leaves_no_version_or_a_whole_one(place, objects, source, step):
    words = [str(place.folder), str(place.mirror.folder), str(source), step]
    result = subprocess.run(
        [sys.executable, "-c", CHILD, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == -signal.SIGKILL, result.stderr
    left = {key.split("/")[0] for key in stored(objects)}
    assert len(left) > 2  # at least a draft, and who pushed
    place.refresh()
    if step != "copied":
        assert versions_in(objects) == {"5"}
        assert served_versions(place.folder) == [5]
    else:
        assert len(versions_in(objects)) == len(served_versions(place.folder)) == 2

    folder = push(place, source)
    assert {key.split("/")[0] for key in stored(objects)} == {"5", folder.name}
    assert versions_in(objects) == {"5", folder.name}
    assert damage(folder) is None
    assert served_versions(place.folder) == [5, int(folder.name)]


def test_a_half_version_of_somebody_elses_stays(place, objects, source):
    system, where = objects
    with system.open_output_stream(f"{where}/7/variables/variables.index") as sink:
        sink.write(b"theirs, not whole yet")
    folder = push(place, source)
    assert "7/variables/variables.index" in stored(objects)
    assert served_versions(place.folder) == [5, int(folder.name)]


def test_two_that_push_at_once_from_two_machines(place, objects, source, tmp_path):
    other = copy_of(tmp_path / "other", objects[1])
    holds, may_go = threading.Event(), threading.Event()

    def hold(_):
        holds.set()
        assert may_go.wait(60)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(push, place, source, record=hold)
        assert holds.wait(60)
        with pytest.raises(UnavailableError, match=r"push of the model of run one.*One push at a"):
            push(other, source)
        may_go.set()
        folder = first.result()
    assert versions_in(objects) == {"5", folder.name}
    with pytest.raises(EvaluationError, match="another"):  # it looks again, at what is served now
        push(other, tmp_path / "theirs" / "5", require=lambda: refuse(other, folder.name))


def refuse(place, number):
    if served_versions(place.folder)[-1] == int(number):
        raise EvaluationError("another one is served")


def test_a_storage_that_fails_is_a_sentence(place, objects, source, monkeypatch, tmp_path):
    nowhere = copy_of(tmp_path / "x", "no-such-bucket/models")
    with pytest.raises(ConfigError, match=r"s3://no-such-bucket/models: it can't be written"):
        push(nowhere, source)
    place.refresh()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match=f"s3://{objects[1]}: it can't be written"):
        push(place, source)
    assert served_versions(place.folder) == [5]


def test_a_folder_is_a_folder(tmp_path):
    place = serving_place(tmp_path / "served", Mirror(tmp_path / "mirror"))
    assert place == ServingFolder(tmp_path / "served")
    assert str(place) == os.fspath(tmp_path / "served")
