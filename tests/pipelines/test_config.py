import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from classlift.data.snapshot import Source
from classlift.errors import ConfigError
from pipelines.config import load_config
from pipelines.parameters import check
from pipelines.places import serving_of

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
    assert config.parameter_schemas()["target"]["examples"] == [str(i) for i in range(10)]
    assert [source.tag for source in config.sources] == ["old", "new", "new", "new"]


def test_data_in_object_storage_are_read_from_the_mirror(write):
    data = {
        "root": "s3://bucket/data",
        "sources": [
            {"path": "train/labels.json", "split": "train"},
            {"path": "gs://other/eval.json", "images": "gs://other/jpg", "split": "eval"},
            {"path": "/elsewhere/test.json", "split": "test"},
        ],
    }
    watch = {"source": {"path": "fresh"}, "floors": {"8": 0.5}}
    config = load_config(write({**DIGITS, "data": data, "watch": watch}))
    mirror = config.work / "mirror"
    assert [source.path for source in config.sources] == [
        mirror / "s3/bucket/data/train/labels.json",
        mirror / "gs/other/eval.json",
        Path("/elsewhere/test.json"),
    ]
    assert config.sources[1].images == mirror / "gs/other/jpg"
    assert config.watch.source.path == mirror / "s3/bucket/data/fresh"
    records = json.loads(config.source_records)
    assert [Source.from_dict(record, config.data_root) for record in records] == [*config.sources]
    for path in ("../a.json", "s3://", "gs://../a"):
        sources = [{"path": path, "split": "train"}]
        with pytest.raises(ConfigError, match=r"climbs|no place in object storage"):
            load_config(write({**DIGITS, "data": {**data, "sources": sources}}))


def test_versions_are_served_from_a_bucket(write):
    config = load_config(write({**DIGITS, "serving": "s3://bucket/models/cars/"}))
    assert config.serving == config.work / "mirror/s3/bucket/models/cars"
    assert str(serving_of(config)) == "s3://bucket/models/cars"
    plain = load_config(write(DIGITS))
    assert str(serving_of(plain)) == str(plain.serving)


@pytest.mark.parametrize(
    ("serving", "source", "words"),
    [
        ("s3://b/labels", "labels/a.json", "serving (s3://b/labels) is the same folder as data"),
        ("s3://b/labels/served", "labels", "serving (s3://b/labels/served) lies in data.sources.0"),
        ("s3://b/labels", "labels/more/voc", "serving (s3://b/labels) contains data.sources.0"),
        ("s3://b/served", "labels/a.json", None),
        ("gs://b/labels", "labels/a.json", None),
    ],
)
def test_what_is_served_and_what_is_read_of_a_bucket_are_apart(write, serving, source, words):
    data = {"root": "s3://b", "sources": [{"path": source, "split": "train"}]}
    path = write({**DIGITS, "serving": serving, "data": data})
    if words is None:
        load_config(path)
    else:
        with pytest.raises(ConfigError, match=re.escape(words)):
            load_config(path)


@pytest.mark.parametrize("key", ["work", "model"])
def test_what_must_be_a_folder_here(write, key):
    value = {"path": "s3://bucket/x", "backend": "od_api"} if key == "model" else "s3://bucket/x"
    with pytest.raises(ConfigError, match=rf"{key}.*is in object storage; name a folder here"):
        load_config(write({**DIGITS, key: value}))


def test_several_targets(write):
    assert load_config(write({**DIGITS, "target": ["8"]})).defaults["target"] == "8"
    config = load_config(write({**DIGITS, "target": ["8", "3"]}))
    assert config.defaults["target"] == ["8", "3"]
    schemas = config.parameter_schemas()
    for value in ("8", ["8"], ["3", "8"]):
        check({"target": value}, schemas)
    for value, words in (
        ("11", "'11' is not one of"),
        (["8", "11"], "'11' is not one of"),
        ([], "should be non-empty"),
        (["8", "8"], "has non-unique elements"),
        (8, "8 is not of type"),
    ):
        with pytest.raises(ConfigError, match=f"param target: .*{words}"):
            check({"target": value}, schemas)


def test_config_values_are_the_defaults_of_a_run(write):
    gate = {"max_drop": 0.1, "score_threshold": 0.4, "recall_floors": {"8": 0.6}}
    config = load_config(write({**DIGITS, "recipe": {"steps": 50}, "gate": gate}))
    assert config.defaults["steps"] == 50
    assert {name: config.defaults[name] for name in gate} == gate
    assert config.defaults["precision"] is None  # as the gate says


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("a: [\n", "line 2: not valid YAML ("),
        ("just words", "is not of type 'object'"),
        (
            {**DIGITS, "tagret": "8"},
            "tagret: there is no such key (did you mean 'target'?); ",
        ),
        ({**DIGITS, "target": "11"}, "'11' is no class of the model"),
        ({**DIGITS, "target": 8}, "target: 8 is not of type 'string'"),
        ({**DIGITS, "target": ["8", "11"]}, "target: '11' is no class of the model"),
        ({**DIGITS, "target": ["8", "8"]}, "target: ['8', '8'] has non-unique elements"),
        ({**DIGITS, "target": []}, "target: [] should be non-empty"),
        ({**DIGITS, "target": ["8", 3]}, "target.1: 3 is not of type 'string'"),
        (
            {**DIGITS, "name": "../x"},
            "name: '../x' is not of the right form; write it as 'street_signs'",
        ),
        (
            {**DIGITS, "recipe": {"stepps": 1}},
            "recipe.stepps: there is no such key (did you mean 'steps'?)",
        ),
        ({**DIGITS, "recipe": {"steps": 0}}, "recipe.steps: 0 is less than"),
        (
            {**DIGITS, "model": {"path": "demo/modle"}},
            "demo/modle: there is no such folder (did you mean 'model'?).",
        ),
        ({**DIGITS, "data": {"root": "x", "sources": []}}, "data.sources: "),
        (
            {**DIGITS, "gate": {"recall_floors": {"11": 0.5}}},
            "param recall_floors: '11' is not one of ['0', '1', ",
        ),
        ({**DIGITS, "gate": {"recall_floors": {8: 0.5}}}, "8 is not of type 'string'"),
        ({**DIGITS, "gate": {"recall_floors": {"8": 60}}}, "recall_floors.8: 60 is greater than"),
        ({**DIGITS, "gate": {"max_drop": float("nan")}}, "param max_drop: NaN is no finite number"),
        (
            {**DIGITS, "airflow": {"cron": "at noon"}},
            "airflow.cron: 'at noon' is not of the right form; write it as '0 3 * * 1'",
        ),
        (
            {**DIGITS, "airflow": {"email": ["me"]}},
            "airflow.email.0: 'me' is not of the right form; write it as 'team@example.com'",
        ),
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


def test_new_classes_come_after_the_columns_of_the_model(write):
    config = load_config(write({**DIGITS, "new_classes": ["ten", "eleven"], "target": "ten"}))
    assert config.new_classes == {"ten": 11, "eleven": 12}
    assert config.label_map.id_of("eleven") == 12
    assert config.parameter_schemas()["target"]["examples"][-2:] == ["ten", "eleven"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["8"], "new_classes: '8' is a class of the model already"),
        ([" 8"], "'8' differs in blanks or capitals alone; leave it out"),
        (["ten", "ten"], "new_classes: 'ten' is named more than once"),
        ([""], "new_classes"),
    ],
)
def test_what_is_no_new_class(write, names, sentence):
    with pytest.raises(ConfigError) as error:
        load_config(write({**DIGITS, "new_classes": names}))
    assert sentence in str(error.value)


WATCH = {"source": {"path": "fresh"}, "floors": {"8": 0.6}}


def test_what_is_watched(write):
    assert load_config(write(DIGITS)).watch is None
    source = {"path": "fresh", "images": "jpg", "format": "voc", "group": "^(.+)_"}
    document = {**DIGITS, "watch": {**WATCH, "source": source, "cron": "*/30 6-18,22 * * 1-5"}}
    config = load_config(write(document))
    assert config.watch is not None
    assert config.watch.source.path == config.data_root / "fresh"
    assert config.watch.source.images == config.data_root / "jpg"
    assert config.watch.floors == {"8": 0.6}
    assert config.watch.cron == "*/30 6-18,22 * * 1-5"


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ({"source": {"path": "fresh", "split": "test"}}, "watch.source.split: there is no such"),
        ({"source": {}}, "watch.source: 'path' is a required property"),
        ({"source": {"path": "fresh", "group": "("}}, "watch.source.group: no regular expression"),
        ({"floors": {"11": 0.5}}, "watch.floors: '11' is no class of the model, which has: 0, 1"),
        ({"floors": {8: 0.5}}, "8 is not of type 'string'"),
        ({"floors": {"8": 1.5}}, "watch.floors.8: 1.5 is greater than"),
        ({"floors": {"8": float("nan")}}, "watch.floors.8: nan is no recall"),
        ({"cron": "@daily"}, "watch.cron: '@daily' is not of the right form"),
        ({"cron": "60 6 * * *"}, "watch.cron: '60 6 * * *' is not of the right form"),
        ({"cron": "0 6 * *"}, "watch.cron: "),
        ({"cron": "0 6 30 2 *"}, "watch.cron: "),  # never
        ({"cron": "0 6 * * *; true"}, "watch.cron: "),
        ({"floor": {}}, "watch.floor: there is no such key (did you mean 'floors'?)"),
    ],
)
def test_what_can_not_be_watched(write, part, sentence):
    with pytest.raises(ConfigError) as error:
        load_config(write({**DIGITS, "watch": {**WATCH, **part}}))
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: " + "[" * 3000 + "]" * 3000, "nested more than 64 deep"),
        ("name: 2024-13-45", "month must be in 1..12"),
        ('name: "\\uD800"', "not valid YAML"),
        ("target: '8'\ntarget: '7'", "the key 'target' stands twice"),
        ("[" + "x, " * 50_000 + "]", "is not of type 'object'"),
        ("# mine\n5: 1", "line 2: 5: there is no such key"),
    ],
)
def test_texts_that_are_no_config(tmp_path, text, sentence):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert sentence in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("work", ["a\0b", "a\nb", "a" * 300, "a/" * 600])
def test_paths_that_no_file_system_takes(write, work):
    with pytest.raises(ConfigError, match=r"work: "):
        load_config(write({**DIGITS, "work": work}))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match=r"the config must be a regular file"):
        load_config(tmp_path / "config.yaml")


def test_a_missing_config_is_named(tmp_path):
    (tmp_path / "digits.yaml").touch()
    with pytest.raises(ConfigError, match=r"there is no such file .did you mean 'digits.yaml'"):
        load_config(tmp_path / "digit.yml")
    with pytest.raises(ConfigError, match=r"nowhere.yaml: the config can't be read"):
        load_config(Path("nowhere.yaml"))


def with_links(folder: Path) -> None:
    """Folders, and links that hide where they are."""
    for name in ("data/eval/images", "other", "runs", "elsewhere/jpg"):
        (folder / name).mkdir(parents=True)
    (folder / "link to data").symlink_to(folder / "data")
    (folder / "data" / "link to runs").symlink_to(folder / "runs")


APART = {"work": "runs", "serving": "served", "root": "data"}


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        ({"work": "data"}, "work ({0}/data) is the same folder as data.root ({0}/data)"),
        ({"work": "data/runs"}, "work ({0}/data/runs) lies in data.root ({0}/data)"),
        ({"root": "runs/data"}, "work ({0}/runs) contains data.root ({0}/runs/data)"),
        ({"work": "link to data/runs"}, "work ({0}/data/runs) lies in data.root"),
        ({"root": "."}, "work ({0}/runs) lies in data.root ({0})"),
        ({"serving": "runs/served"}, "work ({0}/runs) contains serving ({0}/runs/served)"),
        ({"serving": "runs"}, "work ({0}/runs) is the same folder as serving"),
        ({"work": "served/runs"}, "work ({0}/served/runs) lies in serving ({0}/served)"),
        ({"serving": "data/served"}, "serving ({0}/data/served) lies in data.root ({0}/data)"),
        ({"model": "runs/model"}, "work ({0}/runs) contains model.path ({0}/runs/model)"),
        ({"model": "served/1"}, "serving ({0}/served) contains model.path ({0}/served/1)"),
        ({"source": "../runs/eval.json"}, "work ({0}/runs) is the same folder as data.sources.0"),
        ({"source": "link to runs"}, "work ({0}/runs) is the same folder as data.sources.0.path"),
        ({"source": "{0}/other/a.json", "work": "other/runs"}, "work ({0}/other/runs) lies in"),
        ({"images": "{0}/elsewhere/jpg", "serving": "elsewhere"}, "data.sources.0.images ({0}/"),
        ({"watch": "{0}/fresh", "work": "fresh/runs"}, "lies in watch.source.path ({0}/fresh)"),
    ],
)
def test_folders_that_are_written_to_are_apart_from_all_others(tmp_path, places, sentence):
    with_links(tmp_path)
    model = tmp_path / places.get("model", "model")
    shutil.copytree(ROOT / "demo" / "model", model)
    folders = {**APART, **places}
    source = {"path": folders.get("source", "eval").format(tmp_path)}
    if "images" in folders:
        source["images"] = folders["images"].format(tmp_path)
    document = {
        **DIGITS,
        **{key: str(tmp_path / folders[key]) for key in ("work", "serving")},
        "model": {"path": str(model)},
        "data": {"root": str(tmp_path / folders["root"]), "sources": [source]},
    }
    if "watch" in folders:
        document["watch"] = {**WATCH, "source": {"path": folders["watch"].format(tmp_path)}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert sentence.format(tmp_path) in str(error.value)
    assert "name two folders of which neither contains the other" in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_folders_beside_one_another_are_apart(tmp_path):
    document = {**DIGITS, "work": str(tmp_path / "data2"), "serving": str(tmp_path / "dat")}
    document["data"] = {**DIGITS["data"], "root": str(tmp_path / "data")}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    assert load_config(path).work == tmp_path / "data2"
