"""Label maps: read as the OD API's own parser reads them, and written so that nothing changes."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from classlift.data.label_map import COCO, MAX_BYTES, LabelMap
from classlift.errors import DataError

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[3]
ZOO = ROOT.parent / "shared" / "zoo"
IMPLEMENTATION = "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"

KEYPOINTS = """
item: {
 id: 1
 name: 'face'
 display_name: 'face'
 keypoints {
   id: 5
   label: "left_eye_center"
 }
}
item: {
 keypoints { id: 6 label: "NOSE_TIP" }
 id: 2
 name: 'Person'
 display_name: 'PERSON'
}
"""

READ = [
    # text, names by id
    ("item { id: 1 name: 'a' } item { id: 2 name: 'b' }", {1: "a", 2: "b"}),
    (
        "item { name: \"b\" id: 2 }\nitem {\n  id: 1\n  name: 'a'\n}\n",
        {1: "a", 2: "b"},
    ),  # any order
    ("item { id: 1 name: 'a' } # item { id: 2 name: 'old' }\n", {1: "a"}),  # a comment
    ("item: { id: 1, name: 'a' }; item: < id: 2; name: 'b' >", {1: "a", 2: "b"}),  # separators
    ('item { id: 1 name: "caf\\303\\251" }', {1: "café"}),  # as protobuf writes it
    ('item { id: 1 name: "caf\\xc3\\xa9 \\u00e9" }', {1: "café é"}),
    ("item { id: 1 name: 'traffic ' \"light\" }", {1: "traffic light"}),  # two strings in a row
    ("item { id: 1 name: 'a}b{' }", {1: "a}b{"}),
    ("item { id: 1 name: 'it\\'s a \"dog\"' }", {1: 'it\'s a "dog"'}),
    ("item { id: 3 name: 'a' } item { id: 0x10 name: 'b' }", {3: "a", 16: "b"}),  # gaps
    ("item { id: 0 name: 'background' } item { id: 1 name: 'a' }", {1: "a"}),
    ("item { id: 0 name: 'none' display_name: 'background' } item { id: 1 name: 'a' }", {1: "a"}),
    ("item { id: 1 name: '/m/01g317' display_name: 'person' }", {1: "person"}),
    ("item { id: 1 display_name: 'person' }", {1: "person"}),
    ("item { id: 1 name: 'a' frequency: RARE instance_count: 4 ancestor_ids: [1, 2] }", {1: "a"}),
    ("\ufeffitem { id: 1 name: 'a' }\r\n", {1: "a"}),  # from Windows
    ("item { id: 1 name: 'car' } item { id: 2 name: 'car ' }", {1: "car", 2: "car "}),
    (KEYPOINTS, {1: "face", 2: "PERSON"}),
]


@pytest.mark.parametrize(("text", "expected"), READ)
def test_reads_protobufs_text_format(tmp_path, text, expected):
    label_map = LabelMap.read(written(tmp_path, text))
    assert dict(zip(label_map.ids, label_map.names, strict=True)) == expected


def test_reads_what_the_od_api_reads(tmp_path):
    from classlift.detectors.od_api import prepare

    prepare()
    from object_detection.utils import label_map_util

    for text, expected in READ:
        if text.startswith("\ufeff") or "\\u00e9" in text:
            continue  # more than the OD API's parser takes
        path = written(tmp_path, text)
        theirs = label_map_util.create_category_index_from_labelmap(str(path))
        assert {i: category["name"] for i, category in theirs.items()} == expected


def test_both_implementations_of_protobuf_read_the_same(tmp_path):
    path = written(tmp_path, KEYPOINTS)
    code = (
        "import sys; from pathlib import Path; from classlift.data.label_map import LabelMap;"
        "from google.protobuf.internal import api_implementation as used;"
        "print(used.Type(), LabelMap.read(Path(sys.argv[1])))"
    )
    found = []
    for name in ("python", "upb"):
        environment = {**os.environ, IMPLEMENTATION: name}
        result = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        used, _, text = result.stdout.partition(" ")
        assert used == name
        found.append(text)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no item"),
        ("item { id: 0 name: 'background' }", "has no item"),
        ("item { id: 1 }", "needs both `id` and `name`"),
        ("item { name: 'a' }", "needs both `id` and `name`"),
        ("item { id: 1 name: '' }", "needs both `id` and `name`"),
        ("item { id: 0 name: 'a' }", "gives 'a' the id 0"),  # 0 is the background
        ("item { id: -1 name: 'a' }", "gives 'a' the id -1"),
        ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "has the id 1 more than once"),
        ("item { id: 1 name: 'a' } item { id: 2 name: 'a' }", "names 'a' more than once"),
        (
            "item { id: 1 name: 'x' display_name: 'y' } item { id: 2 name: 'y' }",
            "names 'y'|'y', th",
        ),
        ("item { id: 1 id: 2 name: 'a' }", 'multiple "id"'),
        ("item { id: 1 name: 'a' colour: 'red' }", 'no field named "colour"'),
        ('item { id: 1 name: "\\377" }', "utf-8"),  # no text
        ('item { id: 1 name: "\\ud800" }', "utf-8"),  # half of a pair
        ("item { id: 3000000000 name: 'a' }", "out of range"),
        ("item { id: 1" + "0" * 5000 + " name: 'a' }", "not a label map of the OD API"),
        ("item { id: 1 name: 'a' ", "not a label map of the OD API"),
        ('{"item": 1}', "not a label map of the OD API"),
        ("item {" * 100_000, 'no field named "item"'),
        ("item { keypoints { " * 100_000, 'no field named "item"'),
        ("#" * (MAX_BYTES + 1), "larger than 10 MB, the most for the label map"),
    ],
)
def test_refuses_with_a_sentence(tmp_path, text, sentence):
    started = time.process_time()
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=sentence) as error:
        LabelMap.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert len(str(error.value)) < 1000
    assert "\n" not in str(error.value)
    assert time.process_time() - started < 5


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none", Path("/dev/zero")):
        with pytest.raises(DataError, match=r"must be a regular file|can't be read"):
            LabelMap.read(path)


def test_any_name_is_read_as_it_was_written(tmp_path):
    path, rng = tmp_path / "label_map.pbtxt", random.Random(0)
    odd = "\\ ' \" \u00a0 \u200d \n \r \x1b \t \0 } { é 😀 # \\n \\303 // \ufeff \u2028 \x7f < > ;"
    pieces = [*odd.split(" "), " "]
    for _ in range(300):
        names = {"".join(rng.choices(pieces, k=rng.randint(1, 6))) for _ in range(5)} - {""}
        ids = sorted(rng.sample(range(1, 91), len(names)))
        others = (name if rng.random() < 0.5 else f"/m/{i} {name}" for i, name in enumerate(names))
        label_map = LabelMap(tuple(names), tuple(ids), tuple(others))
        label_map.write(path)
        first = path.read_bytes()
        assert LabelMap.read(path) == label_map
        LabelMap.read(path).write(path)
        assert path.read_bytes() == first


def test_thirty_thousand_classes_in_seconds(tmp_path):
    label_map = LabelMap(tuple(f"class {i}" for i in range(30_000)))
    started = time.process_time()
    label_map.write(tmp_path / "label_map.pbtxt")
    found = LabelMap.read(tmp_path / "label_map.pbtxt")
    assert [found.id_of(name) for name in found] == list(found.ids)
    assert time.process_time() - started < 10


def test_labels_match_either_name(tmp_path):
    text = "item { id: 7 name: '/m/01g317' display_name: 'person' }"
    label_map = LabelMap.read(written(tmp_path, text))
    assert label_map.id_of("person") == label_map.id_of("/m/01g317") == 7
    assert label_map.renamed == {"/m/01g317": "person"}


def test_unknown_class_names_those_there_are():
    with pytest.raises(DataError, match="'c' is not in the label map, which has: a, b"):
        LabelMap(("a", "b")).id_of("c")
    with pytest.raises(DataError, match=r"'A ' is not .* 'a' differs in blanks or capitals alone"):
        LabelMap(("a", "b")).id_of("A ")
    with pytest.raises(DataError, match=r"which has: 'a ', '\\x1b\[31m'"):
        LabelMap(("a ", "\x1b[31m")).id_of("c")
    with pytest.raises(DataError) as error:
        LabelMap(tuple(f"class {i}" for i in range(30_000))).id_of("c")
    assert "class 19 and 29980 more" in str(error.value)


@pytest.mark.parametrize(
    ("names", "ids", "sentence"),
    [
        ((), (), "names no class"),
        (("a", "\ud800"), (), r"called '\\ud800'"),
        (("a", "b"), (1,), "one id for each"),
        (("a", "b"), (2, 1), "ascending"),
    ],
)
def test_what_is_no_label_map(names, ids, sentence):
    with pytest.raises(DataError, match=sentence):
        LabelMap(names, ids)


def test_the_classes_of_coco():
    label_map = LabelMap.read(COCO)
    assert (len(label_map), label_map.last_id) == (80, 90)
    assert (label_map.name_of(1), label_map.name_of(90)) == ("person", "toothbrush")
    assert set(range(1, 91)) - set(label_map.ids) == {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}


@pytest.mark.skipif(not ZOO.is_dir(), reason="the label maps of the zoo are not there")
def test_the_label_maps_of_the_zoo():
    found = {path.name: LabelMap.read(path) for path in ZOO.glob("*.pbtxt")}
    coco = found["mscoco_label_map.pbtxt"]
    ours = LabelMap.read(COCO)
    assert (coco.names, coco.ids) == (ours.names, ours.ids)
    assert len(found["oid_v4_label_map.pbtxt"]) == 601
    assert found["face_person_with_keypoints_label_map.pbtxt"].names == ("face", "PERSON")


def written(folder: Path, text: str) -> Path:
    path = folder / "label_map.pbtxt"
    path.write_bytes(text.encode("utf-8"))
    return path


def test_new_classes_come_last():
    label_map = LabelMap(("car", "bus"), (1, 5), ("c", "b"))
    more = label_map.with_classes({"tram": 7, "scooter": 6})
    assert (more.names, more.ids) == (("car", "bus", "scooter", "tram"), (1, 5, 6, 7))
    assert more.renamed == {"c": "car", "b": "bus"}
    assert more.without({"scooter", "tram"}) == label_map
    with pytest.raises(DataError, match="more than once"):
        label_map.with_classes({"tram": 5})
