"""Runs on a real metadata store, without the work that they stand for."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from components.bundle import Bundle
from components.serving_folder import champion_name, served_provenance, served_versions
from pipelines.config import Config, load_config
from pipelines.metadata import connection_to, open_store
from tests.project import make_project

VERDICT = {
    "version": 2,
    "verdict": "refuse",
    "target": "8",
    "reasons": ["Class 3 regressed."],
    "classes": {},
    "recall": {},
    "champion": "pre-trained model",
    "test_uses": 1,
}
SOURCES = [{"path": "new/annotations.json", "split": "train"}]
NODES = {
    "DatasetSnapshot": ([], "ClassLiftSnapshot"),
    "Trainer": ([], "Model"),
    "RecallGate": (["Trainer"], "ModelEvaluation"),
    "ServingCheck": (["Trainer"], "InfraBlessing"),
    "Pusher": ([], "PushedModel"),
}
"""What each node reads, and what it puts out."""


def provenance_of(run_id: str, champion: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the model of a run says of itself; of the first champion by default, which is silent."""
    return {
        "target": "8",
        "recipe": {"freeze_policy": "target-branch", "steps": 600, "class_weights": {}},
        "rebalancing": {"method": "repeat_factor", "repeat_threshold": None},
        "snapshot": {"content_hash": f"hash of {run_id}", "images": 20, "boxes": 60},
        "code_version": "c0de",
        "champion": champion or {},
    }


@dataclass
class Runs:
    """A config whose metadata store a test fills run by run."""

    config: Config

    def add(self, run_id: str, verdict: str = "refuse", **failed: pb.Execution.State) -> Path:
        """A run whose nodes came to their end; `failed` says which did not. Its evaluation.

        Its challenger was compared with what is served.
        """
        outputs: dict[str, pb.Artifact] = {}
        for node in ("DatasetSnapshot", "Trainer", "RecallGate", "ServingCheck"):
            self._execute(run_id, node, outputs, failed.get(node, pb.Execution.COMPLETE))
        folder = Path(outputs["RecallGate"].uri)
        folder.mkdir(parents=True)
        champion = champion_name(served_versions(self.config.serving), self.config.model)
        judged = {**VERDICT, "verdict": verdict, "champion": champion}
        (folder / "verdict.json").write_text(json.dumps(judged))
        (folder / "report.html").write_text(run_id)
        bundle = Bundle(Path(outputs["Trainer"].uri) / "Format-Serving")
        bundle.entry.mkdir(parents=True)
        (bundle.saved_model / "saved_model.pb").write_text(run_id)
        shutil.copy(self.config.model / "label_map.pbtxt", bundle.entry)
        bundle.write_notes(
            {str(digit): digit / 10 for digit in range(10)},
            provenance_of(run_id, served_provenance(self.config.serving)),
        )
        return folder

    @property
    def store(self) -> MetadataStore:
        self.config.work.mkdir(exist_ok=True)
        return open_store(connection_to(self.config.work), read_only=False)

    def push(self, run_id: str, version: int) -> Path:
        """A run that the gate blessed, its Pusher's version, and a later run from the cache."""
        self.add(run_id, "push")
        destination = self.config.serving / str(version)
        shutil.copytree(self.config.work / run_id / "Model" / "Format-Serving", destination)
        outputs: dict[str, pb.Artifact] = {}
        self._execute(
            run_id,
            "Pusher",
            outputs,
            pushed=pb.Value(int_value=1),
            pushed_destination=pb.Value(string_value=str(destination)),
            pushed_version=pb.Value(string_value=str(version)),
        )
        self._execute(f"{run_id} again", "Pusher", outputs, pb.Execution.CACHED)
        return destination

    def train_again(self, run_id: str) -> None:
        self._execute(run_id, "Trainer", {})

    def _execute(
        self,
        run_id: str,
        node: str,
        outputs: dict[str, pb.Artifact],
        state: pb.Execution.State = pb.Execution.COMPLETE,
        **properties: pb.Value,
    ) -> None:
        """Adds what a node puts out to `outputs`, unless it is there: then it is put out again."""
        store = self.store
        reads, kind = NODES[node]
        contexts = [
            pb.Context(type_id=store.put_context_type(pb.ContextType(name=kind)), name=name)
            for kind, name in (
                ("pipeline_run", run_id),
                ("node", f"{self.config.name}.{node}"),
            )
        ]
        execution = pb.Execution(
            type_id=store.put_execution_type(pb.ExecutionType(name=node)),
            last_known_state=state,
            custom_properties={"sources": pb.Value(string_value=json.dumps(SOURCES))},
        )
        artifact = outputs.get(node) or pb.Artifact(
            type_id=store.put_artifact_type(pb.ArtifactType(name=kind)),
            uri=str(self.config.work / run_id / kind),
            custom_properties={"blessed": pb.Value(int_value=1), **properties},
        )
        events = [(outputs[name], pb.Event(type=pb.Event.INPUT)) for name in reads]
        events.append((artifact, pb.Event(type=pb.Event.OUTPUT)))
        _, artifact_ids, _ = store.put_execution(
            execution, events, contexts, reuse_context_if_already_exist=True
        )
        outputs[node] = store.get_artifacts_by_id(artifact_ids[-1:])[0]


@pytest.fixture
def runs(tmp_path) -> Runs:
    return Runs(load_config(make_project(tmp_path, "runs_test").config))
