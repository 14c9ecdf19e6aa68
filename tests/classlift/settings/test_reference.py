"""What is made from the settings: pages, the schema of a config, lists, the form."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from classlift import cli
from classlift.cli.reference import PAGES
from classlift.data.formats import FORMATS
from classlift.detectors.backends import ENVIRONMENTS
from classlift.settings import model, reference, sources
from classlift.settings.config import SCHEMA
from pipelines.parameters import PARAMETERS

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.parametrize("name", ["config.schema.json", "settings.md", "formats.md"])
def test_the_reference_is_current(name):
    assert (REFERENCE / name).read_text("utf-8") == PAGES[name](), "make reference"


def test_editors_find_a_schema_that_the_configs_keep():
    schema = json.loads((REFERENCE / "config.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for path in (ROOT / "configs").glob("*.yaml"):
        text = path.read_text("utf-8")
        named = re.match(r"# yaml-language-server: \$schema=(.+)\n", text)
        assert named
        assert (path.parent / named[1]).resolve() == REFERENCE / "config.schema.json"
        jsonschema.validate(yaml.safe_load(text), schema)


def leaves(schema, key=""):
    """The keys of a config that hold a value, from its schema."""
    for name, part in schema["properties"].items():
        inner = f"{key}.{name}".lstrip(".")
        if "properties" in part:
            yield from leaves(part, inner)
        elif "properties" in part.get("items", {}):
            yield from leaves(part["items"], f"{inner}[]")
        else:
            yield inner


def test_every_key_of_a_config_is_listed_for_machines_and_people(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["classlift", "settings", "--json"])
    assert cli.main() == 0
    records = json.loads(capsys.readouterr().out)
    keys = {record["key"] for record in records}
    assert len(keys) == len(records)
    assert keys == set(leaves(SCHEMA))
    assert all(record["help"].endswith((".", "}.")) for record in records)
    assert {r["key"].split(".")[-1] for r in records if r["run_parameter"]} == set(PARAMETERS)
    monkeypatch.setattr("sys.argv", ["classlift", "settings"])
    assert cli.main() == 0
    said = capsys.readouterr().out
    for record in records:
        assert re.search(rf"^[* ] {record['key'].split('.')[-1]}: ", said, re.MULTILINE)
    assert "* learning_rate: 0.002  (above 0, at most 1)\n" in said
    assert "  runs: 10  (1 or more runs)\n" in said


def test_a_default_in_the_schema_is_one_that_it_allows():
    for record in reference.records():
        if not record["required"] and record["default"] is not None:
            jsonschema.validate(json.loads(json.dumps(record["default"])), record["schema"])


def test_the_names_of_code_are_those_of_the_settings():
    assert tuple(FORMATS) == sources.FORMATS
    assert tuple(ENVIRONMENTS) == model.BACKENDS


def test_the_form_stands_in_sections():
    order = [parameter.field()["section"] for parameter in PARAMETERS.values()]
    found = list(dict.fromkeys(order))
    assert found == ["Training", "Training data", "Gate", "Push", "Training, in detail"]
    assert order == sorted(order, key=found.index)
    names = list(PARAMETERS)
    assert names[:7] == [
        "freeze_policy",
        "steps",
        "learning_rate",
        "class_weight",
        "recalibrate",
        "train_anyway",
        "seed",
    ]
    assert names[names.index("approve_before_push") + 1] == "class_weighting"
