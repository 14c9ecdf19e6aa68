"""The config of one model to keep fresh: a YAML file, checked before any work."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import jsonschema

from classlift.data.label_map import LabelMap, quoted
from classlift.data.mirror import Mirror, is_address
from classlift.data.snapshot import Source
from classlift.detectors.backends import (
    columns_of,
    label_map_of,
    require_model,
)
from classlift.errors import ClassLiftError, ConfigError
from classlift.paths import did_you_mean_path
from classlift.patterns import require_pattern
from classlift.reading import MEGA, line_of, read_text, read_yaml
from classlift.settings.airflow import AirflowSettings
from classlift.settings.config import SCHEMA, ConfigFile, Retention, WatchSettings
from classlift.settings.field import JsonSchema, Value, fields_of, read
from classlift.settings.sources import WatchedSource
from classlift.settings.targets import as_value
from classlift.text import did_you_mean, printable, shorten
from pipelines.parameters import PARAMETERS, check, in_words
from pipelines.places import MIRROR

ROOT = Path(__file__).resolve().parent.parent
TARGET = "target"
MAX_BYTES = 10 * MEGA
"""The most bytes of a config; one takes a few thousand."""


@dataclass(frozen=True)
class Watch:
    """How what is served is watched.

    Attributes:
        source: Freshly labelled data, all of which is judged.
        floors: The recall by class below which a class has fallen.
        cron: When what is served is scored; None for never by itself.

    """

    source: Source
    floors: Mapping[str, float]
    cron: str | None


@dataclass(frozen=True)
class Config:
    """A checked config, with whole paths.

    Attributes:
        name: Of the model, in DAGs and folders.
        path: The YAML file.
        work: The folder for everything that runs leave behind.
        serving: The TF Serving folder; its copy in the mirror, where it is in object storage.
        model: The folder of the pre-trained model.
        backend: What loads it.
        data_root: The folder that relative paths of sources start from.
        sources: The labelled data.
        source_records: JSON of the sources as the YAML has them, but for those in object storage,
            which are in the mirror; the snapshot is cached by it.
        mirror: What is fetched of object storage.
        min_target_boxes: Boxes of the target class that each split must have.
        droppable: The share of boxes that a run may leave out because they are bad.
        label_map: The classes of the model, and then the new ones.
        label_map_path: The file that the model's were read from.
        new_classes: The ids of those that the pre-trained model does not have, by name.
        beam: Options of Apache Beam.
        airflow: When runs start and who hears of them.
        defaults: The run parameters by name; None for what the config does not set.
        watch: How what is served is watched; None where the config says nothing of it.
        retention: What is kept of old runs.

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
    mirror: Mirror
    min_target_boxes: int
    droppable: float
    label_map: LabelMap
    label_map_path: Path
    new_classes: Mapping[str, int]
    beam: tuple[str, ...]
    airflow: AirflowSettings
    defaults: dict[str, Value]
    watch: Watch | None
    retention: Retention

    def parameter_schemas(self) -> dict[str, JsonSchema]:
        """JSON schema of each run parameter of this config, in the order of the form."""
        [target] = [field for field in fields_of(ConfigFile) if field.name == TARGET]
        words = {"title": target.setting.title, "description": target.setting.help}
        classes = list(self.label_map)
        several = {
            "type": ["array", "string"],  # the form shows the first
            "items": {"type": "string", "enum": classes},
            "minItems": 1,
            "uniqueItems": True,
            "examples": classes,
            # A name alone is a class too, as another DAG, REST or the command line gives it.
            "if": {"type": "string"},
            "then": {"enum": classes},
        }
        schemas: dict[str, JsonSchema] = {TARGET: {**several, **words}}
        schemas |= {name: parameter.field() for name, parameter in PARAMETERS.items()}
        schemas["recall_floors"]["propertyNames"] = {"enum": classes}
        return schemas


def load_config(path: Path) -> Config:
    """Reads a config; its relative paths are below the project's root, wherever it is called from.

    Args:
        path: of the file.

    Returns:
        The config, whose model and label map were looked at.

    Raises:
        ConfigError: the file can't be read, a key is unknown, a value is out of range, or a folder
            that is written to and another one contain one another.

    """
    if not os.path.lexists(path):
        raise ConfigError(
            f"{path}: the config can't be read: there is no such file{did_you_mean_path(path)}."
        )
    raw = read_yaml(path, "the config", MAX_BYTES, ConfigError)
    try:
        jsonschema.validate(raw, SCHEMA)
    except jsonschema.ValidationError as error:
        if error.validator == "additionalProperties":
            raise ConfigError(_unknown_key(path, error)) from None
        place = ".".join(map(str, error.absolute_path)) or "the file"
        raise ConfigError(f"{path}: {shorten(place, 300)}: {in_words(error)}.") from None
    file = read(ConfigFile, raw)
    model = _place(file.model.path, f"{path}: model.path")
    backend = file.model.backend
    try:
        require_model(backend, model)
        label_map_path = label_map_of(backend, model)
        label_map = LabelMap.read(label_map_path)
    except ClassLiftError as error:
        raise ConfigError(f"{path}: model.path: {error}") from None
    new_classes: Mapping[str, int] = {}
    try:
        if file.new_classes:
            columns = columns_of(backend, model, label_map)
            new_classes = _new_classes(file.new_classes, label_map, columns)
            label_map = label_map.with_classes(new_classes)
    except ClassLiftError as error:
        raise ConfigError(f"{path}: new_classes: {error}") from None
    targets = [label_map.renamed.get(target, target) for target in file.target]
    for target in targets:
        if target not in label_map:
            raise ConfigError(
                f"{path}: target: {quoted(target)} is no class of the model, which has: "
                f"{label_map.instead_of(target)}. To teach it a class that it does not have, name "
                "the class in new_classes."
            )
    for number, source in enumerate(file.data.sources):
        _require_pattern(source, f"{path}: data.sources.{number}")
    work = _place(file.work, f"{path}: work")
    try:
        mirror = Mirror(work / MIRROR)
        root = mirror.place(file.data.root) or _place(file.data.root, f"{path}: data.root")
        serving = mirror.place(file.serving) or _place(file.serving, f"{path}: serving")
        records = [mirror.localised(source, root) for source in raw["data"]["sources"]]
        watched = mirror.localised(raw["watch"]["source"], root) if file.watch else {}
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    asked = {"approve_before_push": file.airflow.approve_before_push}
    given = {**file.recipe, **file.rebalancing, **file.gate, **asked}
    config = Config(
        name=file.name,
        path=path.resolve(),
        work=work,
        serving=serving,
        model=model,
        backend=backend,
        data_root=root,
        sources=tuple(Source.from_dict(record, root) for record in records),
        source_records=json.dumps(records),
        mirror=mirror,
        min_target_boxes=file.data.min_target_boxes,
        droppable=file.data.droppable(),
        label_map=label_map,
        label_map_path=label_map_path,
        new_classes=new_classes,
        beam=file.beam,
        airflow=file.airflow,
        defaults={TARGET: as_value(targets), **{name: given.get(name) for name in PARAMETERS}},
        watch=_watch(file.watch, watched, root, label_map, path) if file.watch else None,
        retention=file.retention,
    )
    _require_apart(config)
    try:
        check(config.defaults, config.parameter_schemas())  # what needs the classes of the model
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return config


def _unknown_key(path: Path, error: jsonschema.ValidationError) -> str:
    """The sentence on a key of a config that there is none of, with its line."""
    schema, mapping = cast(JsonSchema, error.schema), cast(Mapping[object, object], error.instance)
    known = list(schema["properties"])
    key = next(str(key) for key in mapping if key not in known)
    line = line_of(read_text(path, "the config", MAX_BYTES, ConfigError), error.absolute_path, key)
    where = f"line {line}: " if line else ""
    place = shorten(".".join([*map(str, error.absolute_path), key]), 300)
    return (
        f"{path}: {where}{printable(place)}: there is no such key{did_you_mean(key, known)}; there "
        f"are: {', '.join(known)}."
    )


def _new_classes(names: Sequence[str], label_map: LabelMap, columns: int) -> dict[str, int]:
    """Gives new classes the ids after the model's columns, in their order.

    Returns:
        The ids by name.

    Raises:
        ConfigError: the model has a class already, also under another spelling, or one is named
            twice.

    """
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{quoted(name)} is named more than once; name it once.")
        if name in label_map or name in label_map.renamed or label_map.near(name):
            raise ConfigError(
                f"{quoted(name)} is a class of the model already, which has: "
                f"{label_map.instead_of(name)}; leave it out."
            )
    return {name: columns + number for number, name in enumerate(names, start=1)}


def _place(path: Path, where: str) -> Path:
    """The path that a config names, without links; links in a circle stay as they are."""
    if is_address(path):
        raise ConfigError(f"{where}: {quoted(str(path))} is in object storage; name a folder here.")
    try:
        return Path(os.path.realpath(ROOT / path))
    except (OSError, ValueError) as error:  # a NUL character
        raise ConfigError(f"{where}: {quoted(str(path))} is no path ({error}).") from None


def _require_apart(config: Config) -> None:
    """Requires that no folder that runs write to and another folder contain one another.

    Paths are resolved: what links hide is found too.

    Raises:
        ConfigError: two do.

    """
    mirror = config.mirror
    read, mirrored = {"model.path": config.model}, {}
    if not mirror.holds(config.data_root):
        read["data.root"] = config.data_root
    sources = {f"data.sources.{number}": source for number, source in enumerate(config.sources)}
    if config.watch:
        sources["watch.source"] = config.watch.source
    for name, source in sources.items():
        is_file = source.path.suffix == ".json" or source.path.is_file()
        home = source.path.parent if is_file else source.path
        for key, place in ((f"{name}.path", home), (f"{name}.images", source.images)):
            if place and mirror.holds(place):
                mirrored[key] = place
            elif place:
                read[key] = _place(place, f"{config.path}: {key}")
    written = [("work", config.work, read), ("serving", config.serving, mirrored)]
    if not mirror.holds(config.serving):
        written = [
            ("work", config.work, {"serving": config.serving, **read}),
            ("serving", config.serving, read),
        ]
    for name, folder, others in written:
        for other, place in others.items():
            how = _overlap(folder, place)
            if how:
                raise ConfigError(
                    f"{config.path}: {name} ({mirror.shown(folder)}) {how} {other} "
                    f"({mirror.shown(place)}); runs write to "
                    f"{name}, so name two folders of which neither contains the other."
                )


def _overlap(folder: Path, other: Path) -> str | None:
    """How a folder and another one contain one another, in words; None when they don't."""
    if folder == other:
        return "is the same folder as"
    if folder.is_relative_to(other):
        return "lies in"
    return "contains" if other.is_relative_to(folder) else None


def named_in(path: Path, key: str) -> object:
    """What a config file says for a key at its top, unchecked; None where it can't be read."""
    try:
        raw = read_yaml(path, "the config", MAX_BYTES, ConfigError)
    except ConfigError:
        return None
    return raw.get(key) if isinstance(raw, Mapping) else None


def _watch(
    asked: WatchSettings,
    source: Mapping[str, Any],
    root: Path,
    label_map: LabelMap,
    path: Path,
) -> Watch:
    """From the config's settings, checked for what their schema can't say."""
    _require_pattern(asked.source, f"{path}: watch.source")
    for label, floor in asked.floors.items():
        if label not in label_map:
            raise ConfigError(
                f"{path}: watch.floors: {quoted(label)} is no class of the model, which has: "
                f"{label_map.instead_of(label)}."
            )
        if not math.isfinite(floor):
            raise ConfigError(f"{path}: watch.floors.{label}: {floor} is no recall.")
    # All of it is judged, so nothing is to be spread over splits.
    return Watch(Source.from_dict({**source, "split": "test"}, root), asked.floors, asked.cron)


def _require_pattern(source: WatchedSource, where: str) -> None:
    """Raises ConfigError when the `group` of a source is no regular expression."""
    if source.group is not None:
        require_pattern(source.group, f"{where}.group")
