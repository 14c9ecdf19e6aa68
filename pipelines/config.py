"""The config of one model to keep fresh: a YAML file, checked before any work."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from classlift.data.formats import FORMATS
from classlift.data.label_map import LabelMap, quoted
from classlift.data.schema import SPLITS
from classlift.data.snapshot import Source
from classlift.detectors.backends import NAMES as BACKENDS
from classlift.detectors.backends import label_map_of, require_model
from classlift.errors import ClassLiftError, ConfigError
from classlift.patterns import require_pattern
from classlift.reading import MEGA, read_yaml
from classlift.settings.airflow import CRON
from classlift.text import shorten
from classlift.transforms import LOCAL_OPTIONS
from pipelines.parameters import DATA, GATE, PARAMETERS, RECIPE, check

ROOT = Path(__file__).resolve().parent.parent
MAX_BYTES = 10 * MEGA
"""Of a config; one takes a few thousand."""


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


# A path as the file system takes it: nothing unprintable, each name in it short enough.
_PATH = {
    "type": "string",
    "minLength": 1,
    "maxLength": 1000,
    "pattern": r"^[^\x00-\x1f\x7f]+$",
    "not": {"pattern": "[^/]{256}"},
}
_SOURCE = {
    "path": _PATH,
    "format": {"enum": list(FORMATS)},
    "images": _PATH,
    "group": {"type": "string", "minLength": 1},
}
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
                            **_SOURCE,
                            "split": {"enum": list(SPLITS)},
                            "tag": {"enum": ["old", "new"]},
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
                "cron": {"type": "string", "pattern": CRON},
                "min_new_objects": {"type": "integer", "minimum": 0},
                "approve_before_push": PARAMETERS["approve_before_push"].schema,
                "email": {"type": "array", "items": {"type": "string", "pattern": "^[^@]+@[^@]+$"}},
                "webhook": {"type": "boolean"},
            },
        },
        "recipe": _group_schema(RECIPE),
        "rebalancing": _group_schema(DATA),
        "gate": _group_schema(GATE),
        "retention": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "runs": {"type": "integer", "minimum": 1},
                "days": {"type": "integer", "minimum": 0, "maximum": 36500},
                "versions": {"type": "integer", "minimum": 2},
            },
        },
        "watch": {
            "type": "object",
            "additionalProperties": False,
            "required": ["source", "floors"],
            "properties": {
                "source": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["path"],
                    "properties": _SOURCE,
                },
                "floors": {
                    "type": "object",
                    "propertyNames": {"type": "string"},
                    "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
                },
                "cron": {"type": "string", "pattern": CRON},
            },
        },
    },
}


@dataclass(frozen=True)
class Watch:
    """How what is served is watched.

    source: freshly labelled data. floors: recall by class. cron: when, None for never by itself.
    """

    source: Source
    floors: dict[str, float]
    cron: str | None


@dataclass(frozen=True)
class Retention:
    """What `classlift prune` keeps.

    runs: the newest. days: all that are younger. versions: the newest of those that were served,
    None for all.
    """

    runs: int = 10
    days: int = 0
    versions: int | None = None


@dataclass(frozen=True)
class Config:
    """A checked config, with absolute paths.

    work: everything a run leaves behind. serving: the TF Serving folder.
    sources: as in the YAML, for the snapshot. beam: options of Beam's pipelines. airflow: when runs
    start and who hears of them, see `AIRFLOW_DEFAULTS`. defaults: of the run parameters. watch:
    None when the config says nothing of it. retention: what is kept of old runs.
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
    label_map_path: Path
    beam: tuple[str, ...]
    airflow: dict[str, Any]
    defaults: dict[str, Any]
    watch: Watch | None
    retention: Retention

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

    Raises ConfigError when the file can't be read, a key is unknown, a value is out of range, or a
    folder that is written to and another one contain one another.
    """
    raw = read_yaml(path, "the config", MAX_BYTES, ConfigError)
    try:
        jsonschema.validate(raw, SCHEMA)
    except jsonschema.ValidationError as error:
        place = ".".join(map(str, error.absolute_path)) or "the file"
        said = shorten(error.message, 300)
        raise ConfigError(f"{path}: {shorten(place, 300)}: {said}.") from None
    model = _place(raw["model"]["path"], f"{path}: model.path")
    backend = raw["model"].get("backend", "od_api")
    if not os.path.isdir(model):
        raise ConfigError(f"{path}: model.path: {model / 'label_map.pbtxt'} is missing.")
    try:
        if (model / "pipeline.config").exists():  # else the model's own node says what is missing
            require_model(backend, model)
        label_map_path = label_map_of(backend, model)
        label_map = LabelMap.read(label_map_path)
    except ClassLiftError as error:
        raise ConfigError(f"{path}: model.path: {error}") from None
    target = label_map.renamed.get(raw["target"], raw["target"])
    if target not in label_map:
        raise ConfigError(
            f"{path}: target: {quoted(raw['target'])} is no class of the model, which has: "
            f"{label_map.instead_of(raw['target'])}."
        )
    data = raw["data"]
    for number, source in enumerate(data["sources"]):
        _require_pattern(source, f"{path}: data.sources.{number}")
    root = _place(data["root"], f"{path}: data.root")
    sections = ("recipe", "rebalancing", "gate", "airflow")
    given = {name: value for section in sections for name, value in raw.get(section, {}).items()}
    config = Config(
        name=raw["name"],
        path=path.resolve(),
        work=_place(raw["work"], f"{path}: work"),
        serving=_place(raw["serving"], f"{path}: serving"),
        model=model,
        backend=backend,
        data_root=root,
        sources=tuple(Source.from_dict(record, root) for record in data["sources"]),
        source_records=json.dumps(data["sources"]),
        min_target_boxes=data.get("min_target_boxes", 10),
        label_map=label_map,
        label_map_path=label_map_path,
        beam=tuple(raw.get("beam", LOCAL_OPTIONS)),
        airflow={name: given.get(name, value) for name, value in AIRFLOW_DEFAULTS.items()},
        defaults={
            "target": target,
            **{name: given.get(name) for name in PARAMETERS},
        },
        watch=_watch(raw["watch"], root, label_map, path) if "watch" in raw else None,
        retention=Retention(**raw.get("retention", {})),
    )
    _require_apart(config)
    try:
        check(config.defaults, config.parameter_schemas())  # what needs the classes of the model
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return config


def _place(text: str, where: str) -> Path:
    """The path that a config names, without links; links in a circle stay as they are."""
    try:
        return Path(os.path.realpath(ROOT / text))
    except (OSError, ValueError) as error:  # a NUL character
        raise ConfigError(f"{where}: {quoted(text)} is no path ({error}).") from None


def _require_apart(config: Config) -> None:
    """Raises ConfigError when a folder that runs write to and another folder contain one another.

    Paths are resolved: what links hide is found too.
    """
    read = {"data.root": config.data_root, "model.path": config.model}
    sources = {f"data.sources.{number}": source for number, source in enumerate(config.sources)}
    if config.watch:
        sources["watch.source"] = config.watch.source
    for name, source in sources.items():
        is_file = source.path.suffix == ".json" or source.path.is_file()
        home = source.path.parent if is_file else source.path
        read[f"{name}.path"] = _place(str(home), f"{config.path}: {name}.path")
        if source.images:
            read[f"{name}.images"] = _place(str(source.images), f"{config.path}: {name}.images")
    for name, folder, others in (
        ("work", config.work, {"serving": config.serving, **read}),
        ("serving", config.serving, read),
    ):
        for other, place in others.items():
            how = _overlap(folder, place)
            if how:
                raise ConfigError(
                    f"{config.path}: {name} ({folder}) {how} {other} ({place}); runs write to "
                    f"{name}, so name two folders of which neither contains the other."
                )


def _overlap(folder: Path, other: Path) -> str | None:
    """How a folder and another one contain one another, in words; None when they don't."""
    if folder == other:
        return "is the same folder as"
    if folder.is_relative_to(other):
        return "lies in"
    return "contains" if other.is_relative_to(folder) else None


def named_in(path: Path, key: str) -> Any:
    """What a config file says for a key at its top, unchecked; None where it can't be read."""
    try:
        raw = read_yaml(path, "the config", MAX_BYTES, ConfigError)
    except ConfigError:
        return None
    return raw.get(key) if isinstance(raw, Mapping) else None


def _watch(record: dict[str, Any], root: Path, label_map: LabelMap, path: Path) -> Watch:
    """From the config's mapping, checked for what its schema can't say."""
    _require_pattern(record["source"], f"{path}: watch.source")
    for label, floor in record["floors"].items():
        if label not in label_map:
            raise ConfigError(
                f"{path}: watch.floors: {quoted(label)} is no class of the model, which has: "
                f"{label_map.instead_of(label)}."
            )
        if not math.isfinite(floor):
            raise ConfigError(f"{path}: watch.floors.{label}: {floor} is no recall.")
    # All of it is judged, so nothing is to be spread over splits.
    source = Source.from_dict({**record["source"], "split": "test"}, root)
    return Watch(source, dict(record["floors"]), record.get("cron"))


def _require_pattern(source: dict[str, Any], where: str) -> None:
    """Raises ConfigError when the `group` of a source is no regular expression."""
    if "group" in source:
        require_pattern(source["group"], f"{where}.group")
