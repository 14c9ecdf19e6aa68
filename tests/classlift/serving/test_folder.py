"""The folder that is served: what is a version, what is damaged, and who gets which number."""

import json
import os
import shutil
import time
from dataclasses import replace

import pytest

from classlift.data.writers import new_folder
from classlift.errors import ConfigError, ModelError
from classlift.serving.bundle import Bundle
from classlift.serving.folder import (
    LARGEST,
    champion_name,
    damage,
    describe_served,
    newest_version,
    next_number,
    served_provenance,
    served_versions,
    version_folder,
    version_of,
)
from classlift.serving.manifest import MANIFEST, Manifest
from classlift.serving.provenance import Override, Provenance, Rollback, Signature

pytestmark = pytest.mark.unit
FAR = 99_999_999_999


def serve(folder, *versions, provenance=None):
    """Versions with the files of a model, as far as nobody loads them."""
    for version in versions:
        entry = folder / str(version) / "assets.extra"
        (entry.parent / "variables").mkdir(parents=True)
        entry.mkdir()
        (entry.parent / "saved_model.pb").write_text(f"model {version}")
        (entry.parent / "variables" / "variables.index").write_text("index")
        (entry / "label_map.pbtxt").write_text("item { id: 1 name: 'car' }")
        bundle = Bundle(entry.parent)
        bundle.write_notes({"car": 0.5}, provenance or Provenance(targets=("car",)))
        Manifest.of(entry.parent).write(entry.parent)


@pytest.mark.parametrize(
    ("names", "number"),
    [
        ([], None),  # nothing is served yet: the time
        (["7", "tmp"], None),  # the time is later
        ([str(FAR)], FAR + 1),  # a version of a clock that was ahead, or an unfinished copy
        (["1795760960123"], 1795760960124),  # milliseconds
        (["202611270330"], 202611270331),  # a date
        ([f"000{FAR}"], FAR + 1),  # TF Serving reads it as a number, we don't
        ([f"-{FAR}", "latest", ".tmp", f"v{FAR}"], None),
        ([str(2**63)], None),  # no server can read that one
    ],
)
@pytest.mark.parametrize("is_file", [False, True])
def test_the_next_number_is_above_all_others(tmp_path, names, number, is_file):
    for name in names:
        (tmp_path / name).touch() if is_file else (tmp_path / name).mkdir()
    before = int(time.time())
    found = next_number(tmp_path, os.listdir(tmp_path))
    if number is None:
        assert before <= found <= time.time()
    else:
        assert found == number


def test_a_dangling_link_takes_its_number_too(tmp_path):
    (tmp_path / str(FAR)).symlink_to(tmp_path / "gone")
    assert next_number(tmp_path, os.listdir(tmp_path)) == FAR + 1


def test_the_highest_number_of_all_leaves_none(tmp_path):
    (tmp_path / str(LARGEST)).mkdir()
    with pytest.raises(ModelError, match=f"{LARGEST}: no version can have a higher number"):
        next_number(tmp_path, os.listdir(tmp_path))


def test_what_is_a_version(tmp_path):
    serve(tmp_path, 9, 10, "0000200", "-5", ".tmp", "latest", "٣", "1_000", " 11", 2**63)
    (tmp_path / "77").write_text("a file")
    (tmp_path / "78").mkdir()  # of somebody who is still copying
    (tmp_path / "79").symlink_to(tmp_path / "gone")
    assert served_versions(tmp_path) == [9, 10]
    assert newest_version(tmp_path) == 10
    assert newest_version(tmp_path / "none") is None


def remove(name):
    def harm(folder):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return harm


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


def without_manifest(harm):
    def harm_both(folder):
        harm(folder)
        (folder / MANIFEST).unlink()

    return harm_both


PROVENANCE, POINTS = "assets.extra/provenance.json", "assets.extra/operating_points.json"


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (remove("saved_model.pb"), r"saved_model.pb is missing"),
        (write("saved_model.pb", "mod"), r"saved_model.pb has 3 bytes of 8"),
        (write("saved_model.pb", "model 8"), r"saved_model.pb has 7 bytes of 8"),
        (write("saved_model.pb", "model 11"), r"saved_model.pb has other bytes than when"),
        (remove("variables"), r"variables/variables.index is missing"),
        (remove(POINTS), r"assets.extra/operating_points.json is missing"),
        (write(PROVENANCE, "{"), r"assets.extra/provenance.json has 1 bytes of"),
        (write("assets.extra/label_map.pbtxt", ""), r"assets.extra/label_map.pbtxt has 0 bytes"),
        (remove("assets.extra"), r"it has no assets.extra"),
        (write(MANIFEST, "{}"), r"assets.extra/manifest.json is damaged"),
        (write(MANIFEST, "[]"), r"assets.extra/manifest.json is damaged"),
        (write(MANIFEST, '{"version": 2}'), r"assets.extra/manifest.json is of version 2"),
        (without_manifest(remove("saved_model.pb")), r"it has no saved_model.pb"),
        (without_manifest(write(PROVENANCE, "{")), r"provenance.json: it is damaged"),
        (without_manifest(write(PROVENANCE, "[]")), r"provenance.json: it is damaged"),
        (without_manifest(write(POINTS, '{"bus": 0.5}')), r"operating_points.json: "),
        (without_manifest(remove("assets.extra/label_map.pbtxt")), r"label_map.pbtxt: "),
    ],
)
def test_a_damaged_newest_version_is_named_with_the_way_out(tmp_path, harm, words):
    serve(tmp_path, 9, 10)
    assert damage(tmp_path / "10") is None
    harm(tmp_path / "10")
    assert newest_version(tmp_path) == 10  # it is not passed over in silence
    way_out = r"roll back to version 9 \(`classlift rollback .*--to 9 .*`\), or put it back\."
    with pytest.raises(ModelError, match=rf"version 10 is damaged \(.*{words}.*\); {way_out}"):
        served_provenance(tmp_path)
    assert f"version 10, which is damaged ({damage(tmp_path / '10')})" == describe_served(tmp_path)


def test_the_way_out_leads_to_a_whole_version(tmp_path):
    serve(tmp_path, 8, 9, 10)
    for version in ("9", "10"):
        (tmp_path / version / "saved_model.pb").unlink()
    with pytest.raises(ModelError, match="roll back to version 8 "):
        version_folder(tmp_path, 10)
    with pytest.raises(ModelError, match=r"9 is damaged .*; put it back, or name another version"):
        version_folder(tmp_path, 9)
    (tmp_path / "8" / "saved_model.pb").unlink()
    with pytest.raises(ModelError, match="no whole version is before it: put it back, or move"):
        version_folder(tmp_path, 10)


def test_a_file_that_came_later_is_no_damage(tmp_path):
    serve(tmp_path, 9)
    (tmp_path / "9" / "assets.extra" / "tf_serving_warmup_requests").touch()
    assert damage(tmp_path / "9") is None


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
        (11, ModelError, r"version 11 is damaged \(it has no saved_model.pb\)"),
        (10, ModelError, r"version 10 is damaged \(it has no assets.extra\)"),
    ],
)
def test_versions_that_can_not_be_named(tmp_path, version, error, words):
    serve(tmp_path, 9)
    (tmp_path / "11").mkdir()
    (tmp_path / "10").mkdir()
    (tmp_path / "10" / "saved_model.pb").touch()
    assert version_folder(tmp_path, 9) == tmp_path / "9"
    with pytest.raises(error, match=words):
        version_folder(tmp_path, version)


@pytest.mark.parametrize(("versions", "version"), [([], None), ([9, 10], 10)])
def test_the_name_of_a_champion_tells_its_version(tmp_path, versions, version):
    assert version_of(champion_name(versions, tmp_path / "model")) == version


OVERRIDE = Override("Ada", "Why.", "refuse", "one")


@pytest.mark.parametrize(
    ("notes", "words"),
    [
        ({}, "version 9"),
        ({"override": OVERRIDE}, "pushed against the verdict by Ada: Why."),
        ({"approval": Signature("Ada", "Why.")}, "version 9, approved by Ada: Why."),
        (
            {
                "rollback_of": Rollback("Ada", "Why.", "7", "8"),
                "override": replace(OVERRIDE, by="B", reason=""),
            },
            "version 9, since the rollback by Ada: Why.",
        ),
    ],
)
def test_what_is_served_is_said_with_who_had_it_served(tmp_path, notes, words):
    assert describe_served(tmp_path) == "no version"
    serve(tmp_path, 9, provenance=Provenance(**notes))
    assert words in describe_served(tmp_path)


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    serve(tmp_path, 9)
    manifest = Manifest.of(tmp_path / "9", "digest")
    manifest.write(tmp_path / "9")
    assert Manifest.read(tmp_path / "9") == manifest
    assert Manifest.of(tmp_path / "9").digest() == manifest.digest()
    assert json.loads((tmp_path / "9" / MANIFEST).read_text())["version"] == 1
    shutil.copytree(tmp_path / "9", tmp_path / "copy")
    assert Manifest.of(tmp_path / "copy").digest() == manifest.digest()
    (tmp_path / "copy" / "more").touch()
    assert Manifest.of(tmp_path / "copy").digest() != manifest.digest()
