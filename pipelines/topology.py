"""`topology.json`: what runners and DAGs need to know of a compiled config, beside TFX's IR.

A run needs no more than that and the IR: nobody reads the config's YAML again. `dags/topologies.py`
reads the same file in Airflow's environment.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from classlift.errors import ConfigError
from classlift.paths import replacing
from classlift.settings.airflow import AirflowSettings
from classlift.settings.field import JsonSchema, Values, read

if TYPE_CHECKING:
    from classlift.data.snapshot import Source

IR, TOPOLOGY = "pipeline.json", "topology.json"
"""The files of a compiled pipeline."""

TRAINER = "components.trainer"
"""The module that TFX's Trainer runs, which is no component that TFX knows by its code."""


@dataclass(frozen=True)
class TopologyNode:
    """One node as it was compiled: its row in `pipelines.nodes`, and what it waits for.

    Attributes:
        upstream: ids of the nodes that come before it; all else is as in the row.

    """

    id: str
    upstream: tuple[str, ...]
    profile: str
    phase: str
    about: str
    on_gpu: bool
    hours: int
    operator: str
    tells: str | None
    needs_new_labels: bool
    blesses: bool


@dataclass(frozen=True)
class Data:
    """The labelled data: `sources` as in the config, relative paths being below `root`."""

    root: Path
    records: tuple[Mapping[str, str], ...]

    def sources(self) -> "list[Source]":
        """The sources with their whole paths."""
        from classlift.data.snapshot import Source

        return [Source.from_dict(record, self.root) for record in self.records]


@dataclass(frozen=True)
class Watching:
    """When what is served is scored: a cron line; None for never by itself."""

    cron: str | None


@dataclass(frozen=True)
class Topology:
    """A compiled config.

    Attributes:
        stamp: changes when anything does that it was compiled from.
        config: the file that it was compiled from.
        work: folder that runs write to.
        serving: folder of the versions.
        model: folder of the pre-trained model.
        model_hash: of the model's files.
        in_airflow: whether DAGs are made of it.
        code: hashes of the code that a component can read, by its module.
        parameters: those of a run, in the order of the form.
        defaults: what they are when a run sets nothing.
        watch: None where the config watches nothing.

    """

    stamp: str
    name: str
    config: Path
    work: Path
    serving: Path
    model: Path
    model_hash: str
    backend: str
    in_airflow: bool
    code: Mapping[str, str]
    data: Data
    airflow: AirflowSettings
    parameters: Mapping[str, JsonSchema]
    defaults: Values
    nodes: tuple[TopologyNode, ...]
    watch: Watching | None = None

    def for_trainer(self) -> dict[str, str]:
        """What the trainer needs to know and no user sets."""
        return {
            "backend": self.backend,
            "code_version": self.code[TRAINER],
            "work": str(self.work),
        }

    def node(self, name: str) -> TopologyNode | None:
        """The node with an id; None when there is none."""
        return next((node for node in self.nodes if node.id == name), None)

    def place_of(self, name: str) -> str:
        """Where a node stands among all, such as `[5/14]`, to begin its lines."""
        return f"[{[node.id for node in self.nodes].index(name) + 1}/{len(self.nodes)}]"

    def write(self, folder: Path) -> None:
        """Writes `topology.json` into the folder of the compiled config, whole or not at all."""
        record = {key: value for key, value in asdict(self).items() if value is not None}
        with replacing(folder / TOPOLOGY) as draft:
            draft.write_text(json.dumps(record, indent=1, default=str))

    @classmethod
    def read(cls, folder: Path) -> "Topology":
        """Reads `topology.json` of a compiled config.

        Args:
            folder: of the compiled form.

        Returns:
            The topology.

        Raises:
            ConfigError: it is not there, or of another version.

        """
        path = folder / TOPOLOGY
        if not path.is_file():
            raise ConfigError(
                f"{path}: there is no compiled pipeline; run `classlift compile` first."
            )
        try:
            record = json.loads(path.read_text())
            record |= {key: Path(record[key]) for key in ("config", "work", "serving", "model")}
            record["data"] = Data(
                Path(record["data"]["root"]), tuple(map(dict, record["data"]["records"]))
            )
            record["airflow"] = read(AirflowSettings, record["airflow"])
            record["nodes"] = tuple(
                TopologyNode(**{**node, "upstream": tuple(node["upstream"])})
                for node in record["nodes"]
            )
            record["watch"] = Watching(**record["watch"]) if "watch" in record else None
            return cls(**record)
        except (TypeError, KeyError, ValueError):
            raise ConfigError(
                f"{path}: another version compiled it; run `classlift compile` again."
            ) from None


def makes_dags(folder: Path) -> bool:
    """Whether DAGs are made of what is compiled in a folder, whatever version compiled it."""
    path = folder / TOPOLOGY
    return path.exists() and bool(json.loads(path.read_text()).get("in_airflow", True))


def owner_of(folder: Path) -> tuple[str, Path]:
    """Name and file of the config that was compiled into a folder, whatever version did it."""
    record = json.loads((folder / TOPOLOGY).read_text())
    return record["name"], Path(record["config"])
