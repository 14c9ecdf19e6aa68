"""The config of one model to keep fresh: a YAML file, checked before any work."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from components.dataset.formats import FORMATS
from components.dataset.label_map import LabelMap
from components.dataset.schema import SPLITS
from components.dataset.snapshot import Source
from components.detectors.backends import NAMES as BACKENDS
from components.errors import ConfigError
from components.transforms import LOCAL_OPTIONS
from pipelines.parameters import DATA, GATE, PARAMETERS, RECIPE, check

ROOT = Path(__file__).resolve().parent.parent
METADATA_VARIABLE = "CLASSLIFT_METADATA"
"""Names the Postgres database of ML Metadata; by default each config has SQLite in its folder."""

AIRFLOW_DEFAULTS: dict[str, Any] = {
    "owner": "classlift",
    "cron": None,
    "min_new_objects": 1,
    "email": [],
    "webhook": False,
}
"""What the DAGs of a config need to know: their owner, when they start by themselves, how many new
objects of the target class a run that nobody started needs, and who is told of its end."""


def _group_schema(group: str) -> dict[str, Any]:
    properties = {name: p.schema for name, p in PARAMETERS.items() if p.group == group}
    return {"type": "object", "additionalProperties": False, "properties": properties}


_PATH = {"type": "string", "minLength": 1}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "work", "serving", "model", "data", "target"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,60}$"},
        "work": _PATH,
        "serving": _PATH,
        "model": {
            "type": "object",
            "additionalProperties": False,
            "required": ["path"],
            "properties": {"path": _PATH, "backend": {"enum": list(BACKENDS)}},
        },
        "data": {
            "type": "object",
            "additionalProperties": False,
            "required": ["root", "sources"],
            "properties": {
                "root": _PATH,
                "min_target_boxes": {"type": "integer", "minimum": 1},
                "sources": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["path"],
                        "properties": {
                            "path": _PATH,
                            "split": {"enum": list(SPLITS)},
                            "tag": {"enum": ["old", "new"]},
                            "format": {"enum": list(FORMATS)},
                            "images": _PATH,
                            "group": {"type": "string", "minLength": 1},
                        },
                    },
                },
            },
        },
        "target": {"type": "string", "minLength": 1},
        "beam": {"type": "array", "items": {"type": "string", "pattern": "^--"}},
        "airflow": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "owner": {"type": "string", "pattern": "^[^,]+$", "maxLength": 100},
                "cron": {"type": "string", "pattern": r"^(@[a-z]+|\S+( \S+){4})$"},
                "min_new_objects": {"type": "integer", "minimum": 0},
                "approve_before_push": PARAMETERS["approve_before_push"].schema,
                "email": {"type": "array", "items": {"type": "string", "pattern": "^[^@]+@[^@]+$"}},
                "webhook": {"type": "boolean"},
            },
        },
        "recipe": _group_schema(RECIPE),
        "rebalancing": _group_schema(DATA),
        "gate": _group_schema(GATE),
    },
}


@dataclass(frozen=True)
class Config:
    """A checked config, with absolute paths.

    work: everything a run leaves behind. serving: the TF Serving folder.
    sources: as in the YAML, for the snapshot. beam: options of Beam's pipelines. airflow: when runs
    start and who hears of them, see `AIRFLOW_DEFAULTS`. defaults: of the run parameters.
    """

    name: str
    path: Path
    work: Path
    serving: Path
    model: Path
    backend: str
    data_root: Path
    sources: tuple[Source, ...]
    source_records: str
    min_target_boxes: int
    label_map: LabelMap
    beam: tuple[str, ...]
    airflow: dict[str, Any]
    defaults: dict[str, Any]

    def parameter_schemas(self) -> dict[str, dict[str, Any]]:
        """JSON schema of each run parameter of this config, in the order of the form."""
        target = {
            "type": "string",
            "enum": list(self.label_map),
            "title": "Target class",
            "description": "The class to raise.",
        }
        schemas = {"target": target, **{name: p.field() for name, p in PARAMETERS.items()}}
        schemas["recall_floors"]["propertyNames"] = {"enum": list(self.label_map)}
        return schemas


def load_config(path: Path) -> Config:
    """Reads a config; its relative paths are below the project's root, wherever it is called from.

    Raises ConfigError when the file can't be read, a key is unknown or a value is out of range.
    """
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: the config can't be read ({error.strerror}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML ({error}).") from error
    try:
        jsonschema.validate(raw, SCHEMA)
    except jsonschema.ValidationError as error:
        place = ".".join(map(str, error.absolute_path)) or "the file"
        raise ConfigError(f"{path}: {place}: {error.message}.") from None
    model = (ROOT / raw["model"]["path"]).resolve()
    label_map_path = model / "label_map.pbtxt"
    if not label_map_path.is_file():
        raise ConfigError(f"{path}: model.path: {label_map_path} is missing.")
    label_map = LabelMap.read(label_map_path)
    if raw["target"] not in label_map:
        raise ConfigError(
            f"{path}: target: {raw['target']!r} is no class of the model, which has: "
            f"{', '.join(label_map)}."
        )
    data = raw["data"]
    for number, source in enumerate(data["sources"]):
        try:
            re.compile(source.get("group", ""))
        except re.error as error:
            raise ConfigError(
                f"{path}: data.sources.{number}.group: no regular expression ({error})."
            ) from None
    root = (ROOT / data["root"]).resolve()
    sections = ("recipe", "rebalancing", "gate", "airflow")
    given = {name: value for section in sections for name, value in raw.get(section, {}).items()}
    config = Config(
        name=raw["name"],
        path=path.resolve(),
        work=(ROOT / raw["work"]).resolve(),
        serving=(ROOT / raw["serving"]).resolve(),
        model=model,
        backend=raw["model"].get("backend", "od_api"),
        data_root=root,
        sources=tuple(Source.from_dict(record, root) for record in data["sources"]),
        source_records=json.dumps(data["sources"]),
        min_target_boxes=data.get("min_target_boxes", 10),
        label_map=label_map,
        beam=tuple(raw.get("beam", LOCAL_OPTIONS)),
        airflow={name: given.get(name, value) for name, value in AIRFLOW_DEFAULTS.items()},
        defaults={
            "target": raw["target"],
            **{name: given.get(name) for name in PARAMETERS},
        },
    )
    try:
        check(config.defaults, config.parameter_schemas())  # what needs the classes of the model
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return config
