"""What a user may set for one run, in the Airflow form, the CLI or the REST API alike.

A parameter is declared here once, as JSON schema; the form, the checks and the bindings to the
pipeline all read it. None means: what the config or the diagnosis says.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema

from classlift.errors import ConfigError
from classlift.settings.freeze import MAX_LENGTH, PATTERN, POLICIES, check_policy
from classlift.settings.gate import THRESHOLDS
from classlift.settings.rebalancing import METHODS
from classlift.settings.recipe import DEVICES, WEIGHTINGS
from classlift.text import shorten

# The groups travel to different nodes, so that a change runs again only what depends on it.
RECIPE, DATA, GATE = "recipe", "data", "gate"
AIRFLOW = "airflow"
"""Of what Airflow does around the nodes; these ask for no other result, and no node reads them."""

_SECTIONS = {RECIPE: "Training", DATA: "Training data", GATE: "Gate", AIRFLOW: "Push"}
"""Of the form, by group."""


@dataclass(frozen=True)
class RunParameter:
    """One field of the form.

    group: where it goes; schema: JSON schema of a value, with title and description for the form.
    """

    group: str
    schema: Mapping[str, Any]

    def field(self) -> dict[str, Any]:
        """The schema with the section of the form that the parameter stands in."""
        return {"section": _SECTIONS[self.group], **self.schema}


def _number(title: str, description: str, **limits: float) -> dict[str, Any]:
    return {"type": ["number", "null"], "title": title, "description": description, **limits}


def _switch(title: str, description: str) -> dict[str, Any]:
    return {"type": ["boolean", "null"], "title": title, "description": description}


def _choice(title: str, description: str, values: Sequence[str]) -> dict[str, Any]:
    return {
        "type": ["string", "null"],
        "enum": [*values, None],
        "title": title,
        "description": description,
    }


def _advanced(schema: dict[str, Any]) -> RunParameter:
    """A part of the recipe that the form keeps folded away."""
    return RunParameter(RECIPE, {**schema, "section": "Training, in detail"})


def _integer(title: str, description: str, **limits: int) -> dict[str, Any]:
    return {"type": ["integer", "null"], "title": title, "description": description, **limits}


PARAMETERS: dict[str, RunParameter] = {
    "freeze_policy": RunParameter(
        RECIPE,
        {
            "type": ["string", "null"],
            "pattern": PATTERN,
            "maxLength": MAX_LENGTH,
            "examples": list(POLICIES),
            "title": "Freeze policy",
            "description": f"What of the model stays as it is: {', '.join(POLICIES)}, first:N "
            "(blocks) or regex:... (names of variables).",
        },
    ),
    "steps": RunParameter(
        RECIPE, _integer("Steps", "Training steps.", minimum=1, maximum=1_000_000)
    ),
    "learning_rate": RunParameter(
        RECIPE,
        _number("Learning rate", "Of the first step.", exclusiveMinimum=0, maximum=1),
    ),
    "class_weight": RunParameter(
        RECIPE,
        _number(
            "Class weight",
            "Factor on the loss of the target class.",
            exclusiveMinimum=0,
            maximum=100,
        ),
    ),
    "recalibrate": RunParameter(
        RECIPE,
        _switch(
            "Recalibrate only",
            "Train nothing: the target's threshold alone moves to where its precision is right.",
        ),
    ),
    "train_anyway": RunParameter(
        RECIPE,
        _switch("Train anyway", "Also where the diagnosis says that training will not help."),
    ),
    "seed": RunParameter(
        RECIPE, _integer("Seed", "Of everything random.", minimum=0, maximum=2**31 - 1)
    ),
    "method": RunParameter(
        DATA,
        _choice("Rebalancing", "How often images of rare classes repeat.", METHODS),
    ),
    "target_boost": RunParameter(
        DATA,
        _number("Target boost", "Further factor on the target's images.", minimum=1, maximum=100),
    ),
    "max_growth": RunParameter(
        DATA,
        _number("Largest growth", "Of the train split, as a multiple.", minimum=1, maximum=100),
    ),
    "copy_paste": RunParameter(
        DATA,
        _number(
            "Copy-paste",
            "Share of the training examples that get pasted objects of the target class.",
            minimum=0,
            maximum=1,
        ),
    ),
    "replay_share": RunParameter(
        DATA,
        _number(
            "Replay share",
            "Share of the training examples that are old data.",
            minimum=0,
            maximum=0.95,
        ),
    ),
    "precision": RunParameter(
        GATE,
        _number(
            "Precision",
            "That each class keeps at its operating point.",
            minimum=0.05,
            maximum=0.999,
        ),
    ),
    "precision_tolerance": RunParameter(
        GATE,
        _number(
            "Precision tolerance",
            "How far the precision on test may fall below it.",
            minimum=0,
            maximum=1,
        ),
    ),
    "thresholds": RunParameter(
        GATE,
        _choice(
            "Thresholds of the other classes",
            "keep: those in production, or, where training changed a class, the lowest that is as "
            "precise; matched: the lowest with the precision asked for.",
            THRESHOLDS,
        ),
    ),
    "score_threshold": RunParameter(
        GATE,
        _number(
            "Score threshold",
            "A fixed one in production, instead of operating points at the precision; the "
            "precision of other classes is then judged as their recall is.",
            exclusiveMinimum=0,
            maximum=1,
        ),
    ),
    "min_lift": RunParameter(
        GATE,
        _number("Least lift", "Of the target's recall, to push.", minimum=0, maximum=1),
    ),
    "max_drop": RunParameter(
        GATE,
        _number(
            "Largest drop",
            "Of another class, which must be ruled out.",
            minimum=0,
            maximum=1,
        ),
    ),
    "recall_floors": RunParameter(
        GATE,
        {
            "type": ["object", "null"],
            "propertyNames": {"type": "string"},
            "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
            "title": "Recall floors",
            "description": 'The least recall of classes after training, as {"8": 0.6}.',
        },
    ),
    "approve_before_push": RunParameter(
        AIRFLOW,
        _switch(
            "Approve before the push",
            "A person is asked in Airflow's UI, also where the gate says push.",
        ),
    ),
    "class_weighting": _advanced(
        _choice("Class weighting", "Of the loss, by how rare a class is.", WEIGHTINGS)
    ),
    "batch_size": _advanced(_integer("Batch size", "Images a step.", minimum=1, maximum=4096)),
    "focal_gamma": _advanced(
        _number("Focal gamma", "How much easy examples count less.", minimum=0, maximum=10)
    ),
    "focal_alpha": _advanced(
        _number("Focal alpha", "Share of the objects against the background.", minimum=0, maximum=1)
    ),
    "distillation": _advanced(
        _number("Distillation", "Weight of keeping the champion's answers.", minimum=0, maximum=1e6)
    ),
    "auxiliary": _advanced(
        _number(
            "Auxiliary classes",
            "Weight of the other classes' loss in training a branch; they stay as they are.",
            minimum=0,
            maximum=1e6,
        )
    ),
    "l2_to_start": _advanced(
        _number("L2 to start", "Weight of staying near the champion.", minimum=0, maximum=1e6)
    ),
    "rivalry": _advanced(
        _switch(
            "Rivalry",
            "Eval may choose that an object which is surely of another class is hardly the target: "
            "of the branch alone, the other classes stay as they are.",
        )
    ),
    "interpolation": _advanced(
        _switch("Interpolation", "Look for the best mixture of old and new weights, on eval.")
    ),
    "evaluations": _advanced(
        _integer("Evaluations", "Times that eval is asked in training.", minimum=0, maximum=1000)
    ),
    "eval_floor": _advanced(
        _number(
            "Floor on eval",
            "Drop of another class's recall beyond which weights are not kept.",
            minimum=0,
            maximum=1,
        )
    ),
    "patience": _advanced(
        _integer("Patience", "Evaluations without progress; 0: never.", minimum=0, maximum=1000)
    ),
    "augmentation": _advanced(_switch("Augmentation", "Colour, zoom and shift.")),
    "flip": _advanced(_switch("Flip", "Mirror half of the images, left to right.")),
    "mosaic": _advanced(
        _number("Mosaic", "Share of images put together from four.", minimum=0, maximum=1)
    ),
    "cached_batches": _advanced(
        _integer("Cached batches", "Views kept as features; 0: none.", minimum=0, maximum=1_000_000)
    ),
    "device": _advanced(_choice("Device", "gpu: no training without one.", DEVICES)),
    "mixed_precision": _advanced(_switch("Mixed precision", "Compute in bfloat16.")),
    "jit_compile": _advanced(_switch("XLA", "Compile the step with XLA.")),
}
"""All parameters but `target`, whose values are the classes of the model."""


def check(values: Mapping[str, Any], schemas: Mapping[str, Mapping[str, Any]]) -> None:
    """Checks the values of a run against the schemas by name.

    Raises ConfigError for an unknown name and for a value of the wrong type or range.
    """
    for name, value in values.items():
        if name not in schemas:
            raise ConfigError(
                f"There is no run parameter {str(name)[:80]!r}; there are: {', '.join(schemas)}."
            )
        try:
            numbers = value.values() if isinstance(value, dict) else [value]
            if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
                raise jsonschema.ValidationError(f"{json.dumps(value)} is no finite number")
            jsonschema.validate(value, schemas[name])
            json.dumps(value, ensure_ascii=False).encode()  # half characters can't be kept
            if name == "freeze_policy" and value is not None:
                check_policy(value)  # before any node has worked for a pattern that is none
        except jsonschema.ValidationError as error:
            # Airflow's own words, which the form and the REST API say before a run starts.
            said = shorten(error.message, 300)
            raise ConfigError(f"Invalid input for param {name}: {said}") from None
        except (RecursionError, UnicodeEncodeError):
            raise ConfigError(
                f"Invalid input for param {name}: it is nested too deeply, or no text in Unicode."
            ) from None
