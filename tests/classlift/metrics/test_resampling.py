from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from classlift.metrics import resampling
from classlift.metrics.curves import (
    NEVER,
    operating_point,
    operating_points,
    precision_at,
    recall_at,
)
from classlift.metrics.matching import Matches, match
from classlift.metrics.resampling import resampled_at_deployed_precision, resampled_recalls
from classlift.metrics.statistics import count_by_unit, count_detections_by_unit
from tests.classlift.metrics.test_matching import LABELS, random_case

pytestmark = pytest.mark.unit
PRECISION = 0.6
PRECISIONS = (0.5, PRECISION, 2 / 3, 0.99)  # often met exactly; never


def drawn(matches: Matches, weights) -> Matches:
    """The same images as often as they were drawn, each copy an image of its own."""
    copies = [
        (image_id, f"{image_id} {copy}")
        for image_id, count in zip(matches.image_ids, weights, strict=True)
        for copy in range(int(count))
    ]
    names = pd.DataFrame(copies, columns=["image_id", "copy"])
    tables = [
        table.merge(names, on="image_id").assign(image_id=lambda t: t["copy"])
        for table in (matches.objects, matches.detections)
    ]
    return Matches(tuple(names["copy"]), matches.labels, *tables, matches.ap50)


@pytest.mark.parametrize("splits", [1, 2])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_equals_the_plain_way(monkeypatch, precision, splits):
    """Each resample by hand: images copied as often as drawn, the curve, the point, the recall."""
    monkeypatch.setattr(resampling, "RESAMPLES", 20)
    cases = {seed: match(*random_case(seed), LABELS) for seed in (1, splits)}
    on_eval, on_test = cases[1], cases[splits]
    found = resampled_recalls([(on_eval, on_test)], precision, seed=3)
    assert found.shape == (1, 20, len(LABELS))
    rng = np.random.default_rng(3)
    weights = {
        seed: rng.multinomial(
            len(m.image_ids), np.full(len(m.image_ids), 1 / len(m.image_ids)), size=20
        )
        for seed, m in cases.items()
    }
    for number in range(20):
        points = operating_points(drawn(on_eval, weights[1][number]), precision)
        expected = recall_at(drawn(on_test, weights[splits][number]), points)
        assert found[0, number] == pytest.approx([expected[label] for label in LABELS], nan_ok=True)


def test_the_same_model_twice_never_differs():
    cases = [match(*random_case(seed), LABELS) for seed in (1, 2)]
    found = resampled_recalls([tuple(cases), tuple(cases)], PRECISION)
    np.testing.assert_array_equal(found[0], found[1])


def test_a_class_that_is_never_precise_enough_is_never_found():
    boxes, detections, images = random_case(1)
    on_eval = match(boxes, detections.slice(0, 0), images, LABELS)
    on_test = match(boxes, detections, images, LABELS)
    assert not resampled_recalls([(on_eval, on_test)], PRECISION).any()


def joined(matches: Matches, units: dict[str, str]) -> Matches:
    """The images of a unit as one image."""
    tables = (
        t.assign(image_id=t["image_id"].map(units)) for t in (matches.objects, matches.detections)
    )
    return Matches(tuple(dict.fromkeys(units.values())), matches.labels, *tables, matches.ap50)


def test_units_are_drawn_as_if_each_were_one_image():
    cases = [match(*random_case(seed), LABELS) for seed in (1, 2)]
    units = [{name: f"scene {n // 3}" for n, name in enumerate(m.image_ids)} for m in cases]
    in_units = [replace(m, units=tuple(u.values())) for m, u in zip(cases, units, strict=True)]
    whole = [joined(m, u) for m, u in zip(cases, units, strict=True)]
    np.testing.assert_array_equal(
        resampled_recalls([tuple(in_units)], PRECISION),
        resampled_recalls([tuple(whole)], PRECISION),
    )
    points = operating_points(in_units[0], PRECISION)
    for count in (count_by_unit, count_detections_by_unit):
        for ours, theirs in zip(
            count(in_units[1], points)[:2], count(whole[1], points)[:2], strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_counts_of_units_are_sums_over_their_images():
    case = match(*random_case(1), LABELS)
    units = tuple(f"scene {n % 4}" for n in range(len(case.image_ids)))
    points = operating_points(case, PRECISION)
    for count in (count_by_unit, count_detections_by_unit):
        single, scenes = count(case, points), count(replace(case, units=units), points)
        for scene in range(4):
            of_scene = [table[scene::4].sum(axis=0) for table in (*single[:2], single.wholes > 0)]
            for ours, expected in zip(scenes, of_scene, strict=True):
                np.testing.assert_array_equal(ours[scene], expected)


def test_some_classes_alone_are_the_same():
    cases = [match(*random_case(seed), LABELS) for seed in (1, 2)]
    every = resampled_recalls([tuple(cases)], PRECISION)
    [some] = resampled_recalls([tuple(cases)], PRECISION, labels=LABELS[1:])
    np.testing.assert_array_equal(some[:, 0], every[0][:, 1])


def test_the_precision_in_production_equals_the_plain_way(monkeypatch):
    """Each resample by hand: the champion's precision, the challenger's threshold, the recalls."""
    monkeypatch.setattr(resampling, "RESAMPLES", 20)
    champion, challenger = (
        tuple(match(*random_case(seed), LABELS) for seed in seeds) for seeds in ((1, 2), (3, 4))
    )
    deployed = {LABELS[1]: 0.55, LABELS[0]: 0.985}  # the latter leaves some resamples nothing
    found = resampled_at_deployed_precision(champion, challenger, deployed, seed=3)
    assert found.shape == (2, 20, 2)
    rng = np.random.default_rng(3)
    count = len(champion[0].image_ids)
    on_eval, on_test = (
        rng.multinomial(count, np.full(count, 1 / count), size=20) for _ in range(2)
    )
    for number in range(20):
        points = [dict(deployed), {}]
        for label, threshold in deployed.items():
            wanted = precision_at(drawn(champion[0], on_eval[number]), label, threshold)
            points[1][label] = NEVER
            if wanted > 0:
                points[1][label] = operating_point(
                    drawn(challenger[0], on_eval[number]), label, wanted
                )
        for model, (_, test) in enumerate((champion, challenger)):
            expected = recall_at(drawn(test, on_test[number]), points[model])
            assert found[model, number] == pytest.approx(
                [expected[label] for label in deployed], nan_ok=True
            )
