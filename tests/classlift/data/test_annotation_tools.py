"""The exports of annotation tools: each shape of each tool becomes the box that it says."""

import base64
import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from classlift.data.formats import detect_format, read_labels
from classlift.data.formats.collected import NOT_LABELLED
from classlift.data.formats.csv_rows import read_table
from classlift.data.formats.kitti import DONT_CARE
from classlift.data.formats.label_studio import MANY_CLASSES, SEVERAL, TURNED_VIEW
from classlift.data.formats.open_images import NAMELESS
from classlift.data.formats.via import CHOSEN
from classlift.data.image_files import RENAMED
from classlift.data.images import probe
from classlift.data.media import read_bytes
from classlift.data.shapes import ENCLOSED, LEFT_OUT
from classlift.data.snapshot import Source, take_snapshot
from classlift.errors import DataError

pytestmark = pytest.mark.unit
Box = tuple[str, float, float, float, float]


def picture(path: Path, size: tuple[int, int] = (200, 100)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 50).convert("RGB").save(path)
    return path


def boxes_of(path: Path, format_name: str) -> list[Box]:
    """What is read, where the path alone tells the format."""
    assert detect_format(path) == format_name
    return [
        (box.label, *(round(side, 3) for side in box.box))  # type: ignore[misc]
        for box in read_labels(path).boxes
    ]


def said(path: Path) -> list[str]:
    return [remark.problem for remark in read_labels(path).remarks]


def write_json(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


# LabelMe


def labelme(folder: Path, shapes: Sequence[Mapping[str, Any]], **parts: Any) -> Path:
    picture(folder / "a.jpg")
    document = {
        "version": "5.4.1",
        "flags": {},
        "shapes": [
            {"label": "car", "group_id": None, "shape_type": "rectangle", "flags": {}, **shape}
            for shape in shapes
        ],
        "imagePath": "a.jpg",
        "imageData": None,
        "imageHeight": 100,
        "imageWidth": 200,
        **parts,
    }
    write_json(folder / "a.json", document)
    return folder


@pytest.mark.parametrize(
    ("shape", "corners", "enclosed"),
    [
        ({"points": [[10, 20], [50, 60]]}, (10, 20, 50, 60), ""),
        ({"points": [[50, 60], [10, 20]]}, (10, 20, 50, 60), ""),  # corners in any order
        ({"points": [[10, 60], [50, 20]]}, (10, 20, 50, 60), ""),
        ({"points": [[10, 20], [50, 20], [50, 60], [10, 60]]}, (10, 20, 50, 60), ""),
        (
            {"shape_type": "polygon", "points": [[10, 20], [50, 30], [30, 60]]},
            (10, 20, 50, 60),
            "1 polygons",
        ),
        ({"shape_type": None, "points": [[10, 20], [50, 30], [30, 60]]}, (10, 20, 50, 60), "1 p"),
        ({"shape_type": "circle", "points": [[50, 50], [53, 54]]}, (45, 45, 55, 55), "1 circles"),
        ({"shape_type": "mask", "points": [[10, 20], [50, 60]]}, (10, 20, 50, 60), "1 masks"),
        (
            {"shape_type": "rotation", "points": [[30, 10], [50, 30], [30, 50], [10, 30]]},
            (10, 10, 50, 50),
            "1 turned boxes",
        ),
    ],
)
def test_labelme(tmp_path, shape, corners, enclosed):
    folder = labelme(tmp_path / "set", [shape])
    assert boxes_of(folder, "labelme") == [("car", *corners)]
    assert [problem.startswith(f"{ENCLOSED}: {enclosed}") for problem in said(folder)] == (
        [True] if enclosed else []
    )


@pytest.mark.parametrize("kind", ["point", "points", "line", "linestrip", "pose"])
def test_labelme_shapes_without_an_area_are_left_out(tmp_path, kind):
    shapes = [{"shape_type": kind, "points": [[1, 2], [3, 4]]}, {"points": [[10, 20], [50, 60]]}]
    folder = labelme(tmp_path / "set", shapes)
    assert boxes_of(folder, "labelme") == [("car", 10, 20, 50, 60)]
    assert said(folder) == [f"{LEFT_OUT}: 1 of kind {kind!r}"]


def test_labelme_polygons_of_one_group_are_one_object(tmp_path):
    part = {"shape_type": "polygon", "group_id": 1}
    shapes = [
        {**part, "points": [[10, 20], [20, 20], [20, 30]]},
        {"points": [[1, 1], [2, 2]], "group_id": 1},  # a rectangle stands for itself
        {**part, "points": [[60, 40], [80, 40], [80, 60]]},
        {**part, "points": [[60, 40], [80, 40], [80, 60]], "label": "bus"},
    ]
    folder = labelme(tmp_path / "set", shapes)
    assert boxes_of(folder, "labelme") == [
        ("car", 10, 20, 80, 60),
        ("car", 1, 1, 2, 2),
        ("bus", 60, 40, 80, 60),
    ]


def test_labelme_difficult_and_places(tmp_path):
    shape = {"points": [[10, 20], [50, 60]], "difficult": True}
    folder = labelme(tmp_path / "set", [shape, {"points": [[1, 1], [2, 2]], "label": "bus"}])
    labels = read_labels(folder)
    assert [box.difficult for box in labels.boxes] == [True, False]
    assert labels.boxes[1].source == "set/a.json shape 2"
    assert (labels.images[0].width, labels.images[0].height) == (200, 100)


def test_labelme_images_in_the_json(tmp_path):
    """The image file is not there: its bytes are in `imageData`."""
    data = picture(tmp_path / "elsewhere.jpg").read_bytes()
    shape = {"points": [[10, 20], [50, 60]]}
    folder = labelme(tmp_path / "set", [shape], imageData=base64.b64encode(data).decode())
    (folder / "a.jpg").unlink()
    (image,) = read_labels(folder).images
    assert read_bytes(image.uri) == data
    facts = probe(image.uri)
    assert (facts.problem, facts.width, facts.height) == ("", 200, 100)
    write_json(folder / "a.json", {**json.loads((folder / "a.json").read_text()), "imageData": "?"})
    assert "no image in base64" in probe(image.uri).problem


def test_labelme_names_its_own_file_as_the_image(tmp_path):
    """Early versions did, with the image in `imageData`."""
    data = base64.b64encode(picture(tmp_path / "b.jpg").read_bytes()).decode()
    shapes = [{"label": "car", "points": [[1, 2], [30, 40]], "shape_type": "rectangle"}]
    path = labelme(tmp_path, shapes, imagePath="a.json", imageData=data)
    (image,) = read_labels(path).images
    assert probe(image.uri).width == 200


@pytest.mark.parametrize("name", ["..\\images\\a.jpg", "../images/a.jpg", "C:\\me\\A.JPG"])
def test_labelme_images_in_another_folder(tmp_path, name):
    labelme(tmp_path / "set" / "json", [{"points": [[10, 20], [50, 60]]}], imagePath=name)
    (tmp_path / "set" / "images").mkdir()
    (tmp_path / "set" / "json" / "a.jpg").rename(tmp_path / "set" / "images" / "a.jpg")
    assert boxes_of(tmp_path / "set", "labelme") == [("car", 10, 20, 50, 60)]
    assert read_labels(tmp_path / "set").images[0].file_name == "images/a.jpg"


# Label Studio


def region(kind: str = "rectanglelabels", **value: Any) -> dict[str, Any]:
    place = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, kind: ["car"]}
    return {
        "id": "r1",
        "type": kind,
        "original_width": 200,
        "original_height": 100,
        "image_rotation": 0,
        "value": {**(place if "points" not in value else {kind: ["car"]}), **value},
    }


def task(*annotations: Mapping[str, Any], image: str = "/data/upload/1/a.jpg") -> dict[str, Any]:
    return {
        "id": 7,
        "annotations": [{"was_cancelled": False, **annotation} for annotation in annotations],
        "data": {"image": image},
    }


def label_studio(folder: Path, *tasks: Mapping[str, Any]) -> Path:
    picture(folder / "a.jpg")
    return write_json(folder / "export.json", list(tasks))


@pytest.mark.parametrize(
    ("result", "corners", "enclosed"),
    [
        ([region()], (20, 20, 80, 60), ""),
        # Turned by 90 degrees around its upper left corner (20, 20): 60 wide, 40 high before.
        ([region(rotation=90)], (-20, 20, 20, 80), "turned boxes"),
        (
            [region(rotation=45)],
            (
                20 - 40 / math.sqrt(2),
                20,
                20 + 60 / math.sqrt(2),
                20 + 100 / math.sqrt(2),
            ),
            "turned boxes",
        ),
        (
            [region("polygonlabels", points=[[10, 20], [40, 60], [30, 10]])],
            (20, 10, 80, 60),
            "polygons",
        ),
        (
            [region("ellipselabels", x=50, y=50, radiusX=10, radiusY=20)],
            (80, 30, 120, 70),
            "ellipses",
        ),
        (
            [region("ellipselabels", x=50, y=50, radiusX=10, radiusY=40, rotation=90)],
            (60, 30, 140, 70),
            "ellipses",
        ),
        (  # a shape and its label as two results of one region
            [
                {**region("rectangle"), "value": {"x": 10, "y": 20, "width": 30, "height": 40}},
                {**region("labels"), "type": "labels"},
            ],
            (20, 20, 80, 60),
            "",
        ),
    ],
)
def test_label_studio(tmp_path, result, corners, enclosed):
    path = label_studio(tmp_path / "set", task({"result": result}))
    assert boxes_of(path, "label_studio") == [("car", *(round(side, 3) for side in corners))]
    assert said(path) == ([f"{ENCLOSED}: 1 {enclosed}"] if enclosed else [])
    assert boxes_of(path.parent, "label_studio") == boxes_of(path, "label_studio")


def test_label_studio_json_min(tmp_path):
    row = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["car"]}
    size = {"original_width": 200, "original_height": 100}
    record = {"image": "/data/upload/1/a.jpg", "id": 7, "label": [{**row, **size}]}
    record |= {"annotator": 1, "annotation_id": 3, "updated_at": "2026-01-01"}
    newer = {**record, "label": [{**row, **size, "rectanglelabels": ["bus"]}]}
    path = label_studio(tmp_path / "set", record, {**newer, "updated_at": "2026-01-02"})
    assert boxes_of(path, "label_studio") == [("bus", 20, 20, 80, 60)]
    assert said(path) == [f"{SEVERAL}: there are 2"]


@pytest.mark.parametrize(
    ("annotations", "label", "remark"),
    [
        ([{"result": [region()], "was_cancelled": True}], None, f"{NOT_LABELLED}: its annotation"),
        ([], None, f"{NOT_LABELLED}: it has no annotation"),
        (
            [
                {"result": [region(rectanglelabels=["bus"])], "updated_at": "2026-01-02"},
                {"result": [region()], "updated_at": "2026-01-01"},
            ],
            "bus",
            f"{SEVERAL}: there are 2",
        ),
        (
            [
                {"result": [region(rectanglelabels=["bus"])], "updated_at": "2026-01-02"},
                {"result": [region()], "updated_at": "2026-01-01", "ground_truth": True},
            ],
            "car",
            f"{SEVERAL}: there are 2",
        ),
        ([{"result": [region(), region()], "was_cancelled": True}, {"result": []}], "", ""),
        ([{"result": [region(rectanglelabels=["bus", "car"])]}], "bus", MANY_CLASSES),
        ([{"result": [{**region(), "image_rotation": 90}]}], "car", f"{TURNED_VIEW}: it is turned"),
        (
            [{"result": [{**region(), "type": "choices", "value": {"choices": ["day"]}}]}],
            "",
            "",
        ),
    ],
)
def test_label_studio_annotations(tmp_path, annotations, label, remark):
    """None: the task is left out; "": its image has no object."""
    path = label_studio(tmp_path / "set", task(*annotations), task({"result": []}, image="b.jpg"))
    picture(path.parent / "b.jpg")
    labels = read_labels(path)
    assert len(labels.images) == (1 if label is None else 2)
    assert [box.label for box in labels.boxes] == ([label] if label else [])
    assert [r.problem.startswith(remark) for r in labels.remarks] == ([True] if remark else [])


@pytest.mark.parametrize(
    "name",
    [
        "/data/upload/3/0123abcd-a.jpg",  # uploaded: eight digits before the name that it had
        "/data/local-files/?d=set/a.jpg",
        "s3://bucket/some/a.jpg",
        "https://host/x/a.jpg?token=1",
        "a.jpg",
    ],
)
def test_label_studio_images(tmp_path, name):
    path = label_studio(tmp_path / "set", task({"result": [region()]}, image=name))
    (image,) = read_labels(path).images
    assert (image.file_name, Path(image.uri).is_file()) == ("a.jpg", True)


# CVAT

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><labels><label><name>car</name></label>
</labels></task></meta>{}</annotations>"""
CVAT_BOX = '<box label="car" occluded="0" xtl="10" ytl="20" xbr="50" ybr="60" z_order="0"{}></box>'


def cvat(folder: Path, shapes: str, head: str = "") -> Path:
    picture(folder / "images" / "a.jpg")
    image = f'<image id="0" name="a.jpg" width="200" height="100">{shapes}</image>'
    (folder / "annotations.xml").write_text(head + CVAT.format(image))
    return folder


@pytest.mark.parametrize(
    ("shape", "corners", "enclosed"),
    [
        (CVAT_BOX.format(""), (10, 20, 50, 60), ""),
        (CVAT_BOX.format(' outside="0"'), (10, 20, 50, 60), ""),
        (CVAT_BOX.format(' rotation="90.00"').replace("60", "30"), (25, 5, 35, 45), "turned boxes"),
        ('<polygon label="car" points="10,20;50,30;30,60"/>', (10, 20, 50, 60), "polygons"),
        ('<ellipse label="car" cx="50" cy="50" rx="10" ry="20"/>', (40, 30, 60, 70), "ellipses"),
        (
            '<mask label="car" rle="1, 2" left="10" top="20" width="40" height="40"/>',
            (10, 20, 50, 60),
            "masks",
        ),
    ],
)
def test_cvat(tmp_path, shape, corners, enclosed):
    folder = cvat(tmp_path / "set", shape)
    assert boxes_of(folder, "cvat") == [("car", *corners)]
    assert said(folder) == ([f"{ENCLOSED}: 1 {enclosed}"] if enclosed else [])


@pytest.mark.parametrize("value", ["true", "false"])
def test_cvat_has_the_flag_of_voc_as_an_attribute(tmp_path, value):
    shape = CVAT_BOX.replace("></box>", f'><attribute name="difficult">{value}</attribute></box>')
    (box,) = read_labels(cvat(tmp_path / "set", shape.format(""))).boxes
    assert box.difficult == (value == "true")


def test_cvat_leaves_out_what_has_no_area_or_is_outside(tmp_path):
    shapes = "".join(
        [
            CVAT_BOX.format(' outside="1"'),
            '<polyline label="car" points="1,2;3,4"/>',
            '<points label="car" points="1,2"/>',
            '<tag label="day"/>',
            CVAT_BOX.format(""),
        ]
    )
    folder = cvat(tmp_path / "set", shapes)
    assert boxes_of(folder, "cvat") == [("car", 10, 20, 50, 60)]
    assert said(folder) == [f"{LEFT_OUT}: 1 of kind 'points', 1 of kind 'polyline'"]


def test_cvat_tracks(tmp_path):
    """Frames by their numbers; a box outside is none; a frame without a box has no objects."""
    folder = tmp_path / "set"
    for number in (0, 5, 10):
        picture(folder / "images" / f"frame_{number:06d}.png")
    box = '<box frame="{}" outside="{}" keyframe="1" xtl="10" ytl="20" xbr="50" ybr="60"/>'
    track = f'<track id="3" label="bus">{box.format(0, 0)}{box.format(5, 0)}{box.format(10, 1)}'
    size = "<meta><original_size><width>200</width><height>100</height></original_size></meta>"
    (folder / "annotations.xml").write_text(CVAT.format(f"{size}{track}</track>"))
    labels = read_labels(folder)
    assert [image.file_name for image in labels.images] == [
        f"images/frame_{number:06d}.png" for number in (0, 5, 10)
    ]
    assert [box.source for box in labels.boxes] == [
        "set/annotations.xml track 3 frame 0",
        "set/annotations.xml track 3 frame 5",
    ]
    assert {(image.width, image.height) for image in labels.images} == {(200, 100)}


def test_cvat_subsets_have_images_of_one_name(tmp_path):
    images = "".join(
        f'<image id="0" name="a.jpg" subset="{subset}" width="200" height="100">'
        f"{CVAT_BOX.format('').replace('car', subset)}</image>"
        for subset in ("Train", "Validation")
    )
    folder = tmp_path / "set"
    for subset in ("Train", "Validation"):
        picture(folder / "images" / subset / "a.jpg")
    (folder / "annotations.xml").write_text(CVAT.format(images))
    labels = read_labels(folder)
    assert [(box.file_name, box.label) for box in labels.boxes] == [
        ("images/Train/a.jpg", "Train"),
        ("images/Validation/a.jpg", "Validation"),
    ]


# VIA


def via(folder: Path, region: Mapping[str, Any], wrap: bool = True) -> Path:
    picture(folder / "a.jpg")
    entries = {"a.jpg123": {"filename": "a.jpg", "size": 123, "regions": [region]}}
    return write_json(
        folder / "via.json",
        {"_via_settings": {}, "_via_img_metadata": entries} if wrap else entries,
    )


@pytest.mark.parametrize(
    ("shape", "corners", "enclosed"),
    [
        ({"name": "rect", "x": 10, "y": 20, "width": 40, "height": 40}, (10, 20, 50, 60), ""),
        ({"name": "circle", "cx": 50, "cy": 50, "r": 10}, (40, 40, 60, 60), "circles"),
        (
            {"name": "ellipse", "cx": 50, "cy": 50, "rx": 10, "ry": 20, "theta": math.pi / 2},
            (30, 40, 70, 60),
            "ellipses",
        ),
        (
            {"name": "polygon", "all_points_x": [10, 50, 30], "all_points_y": [20, 30, 60]},
            (10, 20, 50, 60),
            "polygons",
        ),
    ],
)
@pytest.mark.parametrize("wrap", [True, False])
def test_via(tmp_path, shape, corners, enclosed, wrap):
    region = {"shape_attributes": shape, "region_attributes": {"kind": "car"}}
    path = via(tmp_path / "set", region, wrap)
    assert boxes_of(path, "via") == [("car", *corners)]
    assert said(path) == ([f"{ENCLOSED}: 1 {enclosed}"] if enclosed else [])


RECT = {"name": "rect", "x": 10, "y": 20, "width": 40, "height": 40}


@pytest.mark.parametrize(
    ("attributes", "label", "remark"),
    [
        ({"class": "car", "colour": "red"}, "car", f"{CHOSEN}: 'class' and not 'colour'"),
        ({"colour": "red", "Label": "car"}, "car", f"{CHOSEN}: 'Label' and not 'colour'"),
        ({"type": {"car": True, "bus": False}}, "car", None),
        ({}, "", None),
    ],
)
def test_via_chooses_the_attribute_that_is_the_class(tmp_path, attributes, label, remark):
    path = via(tmp_path / "set", {"shape_attributes": RECT, "region_attributes": attributes})
    assert boxes_of(path, "via") == [(label, 10, 20, 50, 60)]
    assert said(path) == ([remark] if remark else [])


def test_via_passes_over_an_attribute_that_few_regions_have(tmp_path):
    """However it is called: one region of thousands had `name`, the others `object_name`."""
    picture(tmp_path / "a.jpg")
    values = [{"object_name": "car", "name": ""}] * 4 + [{"name": "x"}]
    regions = [{"shape_attributes": RECT, "region_attributes": value} for value in values]
    path = write_json(tmp_path / "a.json", {"a.jpg9": {"filename": "a.jpg", "regions": regions}})
    assert [label for label, *_ in boxes_of(path, "via")] == ["car"] * 4 + [""]
    assert said(path) == [f"{CHOSEN}: 'object_name' and not 'name'"]


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"colour": "red", "size": "big"}, "its regions have the attributes 'colour', 'size'"),
    ],
)
def test_via_does_not_guess(tmp_path, attributes, sentence):
    path = via(tmp_path / "set", {"shape_attributes": RECT, "region_attributes": attributes})
    with pytest.raises(DataError, match=sentence):
        read_labels(path)


def sources_of(path: Path) -> list[tuple[str, str]]:
    """The class of each box, and its source behind the region."""
    return [(box.label, box.source.rpartition(" of class ")[2]) for box in read_labels(path).boxes]


@pytest.mark.parametrize(
    ("value", "said_of_it"),
    [
        ({"car": True, "bus": True}, "'car' and 'bus'"),
        ({"car": "true", "van": False, "bus": 1}, "'car' and 'bus'"),
        ("undefined", "undefined"),
    ],
)
def test_a_via_region_without_one_class_is_one_finding(tmp_path, value, said_of_it):
    picture(tmp_path / "a.jpg")
    regions = [
        {"shape_attributes": RECT, "region_attributes": {"type": of_one}}
        for of_one in (value, "car", {"bus": True})
    ]
    path = write_json(tmp_path / "a.json", {"a.jpg9": {"filename": "a.jpg", "regions": regions}})
    assert [label for label, *_ in boxes_of(path, "via")] == ["", "car", "bus"]
    assert sources_of(path)[0] == ("", said_of_it)


@pytest.mark.parametrize(
    ("shape", "attributes", "label", "has_place"),
    [
        (json.dumps(RECT), '{"type":undefined}', "", True),
        (json.dumps(RECT), "undefined", "", True),
        (
            '{"name":"rect","x":undefined,"y":1,"width":2,"height":3}',
            '{"type":"car"}',
            "car",
            False,
        ),
        ("undefined", '{"type":"car"}', "car", False),
        ("[]", '{"type":"car"}', "car", False),
    ],
)
def test_a_via_row_that_is_no_json_is_one_finding(tmp_path, shape, attributes, label, has_place):
    picture(tmp_path / "a.jpg")
    with (tmp_path / "via.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["filename", "region_shape_attributes", "region_attributes"])
        out.writerow(["a.jpg", shape, attributes])
        out.writerow(["a.jpg", json.dumps(RECT), '{"type":"bus"}'])
    boxes = read_labels(tmp_path).boxes
    assert [box.label for box in boxes] == [label, "bus"]
    assert [math.isfinite(box.box[0]) for box in boxes] == [has_place, True]


@pytest.mark.parametrize(
    ("chosen", "label", "said_of_it"),
    [
        ("0", "car", None),
        ("car", "car", None),  # as other tools write it
        ("0,1", "", "'car' and 'bus'"),  # two check boxes
        ("7", "", "'7'"),  # of an option that was removed
        ("1,7", "", "'bus' and '7'"),
        ("", "", None),
    ],
)
def test_via_3_options(tmp_path, chosen, label, said_of_it):
    picture(tmp_path / "a.jpg")
    document = {
        "project": {},
        "config": {},
        "attribute": {"1": {"aname": "class", "options": {"0": "car", "1": "bus"}}},
        "file": {"1": {"fname": "a.jpg"}},
        "view": {"1": {"fid_list": ["1"]}},
        "metadata": {
            "1_a": {"vid": "1", "xy": [2, 10, 20, 40, 40], "av": {"1": chosen}},
            "1_b": {"vid": "1", "xy": [2, 10, 20, 40, 40], "av": {"1": "1"}},
        },
    }
    path = write_json(tmp_path / "a.json", document)
    assert [found for found, *_ in boxes_of(path, "via")] == [label, "bus"]
    if said_of_it:
        assert sources_of(path)[0] == ("", said_of_it)


@pytest.mark.parametrize("first", ["filename", "#filename"])
def test_via_csv(tmp_path, first):
    picture(tmp_path / "set" / "a.jpg")
    picture(tmp_path / "set" / "b.jpg")
    with (tmp_path / "set" / "via.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(
            [
                *(first, "file_size", "file_attributes", "region_count", "region_id"),
                *("region_shape_attributes", "region_attributes"),
            ]
        )
        out.writerow(["a.jpg", 1, "{}", 1, 0, json.dumps(RECT), '{"name":"car"}'])
        out.writerow(["b.jpg", 1, "{}", 0, 0, "{}", "{}"])
    assert boxes_of(tmp_path / "set", "via") == [("car", 10, 20, 50, 60)]
    assert len(read_labels(tmp_path / "set").images) == 2


@pytest.mark.parametrize(
    ("xy", "corners"),
    [
        ([2, 10, 20, 40, 40], (10, 20, 50, 60)),
        ([3, 50, 50, 10], (40, 40, 60, 60)),
        ([4, 50, 50, 10, 20], (40, 30, 60, 70)),
        ([7, 10, 20, 50, 30, 30, 60], (10, 20, 50, 60)),
        ([8, 10, 20, 40, 40], (10, 20, 50, 60)),
        ([1, 10, 20], None),
        ([6, 10, 20, 30, 40], None),
    ],
)
@pytest.mark.parametrize("as_csv", [False, True])
def test_via_3(tmp_path, xy, corners, as_csv):
    attributes = {"1": {"aname": "class", "options": {"0": "car", "1": "bus"}}}
    picture(tmp_path / "set" / "a.jpg")
    if as_csv:
        cells = ["1_x", '["a.jpg"]', "0", "[]", json.dumps(xy), '{"1":"1"}']
        with (tmp_path / "set" / "via.csv").open("w", newline="") as file:
            file.write(f"# Exported\n# ATTRIBUTE = {json.dumps(attributes)}\n")
            file.write("# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,")
            file.write("spatial_coordinates,metadata\n")
            csv.writer(file, quoting=csv.QUOTE_ALL).writerow(cells)
    else:
        document = {
            "project": {"pid": "x"},
            "attribute": attributes,
            "file": {"1": {"fid": 1, "fname": "a.jpg", "src": "a.jpg"}},
            "metadata": {"1_x": {"vid": "1", "z": [], "xy": xy, "av": {"1": "1"}}},
            "view": {"1": {"fid_list": [1]}},
        }
        write_json(tmp_path / "set" / "via.json", document)
    assert boxes_of(tmp_path / "set", "via") == ([("bus", *corners)] if corners else [])
    assert len(read_labels(tmp_path / "set").images) == 1


# CSV

OD_API = "filename,width,height,class,xmin,ymin,xmax,ymax"


def csv_file(folder: Path, *lines: str, name: str = "labels.csv") -> Path:
    picture(folder / "a.jpg")
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    "lines",
    [
        (OD_API, "a.jpg,200,100,car,10,20,50,60"),
        ("image,xmin,ymin,xmax,ymax,label", "a.jpg,10,20,50,60,car"),  # VoTT
        ('"image","xmin","ymin","xmax","ymax","label"', '"a.jpg",10,20,50,60,"car"'),
        ("class;xmin;ymin;xmax;ymax;filename", "car;10;20;50;60;a.jpg"),
        ("Filename,X1,Y1,X2,Y2,Class", "a.jpg, 10, 20, 50, 60,car"),
        ("\ufeff" + OD_API, "a.jpg,200,100,car,10,20,50,60\r"),
        (OD_API, "", "a.jpg,0,,car,10,20,50,60", ""),  # an unknown size is the file's
    ],
)
def test_csv(tmp_path, lines):
    path = csv_file(tmp_path / "set", *lines)
    assert boxes_of(path, "csv") == [("car", 10, 20, 50, 60)]
    assert boxes_of(path.parent, "csv") == [("car", 10, 20, 50, 60)]


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_row_by_row_is_the_whole_text_at_once(tmp_path, delimiter, end, mark):
    """The plain way splits the whole text; more of it than is read at a time."""
    rows = [
        ["image", "name", "x1"],
        *([f"{n}.jpg", f'"car{delimiter} ü"', f"{n}"] for n in range(999)),
    ]
    rows[500:500] = [[""]]
    text = end.join(delimiter.join(row) for row in rows)
    path = tmp_path / "labels.csv"
    path.write_text(mark + text, "utf-8", newline="")
    plain = list(csv.reader(text.split(end), delimiter=delimiter, strict=True))
    expected = [
        (line, dict(zip(plain[0], row, strict=True)))
        for line, row in enumerate(plain, start=1)
        if line > 1 and row
    ]
    table = read_table(path)
    assert table.columns == ("image", "name", "x1")
    assert list(table.rows) == expected


def test_csv_that_is_no_text_far_from_its_beginning(tmp_path):
    rows = ["a.jpg,200,100,car,10,20,50,60"] * 2000
    path = csv_file(tmp_path / "set", OD_API, *rows)
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\xff")
    with pytest.raises(DataError, match=rf"not a text file in UTF-8 \(byte {size + 1}\)"):
        read_labels(path)


def test_csv_that_changes_while_it_is_read(tmp_path):
    path = csv_file(tmp_path / "set", OD_API, *["a.jpg,200,100,car,10,20,50,60"] * 2000)
    rows = read_table(path).rows
    next(rows)
    with path.open("a") as file:
        file.write("a.jpg,200,100,car,10,20,50,60\n")
    with pytest.raises(DataError, match="changes while it is read; try again"):
        list(rows)


def test_csv_of_roboflow(tmp_path):
    """`_annotations.csv` in each split's folder; rows without a class are images without one."""
    row = "a.jpg,200,100,car,10,20,50,60"
    path = csv_file(tmp_path / "train", OD_API, row, row, "b.jpg,200,100,,,,,", name="_a.csv")
    picture(path.parent / "b.jpg")
    labels = read_labels(path)
    assert (len(labels.images), len(labels.boxes)) == (2, 2)
    assert labels.boxes[1].source == "train/_a.csv line 3"


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ((OD_API, "a.jpg,200,100,car,10,20,50"), "line 2 has 7 fields, and the first line names 8"),
        ((OD_API, 'a.jpg,200,100,"car,10,20,50,60', "b"), "line 3 is no CSV"),
        ((OD_API, "a.jpg,wide,100,car,10,20,50,60"), "the width 'wide' is no whole number"),
        ((OD_API, ",200,100,car,10,20,50,60"), "line 2 names no image file"),
        (
            (OD_API, "a.jpg,200,100,car,1,2,5,6", "a.jpg,100,200,car,1,2,5,6"),
            "line 3: 'a.jpg' has another width or height than in set/labels.csv line 2",
        ),
        ((OD_API, "a.jpg,200,100,car,0.1,0.2,0.5,0.6"), "no side of a box is more than 1"),
    ],
)
def test_csv_refuses_with_a_sentence(tmp_path, lines, sentence):
    with pytest.raises(DataError, match=sentence):
        take_snapshot([Source(csv_file(tmp_path / "set", *lines))])


def test_a_side_that_is_no_number_is_one_finding(tmp_path):
    path = csv_file(tmp_path / "set", OD_API, "a.jpg,200,100,car,wide,20,50,60")
    (box,) = read_labels(path).boxes
    assert math.isnan(box.box[0])


# Open Images, KITTI, CreateML

OPEN_IMAGES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf"


@pytest.mark.parametrize("named", [True, False])
def test_open_images(tmp_path, named):
    rows = ("00a1,xclick,/m/01,1,0.05,0.25,0.2,0.6,0,0", "00a1,xclick,/m/02,1,0,1,0,1,-1,1")
    folder = tmp_path / "set"
    path = csv_file(folder, OPEN_IMAGES, *rows, name="train-annotations-bbox.csv")
    (folder / "a.jpg").rename(folder / "00a1.jpg")
    if named:
        (folder / "class-descriptions-boxable.csv").write_text('/m/01,Car\n/m/02,"Bus, big"\n')
    names = ("Car", "Bus, big") if named else ("/m/01", "/m/02")
    assert boxes_of(path, "open_images") == [
        (names[0], 10, 20, 50, 60),
        (names[1], 0, 0, 200, 100),
    ]
    assert [box.is_crowd for box in read_labels(folder).boxes] == [False, True]
    assert [problem.startswith(NAMELESS) for problem in said(path)] == [True] * (2 - 2 * named)


def test_open_images_that_were_not_downloaded(tmp_path):
    path = csv_file(tmp_path / "set", OPEN_IMAGES, "00b2,xclick,/m/01,1,0.05,0.25,0.2,0.6,0,0")
    with pytest.raises(DataError, match=r"none of its 1 image files is there, .* 00b2"):
        read_labels(path)


KITTI = "{} 0.00 0 -1.58 10.0 20.0 50.0 60.0 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59"


@pytest.mark.parametrize(
    ("labels", "images"), [("label_2", "image_2"), ("labels", "images"), ("training/label_2", "")]
)
def test_kitti(tmp_path, labels, images):
    folder = tmp_path / "set"
    picture(folder / (images or "training/image_2") / "000001.png")
    (folder / labels).mkdir(parents=True)
    lines = [KITTI.format("Car"), KITTI.format("DontCare"), KITTI.format("Person sitting") + " 0.9"]
    (folder / labels / "000001.txt").write_text("\n".join(lines) + "\n")
    assert boxes_of(folder, "kitti") == [
        ("Car", 10, 20, 50, 60),
        ("Person sitting", 10, 20, 50, 60),
    ]
    assert said(folder) == [f"{DONT_CARE}: 1"]


@pytest.mark.parametrize("line", ["Car 0.00 0 -1.58 10.0", "0 0.5 0.5 0.1 0.1", KITTI[3:]])
def test_kitti_refuses_other_lines(tmp_path, line):
    folder = tmp_path / "set"
    picture(folder / "image_2" / "000001.png")
    (folder / "label_2").mkdir()
    (folder / "label_2" / "000001.txt").write_text(f"{KITTI.format('Car')}\n{line}\n")
    with pytest.raises(DataError, match="line 2 must be a class and 14 numbers"):
        read_labels(folder)


@pytest.mark.parametrize("key", ["image", "imagefilename"])
def test_createml(tmp_path, key):
    place = {"x": 30, "y": 40, "width": 40, "height": 40}  # the centre
    record = {key: "a.jpg", "annotations": [{"label": "car", "coordinates": place}]}
    picture(tmp_path / "set" / "a.jpg")
    write_json(tmp_path / "set" / "_annotations.createml.json", [record])
    assert boxes_of(tmp_path / "set", "createml") == [("car", 10, 20, 50, 60)]


# Names of images


@pytest.mark.parametrize(
    ("name", "file", "is_said"),
    [
        ("a.jpg", "a.jpg", False),
        ("a.jpg", "images/a.jpg", False),
        ("images/a.jpg", "a.jpg", True),
        ("a.JPG", "a.jpg", True),
        ("IMAGES\\a.jpg", "images/a.jpg", True),
        ("caf\u00e9.jpg", "cafe\u0301.jpg", True),  # NFC in the labels, NFD on the disk
        ("cafe\u0301.jpg", "caf\u00e9.jpg", True),
        ("/home/me/images/a.jpg", "images/a.jpg", True),
        ("train/a.jpg", "images/train/a.jpg", False),
    ],
)
def test_images_are_found_where_one_file_can_be_meant(tmp_path, name, file, is_said):
    folder = tmp_path / "set"
    path = csv_file(folder, OD_API, f"{name},200,100,car,10,20,50,60")
    (folder / "a.jpg").unlink()
    picture(folder / file)
    labels = read_labels(path)
    assert (labels.images[0].file_name, labels.boxes[0].file_name) == (file, file)
    assert [r.problem.startswith(RENAMED) for r in labels.remarks] == ([True] if is_said else [])


@pytest.mark.parametrize(
    ("name", "files", "sentence"),
    [
        ("a.jpg", ["x/a.jpg", "y/a.jpg"], "may be 'x/a.jpg' or 'y/a.jpg'"),
        ("a.jpg", ["A.jpg", "a.JPG"], "may be 'A.jpg' or 'a.JPG'"),
    ],
)
def test_images_of_which_several_can_be_meant_are_not_guessed(tmp_path, name, files, sentence):
    folder = tmp_path / "set"
    path = csv_file(folder, OD_API, f"{name},200,100,car,10,20,50,60")
    (folder / "a.jpg").unlink()
    for file in files:
        picture(folder / file)
    with pytest.raises(DataError, match=sentence):
        read_labels(path)


def test_two_names_are_not_one_file(tmp_path):
    rows = [f"{name},200,100,car,10,20,50,60" for name in ("x/a.jpg", "y/a.jpg")]
    with pytest.raises(DataError, match="; is the other file missing"):
        read_labels(csv_file(tmp_path / "set", OD_API, *rows))


def test_an_image_of_another_split_is_another_image(tmp_path):
    folder = tmp_path / "set"
    path = csv_file(folder, OD_API, "train/a.jpg,200,100,car,10,20,50,60")
    (folder / "a.jpg").unlink()
    picture(folder / "val" / "a.jpg")
    (image,) = read_labels(path).images
    assert image.file_name == "train/a.jpg"
    assert "there is no such file" in probe(image.uri).problem


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..\\..\\b.gif"])
def test_names_never_lead_out_of_the_folder(tmp_path, name):
    picture(tmp_path / "b.gif")
    path = csv_file(tmp_path / "set", OD_API, f"{name},200,100,car,10,20,50,60")
    (image,) = read_labels(path).images
    assert Path(image.uri).parent == path.parent
    assert "there is no such file" in probe(image.uri).problem


# What is not read


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (
            {"name": "x", "tags": [], "version": "2.2.0", "assets": {}},
            "this is a VoTT JSON; export",
        ),
        ({"asset": {}, "regions": [], "version": "2.2.0"}, "this is a VoTT JSON; export CSV"),
        ({"description": "", "size": {}, "tags": [], "objects": []}, "this is a Supervisely JSON"),
        ({"info": {}, "categories": {}, "items": []}, "this is a Datumaro JSON; convert it"),
        ({"metadata": {}, "instances": [], "tags": []}, "this is a SuperAnnotate JSON"),
        ({"version": "2.0", "item": {}, "annotations": []}, "this is a Darwin JSON of V7"),
        ([{"data_row": {}, "projects": {}}], "this is a Labelbox JSON"),
        ([{"task_id": "1", "response": {}}], "this is a Scale JSON"),
        ([{"name": "a.jpg", "labels": []}], "this is a Scalabel JSON of BDD100K"),
        ({"samples": []}, "this is a FiftyOne JSON; export COCO from it"),
        (
            [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}],
            "this is a file of COCO results, what a model found and no labels",
        ),
    ],
)
def test_what_is_not_read_is_named(tmp_path, document, sentence):
    path = write_json(tmp_path / "labels.json", document)
    for place in (path, tmp_path):
        with pytest.raises(DataError, match=f"no labels that can be read: .*{sentence}"):
            read_labels(place)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("vott/x/labels.json", '{"assets": {}, "tags": []}', "x/labels.json: this is a VoTT JSON"),
        ("train/labelTxt/a.txt", "0 0 9 0 9 9 0 9 car 0\n", "this is text of DOTA; export"),
        ("train/_classes.csv", "filename, car\na.jpg, 1\n", "columns filename, car, which do not"),
        ("a.csv", "image,label,x,y,w,h\n", "a row needs filename, class, xmin, ymin, xmax, ymax"),
        ("obj_train_data/a.txt", "0 0.5 0.5 0.2 0.2\n", "a.txt has boxes as YOLO .* with images"),
        ("notes/readme.txt", "none", "there are images in it and no labels; name the folder"),
    ],
)
def test_what_lies_below_and_is_not_read_is_named(tmp_path, file, content, sentence):
    picture(tmp_path / "images" / "b.jpg")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=sentence):
        read_labels(tmp_path)


def test_the_xml_of_labelme_is_named(tmp_path):
    picture(tmp_path / "a.jpg")
    points = "<pt><x>1</x><y>2</y></pt>" * 3
    (tmp_path / "a.xml").write_text(
        "<annotation><filename>a.jpg</filename><object><name>car</name><deleted>0</deleted>"
        f"<polygon>{points}</polygon></object></annotation>"
    )
    with pytest.raises(DataError, match="this is the XML of LabelMe on the web; convert it"):
        read_labels(tmp_path)


@pytest.mark.parametrize("name", ["set.zip", "set.tar.gz", "set.7z"])
def test_archives_are_to_be_unpacked(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    for place in (tmp_path / name, tmp_path):
        with pytest.raises(DataError, match="this is an archive; unpack it"):
            read_labels(place)


def test_what_is_not_known_is_told_what_is(tmp_path):
    (tmp_path / "labels.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(DataError, match=r"they are Parquet tables, .* or COCO JSON; name their"):
        read_labels(tmp_path)
