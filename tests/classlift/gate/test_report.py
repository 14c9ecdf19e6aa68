"""The page of the report, without its pictures; the demo's tests look at a whole one."""

import re
from dataclasses import replace
from html import escape, unescape

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from classlift.diagnosis.causes import Cause, ImbalanceFigures
from classlift.diagnosis.diagnosis import Diagnosis
from classlift.diagnosis.weakness import Weakness
from classlift.gate import charts, gallery, report
from classlift.gate.outcome import copy_report
from classlift.metrics.summary import FIGURES, SIZES, summarize
from classlift.pages import surroundings, view
from classlift.settings.gate import GateSettings
from classlift.settings.recipe import Recipe
from classlift.training.verified import Verified
from tests.classlift.examples.test_rebalanced import REBALANCED
from tests.classlift.gate.test_evidence import LABELS, model, verdict
from tests.classlift.gate.test_rules import LIFTED, compared, evidence
from tests.classlift.gate.verdicts import verdict_on
from tests.classlift.training.test_depths import FOUND, SEVERAL

pytestmark = pytest.mark.unit
DIAGNOSIS = Diagnosis(
    weakness=Weakness(
        "scooter",
        precision=0.8,
        deployed=0.1,
        recalibrated=0.2,
        others=0.9,
        ap50=0.3,
        causes=(Cause("imbalance", 0.3, "It is rare.", ImbalanceFigures(0.1, 0.5)),),
    ),
    reasons=(),
    advice="Label more.",
    stop=None,
    recipe=Recipe(),
    overridden=(),
    rebalanced=replace(REBALANCED, boxes_before={"car": 1}, boxes_after={"car": 2}),
    doubts=(),
)


def test_by_size():
    columns = pd.MultiIndex.from_product([SIZES, FIGURES])
    before = pd.DataFrame(0.5, index=["car", "scooter", "tram"], columns=columns)
    after = before + 0.25
    for table in (before, after):
        table.loc[["scooter", "tram"], "large"] = np.nan
        table.loc["tram", "small"] = np.nan
    found = report.by_size([before, after], "scooter")
    nothing, some = (None, None), (0.5, 0.75)
    assert found["class scooter"]["AP"] == [some, some, some, nothing]
    assert found["mean of the others"]["AP50"] == [some] * 4  # of those that have objects
    assert report.by_size([before, after], "car")["mean of the others"]["AR"][3] == nothing


def test_shows_cocos_figures_before_and_after(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "gallery", lambda *_: [])  # there are no images
    models = (model(1.0), model(2.5))
    judgement, comparison = verdict(*models)
    summaries = [
        summarize(m.test.boxes, m.test.detections, m.test.image_ids, LABELS) for m in models
    ]
    path = tmp_path / "report.html"
    document = verdict_on(comparison.evidence, "scooter", judgement=judgement)
    report.write_report(path, document, {"scooter": comparison}, summaries, DIAGNOSIS, tmp_path)
    before, after = (table.loc["scooter", ("small", "AP75")] for table in summaries)
    assert f"<td>{before:.3f} → {after:.3f}</td>" in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("score_threshold", "other", "words", "unsaid"),
    [
        (None, evidence(), "with precision 0.80 on eval", "precision before"),
        (0.4, compared(-0.0123), ">precision before</th>", "operating points:"),
    ],
)
def test_what_is_shown_depends_on_how_scores_are_cut(score_threshold, other, words, unsaid):
    settings = GateSettings(score_threshold=score_threshold)
    classes = [LIFTED if score_threshold is None else compared(label="target"), other]
    verdict = verdict_on(classes, settings=settings, test_uses=2)
    html = report.page(
        verdict,
        DIAGNOSIS,
        summary={},
        charts=dict.fromkeys(report.CHARTS, ("",)),
        galleries={},
        counts={},
    )
    assert words in html
    assert "of test, 500 images in 25 scenes, by `group`." in html
    assert "Bounds are one-sided 97.5%" in html
    assert "has been used 2 times by the gate. Each use is charged" in html
    assert unsaid not in html
    assert ("<td>-0.012</td>" in html) == (score_threshold is not None)


def many(number):
    """The target, `number` other classes, and one more, late, that alone refuses."""
    lost = {"precision": 0.41, "precision_lower": 0.3, "precision_upper": 0.5}
    others = [evidence(f"class {i}", unchanged=i % 2 == 0) for i in range(number)]
    return verdict_on([LIFTED, *others, evidence("teddy bear", **lost)], run="run 7")


def page_of(verdict, diagnosis=DIAGNOSIS, beside=(), depths=None, verified=()):
    empty = dict.fromkeys(report.CHARTS, ("",))
    return report.page(verdict, diagnosis, {}, empty, {}, {}, beside, depths, verified)


def test_what_decides_stands_first_among_many_classes():
    verdict = many(363)
    html = page_of(verdict)
    first = html[: html.index("<h2>")]
    assert "Refused: class teddy bear lost its precision on test: 0.410" in first
    assert "<code>precision_on_test</code>" in first
    assert "classlift push --config CONFIG --run &#39;run 7&#39; --by NAME" in html
    rows = report.by_change(verdict)
    assert [row.label for row in rows[:2]] == ["target", "teddy bear"]
    assert {row.status for row in rows[2:183]} == {"not worse"}
    assert html.count("The other 353 classes") == 2  # folded, in either table
    assert len(html) < 500_000


def test_few_classes_are_not_folded():
    assert 'class="more"' not in page_of(many(3))


def test_confusion_is_folded_to_the_target_and_its_rivals():
    table = np.zeros((41, 41), int)
    table[30, [2, 7]] = [5, 1]  # objects of class 30 detected as 2 and 7
    table[9, 30] = 3
    table[11, 12] = 100  # does not concern it
    table[30, 40] = 50
    kept = charts.rivals([table, table], 30)
    assert len(kept) == charts.CONFUSED + 1
    assert {2, 7, 9, 30} <= set(kept)
    small = charts.folded(table, kept)
    assert small.shape == (len(kept) + 2, len(kept) + 2)
    assert small.sum() == table.sum()
    assert small[kept.index(30), kept.index(2)] == 5
    assert small[kept.index(30), -1] == 50


def test_the_report_says_what_became_of_it(tmp_path):
    written, copy = tmp_path / "report.html", tmp_path / "copy.html"
    written.write_text(page_of(many(1)))
    assert "Not pushed; the version served stays." in written.read_text()
    copy_report(written, copy, "served/7, by <Ada> against the verdict: seen.", is_pushed=True)
    words = "Pushed: served/7, by &lt;Ada&gt; against the verdict: seen."
    assert f'<p class="pushed">{words}</p><!--' in copy.read_text()
    again = tmp_path / "again.html"
    copy_report(copy, again, "nothing", is_pushed=False)
    assert '<p class="open">Pushed: nothing.</p><!--' in again.read_text()
    assert "Ada" not in again.read_text()


def test_captions_say_what_the_headings_say():
    """What found the object is shown, also beside a rival with a higher score."""
    _, comparison = verdict(model(1.0), model(2.5))
    changed = gallery.changed_objects(comparison, "scooter")
    assert len(changed["found now"])
    said = {"found now": ("missed", "found"), "lost now": ("found", "missed")}
    for name, rows in changed.items():
        for row in rows.index:
            words = [
                gallery.in_words(matches, row, gallery.detection_of(matches, row), points)
                for matches, points in (
                    (comparison.champion, comparison.champion_points),
                    (comparison.challenger, comparison.challenger_points),
                )
            ]
            for text, start in zip(words, said.get(name, ("missed", "missed")), strict=True):
                assert text.startswith(start) or (text, start) == ("nothing here", "missed")


def test_what_found_an_object_is_shown_beside_a_higher_scored_rival():
    _, comparison = verdict(model(1.0), model(2.5))
    matches = comparison.challenger
    row = gallery.changed_objects(comparison, "scooter")["found now"].index[0]
    own = gallery.detection_of(matches, row)
    rival = own.copy()
    rival["label"], rival["score"] = "car", 0.99
    crowded = replace(matches, detections=pd.DataFrame([*matches.detections.iloc, rival]))
    assert gallery.detection_of(crowded, row)["label"] == "scooter"
    lost = matches.objects.copy()
    lost.loc[row, "score"] = np.nan
    unfound = replace(crowded, objects=lost)
    seen = gallery.detection_of(unfound, row)
    assert (seen["label"], seen["score"]) == ("car", 0.99)
    words = gallery.in_words(unfound, row, seen, comparison.challenger_points)
    assert words.startswith("missed (car 0.990, at or above its threshold")


def test_the_recipe_is_said_as_what_is_not_its_default():
    assert "The recipe: the default of every setting." in page_of(many(1))
    recipe = replace(Recipe(), steps=300, focal_gamma=1.5, class_weights={"bus": 2.0})
    page = page_of(many(1), replace(DIAGNOSIS, recipe=recipe))
    rows = [row[:3] for row in report.changed_settings(recipe)]
    assert rows == [
        ("steps", "300", "900"),
        ("focal_gamma", "1.5", "the model's own"),
        ("class_weights", "bus 2", "none"),
    ]
    assert "<td><code>steps</code></td><td>300</td><td>900</td>" in page
    assert "learning_rate</code></td>" not in page


def test_each_figure_of_a_table_says_what_it_means():
    page = page_of(many(1))
    for name, meaning in report.COLUMNS.items():
        assert f"<dt>{name}</dt><dd>{escape(meaning, quote=False)}</dd>" in unescape(page)
    tables = page.split('<table class="classes">')[1:]
    assert len(tables) == 2
    for table in tables:
        heads = re.findall(r"<th[^>]*>[^<]*</th>", table[: table.index("</thead>")])
        silent = {head for head in heads if "title=" not in head}
        assert silent == {"<th>class</th>", "<th>after</th>"}


def test_the_chart_of_recalls_leaves_unchanged_classes_out():
    verdict = many(9)
    labels = [row.label for row in report.charted(verdict)]
    assert labels == ["target", "teddy bear", *(f"class {n}" for n in (1, 3, 5, 7))]
    assert "The chart leaves out 5 classes" in page_of(verdict)


def test_a_picture_shows_the_surroundings_and_hides_no_outline():
    """Two boxes at one place are seen both, also of a small object in a large image."""
    image = Image.new("RGB", (4000, 3000), "white")
    part = surroundings(image.size, (3990, 2980, 4000, 3000))
    assert part == (3760, 2820, 4000, 3000)
    box = [3900.0, 2900.0, 3950.0, 2950.0]
    picture = view(image, part, [(box, "#00ff00"), (box, "#0000ff")])
    assert picture.size == (240, 180)
    assert picture.getpixel((140, 80)) == (0, 0, 255)
    assert picture.getpixel((139, 79)) == (0, 255, 0)
    assert picture.getpixel((165, 105)) == (255, 255, 255)


@pytest.mark.parametrize("ap50", [0.3, float("nan")])  # of a new class there is none before
def test_shows_the_depths_that_were_trained(ap50):
    diagnosis = replace(DIAGNOSIS, weakness=replace(DIAGNOSIS.weakness, ap50=ap50))
    verdict = verdict_on([compared(label="target"), evidence()])
    html = page_of(verdict, diagnosis, depths=FOUND)
    assert "How deep the branch begins" in html
    row = "<td><code>target-branch+image</code></td><td>2.00</td><td>0.700</td>"
    assert row in html
    assert "Full fine-tuning, which changes the other classes too, was not tried" in html
    assert "How deep the branch begins" not in page_of(verdict)


def test_shows_the_depths_of_several_classes():
    first = verdict_on([compared(label="target"), evidence()])
    other = replace(first, target="other")
    beside = report.AboutTarget(other, DIAGNOSIS, dict.fromkeys(report.CHARTS, ("",)), {}, {})
    html = page_of(first, depths=SEVERAL, beside=[beside])
    assert "How deep branches begin" in html
    assert "<th>AP50 on eval of class other</th><th>AP50 on eval of class target</th>" in html
    row = "<td><code>target-branch</code></td><td>1.10</td><td>0.800</td><td>0.400</td>"
    assert row in html


def test_shows_what_verifiers_gave():
    verdict = verdict_on([compared(label="target"), evidence()])
    found = [Verified("8", 0.853, 0.859), Verified("3", 0.7, 0.7)]
    html = page_of(verdict, verified=[one.sentence() for one in found])
    assert "class 8 has a verifier: on eval AP50 is 0.859 with it and 0.853 without." in html
    assert "class 3 has no verifier: on eval AP50 is 0.700 with one and 0.700 without." in html
    assert "Does a verifier help?" not in page_of(verdict)
