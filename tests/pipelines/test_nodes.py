"""What the runners take for granted of each node."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from classlift.environment import PARENT_VARIABLE
from classlift.errors import ConfigError
from pipelines.imports import Late
from pipelines.nodes import DETECTOR, LIGHT, NODES, TENSORFLOW
from pipelines.places import run_folder
from tests.project import clean_environment

pytestmark = pytest.mark.unit

WITHOUT = """
import importlib, sys
sys.modules["tensorflow"] = sys.modules["apache_beam"] = None  # importing one is an error
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
MODULES = {
    "ClassDiagnoser": "class_diagnoser",
    "DataValidator": "data_validator",
    "DatasetSnapshot": "dataset_snapshot",
    "Pusher": "pusher",
    "RebalancedExampleGen": "rebalanced_example_gen",
    "RecallGate": "recall_gate",
    "ServingCheck": "serving_check",
}
"""Of the light nodes: their modules in `components`."""
STOCK = {"ImportSchemaGen": "tfx.components.schema_gen.import_schema_gen.executor"}
"""Of those that are TFX's own."""


def test_light_nodes_import_neither_tensorflow_nor_beam():
    assert {node.id for node in NODES if node.profile == LIGHT} == {*MODULES, *STOCK}
    names = [f"components.{name}" for name in MODULES.values()]
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT, *names], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_a_curated_schema_is_checked_and_copied_without_what_its_executor_imports_for_nothing():
    script = (
        "import sys; from pipelines.imports import import_for_work, prepare;"
        "from pipelines.nodes import LIGHT; prepare(LIGHT, 'od_api');"
        "import tfx.orchestration.portable.launcher;"
        f"import_for_work(LIGHT, {STOCK['ImportSchemaGen']!r}, needs_beam=False);"
        f"import {STOCK['ImportSchemaGen']} as executor;"
        "print(executor.io_utils.SchemaReader.__name__,"
        " [n for n in ('tensorflow.python', 'apache_beam.io', 'IPython.core') if n in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("SchemaReader []\n")


def test_what_comes_late_comes_whole(tmp_path, monkeypatch):
    (tmp_path / "tardy").mkdir()
    (tmp_path / "tardy" / "__init__.py").write_text("VALUE = 7\n")
    (tmp_path / "tardy" / "part.py").write_text("from tardy import VALUE\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "tardy", Late("tardy"))
    late = importlib.import_module("tardy")
    assert isinstance(late, Late)
    assert importlib.import_module("tardy.part").VALUE == late.VALUE == 7
    assert not isinstance(sys.modules["tardy"], Late)
    with pytest.raises(AttributeError):
        _ = late.absent


def test_a_run_id_names_one_folder():
    run_id = "manual__2026-11-24T08:59:55.804467+00:00"
    assert run_folder(Path("work"), run_id) == Path("work", "runs", run_id)
    for wrong in ("..", ".", "", "a/b", "../x", "a b", "x\n", ".lock"):
        with pytest.raises(ConfigError, match="can't name a folder"):
            run_folder(Path("work"), wrong)
    assert run_folder(Path("work"), "x" * 200).name == "x" * 200
    for length in (201, 255, 300, 100_000):
        with pytest.raises(ConfigError, match=f"has {length} characters.* at most 200"):
            run_folder(Path("work"), "x" * length)


@pytest.mark.parametrize(
    "module",
    ["pipelines.run_node", "pipelines.new_labels", "pipelines.override", "classlift"],
)
def test_what_airflow_starts_ends_when_its_task_is_gone_before_it_began(module):
    more = {"run_node": ["--node", "Trainer"], "override": ["--by", "A", "--reason", "B"]}
    words = ["--compiled", "x", "--run-id", "r", *more.get(module.partition(".")[2], [])]
    result = subprocess.run(
        [sys.executable, "-m", module, *(["doctor"] if module == "classlift" else words)],
        env={**os.environ, PARENT_VARIABLE: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "classlift: the task that started this process is gone"
    )


def test_a_node_of_a_detector_has_its_environment_before_any_import():
    """Also where Airflow starts it, whose tasks have none of these variables."""
    script = (
        "import sys; from pipelines.imports import import_for_work, prepare;"
        "from pipelines.nodes import DETECTOR;"
        "prepare(DETECTOR, 'od_api'); import tfx.orchestration.portable.launcher;"
        "import_for_work(DETECTOR, 'components.champion_resolver', needs_beam=False);"
        "print('apache_beam' in sys.modules); import apache_beam;"
        "from classlift.detectors.od_api import api; import tensorflow as tf;"
        "print(tf.keras.layers.Layer.__module__, api.pipeline_pb2.DESCRIPTOR.name)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    loaded, found = result.stdout.splitlines()[-2:]
    assert loaded.endswith("False")  # it can be imported, and was not
    keras, described = found.split()
    assert keras.startswith("tf_keras.")
    assert described == "object_detection/protos/pipeline.proto"


@pytest.mark.parametrize("profile", [LIGHT, TENSORFLOW, DETECTOR])
def test_a_node_that_imports_what_runs_it_writes_nothing(profile):
    script = (
        "import sys; from pipelines.imports import prepare;"
        "prepare(sys.argv[1], 'od_api');"
        "from tfx.orchestration.portable import launcher; import tfx.components"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, profile],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
