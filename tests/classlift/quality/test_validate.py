import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import skimage.data
from lxml import html
from PIL import Image

from classlift.data import schema
from classlift.data.geometry import SIDES
from classlift.data.profile import SIZES, Profile
from classlift.data.schema import SPLITS
from classlift.data.snapshot import Source, take_snapshot
from classlift.errors import DataError
from classlift.metrics.iou import iou_matrix
from classlift.quality.measures import repeated_iou
from classlift.quality.validate import require_no_critical, validate

pytestmark = pytest.mark.unit
LABELS = ("car", "scooter")


def damaged(snapshot, row, **values):
    rows = snapshot.boxes.to_pylist()
    rows[row].update(values)
    return dataclasses.replace(snapshot, boxes=pa.Table.from_pylist(rows, schema.BOXES))


def test_good_data_pass_and_docs_are_written(snapshot, tmp_path):
    findings = validate(snapshot, LABELS, ["scooter"], 1, tmp_path / "docs")
    # the same two noise pictures are in all splits, which is worth a warning
    assert {f.severity for f in findings} <= {"warning"}
    require_no_critical(findings, tmp_path)
    assert (tmp_path / "docs" / "report.html").exists()
    assert (tmp_path / "docs" / "data_docs" / "index.html").exists()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"xmax": 41.0}, "1 box leaves its image: xmin 1, ymin 2, xmax 41, ymax 22, width 40"),
        ({"ymax": 30.5}, "ymax 30.5, width 40, height 30"),
        ({"xmin": -1.0}, "1 box leaves its image: xmin -1"),
        ({"ymin": float("-inf")}, "1 box has no place: a side is missing or no number: xmin 1"),
        ({"xmin": 12.0, "xmax": 11.0}, "1 box has no area: xmin 12, ymin 2, xmax 11, ymax 22"),
        ({"ymin": 5.0, "ymax": 5.0}, "1 box has no area: xmin 1, ymin 5, xmax 11, ymax 5"),
        ({"xmax": float("nan")}, "1 box has no place"),
        ({"label": "zebra"}, "1 box is of a class that is not in the label map: label 'zebra' in"),
        ({"label": "car "}, "label 'car ', meant 'car' in"),
        ({"label": ""}, "1 box names no class (name its class or number in the labels"),
    ],
)
def test_bad_boxes_stop_with_file_record_and_rule(snapshot, tmp_path, values, sentence):
    findings = validate(damaged(snapshot, 0, **values), LABELS, ["scooter"], 1, tmp_path)
    named = [f.sentence() for f in findings if f.severity == "critical"]
    assert any(sentence in s for s in named)
    assert any("train/annotations.json annotation 1 (train/images/1.jpg)" in s for s in named)
    with pytest.raises(DataError, match="The data break a rule"):
        require_no_critical(findings, tmp_path)


def test_too_few_target_boxes_say_how_many_there_are(snapshot, tmp_path):
    findings = validate(snapshot, LABELS, ["scooter"], 7, tmp_path)
    sentences = [f.sentence() for f in findings if f.severity == "critical"]
    assert sentences == [
        f"class scooter has fewer than 7 boxes in {split}: there is 1, 6 more are needed"
        for split in ("train", "eval", "test")
    ]


def test_each_target_needs_its_boxes(snapshot, tmp_path):
    findings = validate(snapshot, LABELS, ["scooter", "car"], 7, tmp_path)
    lacking = [f.fault for f in findings if "fewer than 7" in f.fault]
    assert {fault.split()[1] for fault in lacking} == {"scooter", "car"}


def test_image_problems_are_critical(snapshot, tmp_path):
    problem = {"image_id": "train/images/1.jpg", "source": "train/a.json image 1"}
    problem |= {"problem": "rule: value", "severity": "critical"}
    broken = dataclasses.replace(
        snapshot, problems=pa.Table.from_pylist([problem], snapshot.problems.schema)
    )
    findings = validate(broken, LABELS, ["scooter"], 1, tmp_path)
    with pytest.raises(
        DataError,
        match=r"1 image: rule: value in train/a.json image 1 \(train/images/1.jpg\)",
    ):
        require_no_critical(findings, tmp_path)


def test_an_empty_table_does_not_pass(snapshot, tmp_path):
    empty = dataclasses.replace(snapshot, boxes=snapshot.boxes.slice(0, 0))
    findings = validate(empty, LABELS, ["scooter"], 1, tmp_path)
    with pytest.raises(DataError, match="The data break a rule"):
        require_no_critical(findings, tmp_path)


def changed_images(snapshot, **columns):
    images = snapshot.images
    for name, values in columns.items():
        index = images.column_names.index(name)
        images = images.set_column(index, name, pa.array(values, images.schema.field(name).type))
    return dataclasses.replace(snapshot, images=images)


@pytest.mark.parametrize(
    ("column", "values", "severity", "sentence"),
    [
        # one file in train and in test voids the evidence
        (
            "sha256",
            ["a", "b", "c", "d", "a", "e"],
            "critical",
            "2 image files are in several splits",
        ),
        (
            "sha256",
            ["a", "a", "c", "d", "e", "f"],
            "warning",
            "2 image files are there more than once",
        ),
        (
            "group",
            ["a", "b", "c", "d", "a", "e"],
            "warning",
            "2 images are of groups that are in several splits: group 'a', split 'train'",
        ),
        # 8 bits apart
        (
            "phash",
            ["00" * 32, "33" * 32, "55" * 32, "0f" * 32, "ff" + "00" * 31, "3c" * 32],
            "warning",
            "twin_distance 8, twin 'train/images/1.jpg'",
        ),
    ],
)
def test_leakage_across_splits(snapshot, tmp_path, column, values, severity, sentence):
    findings = validate(
        changed_images(snapshot, **{column: values}), LABELS, ["scooter"], 1, tmp_path
    )
    found = {f.severity for f in findings if sentence in f.sentence()}
    assert found == {severity}


def test_repeated_iou_equals_the_plain_way():
    """Of image and class by image and class, all pairs of boxes; with sides that are no numbers."""
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 60, (2000, 2))
    sides = np.concatenate([corners, corners + rng.integers(-3, 60, (2000, 2))], axis=1)
    boxes = pd.DataFrame(sides.astype(np.float32), columns=SIDES)
    boxes["image_id"] = rng.integers(0, 60, 2000).astype(str)
    boxes["label"] = pd.Categorical(rng.choice(["car", "van", "bus"], 2000))
    boxes.loc[5, "xmin"], boxes.loc[6, "xmax"], boxes.loc[7, "label"] = np.nan, np.inf, None
    expected = np.zeros(len(boxes))
    with np.errstate(all="ignore"):
        ours = repeated_iou(boxes)
        for rows in boxes.groupby(["image_id", "label"], observed=True).indices.values():
            of_group = boxes[SIDES].to_numpy(np.float64)[rows]
            overlap = np.tril(np.nan_to_num(iou_matrix(of_group, of_group)), k=-1)
            expected[rows] = overlap.max(axis=1)
    assert (ours == expected).all()
    assert (ours > 0).mean() > 0.5
    assert repeated_iou(boxes[:0]).shape == (0,)


def test_near_repeated_boxes_are_a_warning(snapshot, tmp_path):
    rows = snapshot.boxes.to_pylist()
    twin = {**rows[0], "box_id": 99, "xmax": rows[0]["xmax"] + 0.3, "source": "the twin"}
    other = {**rows[0], "box_id": 100, "label": "scooter", "source": "of another class"}
    table = pa.Table.from_pylist([*rows, twin, other], schema.BOXES)
    findings = validate(
        dataclasses.replace(snapshot, boxes=table), LABELS, ["scooter"], 1, tmp_path
    )
    (found,) = [f for f in findings if "labelled twice" in f.rule]
    assert (found.severity, found.count, found.box_ids) == ("warning", 1, [99])
    assert "the twin" in found.sentence()


def test_images_without_boxes_are_counted(snapshot, tmp_path):
    boxes = snapshot.boxes.filter(pc.not_equal(snapshot.boxes["label"].cast("string"), "car"))
    findings = validate(
        dataclasses.replace(snapshot, boxes=boxes), LABELS, ["scooter"], 1, tmp_path
    )
    (found,) = [f for f in findings if f.rule == "an image has boxes"]
    assert (found.severity, found.count) == ("info", 3)


@pytest.mark.parametrize(
    ("classes", "drifts"),
    [
        ({"car": 300, "scooter": 300}, False),  # the same mix
        ({"car": 330, "scooter": 270}, False),  # nearly
        ({"car": 580, "scooter": 20}, True),
        ({"car": 600}, True),  # a class that was not there
        ({"car": 300, "scooter": 300, "tram": 600}, True),  # one that is no longer there
    ],
)
def test_drift_of_the_class_mix(snapshot, tmp_path, classes, drifts):
    sizes = Profile.of(snapshot.images, snapshot.boxes).sizes
    baseline = Profile(classes, {name: 100 * count for name, count in sizes.items()})
    findings = validate(snapshot, LABELS, ["scooter"], 1, tmp_path, baseline)
    assert any("the class mix" in f.rule for f in findings) == drifts
    assert not any("box sizes" in f.rule for f in findings)
    assert {f.severity for f in findings if "mix" in f.rule} <= {"warning"}


def test_drift_of_the_box_sizes(snapshot, tmp_path):
    classes = Profile.of(snapshot.images, snapshot.boxes).classes
    baseline = Profile(classes, {**dict.fromkeys(SIZES, 0), SIZES[0]: 1000})
    findings = validate(snapshot, LABELS, ["scooter"], 1, tmp_path, baseline)
    assert [f.severity for f in findings if "box sizes" in f.rule] == ["warning"]


def test_data_docs_and_report_load_nothing_from_elsewhere(snapshot, tmp_path):
    validate(damaged(snapshot, 0, xmax=41.0), LABELS, ["scooter"], 1, tmp_path)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) == 6  # the report; the index, two suites and two results of Data Docs
    for path in pages:
        page = html.fromstring(path.read_bytes())
        loaded = page.xpath("//link/@href | //script/@src | //img/@src")
        loaded += page.xpath("//script") if "data_docs" in path.parts else []
        assert all(str(address).startswith("data:") for address in loaded), path
    index = html.fromstring((tmp_path / "data_docs" / "index.html").read_bytes())
    for address in index.xpath("//a/@href"):
        assert (tmp_path / "data_docs" / address).is_file()
    report = html.fromstring((tmp_path / "report.html").read_bytes())
    assert "1 critical finding" in report.text_content()
    assert report.xpath("//figure/img")  # the box that breaks the rule, outlined


def test_an_image_of_train_that_was_saved_anew_for_test_is_critical(coco, tmp_path):
    sources = [Source(coco(split), split) for split in SPLITS]
    photograph = Image.fromarray(skimage.data.astronaut()[:300, :400])
    photograph.resize((40, 30)).save(tmp_path / "train/images/1.jpg")
    mirrored = photograph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.resize((40, 30)).save(tmp_path / "test/images/2.jpg", quality=60)
    findings = validate(take_snapshot(sources), LABELS, ["scooter"], 1, tmp_path / "d")
    (found,) = [f for f in findings if "saved anew, mirrored or cropped" in f.rule]
    assert (found.severity, found.count) == ("critical", 1)
    assert "(test/images/2.jpg) is train/images/1.jpg, mirrored" in found.where[0]
    with pytest.raises(DataError, match="remove one of the two"):
        require_no_critical(findings, tmp_path)


@pytest.mark.parametrize("split", ["eval", "test"])
def test_a_class_without_an_object_to_judge_by_is_a_warning(snapshot, tmp_path, split):
    """Before training, for the gate could not read it. A crowd is no object."""
    images = snapshot.images.filter(pc.equal(snapshot.images["split"], split))["image_id"]
    for crowd in (False, True):
        rows = [
            {**row, "is_crowd": True} if crowd else row
            for row in snapshot.boxes.to_pylist()
            if crowd or not (row["image_id"] in images.to_pylist() and row["label"] == "car")
        ]
        bare = dataclasses.replace(snapshot, boxes=pa.Table.from_pylist(rows, schema.BOXES))
        found = [f for f in validate(bare, LABELS, ["scooter"], 1, tmp_path) if "gate" in f.fault]
        assert f"{split} has no object of class car" in " ".join(f.sentence() for f in found)
        assert {f.severity for f in found} == {"warning"}
    judged_alone = validate(bare, LABELS, (), 1, tmp_path)  # data that are no training set
    assert not [f for f in judged_alone if "gate" in f.fault]


@pytest.mark.parametrize(("label", "mends"), [("Car", True), ("car ", True), ("zebra", False)])
def test_fix_is_named_where_it_can_mend(snapshot, tmp_path, label, mends):
    findings = validate(damaged(snapshot, 0, label=label), LABELS, (), 0, tmp_path)
    (found,) = [f for f in findings if "label map" in f.fault]
    assert ("`classlift validate --fix` renames" in found.sentence()) == mends
    assert repr(label) in found.sentence()
