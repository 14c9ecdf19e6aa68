"""What the DAGs read of a compiled config is what compiling it wrote."""

import importlib.util
import json
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from classlift.environment import VARIABLES
from classlift.errors import ConfigError
from pipelines import nodes
from pipelines.topology import Topology, TopologyNode, makes_dags, owner_of
from tests.dags.parsing import ROOT, write_topology

pytestmark = pytest.mark.unit


@pytest.fixture
def topologies(tmp_path, monkeypatch) -> ModuleType:
    """`dags/topologies.py`, which needs the standard library alone, on a compiled config."""
    write_topology(tmp_path, "x")
    monkeypatch.setenv("CLASSLIFT_COMPILED", str(tmp_path))
    monkeypatch.syspath_prepend(str(ROOT / "dags"))
    spec = importlib.util.spec_from_file_location("topologies", ROOT / "dags" / "topologies.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "topologies", module)
    spec.loader.exec_module(module)
    return module


def test_both_sides_read_the_same(topologies, tmp_path):
    [found] = topologies.read_topologies()
    written = Topology.read(tmp_path / "x")
    assert (found.name, found.compiled) == (written.name, tmp_path / "x")
    assert (Path(found.config), Path(found.work)) == (written.config, written.work)
    ours = written.airflow
    assert (found.owner, found.cron, found.clean_cron, found.min_new_objects) == (
        ours.owner,
        ours.cron,
        ours.clean_cron,
        ours.min_new_objects,
    )
    assert (found.email, found.webhook) == (ours.email, ours.webhook)
    assert (found.form, found.defaults) == (written.parameters, written.defaults)
    assert (found.watches, found.watch_cron) == (False, None)
    names = {field.name for field in fields(topologies.Node)}
    assert {field.name for field in fields(TopologyNode)} == names | {"profile"}
    for theirs, node in zip(found.nodes, written.nodes, strict=True):
        assert vars(theirs) == {name: getattr(node, name) for name in names}


def test_what_is_served_is_where_it_was_compiled_to(topologies, tmp_path):
    [served] = topologies.read_served()
    written, [read] = Topology.read(tmp_path / "x"), topologies.read_topologies()
    assert (served.name, served.serving, served.work) == ("x", written.serving, written.work)
    assert (served.retrain_dag, served.rollback_dag) == (read.retrain_dag, read.rollback_dag)


def test_the_table_of_nodes_is_in_it(topologies, tmp_path):
    for node, row in zip(Topology.read(tmp_path / "x").nodes, nodes.NODES, strict=True):
        shared = vars(node).keys() & vars(row).keys()
        assert {name: getattr(node, name) for name in shared} == {
            name: getattr(row, name) for name in shared
        }
        assert vars(node).keys() - shared == {"upstream"}


def test_what_another_version_compiled_is_named_with_the_way_out(topologies, tmp_path):
    path = tmp_path / "x" / "topology.json"
    record = json.loads(path.read_text())
    del record["nodes"][0]["tells"]
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"it has no 'tells'; run `classlift compile` again"):
        topologies.read_topologies()
    with pytest.raises(ConfigError, match="another version compiled it; run `classlift compile`"):
        Topology.read(tmp_path / "x")
    assert makes_dags(tmp_path / "x")  # so that compiling it for a run by hand keeps its DAGs
    assert owner_of(tmp_path / "x") == ("x", ROOT / "configs" / "digits.yaml")
    assert topologies.work_of("classlift_watch_x") == topologies.work_of("classlift_retrain_x")
    assert topologies.work_of("classlift_retrain_y") is None


def test_what_classlift_run_tried_has_no_dag(topologies, tmp_path):
    path = tmp_path / "x" / "topology.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "in_airflow": False}))
    assert topologies.read_topologies() == []
    assert not makes_dags(tmp_path / "x")


def test_the_variables_of_the_dags_are_those_of_what_they_start(topologies):
    theirs = {v for k, v in vars(topologies.variables).items() if k.isupper() and type(v) is str}
    theirs |= {name for name in topologies.variables.PASSED_ON if name.startswith("CLASSLIFT_")}
    assert theirs <= {variable.name for variable in VARIABLES}
