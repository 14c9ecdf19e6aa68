import json

import pytest

from benchmarks import several
from benchmarks.several import Case, Digits, hold_back, hold_back_voc, table
from classlift.gate.verdict import REPORT
from tests.classlift.gate.test_rules import evidence
from tests.classlift.gate.verdicts import verdict_on

pytestmark = pytest.mark.unit


def test_the_boxes_of_the_digit_are_held_back_and_no_image(tmp_path):
    labels, without = tmp_path / "labels.json", tmp_path / "without.json"
    images = [{"id": 1}, {"id": 2}]
    categories = [{"id": 9, "name": "8"}, {"id": 10, "name": "9"}]
    boxes = [{"id": i, "image_id": i, "category_id": 8 + i} for i in (1, 2)]
    whole = {"images": images, "categories": categories, "annotations": boxes}
    labels.write_text(json.dumps(whole))
    hold_back(labels, without, "9")
    found = json.loads(without.read_text())
    assert found == {"images": images, "categories": categories[:1], "annotations": boxes[:1]}


def test_the_boxes_of_a_class_are_held_back_of_a_voc_file(tmp_path):
    path = tmp_path / "a.xml"
    boxes = [f"<object><name>{name}</name></object>" for name in ("bike", "motobike", "bike")]
    path.write_text(f"<annotation><filename>a.jpg</filename>{''.join(boxes)}</annotation>")
    hold_back_voc(path, "motobike")
    assert path.read_text() == (
        f"<annotation><filename>a.jpg</filename>{boxes[0]}{boxes[2]}</annotation>"
    )


def test_the_table_has_a_row_for_each_class_of_what_has_run(tmp_path, monkeypatch):
    """With the gate's own words and the time against that of one class less."""
    monkeypatch.setattr(several, "WORK", tmp_path)
    data = Digits()
    cases = (Case("one", data, ("8",)), Case("two", data, ("8", "3"), "one"), Case("-", data, ()))
    others = [evidence("7", unchanged=True)]
    eight, three = (
        verdict_on([evidence(label, lift, lift - 0.02), *others], label)
        for label, lift in (("8", 0.3), ("3", 0.0))
    )
    both = verdict_on([evidence("8", 0.3, 0.28), *others], "8", beside=(three,))
    for case, verdict, seconds in zip(cases, (eight, both), (100.0, 120.0), strict=False):
        case.evaluation.mkdir(parents=True)
        verdict.write(case.evaluation)
        (case.evaluation / REPORT).write_text("")
        (case.folder / "seconds.json").write_text(json.dumps({"Trainer": seconds, "Pusher": 9.0}))
    head, _, *rows = table(cases).splitlines()
    assert len(rows) == 3
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert all(len(found) == head.count("|") - 1 for found in cells)
    assert [found[:2] for found in cells] == [["one", "8"], ["two", "8"], ["two", "3"]]
    assert [found[2].partition(":")[0] for found in cells] == ["push", "push", "refuse"]
    assert cells[0][3:5] == ["0.600 → 0.900", "**+0.300** (≥ +0.280)"]
    assert [found[-3] for found in cells] == ["1 of 1"] * 3
    assert [found[-2] for found in cells] == ["100 s", "120 s (1.20)", "120 s (1.20)"]
    assert cells[1][-1] == "129 s"
