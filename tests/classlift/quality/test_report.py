"""The validation page: what is wrong, how it looks, and each class, with or without scripts."""

import re
from dataclasses import replace

import pyarrow as pa
import pytest
from lxml import html
from PIL import Image

from classlift.data import schema
from classlift.data.snapshot import Snapshot, Source, take_snapshot
from classlift.quality.report import DETAILED
from classlift.quality.validate import validate
from tests.classlift.test_charts import NAMES

pytestmark = pytest.mark.unit


def page_of(snapshot: Snapshot, labels, folder, **given):
    validate(snapshot, labels, (), 0, folder, **given)
    text = (folder / "report.html").read_text()
    return text, html.fromstring(text.encode())


def of_classes(snapshot: Snapshot, names) -> Snapshot:
    """The snapshot with a box of each class."""
    row = snapshot.boxes.to_pylist()[0]
    rows = [{**row, "box_id": number, "label": name} for number, name in enumerate(names)]
    return replace(snapshot, boxes=pa.Table.from_pylist(rows, schema.BOXES))


def test_the_fault_where_it_is_and_what_mends_it(coco, tmp_path):
    boxes = [
        {"id": n, "image_id": 1 + n % 2, "category_id": 1, "bbox": box}
        for n, box in enumerate([[5, 5, 0, 9], [5, 5, 9, 0], None, [35, 5, 9, 9], [1, 2, 8, 8]])
    ]
    snapshot = take_snapshot([Source(coco(annotations=boxes))])
    _, page = page_of(snapshot, ("car", "scooter"), tmp_path / "report", where="/data/a.json")
    said = [" ".join(e.text_content().split()) for e in page.xpath("//h3")]
    assert sorted(said[:3]) == [
        "critical: 1 box has no place: a side is missing or no number",
        "critical: 1 box leaves its image",
        "critical: 2 boxes have no area",
    ]
    text = " ".join(page.text_content().split())
    assert "classlift validate --fix NEW writes a copy to the folder NEW; it clips boxes" in text
    assert re.search(r"/data/a.json, checked 20\d\d-\d\d-\d\d \d\d:\d\d UTC", text)
    assert "xmin 35, ymin 5, xmax 44, ymax 14, width 40, height 30 in data/annotations.json" in text


def test_where_the_images_are_stands_for_a_path_that_was_not_given(snapshot, tmp_path):
    text, _ = page_of(snapshot, ("car", "scooter"), tmp_path / "report")
    for split in ("train", "eval", "test"):
        assert str(tmp_path / split / "images") in text


def test_every_name_of_a_class_is_shown_as_text(snapshot, tmp_path):
    text, page = page_of(of_classes(snapshot, NAMES), NAMES, tmp_path / "report")
    assert "--><script>alert" not in text
    names = page.xpath("//details[@class='class']/summary/b/text()")
    assert {"8", "--><script>alert(1)</script>", "(no name)"} <= set(names)


def test_eighty_classes_unfold_and_are_found(snapshot, tmp_path):
    labels = [f"class {number}" for number in range(80)]
    text, page = page_of(of_classes(snapshot, labels[:60]), labels, tmp_path / "report")
    rows = page.xpath("//details[@class='class']")
    assert len(rows) == 80
    assert not page.xpath("//details[@class='class'][@open]")
    assert len(page.xpath("//details[@class='class']//img")) == 60  # a sample of each with boxes
    assert [row.get("data-name") for row in rows[-20:]] == labels[60:]  # without labels, last
    assert len(text) < 1_000_000
    # Whole without a script: the search alone needs it, and stays hidden.
    assert page.xpath("//input[@id='find'][@hidden]")
    assert not page.xpath("//@*[starts-with(name(), 'on')]")


def test_very_many_classes_are_a_line_each(snapshot, tmp_path):
    labels = [f"c{number}" for number in range(3000)]
    text, page = page_of(of_classes(snapshot, labels), labels, tmp_path / "report")
    assert len(page.xpath("//details[@class='class']")) == DETAILED
    assert len(page.xpath("//div[@class='class']")) == 3000 - DETAILED
    assert len(text) < 5_000_000


def test_samples_are_healthy_labels_of_all_sizes(coco, tmp_path):
    sides = [4, 8, 12, 16, 20, 24, 28]
    boxes = [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": [1, 1, side, side]}
        for n, side in enumerate(sides)
    ]
    boxes += [{"id": 90, "image_id": 1, "category_id": 2, "bbox": [30, 20, 90, 5]}]
    boxes += [{"id": 91, "image_id": 2, "category_id": 2, "bbox": [1, 1, 5, 5], "iscrowd": 1}]
    snapshot = take_snapshot([Source(coco(annotations=boxes))])
    _, page = page_of(snapshot, ("car", "scooter"), tmp_path / "report")
    found = page.xpath("//details[@class='class'][@data-name='car']//figcaption/text()")
    assert [int(caption.rsplit(" ", 1)[1]) for caption in found] == [0, 1, 2, 4, 5, 6]
    assert not page.xpath("//details[@class='class'][@data-name='scooter']//img")


def test_no_image_can_be_shown(coco, tmp_path):
    path = coco()
    for image in (path.parent / "images").iterdir():
        image.write_bytes(b"no image")
    _, page = page_of(take_snapshot([Source(path)]), ("car", "scooter"), tmp_path / "r")
    assert not page.xpath("//img")


def test_a_large_photograph_is_shown_small(coco, tmp_path):
    path = coco(
        images=[{"id": 1, "file_name": "images/1.jpg"}],
        annotations=[{"id": 1, "image_id": 1, "category_id": 1, "bbox": [100, 100, 3000, 2000]}],
    )
    Image.effect_noise((4000, 3000), 50).convert("RGB").save(path.parent / "images" / "1.jpg")
    text, page = page_of(take_snapshot([Source(path)]), ("car", "scooter"), tmp_path / "r")
    assert len(page.xpath("//details[@class='class']//img")) == 1
    assert len(text) < 200_000
