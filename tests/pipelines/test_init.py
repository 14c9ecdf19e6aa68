"""A first config for a model and labels, from the command to one that loads."""

import argparse
import json
import re
import shutil

import pytest
import yaml
from PIL import Image

from classlift.cli import load
from classlift.errors import ConfigError, DataError, ModelError
from pipelines.config import ROOT, load_config
from pipelines.first_config import Start, write_first_config

pytestmark = pytest.mark.unit
MODEL = ROOT / "demo" / "model"


@pytest.fixture
def data(tmp_path):
    """60 images of digits: each has a 1, every third an 8, two a 3, one a wheelchair."""
    folder = tmp_path / "digits"
    folder.mkdir()
    names = ["1", "8", "3", "wheelchair"]
    images, annotations = [], []
    for n in range(60):
        Image.effect_noise((64, 48), 20 + n).convert("RGB").save(folder / f"{n}.jpg")
        images.append({"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48})
        shown = [1, *([2] if n % 3 == 0 else []), *([3] if n in (4, 5) else []), *([4] * (n == 7))]
        annotations += [
            {"id": 10 * n + c, "image_id": n, "category_id": c, "bbox": [c, c, 20, 20]}
            for c in shown
        ]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(document))
    return folder


def test_the_rarest_class_that_every_split_has_is_the_target(data, tmp_path):
    path = tmp_path / "digits.yaml"
    written = write_first_config(Start(MODEL, data / "labels.json"), path)
    assert not written.is_ready
    remarks = written.remarks
    config = load_config(path)
    assert (config.name, config.model, config.backend) == ("digits", MODEL, "od_api")
    assert config.defaults["target"] == "8"
    assert config.sources[0].path == data / "labels.json"
    assert remarks[0].startswith("class '8' has ")
    assert "7 of the model's 10 classes have no label" in " ".join(remarks)
    assert any(
        r.startswith("label 'wheelchair' is no class of the model: name it") for r in remarks
    )
    assert any("more objects of class '8'" in r for r in remarks)


@pytest.mark.parametrize(
    ("recalls", "target", "reason"),
    [
        ({"1": 0.5, "8": 0.75}, "1", "finds it worst: .* recall on eval is 0.50, the best of 2"),
        ({"1": 0.5, "3": 0.0}, "1", "the best of 1"),  # 3 has too few objects in eval
        ({"3": 0.0}, "8", "because it is rare: .* no class with at least 10 objects in eval"),
        ({}, "8", "because it is rare"),
        (ModelError("models/x: it is no model."), "8", "not known, for models/x: it is no model;"),
        (DataError("eval has no image."), "8", "not known, for eval has no image;"),
    ],
)
def test_the_class_that_the_model_finds_worst_is_the_target(
    data, tmp_path, recalls, target, reason
):
    def told(*_: object) -> dict[str, float]:
        if isinstance(recalls, Exception):
            raise recalls
        return recalls

    publish(data, train=range(40, 50), eval=range(40), test=range(50, 60))
    path = tmp_path / "digits.yaml"
    remarks = write_first_config(Start(MODEL, data), path, told).remarks
    assert load_config(path).defaults["target"] == target
    assert re.search(reason, remarks[1])


def publish(data, **splits):
    """Parts the labels into files that are called as splits."""
    document = json.loads((data / "labels.json").read_text())
    for name, kept in splits.items():
        images = [image for image in document["images"] if image["id"] in kept]
        boxes = [box for box in document["annotations"] if box["image_id"] in kept]
        part = {**document, "images": images, "annotations": boxes}
        (data / f"{name}.json").write_text(json.dumps(part))
    (data / "labels.json").unlink()


@pytest.mark.parametrize(
    ("published", "split_from", "words"),
    [
        ({"train": range(40), "val": range(40, 60)}, "train", "no images in test, .* are parted"),
        ({"train": range(40), "test": range(40, 60)}, "train", "no images in eval, .* are parted"),
        ({"val": range(30), "test": range(30, 60)}, "spread", "no images in train, .* are spread"),
        ({"train": range(60)}, None, ""),
        ({"train": range(30), "val": range(30, 45), "test": range(45, 60)}, None, ""),
    ],
)
def test_splits_that_lack_one_are_completed(data, tmp_path, published, split_from, words):
    publish(data, **published)
    path = tmp_path / "digits.yaml"
    written = write_first_config(Start(MODEL, data, target="1"), path)
    assert load_config(path).sources[0].split_from == split_from
    said = [remark for remark in written.remarks if "split_from" in remark]
    assert len(said) == bool(words)
    assert re.search(words, "".join(said))
    counts = [int(n) for n in re.findall("[0-9]+", written.remarks[0].partition("has")[2])]
    assert sum(counts) == 60
    assert min(counts) > 0
    assert written.is_ready == (min(counts) >= 10)


def test_a_class_that_the_model_does_not_have_is_a_new_one(data, tmp_path):
    path = tmp_path / "digits.yaml"
    write_first_config(Start(MODEL, data, target="wheelchair"), path)
    assert load_config(path).new_classes == {"wheelchair": 11}
    assert yaml.safe_load(path.read_text())["new_classes"] == ["wheelchair"]


def test_a_folder_and_images_elsewhere(data, tmp_path):
    labels = tmp_path / "labels"
    labels.mkdir()
    shutil.move(data / "labels.json", labels / "labels.json")
    path = tmp_path / "digits.yaml"
    write_first_config(Start(MODEL, labels / "labels.json", images=data), path)
    source = load_config(path).sources[0]
    assert (source.path, source.images) == (labels / "labels.json", data)


@pytest.mark.parametrize(
    ("name", "target", "sentence"),
    [
        ("digits.yaml", "nine", "'nine' is no class of the model, .* and nothing is labelled so"),
        ("2 Digits.yaml", None, "small letters, digits and _ alone"),
        ("my.conf", None, "a config is a YAML file; call it my.yaml"),
        ("no folder/digits.yaml", None, "there is no folder .*no folder to write it in"),
    ],
)
def test_what_can_not_be_begun_leaves_nothing(data, tmp_path, name, target, sentence):
    with pytest.raises(ConfigError, match=sentence):
        write_first_config(Start(MODEL, data, target=target), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_labels_of_another_model_are_named(data, tmp_path):
    text = (data / "labels.json").read_text()
    for digit in "183":
        text = text.replace(f'"name": "{digit}"', f'"name": "letter {digit}"')
    (data / "labels.json").write_text(text)
    sentence = "no label is a class of the model, which has: 0, 1, 2.* as a new class, .* --target"
    with pytest.raises(DataError, match=sentence):
        write_first_config(Start(MODEL, data), tmp_path / "digits.yaml")


def test_a_config_that_is_there_stays(data, tmp_path):
    path = tmp_path / "digits.yaml"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="it is there already"):
        write_first_config(Start(MODEL, data), path)
    assert path.read_text() == "mine"


def run(*words: object) -> int:
    command = load("init")
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def test_the_command_says_what_comes_next(data, tmp_path, capsys):
    path = tmp_path / "my digits" / "digits.yaml"
    path.parent.mkdir()
    assert run("--model", MODEL, "--data", data, "--config", path, "--target", "8") == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"written: {path}; a run would stop at what is missing; after that: "
        f"classlift run --config '{path}'"
    )


@pytest.mark.parametrize("option", [["--data"], []])
def test_the_config_is_called_as_the_data(data, tmp_path, capsys, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    words = ("--model", MODEL, *option, data, "--target", "8")
    assert run(*words) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.endswith("classlift run --config digits.yaml")
    assert load_config(tmp_path / "digits.yaml").name == "digits"
    with pytest.raises(ConfigError, match=r"digits.yaml: it is there already; .* with --config"):
        run(*words)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "required: --model"),
        (("--model", MODEL), "one of the arguments DATA --data is required"),
        (("--model", MODEL, "a", "--data", "b"), "--data: not allowed with argument DATA"),
    ],
)
def test_what_the_command_misses_is_named(words, sentence, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(*words)
    assert sentence in capsys.readouterr().err


def test_a_folder_above_that_of_the_model_names_it(data, tmp_path):
    with pytest.raises(ModelError, match=f"give the folder of a model, such as {MODEL}"):
        write_first_config(Start(MODEL.parent, data), tmp_path / "digits.yaml")


def test_json_has_what_is_missing(data, tmp_path, capsys):
    path = tmp_path / "digits.yaml"
    assert run("--model", MODEL, "--data", data, "--config", path, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said.keys() == {"config", "missing", "ready"}
    assert said["config"] == str(path)
    assert said["missing"]
