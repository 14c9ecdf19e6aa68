"""Nothing that looks like labels is passed over without a word."""

import json
from pathlib import Path

import pytest

from classlift.data.formats import detect_format, read_labels
from classlift.data.passed_over import PASSED_OVER
from classlift.data.snapshot import Source, take_snapshot
from classlift.errors import DataError
from classlift.own_folders import VALIDATION, make
from classlift.quality.checks import passed_over_files
from tests.classlift.data.test_formats import picture
from tests.classlift.data.test_mutations import FORMATS as WRITERS
from tests.classlift.data.test_unlisted import coco, csv, labelme, via, voc

pytestmark = pytest.mark.unit


def said(folder: Path) -> list[str]:
    problems = take_snapshot([Source(folder)]).image_problems()
    assert {p.severity for p in problems if p.rule == PASSED_OVER} <= {"info"}
    return [f"{p.image_id}: {p.value}" for p in problems if p.rule == PASSED_OVER]


@pytest.mark.parametrize(
    ("writers", "expected"),
    [
        ([coco, csv], ["a.json: COCO JSON; read is CSV, a row a box"]),
        ([voc, labelme], ["a.xml: Pascal VOC XML; read is LabelMe JSON"]),
        ([via, csv], ["a.csv: CSV, a row a box; read is VIA"]),
        (
            [via, voc, csv],
            [
                "a.csv: CSV, a row a box; read is Pascal VOC XML",
                "via.json: VIA; read is Pascal VOC XML",
            ],
        ),
    ],
)
def test_of_several_formats_the_one_that_is_read_is_said(tmp_path, writers, expected):
    picture(tmp_path / "data")
    for write in writers:
        write(tmp_path / "data")
    assert said(tmp_path / "data") == expected
    snapshot = take_snapshot([Source(tmp_path / "data")])
    (finding,) = passed_over_files(snapshot, None, None)
    assert (finding.severity, finding.count) == ("info", len(expected))
    assert "with the labels and" in finding.fault
    assert finding.where == expected


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.manifest", '{"source-ref": "s3://b/a.jpg"}', "this is a Ground Truth manifest of AWS"),
        ("more/vott.json", '{"assets": {}, "tags": []}', "this is a VoTT JSON; export CSV"),
        ("x/y/a.txt", "0 0.5 0.5 0.2 0.2\n", "YOLO"),
        (
            "tool.json",
            '{"frames": {"a.jpg": [{"x1": 1, "y1": 2}]}}',
            "it names images and boxes in",
        ),
        (
            "tool.xml",
            '<set><image file="a.jpg"/><box l="1"/></set>',
            "it names images and boxes in",
        ),
        ("boxes.tsv", "a.jpg\t1\t2\t3\t4\tcar\tseen\n", "it names images and boxes in a format"),
        ("gt.txt", "1,-1,912,484,97,109,0,7,1\n", "this is text of the MOT Challenge"),
    ],
)
def test_whatever_else_looks_like_labels(tmp_path, name, content, what):
    picture(tmp_path / "data")
    coco(tmp_path / "data")
    file = tmp_path / "data" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    (sentence,) = said(tmp_path / "data")
    assert sentence.startswith(f"{name}: {what}")
    assert sentence.endswith("; read is COCO JSON")


@pytest.mark.parametrize("format_name", WRITERS)
def test_what_is_read_is_not_passed_over(tmp_path, format_name):
    for number in (0, 1):
        picture(tmp_path / "data", f"{number}.jpg")
    WRITERS[format_name](tmp_path / "data")
    for name, text in {
        "README.txt": "Pictures a.jpg to z.jpg of 2026, 4 of them.\n",
        "train.txt": "images/0.jpg\nimages/1.jpg\n",
        "classes.txt": "cat\ndog\n",
        "package.json": '{"name": "x", "version": 1}',
        "changes.json": '[{"source": "data/a.xml", "action": "dropped the box", "reason": "x"}]',
    }.items():
        if format_name != "labelme" or not name.endswith(".json"):
            (tmp_path / "data" / name).write_text(text)
    make(tmp_path / "data" / "validation", VALIDATION)
    coco(tmp_path / "data" / "validation")
    assert said(tmp_path / "data") == []


def test_of_very_many_files_one_is_named(tmp_path):
    picture(tmp_path / "data")
    coco(tmp_path / "data")
    (tmp_path / "data" / "txt").mkdir()
    for number in range(60):
        (tmp_path / "data" / "txt" / f"{number:03}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    assert said(tmp_path / "data") == [
        "txt/000.txt: YOLO (and 59 more beside it); read is COCO JSON"
    ]


def test_a_file_that_is_named_passes_nothing_over(tmp_path):
    picture(tmp_path / "data")
    coco(tmp_path / "data")
    csv(tmp_path / "data")
    snapshot = take_snapshot([Source(tmp_path / "data" / "a.json")])
    assert not [p for p in snapshot.image_problems() if p.rule == PASSED_OVER]


def test_a_memory_sees_a_new_label_file(tmp_path):
    picture(tmp_path / "data")
    coco(tmp_path / "data")
    source = [Source(tmp_path / "data")]
    assert not take_snapshot(source, tmp_path / "memory").image_problems()
    (tmp_path / "data" / "b.manifest").write_text('{"source-ref": "s3://b/a.jpg"}')
    (problem,) = take_snapshot(source, tmp_path / "memory").image_problems()
    assert problem.rule == PASSED_OVER


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("gt.txt", "a.jpg\n1\n10 20 30 40 0 0 0 0 0 0\n", "this is text of WIDER FACE"),
        ("a.txt", "684,8,273,116,0,0,0,0\n", "this is text of VisDrone; convert it to YOLO"),
        ("gt/gt.txt", "1,2,794.2,47.5,71.2,174.8,1,1,0.8\n", "text of the MOT Challenge"),
        ("automl.csv", "TRAIN,gs://b/a.jpg,car,0.1,0.1,,,0.3,0.3,,\n", "a CSV of AutoML of Google"),
        ("a.jsonl", '{"image": "a.jpg", "prefix": "<OD>", "suffix": "car"}', "PaliGemma or Flor"),
        ("a.jsonl", '{"messages": [{"role": "user"}]}', "this is an OpenAI JSONL"),
        ("a.json", '[{"filename": "a.jpg", "width": 1, "ann": {}}]', "this is a MMDetection JSON"),
        ("a.json", '{"filename": "a", "annotations": [], "metadata": {}}', "a Dataloop JSON"),
        ("a.json", '{"objects": [], "categories": {}}', "this is a Superb AI JSON"),
        ("a.json", '[{"externalId": "a", "jsonResponse": {}}]', "this is a Kili JSON"),
        ("a.json", '{"shots": [{"f": "a.jpg", "bbox": [1, 2, 3, 4]}]}', "a format that is not kn"),
        ("a.txt", "a.jpg 1 10 20 30 40\n", "a.txt: it names images and boxes in a format"),
        ("train.csv", 'image_id,width,bbox\na,9,"[1, 2]"\n', "columns image_id, width, bbox"),
        ("masks/b.png", None, "masks holds masks, which have no boxes; export COCO"),
    ],
)
def test_formats_that_are_not_read_are_named(tmp_path, name, content, sentence):
    picture(tmp_path, "images/a.jpg")
    if content is None:
        picture(tmp_path, name)
    else:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=sentence):
        read_labels(tmp_path)


# keras-yolo3, keras-retinanet, Make Sense, Hugging Face


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("names", ["_classes.txt", "../_classes.txt", None])
def test_text_of_keras_yolo3(tmp_path, names, end):
    folder = tmp_path / "data" / "train"
    for name in ("a.jpg", "b 1.jpg", "c.png"):
        picture(folder, name)
    lines = ["c.png", "a.jpg 1,2,11,22,1 3,4,5,6.5,0", "b 1.jpg 1,2,3,4,7"]
    (folder / "_annotations.txt").write_text(end.join(lines) + end)
    if names:
        (folder / names).write_text("car\nbus\n")
    assert detect_format(folder) == "keras_yolo"
    labels = read_labels(tmp_path / "data")
    assert sorted(image.file_name for image in labels.images) == ["a.jpg", "b 1.jpg", "c.png"]
    assert [(box.file_name, box.label, box.box) for box in labels.boxes] == [
        ("a.jpg", "bus" if names else "", (1, 2, 11, 22)),
        ("a.jpg", "car" if names else "", (3, 4, 5, 6.5)),
        ("b 1.jpg", "", (1, 2, 3, 4)),
    ]
    source = "train/_annotations.txt line 3 box 1 of class 7"
    numbered = ", and the list numbers them from 0 to 1" if names else ""
    assert labels.boxes[2].source == source + numbered


@pytest.mark.parametrize("word", ["1,2,3,4", "1,2,3", "x", "1,2,3,4,car", "1,2,x,4,0"])
def test_a_box_of_keras_yolo3_that_is_none_is_one_finding(tmp_path, word):
    picture(tmp_path)
    (tmp_path / "_annotations.txt").write_text(f"a.jpg 1,2,11,22,0 {word}\n")
    (tmp_path / "_classes.txt").write_text("car\n")
    first, second = read_labels(tmp_path).boxes
    assert first.box == (1, 2, 11, 22)
    assert any(side != side for side in second.box)


@pytest.mark.parametrize(
    "rows",
    [
        ["a.jpg,1,2,11,22,car", "b.jpg,,,,,"],
        ["b.jpg,,,,,", "a.jpg,1,2,11,22,car"],
        ["car,1,2,10,20,a.jpg,40,30"],
        [
            "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height",
            "car,1,2,10,20,a.jpg,40,30",
        ],
    ],
)
def test_csv_whose_first_line_is_a_row(tmp_path, rows):
    for name in ("a.jpg", "b.jpg"):
        picture(tmp_path / "data", name)
    (tmp_path / "data" / "_annotations.csv").write_text("\n".join(rows) + "\n")
    labels = read_labels(tmp_path / "data")
    assert detect_format(tmp_path / "data") == "csv"
    assert [(box.label, box.box) for box in labels.boxes] == [("car", (1, 2, 11, 22))]
    assert len(labels.images) == (2 if "b.jpg" in "".join(rows) else 1)


@pytest.mark.parametrize("key", ["categories", "category", "label"])
@pytest.mark.parametrize("is_list", [False, True])
def test_metadata_of_hugging_face(tmp_path, key, is_list):
    boxes, classes = [[1, 2, 10, 20], [3, 4, 2, 2.5]], ["car", 1]
    both = [{"bbox": b, key: c} for b, c in zip(boxes, classes, strict=True)]
    records = [
        {"file_name": "a.jpg", "objects": both if is_list else {"bbox": boxes, key: classes}},
        {"file_name": "b.jpg", "width": 40, "height": 30, "objects": {"bbox": [], key: []}},
    ]
    for record in records:
        picture(tmp_path / "train", record["file_name"])
    text = "\n".join(map(json.dumps, records)) + "\n"
    (tmp_path / "train" / "metadata.jsonl").write_text(text)
    assert detect_format(tmp_path / "train") == "hugging_face"
    labels = read_labels(tmp_path / "train")
    assert len(labels.images) == 2
    assert [(box.label, box.box) for box in labels.boxes] == [
        ("car", (1, 2, 11, 22)),
        ("", (3, 4, 5, 6.5)),
    ]
    assert labels.boxes[1].source.endswith("line 1 object 2 of class 1")
