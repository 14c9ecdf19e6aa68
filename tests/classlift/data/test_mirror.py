"""Data in object storage, against a local S3 server."""

import http.client
import time
from pathlib import Path

import pytest

from classlift.data import mirror as mirrors
from classlift.data.mirror import Mirror
from classlift.data.snapshot import Source, fingerprint, take_snapshot
from classlift.errors import ConfigError, DataError, UnavailableError
from classlift.paths import state
from tests.bucket_server import S3, bucket, bucket_server, upload

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not S3.exists(), reason="`make test` installs the server"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with bucket_server(tmp_path_factory.mktemp("server") / "log") as environment:
        yield environment


@pytest.fixture
def objects(server, monkeypatch, request):
    """The server's objects; `objects.bucket` is this test's own."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    system = bucket(server)
    name = f"b{abs(hash(request.node.name))}"
    system.create_dir(name)
    monkeypatch.setattr(mirrors, "_SETTLED", 0)  # what is written here is not written again
    return system, name


@pytest.fixture
def mirror(tmp_path):
    return Mirror(tmp_path / "mirror")


def write(system, path, content=b"x"):
    with system.open_output_stream(path) as sink:
        sink.write(content)


def test_a_snapshot_of_a_bucket_is_that_of_the_files(coco, objects, mirror, tmp_path):
    system, name = objects
    labels = coco()
    upload(system, labels.parent, f"{name}/{labels.parent.name}")
    record = {"path": f"s3://{name}/{labels.parent.name}/{labels.name}", "split": "train"}
    source = Source.from_dict(mirror.localised(record, tmp_path), tmp_path)
    mirror.fetch(source.paths())
    plain = take_snapshot([Source(labels, "train")])
    assert take_snapshot([source]).content_hash == plain.content_hash
    assert plain.images.num_rows


def test_what_has_not_changed_is_not_fetched_again(objects, mirror):
    system, name = objects
    for key in ("a.txt", "folder/b.txt", "folder/below/c.txt"):
        write(system, f"{name}/data/{key}", key.encode())
    time.sleep(1.1)  # times of objects are whole seconds
    place = mirror.place(Path(f"s3://{name}/data"))
    mirror.fetch([place, None])
    before = {path: state(path) for path in place.rglob("*.txt")}
    assert {path.read_text() for path in before} == {"a.txt", "folder/b.txt", "folder/below/c.txt"}
    mirror.fetch([place])
    assert {path: state(path) for path in place.rglob("*.txt")} == before
    write(system, f"{name}/data/a.txt", b"other")  # as long as before
    system.delete_file(f"{name}/data/folder/below/c.txt")
    mirror.fetch([place])
    assert (place / "a.txt").read_text() == "other"
    assert not (place / "folder" / "below").exists()
    unchanged = place / "folder" / "b.txt"
    assert state(unchanged) == before[unchanged]


def test_what_was_just_written_is_fetched_again(objects, mirror, monkeypatch):
    """It may have been written twice within the second that its time is given in."""
    monkeypatch.setattr(mirrors, "_SETTLED", 2 * 10**9)
    system, name = objects
    write(system, f"{name}/a.txt", b"first")
    place = mirror.place(Path(f"s3://{name}/a.txt"))
    mirror.fetch([place])
    write(system, f"{name}/a.txt", b"other")
    mirror.fetch([place])
    assert place.read_text() == "other"


def test_a_file_brings_what_lies_beside_it(objects, mirror):
    system, name = objects
    for key in ("scenes/labels.json", "scenes/images/a.jpg", "other/b.jpg"):
        write(system, f"{name}/{key}")
    place = mirror.place(Path(f"s3://{name}/scenes/labels.json"))
    mirror.fetch([place])
    assert (place.parent / "images" / "a.jpg").exists()
    assert not (mirror.place(Path(f"s3://{name}")) / "other").exists()


def test_a_folder_becomes_a_file_and_back(objects, mirror):
    system, name = objects
    place = mirror.place(Path(f"s3://{name}/data"))
    for kind in ("data/a", "data/a/b", "data/a"):
        write(system, f"{name}/{kind}")
        mirror.fetch([place])
        assert mirror.place(Path(f"s3://{name}/{kind}")).is_file()
        system.delete_file(f"{name}/{kind}")


@pytest.mark.parametrize("key", ["data/../../../../escaped", "data//a", "data/./a"])
def test_a_key_that_is_no_path_is_refused(key, objects, mirror, server, tmp_path):
    system, name = objects
    write(system, f"{name}/data/fine")
    connection = http.client.HTTPConnection(server["AWS_ENDPOINT_URL"].removeprefix("http://"))
    connection.request("PUT", f"/{name}/{key}", b"x")  # as no client of S3 would
    assert connection.getresponse().status == 200
    connection.close()
    with pytest.raises(DataError, match=r"its key .* is no path of a file"):
        mirror.fetch([mirror.place(Path(f"s3://{name}/data"))])
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize("address", ["s3://{}/nothing", "s3://{}-none/a", "s3://{}/nothing/a.json"])
def test_what_is_not_there(address, objects, mirror):
    address = address.format(objects[1])
    with pytest.raises(DataError, match="there is no such object or folder"):
        mirror.fetch([mirror.place(Path(address))])


def test_a_storage_that_does_not_answer(objects, mirror, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="s3://b/a: it can't be mirrored"):
        mirror.fetch([mirror.place(Path("s3://b/a"))])


def test_an_object_that_changes_meanwhile_leaves_nothing(objects, mirror, monkeypatch):
    system, name = objects
    write(system, f"{name}/data/a.txt", b"first")
    place = mirror.place(Path(f"s3://{name}/data"))
    plain = mirrors._fetch_one

    def late(*given):
        write(system, f"{name}/data/a.txt", b"longer than before")
        plain(*given)

    monkeypatch.setattr(mirrors, "_fetch_one", late)
    with pytest.raises(UnavailableError, match="it changed while it was fetched"):
        mirror.fetch([place])
    assert not list(place.iterdir())


def test_places(mirror, tmp_path):
    place = mirror.place(Path("gs://bucket/labels/a.json"))
    assert place == mirror.folder / "gs" / "bucket" / "labels" / "a.json"
    assert mirror.address(place) == "gs://bucket/labels/a.json"
    assert mirror.place(Path("data/s3/a")) is None
    assert not mirror.holds(tmp_path)
    for address in ("s3://", "s3://bucket/../a"):
        with pytest.raises(ConfigError, match="no place in object storage"):
            mirror.place(Path(address))
    root = mirror.place(Path("s3://bucket/data"))
    assert mirror.localised({"path": "a", "split": "eval"}, root) == {"path": "a", "split": "eval"}
    with pytest.raises(ConfigError, match="climbs"):
        mirror.localised({"path": "../a"}, root)


def test_files_alone_are_left_alone(mirror, coco):
    """No storage is asked where nothing of a config is in one."""
    source = Source(coco(), "train")
    mirror.fetch(source.paths())
    assert not mirror.folder.exists()
    assert fingerprint([source])
