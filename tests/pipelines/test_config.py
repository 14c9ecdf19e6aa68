from pathlib import Path

import pytest
import yaml

from components.errors import ConfigError
from pipelines.config import load_config

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[2]
DIGITS = yaml.safe_load((ROOT / "configs" / "digits.yaml").read_text())


@pytest.fixture
def write(tmp_path):

    def to_file(document) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
        return path

    return to_file


def test_the_demo_config_loads(write):
    config = load_config(write(DIGITS))
    assert config.defaults["target"] == "8"
    assert config.parameter_schemas()["target"]["enum"] == [str(i) for i in range(10)]
    assert [source.tag for source in config.sources] == ["old", "new", "new", "new"]


def test_config_values_are_the_defaults_of_a_run(write):
    gate = {"max_drop": 0.1, "score_threshold": 0.4, "recall_floors": {"8": 0.6}}
    config = load_config(write({**DIGITS, "recipe": {"steps": 50}, "gate": gate}))
    assert config.defaults["steps"] == 50
    assert {name: config.defaults[name] for name in gate} == gate
    assert config.defaults["precision"] is None  # as the gate says


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("a: [", "not valid YAML"),
        ("just words", "is not of type 'object'"),
        ({**DIGITS, "tagret": "8"}, "'tagret' was unexpected"),
        ({**DIGITS, "target": "11"}, "'11' is no class of the model"),
        ({**DIGITS, "target": 8}, "target: 8 is not of type 'string'"),
        ({**DIGITS, "name": "../x"}, "name: '../x' does not match"),
        ({**DIGITS, "recipe": {"stepps": 1}}, "recipe: "),
        ({**DIGITS, "recipe": {"steps": 0}}, "recipe.steps: 0 is less than"),
        ({**DIGITS, "model": {"path": "nowhere"}}, "label_map.pbtxt is missing"),
        ({**DIGITS, "data": {"root": "x", "sources": []}}, "data.sources: "),
        (
            {**DIGITS, "gate": {"recall_floors": {"11": 0.5}}},
            "param recall_floors: '11' is not one of ['0', '1', ",
        ),
        ({**DIGITS, "gate": {"recall_floors": {8: 0.5}}}, "8 is not of type 'string'"),
        ({**DIGITS, "gate": {"recall_floors": {"8": 60}}}, "recall_floors.8: 60 is greater than"),
        ({**DIGITS, "gate": {"max_drop": float("nan")}}, "param max_drop: NaN is no finite number"),
        ({**DIGITS, "airflow": {"cron": "at noon"}}, "airflow.cron: 'at noon' does not match"),
        ({**DIGITS, "airflow": {"email": ["me"]}}, "airflow.email.0: 'me' does not match"),
        ({**DIGITS, "airflow": {"min_new_objects": -1}}, "-1 is less than the minimum"),
        ({k: v for k, v in DIGITS.items() if k != "data"}, "'data' is a required property"),
    ],
)
def test_wrong_configs_are_refused_with_a_sentence(write, document, sentence):
    path = write(document)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert sentence in str(error.value)
    assert str(path) in str(error.value)


def test_a_missing_config_is_named():
    with pytest.raises(ConfigError, match=r"nowhere.yaml: the config can't be read"):
        load_config(Path("nowhere.yaml"))
