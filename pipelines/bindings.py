"""From the flat parameters of the form to the runtime parameters of the pipeline.

TFX substitutes whole properties only, and ignores what it does not know; so the values are grouped
here, one string a group of nodes, after `pipelines.parameters.check`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from classlift.errors import ConfigError
from classlift.settings.field import Value, Values, read
from classlift.settings.gate import GateSettings
from classlift.settings.rebalancing import Rebalancing
from classlift.settings.recipe import Recipe
from classlift.settings.targets import Target, as_value, targets_of
from pipelines.parameters import AIRFLOW, PARAMETERS, RECIPE

TRAINED_FOR = ("precision", "operating_points", "thresholds", "score_threshold")
"""The settings of the gate that the trainer reads too: they decide which thresholds it ships."""


@dataclass(frozen=True)
class RuntimeValues:
    """The runtime parameters of the pipeline, by their names; strings that are objects are JSON.

    Attributes:
        fingerprint: of the labelled data, looked up as the node starts that is cached by it.
        served: the champion, looked up likewise.

    """

    target: str
    precision: float
    operating_points: str
    overrides: str
    rebalancing: str
    gate: str
    trainer_config: str
    fingerprint: str = ""
    served: str = ""


def bind(values: Values, fixed: Mapping[str, str]) -> RuntimeValues:
    """Groups the checked values of a run for the nodes.

    Args:
        values: by parameter; None leaves one to its default.
        fixed: what the trainer needs and no user sets: `backend`, `code_version`, `work`.

    Returns:
        The groups, each a text by which a node is cached.

    Raises:
        ConfigError: values contradict each other.

    """
    given = {name: value for name, value in values.items() if value is not None}
    gate = read(GateSettings, given)
    if given.get("recalibrate") and gate.score_threshold is not None:
        raise ConfigError(
            "recalibrate moves the target's threshold, and score_threshold fixes it: leave one out."
        )
    targets = targets_of(cast(Target, given["target"]))
    seed = cast(int, given.get("seed", Recipe.seed))
    rebalancing = replace(read(Rebalancing, given), targets=targets, seed=seed)
    recipe = {name: given[name] for name in PARAMETERS if name in given and _group(name) == RECIPE}
    return RuntimeValues(
        target=json.dumps(as_value(targets)),
        precision=float(gate.precision),
        operating_points=gate.operating_points,
        overrides=_text(recipe),
        rebalancing=_text(vars(rebalancing)),
        gate=_text(vars(gate)),
        trainer_config=_text(
            {
                "targets": targets,
                **{name: getattr(gate, name) for name in TRAINED_FOR},
                **fixed,
            }
        ),
    )


def asked(values: Values) -> dict[str, Value]:
    """What of a run's values asks for another result: not what Airflow does around the nodes."""
    given = {k: v for k, v in values.items() if v is not None and _group(k) != AIRFLOW}
    return {**given, "target": as_value(targets_of(cast(Target, given["target"])))}


def _group(name: str) -> str | None:
    """The group of a parameter; None for `target`, which goes to all."""
    return PARAMETERS[name].group if name in PARAMETERS else None


def _text(value: Mapping[str, object]) -> str:
    return json.dumps(dict(value), sort_keys=True)
