"""The compiled configs, as their DAGs need to know them: the one reader of topologies in here.

`pipelines/topology.py` writes the files; a test says that both agree.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import variables

ROOT = Path(__file__).resolve().parent.parent
COMPILED = Path(os.environ.get(variables.COMPILED, ROOT / "build" / "compiled"))


@dataclass(frozen=True)
class Node:
    """A node of the pipeline; the words of its fields are those of `pipelines/nodes.py`."""

    id: str
    upstream: tuple[str, ...]
    phase: str
    about: str
    on_gpu: bool
    hours: int
    operator: str
    tells: str | None
    needs_new_labels: bool
    blesses: bool


@dataclass(frozen=True)
class Topology:
    """A compiled config.

    Attributes:
        compiled: the folder that it was read from.
        config: its YAML file.
        work: where its runs leave what they make.
        owner: of its DAGs.
        cron: when a run starts by itself; None for never.
        clean_cron: when what old runs left is removed; None for never by itself.
        min_new_objects: of the target class, which a run that nobody started needs.
        email: addresses that are told how runs end.
        webhook: whether the webhook is told.
        form: the JSON schema of each parameter.
        defaults: their values.
        watches: whether what is served is scored.
        watch_cron: when, None for never by itself.

    """

    compiled: Path
    name: str
    config: str
    work: str
    owner: str
    cron: str | None
    clean_cron: str | None
    min_new_objects: int
    email: tuple[str, ...]
    webhook: bool
    form: dict[str, dict[str, Any]]
    defaults: dict[str, Any]
    nodes: tuple[Node, ...]
    watches: bool
    watch_cron: str | None

    @property
    def retrain_dag(self) -> str:
        """Id of the DAG that trains."""
        return f"classlift_retrain_{self.name}"

    @property
    def watch_dag(self) -> str:
        """Id of the DAG that scores what is served."""
        return f"classlift_watch_{self.name}"

    @property
    def clean_dag(self) -> str:
        """Id of the DAG that removes what old runs left."""
        return f"classlift_clean_{self.name}"

    @property
    def rollback_dag(self) -> str:
        """Id of the DAG that serves an older version again."""
        return f"classlift_rollback_{self.name}"


def read_topologies() -> list[Topology]:
    """The topologies of the compiled configs, by name; not of those that `classlift run` tried."""
    return [_read(path) for path in sorted(COMPILED.glob("*/topology.json")) if _has_dags(path)]


def _has_dags(path: Path) -> bool:
    return bool(json.loads(path.read_text()).get("in_airflow", True))


def _read(path: Path) -> Topology:
    """Reads a topology. Raises ValueError when another version wrote it."""
    record = json.loads(path.read_text())
    try:
        airflow = record["airflow"]
        return Topology(
            path.parent,
            record["name"],
            record["config"],
            record["work"],
            airflow["owner"],
            airflow["cron"],
            airflow["clean_cron"],
            airflow["min_new_objects"],
            tuple(airflow["email"]),
            airflow["webhook"],
            record["parameters"],
            record["defaults"],
            tuple(map(_node, record["nodes"])),
            "watch" in record,
            record["watch"]["cron"] if "watch" in record else None,
        )
    except KeyError as error:
        raise ValueError(
            f"{path}: another version compiled it, for it has no {error}; run "
            "`classlift compile` again."
        ) from None


def _node(record: Any) -> Node:
    """A node from its record in the file."""
    facts = {field.name: record[field.name] for field in fields(Node)}
    return Node(**{**facts, "upstream": tuple(facts["upstream"])})


@dataclass(frozen=True)
class Served:
    """Where a config serves its versions, and the DAGs that show and change that."""

    name: str
    serving: Path
    work: Path
    retrain_dag: str
    rollback_dag: str


def read_served() -> list[Served]:
    """Of each compiled config that has DAGs, by name, whatever version compiled it."""
    records = [json.loads(p.read_text()) for p in COMPILED.glob("*/topology.json") if _has_dags(p)]
    return [
        Served(
            record["name"],
            Path(record["serving"]),
            Path(record["work"]),
            f"classlift_retrain_{record['name']}",
            f"classlift_rollback_{record['name']}",
        )
        for record in sorted(records, key=lambda record: record["name"])
    ]


def work_of(dag_id: str) -> Path | None:
    """The work folder of the config whose DAG this is, whatever version compiled it.

    Args:
        dag_id: of any DAG.

    Returns:
        The folder; None for a DAG of no compiled config.

    """
    for path in COMPILED.glob("*/topology.json"):
        record = json.loads(path.read_text())
        if dag_id.removeprefix("classlift_").partition("_")[::2] in (
            ("retrain", record["name"]),
            ("watch", record["name"]),
        ):
            return Path(record["work"])
    return None
