"""Exports as they come in the field: what editors, shells and other machines did to them is read
through, and what can't be read is said in a sentence with what to do.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from classlift.data.snapshot import Source, take_snapshot
from classlift.data.unusable import UNCLEAR
from classlift.errors import DataError
from tests.pipelines.test_exports import (
    ALL,
    CLASSES,
    EXPORTS,
    HEIGHT,
    OBJECTS,
    WIDTH,
    createml,
    cvat_coco_of_a_task,
    cvat_xml,
    label_studio_json,
    label_studio_yolo,
    labelimg_voc,
    labelimg_voc_apart,
    labelimg_yolo,
    labelme,
    lines,
    picture,
    records,
    require_all,
    tutorial_csv,
    ultralytics,
    write,
    xml,
)

pytestmark = pytest.mark.unit

EDITED = (
    ".json",
    ".jsonl",
    ".xml",
    ".csv",
    ".txt",
    ".yaml",
    ".pbtxt",
    ".names",
    ".labels",
    ".data",
)
Export = Callable[[Path], None]


def texts(data: Path) -> list[Path]:
    """All files that an editor opens."""
    files = (path for path in data.rglob("*") if path.is_file())
    return sorted(path for path in files if path.suffix in EDITED)


def edited(data: Path) -> None:
    """As Windows' Notepad saves it: a byte order mark, and lines that end in CR and LF."""
    for path in texts(data):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))


def in_capitals(data: Path) -> None:
    """As cameras and old programs call their files."""
    for path in [path for path in data.rglob("*") if path.suffix and path.is_file()]:
        path.rename(path.with_name(path.stem + path.suffix.upper()))


def edited_and_packed(data: Path) -> None:
    """Then in an archive: a folder in a folder, beside what a Mac adds."""
    edited(data)
    inner = data.with_name("inner")
    data.rename(inner)
    (data / "My Data (1)").mkdir(parents=True)
    inner.rename(data / "My Data (1)" / "My Data")
    write(data / "__MACOSX" / "._labels.json", "{}")
    (data / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")


@pytest.mark.parametrize("change", [edited_and_packed, in_capitals], ids=lambda f: f.__name__)
@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.__name__)
def test_what_others_did_to_an_export_is_read_through(export, change, tmp_path):
    export(tmp_path / "data")
    change(tmp_path / "data")
    require_all(take_snapshot([Source(tmp_path / "data")]), export)


# What is read


def of_floats(export: Export) -> Export:
    """Classes as pandas writes numbers."""

    def make(data: Path) -> None:
        export(data)
        for path in texts(data):
            path.write_text(re.sub(r"^(\d+) (?=0\.)", r"\1.0 ", path.read_text(), flags=re.M))

    make.__name__ = f"classes of {export.__name__} are 1.0"
    return make


def classes_from_1(data: Path) -> None:
    label_studio_yolo(data)
    (data / "classes.txt").unlink()
    for path in data.glob("labels/*.txt"):
        path.write_text(re.sub(r"^\d", lambda m: str(int(m[0]) + 1), path.read_text(), flags=re.M))
    write(data / "data.yaml", "names:\n  1: '8'\n  2: traffic light\n  3: '3'\n")


def rows_of(data: Path, first: str, separator: str, number: Callable[[int], str] = str) -> None:
    for name in ALL:
        picture(data / "images" / f"{name}.jpg")
    columns = ["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]
    rows = [
        [f"{name}.jpg", "80", "60", label, *map(number, sides)]
        for name in ALL
        for label, *sides in OBJECTS[name]
    ]
    table = "".join(f"{separator.join(row)}\r\n" for row in [columns, *rows])
    write(data / ("labels.tsv" if separator == "\t" else "labels.csv"), first + table)


def csv_of_excel(data: Path) -> None:
    rows_of(data, "sep=;\r\n", ";", number=lambda side: f"{side},0")


def tab_separated(data: Path) -> None:
    rows_of(data, "", "\t")


def numbers_as_text(data: Path) -> None:
    def change(coco: Any) -> None:
        for annotation in coco["annotations"]:
            annotation["bbox"] = [str(side) for side in annotation["bbox"]]

    coco_with(data, change)


def coco_with(data: Path, change: Callable[[Any], None]) -> None:
    cvat_coco_of_a_task(data)
    path = data / "annotations" / "instances_default.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def kitti(data: Path, labels: str, images: str, suffix: str = ".txt") -> None:
    for name in ALL:
        picture(data / images / f"{name}.jpg")
        rows = [
            f"{label} 0.00 0 0.00 {xmin}.00 {ymin}.00 {xmax}.00 {ymax}.00 0 0 0 0 0 0 0\n"
            for label, xmin, ymin, xmax, ymax in OBJECTS[name]
        ]
        write(data / labels / f"{name}{suffix}", "".join(rows))


def kitti_of_fiftyone(data: Path) -> None:
    kitti(data, "labels", "data")


def kitti_of_digits(data: Path) -> None:
    """A class that is a number is no number of the line."""
    kitti(data, "training/label_2", "training/image_2")


def kitti_in_capitals(data: Path) -> None:
    kitti(data, "Label_2", "Image_2", ".TXT")


def open_images(data: Path, scale: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """FiftyOne's."""
    for name in ALL:
        picture(data / "data" / f"{name}.jpg")
    columns = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\n"
    rows = [
        f"{name},xclick,/m/{CLASSES.index(label)},1,{xmin / scale[0]},{xmax / scale[0]},"
        f"{ymin / scale[1]},{ymax / scale[1]},0\n"
        for name in ALL
        for label, xmin, ymin, xmax, ymax in OBJECTS[name]
    ]
    write(data / "labels" / "detections.csv", columns + "".join(rows))
    names = "".join(f"/m/{number},{label}\n" for number, label in enumerate(CLASSES))
    write(data / "metadata" / "classes.csv", names)


def labelme_in_a_folder_of_any_name(data: Path) -> None:
    labelme(data / "pictures")
    for path in sorted((data / "pictures").glob("*.json")):
        text = path.read_text().replace('"imagePath": "', '"imagePath": "..\\\\pictures\\\\')
        write(data / "jsons" / path.name, text)
        path.unlink()


def voc_in_a_folder_of_any_name(data: Path) -> None:
    for name in ALL:
        picture(data / "pics" / f"{name}.jpg")
        write(data / "my labels" / f"{name}.xml", xml(name, f"{name}.jpg"))


def voc_with(pattern: str, text: str) -> Export:
    """labelImg's XML, in which something is written otherwise."""

    def make(data: Path) -> None:
        labelimg_voc(data)
        for path in data.glob("*.xml"):
            path.write_text(re.sub(pattern, text, path.read_text()))

    make.__name__ = f"voc_with {text[:20]}"
    return make


def coco_of_a_bucket(data: Path) -> None:
    def change(document: Any) -> None:
        for record in document["images"]:
            name = record["file_name"]
            record["file_name"] = f"https://host/bucket/{name}?sign=1/2"
        record["file_name"] = f"http://host/data/local-files/?d=x/{name}"

    coco_with(data, change)


def darknet(data: Path) -> None:
    """As its README has it: lists beside the names, above the images."""
    for name in ALL:
        picture(data / "data" / "obj" / f"{name}.jpg")
        write(data / "data" / "obj" / f"{name}.txt", lines(name))
    write(data / "data" / "obj.names", "".join(f"{label}\n" for label in CLASSES))
    write(data / "data" / "obj.data", "classes = 3\ntrain = data/train.txt\nvalid = data/val.txt\n")
    for split, names in {"train": "abcd", "val": "ef"}.items():
        write(data / "data" / f"{split}.txt", "".join(f"data/obj/{name}.jpg\n" for name in names))


def yolo_in_annotations(data: Path) -> None:
    label_studio_yolo(data)
    (data / "images").rename(data / "Images")
    (data / "labels").rename(data / "Annotations")


def links_within_the_folder(data: Path) -> None:
    labelimg_voc_apart(data)
    (data / "images").rename(data / "store")
    (data / "images").mkdir()
    for path in sorted((data / "store").iterdir()):
        (data / "images" / path.name).symlink_to(path)


@pytest.mark.parametrize(
    "make",
    [
        of_floats(labelimg_yolo),
        of_floats(label_studio_yolo),
        *(classes_from_1, csv_of_excel, tab_separated, numbers_as_text),
        *(kitti_of_fiftyone, kitti_of_digits, kitti_in_capitals, open_images),
        *(labelme_in_a_folder_of_any_name, voc_in_a_folder_of_any_name, links_within_the_folder),
        *(yolo_in_annotations, coco_of_a_bucket),
        voc_with("annotation", "Annotation"),
        voc_with("<annotation", '<annotation xmlns="http://x/y"'),
        voc_with("^", "<!-- an <object> of mine -->"),
        voc_with("<filename>.*</filename>", ""),
    ],
    ids=lambda make: make.__name__,
)
def test_it_is_read(make, tmp_path):
    make(tmp_path / "data")
    require_all(take_snapshot([Source(tmp_path / "data")]), labelimg_voc)


def test_the_lists_of_darknet_are_published_splits(tmp_path):
    darknet(tmp_path / "data")
    images = take_snapshot([Source(tmp_path / "data")]).images
    splits = {Path(row["image_id"]).stem: row["split"] for row in images.to_pylist()}
    assert splits == dict.fromkeys("abcd", "train") | dict.fromkeys("ef", "eval")


def test_an_empty_split_in_a_data_yaml_is_none(tmp_path):
    """`test:  # none` is no folder; the images of others were taken for those of test."""
    ultralytics(tmp_path / "data")
    (tmp_path / "data" / "images").rename(tmp_path / "data" / "Images")
    require_all(take_snapshot([Source(tmp_path / "data")]), ultralytics)


def test_the_images_of_voc_may_be_elsewhere(tmp_path):
    voc_in_a_folder_of_any_name(tmp_path / "data")
    (tmp_path / "data" / "pics").rename(tmp_path / "pics")
    source = Source(tmp_path / "data" / "my labels", images=tmp_path / "pics")
    require_all(take_snapshot([source]), labelimg_voc)


# What is one finding


def two_of_a_name(data: Path) -> None:
    """Instead of a.jpg there are x/a.jpg and y/a.jpg."""
    (image,) = data.rglob("a.jpg")
    for folder in ("x", "y"):
        picture(image.parent / folder / "a.jpg")
    image.unlink()


def two_suffixes(data: Path) -> None:
    """Beside the image a there is another one that differs in its suffix alone."""
    (image,) = (path for path in data.rglob("*a.jpg") if not path.name.startswith("b"))
    picture(image.with_suffix(".png"))


def createml_json(data: Path) -> None:
    for name in ALL:
        picture(data / f"{name}.jpg")
    images = [{"image": f"{n}.jpg", "annotations": [createml(*o) for o in OBJECTS[n]]} for n in ALL]
    write(data / "labels.json", json.dumps(images))


@pytest.mark.parametrize(
    ("export", "change"),
    [
        *((export, two_of_a_name) for export in (cvat_coco_of_a_task, tutorial_csv, cvat_xml)),
        *((export, two_of_a_name) for export in (createml_json, labelme, labelimg_voc_apart)),
        *((export, two_suffixes) for export in (labelimg_yolo, label_studio_yolo)),
        *((export, two_suffixes) for export in (kitti_of_digits, open_images)),
    ],
    ids=lambda what: what.__name__,
)
def test_an_image_that_may_be_several_files_is_one_finding(export, change, tmp_path):
    export(tmp_path / "data")
    change(tmp_path / "data")
    snapshot = take_snapshot([Source(tmp_path / "data")])
    critical = [problem for problem in snapshot.image_problems() if problem.is_critical]
    assert {problem.rule for problem in critical} == {UNCLEAR}
    assert re.search(r"'\S*a\.jpg' or '\S*a\.\w+'; give each image", critical[0].value)
    others = {name for name in snapshot.images["image_id"].to_pylist() if name[-5] != "a"}
    assert len(others) == len(ALL) - 1


def test_of_images_without_labels_two_may_be_called_alike(tmp_path):
    labelimg_yolo(tmp_path / "data")
    for suffix in (".jpg", ".png"):
        picture(tmp_path / "data" / f"nothing{suffix}")
    snapshot = take_snapshot([Source(tmp_path / "data")])
    assert snapshot.images.num_rows == len(ALL) + 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "git lfs pull"),
        (b"<!DOCTYPE html><html><title>403</title></html>", "it is a page of HTML"),
        (b"\n<HTML><body>Not found</body></HTML>", "it is a page of HTML"),
    ],
)
def test_what_lies_where_an_image_should_is_named(content, sentence, tmp_path):
    labelimg_voc(tmp_path / "data")
    (tmp_path / "data" / "a.jpg").write_bytes(content)
    (problem,) = take_snapshot([Source(tmp_path / "data")]).image_problems()
    assert problem.is_critical
    assert sentence in problem.value


# What is refused, with what to do


def coco_in_shares(data: Path) -> None:
    def change(coco: Any) -> None:
        for annotation in coco["annotations"]:
            x, y, width, height = annotation["bbox"]
            annotation["bbox"] = [x / WIDTH, y / HEIGHT, width / WIDTH, height / HEIGHT]

    coco_with(data, change)


def voc_in_shares(data: Path) -> None:
    labelimg_voc(data)
    for path in data.glob("*.xml"):
        path.write_text(
            re.sub(r"(m(?:in|ax)>)(\d+)<", lambda m: f"{m[1]}{int(m[2]) / 80}<", path.read_text())
        )


def csv_in_shares(data: Path) -> None:
    rows_of(data, "", ",", number=lambda side: str(side / 100))


def yolo_in_pixels(data: Path) -> None:
    label_studio_yolo(data)
    for name in ALL:
        rows = (line.split() for line in lines(name).splitlines())
        sizes = (WIDTH, HEIGHT, WIDTH, HEIGHT)
        (path,) = data.glob(f"labels/*{name}.txt")
        write(
            path,
            "".join(
                f"{c} {' '.join(str(float(v) * n) for v, n in zip(row, sizes, strict=True))}\n"
                for c, *row in rows
            ),
        )


def open_images_in_pixels(data: Path) -> None:
    open_images(data, (1, 1))


def linked(name: str, export: Export) -> Export:
    """A folder of an export is a link to another disk."""

    def make(data: Path) -> None:
        export(data)
        elsewhere = data.parent / "disk"
        shutil.move(data / name, elsewhere)
        (data / name).symlink_to(elsewhere)

    make.__name__ = f"{name} of {export.__name__} is a link"
    return make


def linked_images(data: Path) -> None:
    labelimg_voc_apart(data)
    for path in sorted((data / "images").iterdir()):
        shutil.move(path, data.parent / path.name)
        path.symlink_to(data.parent / path.name)


def linked_splits(data: Path) -> None:
    ultralytics(data)
    for split in ("train", "val", "test"):
        shutil.move(data / "images" / split, data.parent / split)
        (data / "images" / split).symlink_to(data.parent / split)


def changed(export: Export, pattern: str, change: Callable[[str], str]) -> Export:
    def make(data: Path) -> None:
        export(data)
        for path in sorted(data.glob(pattern)):
            path.write_text(change(path.read_text()))

    make.__name__ = export.__name__
    return make


def with_confidence(text: str) -> str:
    return "".join(f"{line} 0.87\n" for line in text.splitlines())


def predictions_alone(text: str) -> str:
    return json.dumps(
        [{**t, "predictions": t["annotations"], "annotations": []} for t in json.loads(text)]
    )


def document(name: str, content: object) -> Export:
    """Images, and a JSON file."""

    def make(data: Path) -> None:
        for image in ALL:
            picture(data / f"{image}.jpg")
        write(data / name, json.dumps(content))

    make.__name__ = f"{name} {str(content)[:20]}"
    return make


def table_of_label_studio(data: Path) -> None:
    labels = json.dumps([{"x": 1.0, "rectanglelabels": ["8"]}]).replace('"', '""')
    write(
        data / "project-1.csv",
        "image,id,label,annotator,annotation_id,created_at,updated_at,lead_time\n"
        f'/data/upload/1/a.jpg,1,"{labels}",1,1,2026,2026,3.2\n',
    )


def captions(data: Path) -> None:
    def keep(document: Any) -> None:
        for record in document["annotations"]:
            del record["bbox"], record["category_id"]
            record["caption"] = "a scene"

    coco_with(data, keep)


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
AZURE = {"image_url": "AmlDatastore://a.jpg", "label": [{"label": "8", "topX": 0.1}]}
VISION = {"images": [{"id": "1", "regions": []}], "tags": [{"name": "8"}]}
FIFTYONE = {"classes": ["8"], "labels": {"a": [{"label": "8", "bounding_box": [0.1] * 4}]}}
BDD = {"name": "a", "frames": [{"objects": [{"box2d": {"x1": 1}}]}], "attributes": {}}

REFUSED: list[tuple[Export, str]] = [
    (coco_in_shares, "they are shares of the image, and COCO JSON has pixels; multiply them"),
    (voc_in_shares, "they are shares of the image, and Pascal VOC XML has pixels"),
    (csv_in_shares, "they are shares of the image, and CSV has pixels"),
    (yolo_in_pixels, "their sides are pixels, and YOLO has shares of the image"),
    (open_images_in_pixels, "their sides are pixels, and Open Images CSV has shares"),
    (linked("images", cvat_coco_of_a_task), "images is a link to the folder .*; say where"),
    (linked("images", label_studio_yolo), "leaves the data folder .* by a link; put the file"),
    (linked_images, "leaves the data folder .* by a link; put the file itself there"),
    (linked_splits, "none of its 6 image files is there.*; images/test is a link to the folder"),
    (changed(label_studio_yolo, "labels/*", with_confidence), "a confidence is to be left out"),
    (changed(labelimg_yolo, "?.txt", lambda t: t.replace(" ", ",")), "with blanks between them"),
    (changed(label_studio_json, "*.json", predictions_alone), "it has predictions alone"),
    (changed(cvat_coco_of_a_task, "*/*.json", lambda _: LFS), "pointer of Git LFS; fetch the file"),
    (changed(labelimg_voc, "*.xml", lambda _: LFS), "pointer of Git LFS; fetch the file"),
    (captions, "as those of captions and of panoptic segments; name the file of the instances"),
    (table_of_label_studio, "this is a table of Label Studio; export JSON from it"),
    (document("annotations.jsonl", AZURE), "this is an Azure ML JSONL; export COCO from it"),
    (document("labels.json", VISION), "this is an Azure Custom Vision JSON; export COCO from it"),
    (document("labels.json", FIFTYONE), "this is a FiftyOne JSON; export COCO from it"),
    (document("a.json", BDD), "this is a Scalabel JSON of BDD100K; convert it to COCO"),
]


@pytest.mark.parametrize(("make", "sentence"), REFUSED, ids=lambda x: getattr(x, "__name__", ""))
def test_it_is_refused_with_what_to_do(make, sentence, tmp_path):
    make(tmp_path / "data")
    with pytest.raises(DataError, match=sentence):
        take_snapshot([Source(tmp_path / "data")])


def test_an_image_is_no_labels(tmp_path):
    picture(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="this is an image; name the file or the folder of its"):
        take_snapshot([Source(tmp_path / "a.jpg")])


def test_records_whose_sides_are_pixels_are_refused(tmp_path, monkeypatch):
    scaled = {
        name: [
            (c, x * WIDTH, y * HEIGHT, right * WIDTH, low * HEIGHT) for c, x, y, right, low in of
        ]
        for name, of in OBJECTS.items()
    }
    monkeypatch.setattr("tests.pipelines.test_exports.OBJECTS", scaled)
    records(tmp_path / "data" / "a.record", ALL)
    with pytest.raises(DataError, match="sides are pixels, and TFRecords of the OD API has shares"):
        take_snapshot([Source(tmp_path / "data")])
