"""The DAG file in Airflow's own Python: what it makes, what it imports, how long it takes."""

import json
import subprocess
from pathlib import Path

import pytest

from pipelines.airflow import BIN, airflow_environment
from pipelines.config import AIRFLOW_DEFAULTS
from pipelines.nodes import NODES, ON_GPU

pytestmark = pytest.mark.pipeline
ROOT = Path(__file__).resolve().parents[2]

PARSE = """
import json, sys, time
import airflow.sdk
import airflow.providers.standard.hooks.subprocess
sys.path.insert(0, sys.argv[1])
started = time.perf_counter()
import classlift
seconds = time.perf_counter() - started
(dag,) = [v for k, v in vars(classlift).items() if k.startswith("classlift_retrain_")]
ours = {"tfx", "tensorflow", "components", "pipelines", "ml_metadata"} & set(sys.modules)
print(json.dumps({
    "dag": dag.dag_id,
    "upstream": {t.task_id: sorted(t.upstream_task_ids) for t in dag.tasks},
    "groups": sorted(dag.task_group.get_task_group_dict().keys() - {None}),
    "on_gpu": sorted(t.task_id for t in dag.tasks if (t.queue, t.pool) == ("gpu", "gpu")),
    "schedule": type(dag.timetable).__name__,
    "assets": [asset.name for asset in dag.timetable.asset_condition.objects],
    "told": sorted(t.task_id for t in dag.tasks if t.on_success_callback),
    "told_of_failures": all(t.on_failure_callback for t in dag.tasks),
    "docs": all(t.doc_md for t in dag.tasks) and bool(dag.doc_md),
    "params": {name: dag.params.get_param(name).schema for name in dag.params},
    "imported": sorted(ours),
    "seconds": seconds,
}))
"""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory) -> dict:
    """The DAG of a small topology."""
    folder = tmp_path_factory.mktemp("compiled")
    nodes = list(NODES)
    topology = {
        "name": "x",
        "config": "configs/x.yaml",
        "work": "build/x",
        "airflow": {**AIRFLOW_DEFAULTS, "cron": "0 3 * * 0", "email": ["team@localhost"]},
        "parameters": {"target": {"type": "string", "enum": ["7", "8"]}},
        "defaults": {"target": "8"},
        "nodes": [
            {
                "id": node,
                "upstream": nodes[i - 1 : i] if i else [],
                "phase": NODES[node][1],
                "about": NODES[node][2],
                "on_gpu": node in ON_GPU,
            }
            for i, node in enumerate(nodes)
        ],
    }
    (folder / "x").mkdir()
    (folder / "x" / "topology.json").write_text(json.dumps(topology))
    environment = airflow_environment(tmp_path_factory.mktemp("home"))
    result = subprocess.run(
        [BIN / "python", "-c", PARSE, str(ROOT / "dags")],
        env={**environment, "CLASSLIFT_COMPILED": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_one_task_a_node_wired_as_compiled(parsed):
    assert parsed["dag"] == "classlift_retrain_x"
    nodes = list(NODES)
    expected = {node: nodes[i - 1 : i] if i else [] for i, node in enumerate(nodes)}
    expected["NewLabels"] = ["DatasetSnapshot"]
    expected["DataValidator"] = ["DatasetSnapshot", "NewLabels"]
    expected["Approval"] = ["RecallGate", "ServingCheck"]
    expected["Pusher"] = ["Approval", "ServingCheck"]
    assert parsed["upstream"] == expected
    assert parsed["groups"] == sorted({phase for _, phase, _ in NODES.values()})


def test_runs_start_by_the_clock_and_when_labels_arrive(parsed):
    assert parsed["schedule"] == "AssetOrTimeSchedule"
    assert parsed["assets"] == ["labels/x"]


def test_those_who_want_to_know_are_told(parsed):
    assert parsed["told"] == ["Pusher", "RecallGate"]
    assert parsed["told_of_failures"]


def test_everything_says_what_it_is(parsed):
    assert parsed["docs"]


def test_what_wants_a_gpu_waits_in_its_queue_and_its_pool(parsed):
    assert parsed["on_gpu"] == ["ChallengerDetect", "ChampionDetect", "Trainer"]


def test_the_form_offers_the_classes(parsed):
    assert parsed["params"]["target"]["enum"] == ["7", "8"]


def test_the_dag_file_imports_airflow_alone(parsed):
    assert parsed["imported"] == []
