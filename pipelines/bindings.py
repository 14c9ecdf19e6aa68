"""From the flat parameters of the form to the runtime parameters of the pipeline.

TFX substitutes whole properties only, and ignores what it does not know; so the values are grouped
here, one string a group of nodes, after `pipelines.parameters.check`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from classlift.errors import ConfigError
from classlift.settings.gate import GateSettings
from classlift.settings.rebalancing import Rebalancing
from pipelines.parameters import AIRFLOW, DATA, GATE, PARAMETERS, RECIPE


@dataclass(frozen=True)
class RuntimeValues:
    """The runtime parameters of the pipeline, by their names; strings that are objects are JSON.

    fingerprint, served: of the labelled data and of the champion; each is looked up as the node
    starts that is cached by it.
    """

    target: str
    precision: float
    overrides: str
    rebalancing: str
    gate: str
    trainer_config: str
    fingerprint: str = ""
    served: str = ""


def bind(values: Mapping[str, Any], fixed: Mapping[str, str]) -> RuntimeValues:
    """Groups checked values; None leaves a part to its default.

    fixed: what the trainer needs and no user sets: `backend`, `code_version`, `work`.

    Raises ConfigError for values that contradict each other.
    """

    def group(name: str) -> dict[str, Any]:
        return {
            key: values[key]
            for key, parameter in PARAMETERS.items()
            if parameter.group == name and values.get(key) is not None
        }

    gate = GateSettings(**group(GATE))
    if values.get("recalibrate") and gate.score_threshold is not None:
        raise ConfigError(
            "recalibrate moves the target's threshold, and score_threshold fixes it: leave one out."
        )
    rebalancing = Rebalancing(**group(DATA), target=values["target"], seed=values.get("seed") or 0)
    return RuntimeValues(
        target=values["target"],
        precision=float(gate.precision),
        overrides=_text(group(RECIPE)),
        rebalancing=_text(vars(rebalancing)),
        gate=_text(vars(gate)),
        trainer_config=_text(
            {
                "target": values["target"],
                "precision": float(gate.precision),
                "thresholds": gate.thresholds,
                "score_threshold": gate.score_threshold,
                **fixed,
            }
        ),
    )


def asked(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a run's values asks for another result: not what Airflow does around the nodes."""
    around = {name for name, parameter in PARAMETERS.items() if parameter.group == AIRFLOW}
    return {k: v for k, v in values.items() if v is not None and k not in around}


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True)
