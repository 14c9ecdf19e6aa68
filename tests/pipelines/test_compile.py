"""`classlift compile` without a config: all of them, and what TF Serving is to watch."""

from pathlib import Path

import pytest
from google.protobuf import text_format

from pipelines.compile import SERVED
from pipelines.config import load_config
from tests.project import Project

pytestmark = pytest.mark.pipeline
CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def test_everything_is_compiled_and_listed_for_serving(tmp_path):
    from tensorflow_serving.config import model_server_config_pb2

    result = Project(tmp_path, CONFIGS).command("pipelines.cli", "compile")
    assert result.returncode == 0, result.stdout
    configs = [load_config(path) for path in CONFIGS.glob("*.yaml")]
    compiled = {path.parent.name for path in tmp_path.rglob("topology.json")}
    assert compiled == {config.name for config in configs}

    text = (tmp_path / "compiled" / SERVED).read_text()
    listed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    assert {model.name: model.base_path for model in listed.model_config_list.config} == {
        config.name: str(config.serving) for config in configs
    }
