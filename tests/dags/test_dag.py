"""The DAG of a config in Airflow's own Python: what it makes, what it imports."""

import pytest

from classlift.settings.airflow import AirflowSettings
from pipelines.nodes import NODES
from tests.dags.parsing import parse, write_topology

pytestmark = pytest.mark.pipeline
DAG = "classlift_retrain_x"


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    compiled = tmp_path_factory.mktemp("compiled")
    airflow = AirflowSettings(cron="0 3 * * 0", email=("team@localhost",))
    write_topology(compiled, "x", airflow=airflow)
    return parse("retrain", compiled, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def parsed(found) -> dict:
    """The DAG of a small topology."""
    assert list(found["dags"]) == [DAG]
    return found["dags"][DAG]


def test_one_task_a_node_wired_as_compiled(parsed):
    nodes = [node.id for node in NODES]
    expected = {node: nodes[i - 1 : i] if i else [] for i, node in enumerate(nodes)}
    expected["NewLabels"] = ["DatasetSnapshot"]
    expected["DataValidator"] = ["DatasetSnapshot", "NewLabels"]
    expected["Approval"] = ["RecallGate", "ServingCheck"]
    expected["Pusher"] = ["Approval", "ServingCheck"]
    assert parsed["upstream"] == expected
    assert parsed["groups"] == sorted({node.phase for node in NODES})


def test_runs_start_by_the_clock_and_when_labels_arrive(parsed):
    assert parsed["timetable"] == "AssetOrTimeSchedule"
    assert parsed["assets"] == ["labels/x"]


def test_those_who_want_to_know_are_told(parsed):
    assert parsed["told"] == ["Pusher", "RecallGate"]
    assert parsed["told_of_failures"]


def test_everything_says_what_it_is(parsed):
    assert parsed["docs"]


def test_what_wants_a_gpu_waits_in_its_queue_and_its_pool(parsed):
    assert parsed["on_gpu"] == ["ChallengerDetect", "ChampionDetect", "Trainer"]


def test_the_form_offers_the_classes(parsed):
    field = parsed["params"]["target"]
    assert field["type"][0] == "array"  # the form lets several be chosen of the examples
    assert field["examples"] == field["items"]["enum"] == list("0123456789")
    assert parsed["shown"]["target"] == ["8"]


def test_a_switch_shows_what_holds(parsed):
    shown = parsed["shown"]
    assert (shown["augmentation"], shown["rivalry"], shown["flip"]) == (True, True, False)
    assert shown["device"] is None
    assert parsed["params"]["device"]["values_display"]["null"] == "default: auto"


def test_the_dag_file_imports_airflow_alone(found):
    assert found["imported"] == []
