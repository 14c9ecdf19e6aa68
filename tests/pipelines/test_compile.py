"""`classlift compile` without a config: all of them, and what TF Serving is to watch."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from google.protobuf import text_format

from pipelines import compile
from pipelines.compile import SERVED
from pipelines.config import Watch, load_config
from pipelines.topology import IR
from tests.project import Project

pytestmark = pytest.mark.pipeline
CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def test_everything_is_compiled_and_listed_for_serving(tmp_path):
    from tensorflow_serving.config import model_server_config_pb2

    result = Project(tmp_path, CONFIGS).command("classlift", "compile")
    assert result.returncode == 0, result.stdout
    configs = [load_config(path) for path in CONFIGS.glob("*.yaml")]
    compiled = {path.parent.name for path in tmp_path.rglob("topology.json")}
    assert compiled == {config.name for config in configs}

    for name in compiled:  # new labels leave the champion as it is, and bad ones stop the run
        ir = json.loads((tmp_path / "compiled" / name / IR).read_text())
        nodes = {n["pipelineNode"]["nodeInfo"]["id"]: n["pipelineNode"] for n in ir["nodes"]}
        resolver = nodes["ChampionResolver"]
        assert not resolver.get("inputs", {}).get("inputs")
        assert resolver["upstreamNodes"] == ["DataValidator"]

    text = (tmp_path / "compiled" / SERVED).read_text()
    listed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    assert {model.name: model.base_path for model in listed.model_config_list.config} == {
        config.name: str(config.serving) for config in configs
    }


@pytest.mark.parametrize("cron", [None, "0 6 * * *"])
def test_the_topology_says_when_to_watch(tmp_path, monkeypatch, cron):
    monkeypatch.setenv("CLASSLIFT_COMPILED", str(tmp_path))
    monkeypatch.setattr(compile, "_compile", lambda *_: SimpleNamespace(nodes=[]))
    config = load_config(CONFIGS / "digits.yaml")
    watched = replace(config, watch=Watch(config.sources[0], {"8": 0.6}, cron))
    for compiled, expected in ((config, None), (watched, {"cron": cron})):
        compile.write_compiled(compiled)
        topology = json.loads((tmp_path / "digits" / "topology.json").read_text())
        assert topology.get("watch") == expected
