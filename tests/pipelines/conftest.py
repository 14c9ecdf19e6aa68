"""Runs on a real metadata store, without the work that they stand for."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from classlift.gate.verdict import REFUSAL, Finding
from classlift.serving.bundle import Bundle
from classlift.serving.folder import champion_name, served_provenance, served_versions
from classlift.serving.manifest import Manifest
from classlift.serving.provenance import Provenance
from demo import scenes
from pipelines.config import Config, load_config
from pipelines.metadata import connection_to, open_store, output_artifact, output_artifacts
from tests.classlift.gate import verdicts
from tests.project import Project, make_project

VERDICT = replace(
    verdicts.VERDICT,
    target="8",
    findings=(Finding(REFUSAL, "3", "Class 3 regressed."),),
    champion="pre-trained model",
)
SOURCES = [{"path": "new/annotations.json", "split": "train"}]
NODES = {
    "DatasetSnapshot": ([], {"snapshot": "ClassLiftSnapshot"}),
    "ChampionResolver": ([], {"champion": "Model"}),
    "Trainer": ([], {"model": "Model"}),
    "RecallGate": (["Model"], {"blessing": "ModelBlessing", "evaluation": "ModelEvaluation"}),
    "ServingCheck": (["Model"], {"blessing": "InfraBlessing"}),
    "Pusher": ([], {"pushed_model": "PushedModel"}),
}
"""What each node reads, and what it puts out, by key of the output: types of artifacts."""

JUDGED = ("DatasetSnapshot", "Trainer", "RecallGate", "ServingCheck")
"""The nodes of a run that has come to its push."""

BASE_TYPES = {"Model": pb.ArtifactType.MODEL, "PushedModel": pb.ArtifactType.MODEL}


def small_project(folder: Path, name: str, images: int) -> Project:
    """A compiled project of few scenes, so many in each of the four data sets."""
    project = make_project(folder, name)
    for split in (scenes.OLD, scenes.NEW, scenes.EVAL, scenes.TEST):
        scenes.write_split(split, project.folder / "data" / split.name, images)
    result = project.command("classlift", "compile", "--config", str(project.config))
    assert result.returncode == 0, result.stdout
    return project


def provenance_of(run_id: str, champion: Provenance | None = None) -> Provenance:
    """What the model of a run says of itself; of the first champion by default, which is silent."""
    return Provenance(
        targets=("8",),
        recipe={"freeze_policy": "target-branch", "steps": 600, "class_weights": {}},
        rebalancing={"method": "repeat_factor", "repeat_threshold": None},
        snapshot={"content_hash": f"hash of {run_id}", "images": 20, "boxes": 60},
        code_version="c0de",
        champion=champion or Provenance(),
    )


def run_of(version: Path) -> str:
    """The run that trained the model of a version."""
    return Bundle(version).provenance().snapshot["content_hash"].removeprefix("hash of ")


@dataclass
class Runs:
    """A config whose metadata store a test fills run by run, as far as TFX can go on from there.

    model: a SavedModel; what is trained is a copy.
    """

    config: Config
    model: Path

    def add(self, run_id: str, verdict: str = "refuse", **failed: pb.Execution.State) -> Path:
        """A run whose nodes came to their end; `failed` says which did not. Its evaluation.

        Its challenger was compared with what is served.
        """
        outputs: dict[str, pb.Artifact] = {}
        for node in JUDGED:
            state = failed.get(node, pb.Execution.COMPLETE)
            blessed = pb.Value(int_value=int(node != "RecallGate" or verdict == "push"))
            self._execute(run_id, node, outputs, state, blessed=blessed)
        folder = Path(outputs["ModelEvaluation"].uri)
        folder.mkdir(parents=True)
        champion = champion_name(served_versions(self.config.serving), self.config.model)
        replace(VERDICT, verdict=verdict, champion=champion).write(folder)
        (folder / "report.html").write_text(run_id)
        bundle = Bundle(Path(outputs["Model"].uri) / "Format-Serving")
        shutil.copytree(self.model, bundle.saved_model)
        bundle.entry.mkdir()
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
        export = self.config.work / run_id / "Model" / "Format-Serving"
        shutil.copytree(export, destination)
        Manifest.of(destination, Manifest.of(export).digest()).write(destination)
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

    def add_from_cache(self, run_id: str, earlier: str) -> None:
        """A run whose nodes put out again what those of an earlier run did, up to its Pusher."""
        outputs = {
            kind: output_artifact(self.store, self.config.name, earlier, node, kind)
            for node in JUDGED
            for kind in NODES[node][1].values()
        }
        for node in JUDGED:
            self._execute(run_id, node, outputs, pb.Execution.CACHED)
        for champion in output_artifacts(self.store, self.config.name, earlier, "ChampionResolver"):
            self._execute(run_id, "ChampionResolver", {"Model": champion}, pb.Execution.CACHED)

    def train_again(self, run_id: str) -> None:
        self._execute(run_id, "Trainer", {})

    def resolve_champion(self, run_id: str) -> pb.Artifact:
        """A champion, which no other node reads."""
        outputs: dict[str, pb.Artifact] = {}
        self._execute(run_id, "ChampionResolver", outputs)
        return outputs["Model"]

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
        reads, puts_out = NODES[node]
        contexts = [
            pb.Context(type_id=store.put_context_type(pb.ContextType(name=kind)), name=name)
            for kind, name in (
                ("pipeline", self.config.name),
                ("pipeline_run", run_id),
                ("node", f"{self.config.name}.{node}"),
            )
        ]
        execution = pb.Execution(
            type_id=store.put_execution_type(pb.ExecutionType(name=node)),
            last_known_state=state,
            custom_properties={"sources": pb.Value(string_value=json.dumps(SOURCES))},
        )
        events = [(outputs[kind], pb.Event(type=pb.Event.INPUT)) for kind in reads]
        for key, kind in puts_out.items():
            kept = pb.ArtifactType(name=kind, base_type=BASE_TYPES.get(kind))
            artifact = outputs.get(kind) or pb.Artifact(
                type_id=store.put_artifact_type(kept),
                uri=str(self.config.work / run_id / kind),
                state=pb.Artifact.LIVE,
                custom_properties={"tfx_version": pb.Value(string_value="1.21.0"), **properties},
            )
            path = pb.Event.Path(steps=[{"key": key}, {"index": 0}])
            events.append((artifact, pb.Event(type=pb.Event.OUTPUT, path=path)))
        _, artifact_ids, _ = store.put_execution(
            execution, events, contexts, reuse_context_if_already_exist=True
        )
        made = store.get_artifacts_by_id(artifact_ids[len(reads) :])
        outputs |= {artifact.type: artifact for artifact in made}


@pytest.fixture(scope="module")
def unloaded() -> Iterator[None]:
    """What is pushed in this process is not loaded, which takes five seconds each time.

    That it is loaded, and what becomes of what can't be, is shown in `test_push.py`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("classlift.serving.publish.require_answers", lambda *_: None)
        yield


@pytest.fixture
def runs(tmp_path, saved_model) -> Runs:
    return Runs(load_config(make_project(tmp_path, "runs_test").config), saved_model)
