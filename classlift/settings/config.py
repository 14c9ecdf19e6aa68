"""The config of one model to keep fresh, as its YAML file has it: every key, and its schema."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from classlift.settings.airflow import CRON, AirflowSettings
from classlift.settings.diagnosis import DiagnosisSettings
from classlift.settings.field import (
    REQUIRED,
    Field,
    JsonSchema,
    Values,
    fields_of,
    schema_of,
    setting,
)
from classlift.settings.gate import GateSettings
from classlift.settings.model import ModelSettings
from classlift.settings.rebalancing import Rebalancing
from classlift.settings.recipe import Recipe
from classlift.settings.sources import DataSettings, WatchedSource
from classlift.transforms import LOCAL_OPTIONS


@dataclass(frozen=True)
class Retention:
    """What `classlift clean` keeps."""

    runs: int = setting(10, "Runs", "The newest runs.", unit="runs", minimum=1)
    days: int = setting(
        0, "Days", "All runs that are younger.", unit="days", minimum=0, maximum=36500
    )
    versions: int | None = setting(
        None,
        "Versions",
        "The newest of the versions that were served.",
        unset="all",
        unit="versions",
        minimum=2,
    )


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """How what is served is watched."""

    source: WatchedSource = setting(
        REQUIRED, "Source", "Freshly labelled data, on which what is served is scored."
    )
    floors: Mapping[str, float] = setting(
        REQUIRED,
        "Floors",
        "The recall by class below which a class has fallen, and is retrained.",
        minimum=0,
        maximum=1,
    )
    cron: str | None = setting(
        None,
        "Cron",
        "When what is served is scored: minute, hour, day, month and weekday, in UTC.",
        unset="never by itself",
        pattern=CRON,
        examples=("0 3 * * 1",),
    )


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """The whole file. What is below `recipe`, `rebalancing` and `gate` a run may set anew."""

    name: str = setting(
        REQUIRED,
        "Name",
        "The name of the model, in DAGs and folders: small letters, digits and _.",
        pattern="^[a-z][a-z0-9_]{0,60}$",
        examples=("street_signs",),
    )
    work: Path = setting(REQUIRED, "Work", "The folder for everything that runs leave behind.")
    serving: Path = setting(
        REQUIRED,
        "Serving",
        "A TF Serving folder, also s3:// or gs://; its newest version is the champion.",
    )
    model: ModelSettings = setting(REQUIRED, "Model", "The pre-trained model.")
    data: DataSettings = setting(REQUIRED, "Data", "The labelled data.")
    target: tuple[str, ...] = setting(
        REQUIRED,
        "Target class",
        "The class to raise, or a list of several: each is judged by itself, and only those that "
        "are lifted are pushed.",
        minimum=1,
        min_length=1,
        or_one=True,
    )
    new_classes: tuple[str, ...] = setting(
        (),
        "New classes",
        "Classes that the pre-trained model does not have, later ones at the end. Any of them "
        "can be the target: it gets a head of its own, and the others stay as they are.",
        min_length=1,
    )
    beam: tuple[str, ...] = setting(
        LOCAL_OPTIONS,
        "Beam",
        "Options of Apache Beam, which reads and writes the data.",
        unset="in this process",
        pattern="^--",
        examples=("--runner=DirectRunner",),
    )
    airflow: AirflowSettings = setting(
        AirflowSettings(), "Airflow", "When runs start in Airflow, and who hears of them."
    )
    recipe: Values = setting(
        {}, "Training", "How training goes.", groups=(Recipe, DiagnosisSettings)
    )
    rebalancing: Values = setting(
        {}, "Training data", "How the train split is rebalanced.", groups=(Rebalancing,)
    )
    gate: Values = setting(
        {}, "Gate", "What a challenger must show to be pushed.", groups=(GateSettings,)
    )
    retention: Retention = setting(Retention(), "Retention", "What `classlift clean` keeps.")
    watch: WatchSettings | None = setting(
        None,
        "Watch",
        "Fresh labels on which what is served is scored.",
        unset="nothing is watched",
    )


SCHEMA: JsonSchema = schema_of(ConfigFile)
"""What a config file may hold."""


@dataclass(frozen=True)
class Section:
    """Keys of a config that stand together.

    Attributes:
        key: The key that they stand below; empty for those at the top. That of a list ends in `[]`.
        help: What the section is about.
        fields: The settings whose keys stand in it.

    """

    key: str
    help: str
    fields: tuple[Field, ...]


def sections() -> Iterator[Section]:
    """All keys of a config, by the section that they stand in."""
    yield from _sections("", "The model, its data and its folders.", (ConfigFile,))


def _sections(key: str, about: str, groups: tuple[type, ...]) -> Iterator[Section]:
    fields = [field for group in groups for field in fields_of(group)]
    single = tuple(field for field in fields if not field.is_section)
    if single:
        yield Section(key, about, single)
    for field in fields:
        if field.is_section:
            inner = f"{key}.{field.name}".lstrip(".")
            inner = f"{inner}[]" if field.is_list else inner
            yield from _sections(inner, field.setting.help, field.below)
