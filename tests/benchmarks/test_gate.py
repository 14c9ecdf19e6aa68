import json

import numpy as np
import pytest

from benchmarks.gate import LABELS, LOSER, SETTINGS, TARGET, evaluator_blesses

pytestmark = pytest.mark.pipeline
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
