import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from classlift.data import images, kept_splits, snapshot
from classlift.data.label_map import LabelMap
from classlift.data.media import read_bytes
from classlift.data.shapes import ENCLOSED
from classlift.data.snapshot import Snapshot, Source, fingerprint, take_snapshot
from classlift.data.writers import WRITERS
from classlift.errors import DataError

pytestmark = pytest.mark.unit


def test_round_trip(coco, tmp_path):
    taken = take_snapshot([Source(coco(), "train")])
    taken.write(tmp_path / "snapshot")
    read = Snapshot.read(tmp_path / "snapshot")
    assert read.images.equals(taken.images)
    assert read.boxes.to_pylist() == taken.boxes.to_pylist()
    assert read.content_hash == taken.content_hash


def test_hash_follows_the_content_alone(coco):
    path = coco()
    first = take_snapshot([Source(path, "train")]).content_hash
    document = json.loads(path.read_text())
    document["images"].reverse()
    document["annotations"].reverse()
    path.write_text(json.dumps(document))
    assert take_snapshot([Source(path, "train")]).content_hash == first  # another order
    assert take_snapshot([Source(path, "eval")]).content_hash != first  # another split
    document["annotations"][0]["category_id"] = 1
    path.write_text(json.dumps(document))
    assert take_snapshot([Source(path, "train")]).content_hash != first  # another label


def test_a_piece_at_a_time_says_the_same(coco, tmp_path, monkeypatch):
    path = coco()
    whole = take_snapshot([Source(path, "train")], tmp_path / "whole")
    monkeypatch.setattr(snapshot, "_ROW_GROUP", 1)
    pieces = take_snapshot([Source(path, "train")], tmp_path / "pieces")
    assert whole.boxes.num_rows > 1
    assert pieces.boxes.to_pylist() == whole.boxes.to_pylist()
    assert pieces.boxes["box_id"].to_pylist() == list(range(pieces.boxes.num_rows))
    assert pieces.images.equals(whole.images)
    assert pieces.content_hash == whole.content_hash


def test_a_wrong_size_is_a_problem_not_an_error(coco):
    image = {"id": 1, "file_name": "images/1.jpg", "width": 41, "height": 30}
    path = coco(images=[image], annotations=[])
    problems = take_snapshot([Source(path, "train")]).problems.to_pylist()
    assert "claim: 41x30, and it is 40x30" in problems[0]["problem"]
    assert problems[0]["source"] == "data/annotations.json image 1"


@pytest.mark.parametrize("suffix", ["bmp", "gif", "webp", "tif", "avif"])
def test_images_of_other_formats_go_all_the_way(coco, tmp_path, suffix):
    """Into the tables, with a word, and into records that TensorFlow reads, with their boxes."""
    path = coco()
    picture = Image.open(path.parent / "images" / "1.jpg").resize((40, 30))
    picture.save(path.parent / "images" / f"1.{suffix}")
    (path.parent / "images" / "1.jpg").unlink()
    path.write_text(path.read_text().replace("images/1.jpg", f"images/1.{suffix}"))
    taken = take_snapshot([Source(path, "train")])
    kind = images.FORMATS[Image.registered_extensions()[f".{suffix}"]]
    assert taken.images["format"].to_pylist() == [kind, "jpeg"]
    (said,) = taken.problems.to_pylist()
    assert said["problem"] == f"{images.ENCODED_ANEW}: it is {kind.upper()}"
    assert said["severity"] == "info"
    for kind, write in WRITERS.items():
        (tmp_path / kind).mkdir()
        write(taken.images, taken.boxes, LabelMap(("car", "scooter")), tmp_path / kind)
        name = {"coco": "annotations.json", "tfrecord": "data.record"}.get(kind, "")
        back = take_snapshot([Source(tmp_path / kind / name, "train")])
        assert back.boxes.num_rows == taken.boxes.num_rows
        known = {"jpeg", "png"} if kind == "tfrecord" else set(taken.images["format"].to_pylist())
        assert set(back.images["format"].to_pylist()) <= known


def test_what_readers_say_is_kept_with_their_part(tmp_path):
    """Polygons are enclosed; that is a finding of their image, also when nothing is read anew."""
    folder = tmp_path / "data"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    Image.effect_noise((40, 30), 50).save(folder / "images" / "a.jpg")
    (folder / "labels" / "a.txt").write_text("0 0.1 0.2 0.5 0.1 0.4 0.9\n")
    (folder / "classes.txt").write_text("car\n")
    for _ in range(2):
        taken = take_snapshot([Source(folder, "train")], tmp_path / "memory")
        (said,) = taken.problems.to_pylist()
        assert said == {
            "image_id": "data/images/a.jpg",
            "source": "data/labels/a.txt",
            "problem": f"{ENCLOSED}: 1 polygon",
            "severity": "info",
        }
        os.utime(folder / "images" / "a.jpg")


def test_split_by_content_never_by_order(coco):
    path = coco()
    first = take_snapshot([Source(path)]).images.to_pylist()
    document = json.loads(path.read_text())
    document["images"].reverse()
    path.write_text(json.dumps(document))
    second = take_snapshot([Source(path)]).images.to_pylist()
    assert {r["image_id"]: r["split"] for r in first} == {r["image_id"]: r["split"] for r in second}


def test_images_with_one_id_are_refused(coco):
    path = coco()
    with pytest.raises(DataError, match=r"'data/images/1.jpg' is listed 2 times .* 1 more; list"):
        take_snapshot([Source(path, "train"), Source(path, "eval")])


def test_no_images_is_an_error(coco):
    with pytest.raises(DataError, match="have no images"):
        take_snapshot([Source(coco(images=[], annotations=[]), "train")])


def test_fingerprint_changes_with_a_file(coco):
    path = coco()
    first = fingerprint([Source(path)])
    assert fingerprint([Source(path)]) == first
    (path.parent / "images" / "1.jpg").write_bytes(b"other")
    assert fingerprint([Source(path)]) != first


def test_fingerprint_names_a_missing_source(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        fingerprint([Source(tmp_path / "none.json")])


@pytest.fixture
def reads(monkeypatch):
    """The image files that are read from here on."""
    found = []

    def counted(uri):
        found.append(uri.rsplit("/", 1)[1])
        return read_bytes(uri)

    monkeypatch.setattr(images, "read_bytes", counted)
    return found


def rewrite(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_what_has_not_changed_is_not_read_again(coco, tmp_path, reads, caplog):
    source, memory = Source(coco()), tmp_path / "memory"
    first = take_snapshot([source], memory)
    assert sorted(reads) == ["1.jpg", "2.jpg"]
    caplog.clear()
    second = take_snapshot([source], memory)
    assert len(reads) == 2
    assert caplog.messages == ["nothing has changed since the last snapshot"]
    assert second.images.equals(first.images)
    assert second.boxes.to_pylist() == first.boxes.to_pylist()
    assert second.content_hash == first.content_hash


def test_a_changed_label_reads_no_image(coco, tmp_path, reads):
    path, memory = coco(), tmp_path / "memory"
    first = take_snapshot([Source(path)], memory)
    rewrite(path, lambda d: d["annotations"][0].update(bbox=[2, 3, 10, 20]))
    second = take_snapshot([Source(path)], memory)
    assert len(reads) == 2
    assert second.content_hash != first.content_hash
    assert second.images.equals(first.images)
    plain = take_snapshot([Source(path)])
    assert second.boxes.to_pylist() == plain.boxes.to_pylist()


def test_a_changed_image_alone_is_read_again(coco, tmp_path, reads):
    path, memory = coco(), tmp_path / "memory"
    first = take_snapshot([Source(path)], memory)
    (path.parent / "images" / "1.jpg").write_bytes((path.parent / "images/2.jpg").read_bytes())
    second = take_snapshot([Source(path)], memory)
    assert reads[2:] == ["1.jpg"]
    assert second.content_hash != first.content_hash
    assert len(set(second.images["sha256"].to_pylist())) == 1


def test_a_touched_image_is_read_but_not_decoded(coco, tmp_path, reads, monkeypatch):
    path, memory = coco(), tmp_path / "memory"
    first = take_snapshot([Source(path)], memory)
    os.utime(path.parent / "images" / "1.jpg", ns=(1, 1))
    monkeypatch.setattr(images, "_decode", None)
    second = take_snapshot([Source(path)], memory)
    assert reads[2:] == ["1.jpg"]
    assert second.content_hash == first.content_hash


@pytest.mark.parametrize("name", ["a", "z"])  # before and after what is there
def test_added_images_move_none(tmp_path, name):
    folder, memory = tmp_path / "data", tmp_path / "memory"
    for number in range(40):
        write_voc_image(folder, f"m{number:02d}", number)
    before = splits(take_snapshot([Source(folder)], memory))
    for number in range(40):
        write_voc_image(folder, f"{name}{number:02d}", 100 + number)
    after = splits(take_snapshot([Source(folder)], memory))
    assert {image: after[image] for image in before} == before
    assert len(after) == 80
    assert set(after.values()) == {"train", "eval", "test"}


def test_a_renamed_image_stays_in_its_split(tmp_path):
    folder, memory = tmp_path / "data", tmp_path / "memory"
    for number in range(20):
        write_voc_image(folder, f"m{number:02d}", number)
    before = splits(take_snapshot([Source(folder)], memory))
    for number in range(20):
        for suffix, place in ((".png", "images"), (".xml", "Annotations")):
            (folder / place / f"m{number:02d}{suffix}").unlink()
        write_voc_image(folder, f"n{number:02d}", number)
    after = splits(take_snapshot([Source(folder)], memory))
    assert [after[i.replace("/m", "/n")] for i in before] == list(before.values())


def test_groups_by_a_pattern(tmp_path):
    folder = tmp_path / "data"
    for number in range(30):
        write_voc_image(folder, f"Town{number % 6}_{number:02d}", number)
    taken = take_snapshot([Source(folder, group=r"^(Town\d)_")])
    by_town = {}
    for image_id, split in splits(taken).items():
        by_town.setdefault(image_id.split("_")[0], set()).add(split)
    assert len(by_town) == 6
    assert all(len(found) == 1 for found in by_town.values())
    assert set(taken.images["group"].to_pylist()) == set(by_town)


def splits(snapshot):
    return dict(
        zip(
            snapshot.images["image_id"].to_pylist(),
            snapshot.images["split"].to_pylist(),
            strict=True,
        )
    )


def write_voc_image(folder, name, seed):
    """An image unlike the others, with one box."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "Annotations").mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((64, 64)).save(folder / "images" / f"{name}.png")
    (folder / "Annotations" / f"{name}.xml").write_text(
        f"<annotation><filename>{name}.png</filename><object><name>car</name><bndbox><xmin>1</xmin>"
        "<ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object></annotation>"
    )


def test_a_broken_run_leaves_the_memory_usable(coco, tmp_path):
    path, memory = coco(), tmp_path / "memory"
    first = take_snapshot([Source(path)], memory)
    good = path.read_text()
    path.write_text("{")
    with pytest.raises(DataError):
        take_snapshot([Source(path)], memory)
    path.write_text(good)
    assert take_snapshot([Source(path)], memory).content_hash == first.content_hash


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def remove(path):
    path.unlink()


@pytest.mark.parametrize(
    ("file", "damage", "changed"),
    [
        ("last/images.parquet", cut, False),
        ("last/boxes.parquet", flip, False),
        ("last/image_problems.parquet", remove, False),
        ("last/snapshot.json", flip, False),
        ("last/checksums.json", cut, False),
        ("parts/*.images.parquet", cut, False),
        ("parts/*.images.parquet", flip, False),
        ("parts/*.boxes.parquet", flip, False),
        ("parts/*.boxes.parquet", remove, True),
        ("parts/*.sums", flip, False),
        ("parts/known.parquet", cut, True),
        ("parts/known.parquet", flip, True),
        ("parts/known.sums", remove, True),
    ],
)
def test_a_damaged_memory_is_made_anew(coco, tmp_path, caplog, file, damage, changed):
    path, memory = coco(), tmp_path / "memory"
    take_snapshot([Source(path)], memory)
    damage(next(iter(sorted(memory.glob(file)))))
    if changed:  # another shard, for which what is known of the images is looked up
        rewrite(path, lambda d: d["annotations"][0].update(bbox=[2, 3, 10, 20]))
    caplog.clear()
    found = take_snapshot([Source(path)], memory)
    said = caplog.messages
    expected = take_snapshot([Source(path)])
    assert found.content_hash == expected.content_hash
    assert found.images.equals(expected.images)
    assert found.boxes.to_pylist() == expected.boxes.to_pylist()
    asked_for = not changed or "known" in file
    assert sum(" damaged, " in line for line in said) == asked_for
    caplog.clear()
    take_snapshot([Source(path)], memory)
    assert caplog.messages == ["nothing has changed since the last snapshot"]


@pytest.mark.parametrize("damage", [cut, lambda path: path.write_bytes(b"")])
def test_damaged_splits_are_never_guessed(coco, tmp_path, damage):
    """They alone know which images no model may be judged by."""
    path, memory = coco(), tmp_path / "memory"
    first = take_snapshot([Source(path)], memory)
    kept = (memory / "splits.parquet").read_bytes()
    damage(memory / "splits.parquet")
    damaged = (memory / "splits.parquet").read_bytes()
    for name in ("last", "parts"):
        shutil.rmtree(memory / name)
    for _ in range(2):
        with pytest.raises(DataError, match=r"splits.parquet: the memory of splits is damaged"):
            take_snapshot([Source(path)], memory)
        assert (memory / "splits.parquet").read_bytes() == damaged
    (memory / "splits.parquet").write_bytes(kept)  # put back
    assert take_snapshot([Source(path)], memory).content_hash == first.content_hash


def test_no_flipped_bit_gives_other_splits(tmp_path):
    path = tmp_path / "splits.parquet"
    rows = [(f"image {i}", f"{i:064x}", ("train", "test")[i % 2], f"g{i}") for i in range(50)]
    columns = zip(*rows, strict=True)
    table = pa.table(dict(zip(kept_splits.SCHEMA.names, columns, strict=True)))
    kept_splits.write(table, path)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(1), 0
    for place in rng.integers(len(whole), size=200):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            assert kept_splits.remembered(path).equals(table)  # what says nothing was hit
        except DataError:
            refused += 1
    assert refused > 100


def test_labels_that_were_cut_between_two_lines_are_said(tmp_path, caplog):
    """No reader can tell: what is left is whole."""
    folder, memory = tmp_path / "data", tmp_path / "memory"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.txt").write_text("car")
    for name in ("a", "b", "c"):
        Image.effect_noise((40, 30), 50).convert("RGB").save(folder / "images" / f"{name}.jpg")
        (folder / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n" * 2)
    take_snapshot([Source(folder)], memory)
    assert not any("fewer boxes" in line for line in caplog.messages)
    for name in ("a", "b"):
        cut(folder / "labels" / f"{name}.txt")
    (folder / "labels" / "c.txt").write_text("0 0.5 0.5 0.2 0.2\n" * 3)
    take_snapshot([Source(folder)], memory)
    assert caplog.messages[-1] == (
        "2 images have fewer boxes than in the last snapshot (the first: data/images/a.jpg, 1 "
        "instead of 2): if nobody removed them, label files were cut"
    )


def test_labels_that_change_in_place_are_noticed(tmp_path):
    """The same size, mtime and inode: as a program that sets the times back leaves them."""
    folder = tmp_path / "data"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.txt").write_text("car\nbike\n")
    Image.effect_noise((40, 30), 50).convert("RGB").save(folder / "images" / "a.jpg")
    labels = folder / "labels" / "a.txt"
    labels.write_text("0 0.5 0.5 0.2 0.2\n")
    memory, before = tmp_path / "memory", fingerprint([Source(folder)])
    take_snapshot([Source(folder)], memory)
    found = labels.stat()
    with labels.open("r+") as file:
        file.write("1")
    os.utime(labels, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert labels.stat().st_mtime_ns == found.st_mtime_ns
    assert fingerprint([Source(folder)]) != before
    assert take_snapshot([Source(folder)], memory).boxes["label"].to_pylist() == ["bike"]
