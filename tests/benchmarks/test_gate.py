import json

import numpy as np
import pytest

from benchmarks.gate import (
    LABELS,
    LOSER,
    SETTINGS,
    TARGET,
    Scenario,
    draw,
    evaluator_blesses,
    gate_says,
    not_significantly_worse,
    results_of,
    trial,
)
from classlift.gate.reading import ModelMatches

BEFORE = dict.fromkeys(LABELS, 0.5)
JUST = 1e-9
NAN = float("nan")


@pytest.fixture(scope="module")
def tfma_blesses():
    """The validator that TFX's Evaluator blesses by, with a change threshold for each class."""
    from tfx import types  # noqa: F401, I001  it stands in for a module that TFMA's imports miss
    from tensorflow_model_analysis.evaluators.metrics_validator import validate_metrics
    from tensorflow_model_analysis.metrics.metric_types import MetricKey
    from tensorflow_model_analysis.proto import config_pb2 as config

    models = ("candidate", "baseline")

    def recall(number: int, label: str) -> config.MetricConfig:
        least = SETTINGS.min_lift if label == TARGET else -SETTINGS.max_drop
        threshold = config.GenericChangeThreshold(
            direction=config.MetricDirection.HIGHER_IS_BETTER, absolute={"value": least}
        )
        return config.MetricConfig(
            class_name="ObjectDetectionMaxRecall",
            config=json.dumps({"name": label, "class_id": number, "iou_threshold": 0.5}),
            threshold=config.MetricThreshold(change_threshold=threshold),
        )

    metrics = [recall(number, label) for number, label in enumerate(LABELS, 1)]
    settings = config.EvalConfig(
        model_specs=[
            config.ModelSpec(name=name, is_baseline=name == "baseline") for name in models
        ],
        slicing_specs=[config.SlicingSpec()],
        metrics_specs=[config.MetricsSpec(metrics=metrics, model_names=models)],
    )

    def blesses(before: dict[str, float], after: dict[str, float]) -> bool:
        values = {}
        for label in LABELS:
            candidate, baseline = (
                MetricKey(label, model_name=name, example_weighted=False) for name in models
            )
            values |= {candidate: after[label], baseline: before[label]}
            values[candidate.make_diff_key()] = after[label] - before[label]
        return validate_metrics(((), values), settings).validation_ok

    return blesses


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("after", "blessed"),
    [
        ({}, False),  # equal
        ({TARGET: 0.5 + SETTINGS.min_lift + JUST}, True),
        ({TARGET: 0.5 + SETTINGS.min_lift - JUST}, False),
        ({TARGET: 0.9, LOSER: 0.5 - SETTINGS.max_drop + JUST}, True),
        ({TARGET: 0.9, LOSER: 0.5 - SETTINGS.max_drop - JUST}, False),
        ({TARGET: 0.9, LOSER: 0.9}, True),
        ({TARGET: 0.9, LOSER: NAN}, False),  # a class without objects
        ({TARGET: NAN}, False),
    ],
)
def test_the_evaluators_rule(tfma_blesses, after, blessed):
    assert evaluator_blesses(BEFORE, BEFORE | after) == blessed
    assert tfma_blesses(BEFORE, BEFORE | after) == blessed


@pytest.mark.pipeline
def test_the_evaluators_rule_on_any_recalls(tfma_blesses):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        before = dict(zip(LABELS, rng.random(len(LABELS)).round(3).tolist(), strict=True))
        after = {
            label: recall + rng.choice([-0.05, 0, 0.05], p=[0.04, 0.8, 0.16])
            for label, recall in before.items()
        }
        found.append(evaluator_blesses(before, after))
        assert tfma_blesses(before, after) == found[-1]
    assert 10 < sum(found) < 290


@pytest.mark.unit
@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("branch", 50, classes=2),
        Scenario("independent", 50, classes=2),
        Scenario("branch", 20, frames=5, shared=0.0, classes=2),
    ],
    ids=str,
)
def test_a_trial_says_what_the_whole_gate_says(scenario):
    """Bounds are not made where the lift alone decides: the verdicts are the same with them."""
    found = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        splits = [draw(rng, scenario) for _ in range(2)]
        models = [ModelMatches(*of_model) for of_model in zip(*splits, strict=True)]
        plain = gate_says(*models, scenario, 0.95)
        result = trial(seed, scenario)
        assert (result.verdict, result.status) == plain
        found.add(result.status)
    assert len(found) > 1


@pytest.mark.unit
def test_of_many_uses_a_trial_is_pushed_when_one_is():
    """At the fortieth look, a challenger needs more than at the first."""
    once, often = (Scenario("branch", 300, lift=0.08, earlier=e, classes=2) for e in (0, 39))
    pushed = [[trial(seed, s).verdict == "push" for seed in range(10)] for s in (once, often)]
    assert sum(pushed[0]) > sum(pushed[1])
    many = Scenario("branch", 300, lift=0.08, uses=3, classes=2)
    assert sum(trial(seed, many).verdict == "push" for seed in range(5)) >= 3


@pytest.mark.unit
@pytest.mark.parametrize(
    ("before", "after", "passes"),
    [
        (600, 600, True),
        (600, 570, True),  # z = -1.38
        (600, 550, False),  # z = -2.26
        (600, 900, True),
    ],
)
def test_the_unpaired_z_test(before, after, passes):
    assert not_significantly_worse(before, after, 1000) == passes


@pytest.mark.unit
def test_a_run_that_was_stopped_goes_on(tmp_path):
    scenario = Scenario("branch", 50, classes=2)
    some = results_of(scenario, 3, 1, tmp_path)
    (path,) = tmp_path.iterdir()
    kept = path.read_text().replace('"verdict": "', '"verdict": "kept ')
    path.write_text(kept)
    more = results_of(scenario, 5, 1, tmp_path)
    assert [r.verdict for r in more[:3]] == [f"kept {r.verdict}" for r in some]
    assert more[3:] == [trial(seed, scenario) for seed in (3, 4)]
