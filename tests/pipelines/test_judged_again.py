"""`classlift gate` on a real metadata store: the predictions of a run, judged by other settings."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as pb

from classlift import cli, own_folders
from classlift.errors import ConfigError, EvaluationError
from classlift.gate import report
from classlift.gate import run as gate
from classlift.gate.predictions import Origin, gate_predictions
from classlift.gate.uses import TestSet, confidence_of_use
from classlift.gate.verdict import REPORT, VERDICT, Verdict
from classlift.metrics import resampling, statistics
from classlift.settings.gate import GateSettings
from components.recorded_uses import EVALUATION, TEST_IMAGES, TEST_SET
from pipelines.config import Config, load_config
from pipelines.judged_again import GATES_OWN, judge_again
from pipelines.metadata import connection_to, initialise, open_store
from pipelines.nodes import GATE
from tests.classlift.gate.test_holes import AT_HALF, LABELS, TARGET, model
from tests.classlift.gate.test_report import DIAGNOSIS
from tests.classlift.gate.test_run import bundle, make_snapshot
from tests.project import make_project

pytestmark = pytest.mark.unit
RUN = "local__1"
KINDS = {
    "snapshot": "ClassLiftSnapshot",
    "examples": "Examples",
    "diagnosis": "ClassLiftDiagnosis",
    "champion": "Model",
    "challenger": "Model",
    "champion_predictions": "ClassLiftPredictions",
    "challenger_predictions": "ClassLiftPredictions",
}


@dataclass
class Judged:
    """A config with one finished run, whose gate has judged a real comparison."""

    config: Config
    inputs: dict[str, pb.Artifact]
    evaluation: Path

    def files(self) -> dict[str, bytes]:
        """All that lies in the work folder."""
        found = (path for path in self.config.work.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in found}


@pytest.fixture(scope="module", autouse=True)
def sooner() -> Iterator[None]:
    """Bounds are a little rougher, and the report has no pictures: there are no images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "RESAMPLES", 200)
        patch.setattr(statistics, "RESAMPLES", 200)
        patch.setattr(report, "gallery", lambda *_: [])
        yield


@pytest.fixture(scope="module")
def judged(tmp_path_factory, sooner) -> Judged:
    """The run is refused: it asked for a lift of 0.5."""
    folder, snapshot = tmp_path_factory.mktemp("judged"), make_snapshot()
    config = load_config(make_project(folder, "judged_test").config)
    places = {name: config.work / name for name in KINDS}
    models = (model(1.0), model(3.0))
    chosen = gate_predictions(
        *models, TARGET, labels=LABELS, champion_thresholds=AT_HALF, left_alone={"car"}
    ).comparison.served
    bundles = [
        bundle(places[name] / "Format-Serving", points, freeze_policy="target-branch")
        for name, points in (("champion", AT_HALF), ("challenger", chosen))
    ]
    for name, predicted in zip(("champion", "challenger"), models, strict=True):
        for split in ("eval", "test"):
            getattr(predicted, split).write(places[f"{name}_predictions"] / split)
    snapshot.write(places["snapshot"])
    places["examples"].mkdir()
    places["diagnosis"].mkdir()
    DIAGNOSIS.write(places["diagnosis"])
    evaluation = config.work / "evaluation"
    gate.run(
        *bundles,
        *models,
        snapshot=snapshot,
        targets=[TARGET],
        settings=GateSettings(min_lift=0.5),
        origin=Origin("version 1", "abc", "def", RUN),
        use=1,
        diagnosis=places["diagnosis"],
        examples=places["examples"],
        folder=evaluation,
    )
    return Judged(
        config, record(config, places, evaluation, TestSet.of(snapshot.images)), evaluation
    )


def record(
    config: Config, places: dict[str, Path], evaluation: Path, test_set: TestSet
) -> dict[str, pb.Artifact]:
    """The execution of the gate as TFX records it; its inputs by name."""
    initialise(connection_to(config.work))
    store = open_store(connection_to(config.work), read_only=False)

    def artifact(kind: str, place: Path, **properties: str) -> pb.Artifact:
        values = {name: pb.Value(string_value=value) for name, value in properties.items()}
        type_id = store.put_artifact_type(pb.ArtifactType(name=kind))
        live = pb.Artifact.LIVE
        return pb.Artifact(type_id=type_id, uri=str(place), state=live, custom_properties=values)

    def event(kind: "pb.Event.Type", name: str) -> pb.Event:
        return pb.Event(type=kind, path=pb.Event.Path(steps=[{"key": name}, {"index": 0}]))

    kept = {TEST_SET: test_set.id, TEST_IMAGES: str(test_set.images)}
    events = [
        (artifact(KINDS[name], place), event(pb.Event.INPUT, name))
        for name, place in places.items()
    ]
    events.append((artifact(EVALUATION, evaluation, **kept), event(pb.Event.OUTPUT, "evaluation")))
    execution = pb.Execution(
        type_id=store.put_execution_type(pb.ExecutionType(name=GATE.id)),
        last_known_state=pb.Execution.COMPLETE,
    )
    contexts = [
        pb.Context(type_id=store.put_context_type(pb.ContextType(name=kind)), name=name)
        for kind, name in (("pipeline_run", RUN), ("node", f"{config.name}.{GATE.id}"))
    ]
    _, ids, _ = store.put_execution(execution, events, contexts)
    return dict(zip(places, store.get_artifacts_by_id(ids[:-1]), strict=True))


def test_the_same_settings_give_the_same_verdict_at_the_same_use(judged, tmp_path):
    before, old = judged.files(), Verdict.read(judged.evaluation)
    again = judge_again(judged.config, None, {}, tmp_path / "again")
    assert (again.verdict, again.sentence) == ("refuse", old.sentence)
    assert again.classes == old.classes
    assert (again.test_uses, again.confidence) == (1, old.confidence)
    assert [finding.sentence for finding in again.findings if finding not in old.findings] == [
        f"Judged again from what run {RUN} left, with its settings, as its use of the test set."
    ]
    assert judged.files() == before


def test_another_setting_is_the_look_that_a_run_with_it_would_be(judged, tmp_path):
    before = judged.files()
    again = judge_again(judged.config, RUN, {"min_lift": 0.05}, tmp_path / "again")
    assert again.verdict == "push"
    assert (again.test_uses, again.confidence) == (2, confidence_of_use(2))
    assert "min_lift 0.05 instead of 0.5. The bounds are those of use 2" in again.reasons[-1]
    assert "this look is counted" in again.reasons[-1]
    assert Verdict.read(tmp_path / "again") == again
    assert "was only judged again" in (tmp_path / "again" / REPORT).read_text("utf-8")
    assert again.next_steps() == ()  # nothing was pushed that could be taken back
    after = judged.files()
    assert {name for name in after if after[name] != before.get(name)} == {
        str(judged.config.work / "metadata.db")
    }
    assert not judged.config.serving.exists()


def test_each_look_is_counted_and_charged_and_the_same_look_once(judged, tmp_path):
    def uses(**values: float) -> int:
        return judge_again(judged.config, RUN, values, tmp_path / "again").test_uses

    first = uses(min_lift=0.06)
    assert [uses(min_lift=0.07), uses(min_lift=0.06), uses(min_lift=0.08)] == [
        first + 1,
        first,
        first + 2,
    ]
    assert uses() == 1  # with the run's own settings it is the run's look


@pytest.mark.parametrize(
    ("values", "words"),
    [
        # what the trainer reads too: it ships the thresholds
        ({"precision": 0.9}, "precision is not the gate's alone"),
        ({"thresholds": "matched"}, "thresholds is not the gate's alone"),
        ({"score_threshold": 0.5}, "score_threshold is not the gate's alone"),
        ({"steps": 5}, "start a run with it. The gate can judge again by: precision_tolerance, "),
        ({"min_lift": 2}, "Invalid input for param min_lift: 2 is greater than"),
        ({"min_lifft": 0.1}, "no run parameter 'min_lifft'"),
    ],
)
def test_what_the_gate_can_not_judge_by_is_refused(judged, tmp_path, values, words):
    with pytest.raises(ConfigError, match=words):
        judge_again(judged.config, RUN, values, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_the_settings_of_the_gate_alone_are_these():
    assert set(GATES_OWN) == {
        "precision_tolerance", "min_lift", "max_drop", "min_recall", "recall_floors",
    }  # fmt: skip


def test_a_run_that_is_not_there_or_was_cleaned_is_said(judged, tmp_path):
    with pytest.raises(EvaluationError, match="judged_test has no run 'two'"):
        judge_again(judged.config, "two", {}, tmp_path / "again")
    gone = Path(judged.inputs["challenger_predictions"].uri)
    gone.rename(tmp_path / "moved")
    with pytest.raises(EvaluationError, match=f"its challenger predictions .{gone}. were removed"):
        judge_again(judged.config, RUN, {}, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    (tmp_path / "moved").rename(gone)


def test_a_folder_of_somebody_else_is_not_written_to(judged):
    """The run's own verdict among them."""
    with pytest.raises(ConfigError, match=own_folders.JUDGED):
        judge_again(judged.config, RUN, {}, judged.evaluation)


def test_the_command_prints_the_verdict(judged, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "again"
    words = ["gate", "--config", str(judged.config.path), "--report", str(folder)]
    monkeypatch.setattr(sys, "argv", ["classlift", *words, "--set", "min_lift=null"])
    assert cli.main() == 0  # null is the default: the question of a test before
    said = capsys.readouterr().out
    assert said.startswith("class  objects  before")
    assert "\nPush: class bike" in said
    assert "min_lift 0.05 instead of 0.5. The bounds are those of use 2" in said
    assert f"Report:  {folder / REPORT}" in said


def test_the_command_prints_json_of_its_own(judged, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "again"
    words = ["gate", "--config", str(judged.config.path), "--report", str(folder)]
    monkeypatch.setattr(sys, "argv", ["classlift", *words, "--json"])
    assert cli.main() == 0
    assert json.loads(capsys.readouterr().out) == json.loads((folder / VERDICT).read_text())
