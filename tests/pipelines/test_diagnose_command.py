"""`classlift diagnose`: on the demo's model, as a folder to train and as a foreign SavedModel."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from demo import scenes
from tests.project import plain_shell

pytestmark = pytest.mark.pipeline
ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "demo" / "model"


def diagnose(*options: str | Path) -> subprocess.CompletedProcess:
    words = ["classlift", "diagnose", *map(str, options)]
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=plain_shell(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    for split, count in ((scenes.NEW, 60), (scenes.EVAL, 60)):
        scenes.write_split(split, root / split.name, count)
    return root


def labels(data, split):
    return data / split / "annotations.json"


def test_a_model_to_train(data, tmp_path):
    report = tmp_path / "report"
    options = ["--data", labels(data, "eval"), "--train", labels(data, "new"), "--target", "8"]
    result = diagnose("--model", MODEL, *options, "--report", report)
    assert result.returncode == 0, result.stderr
    assert "at the lowest threshold with precision 0.80: so much recalibration" in result.stdout
    assert "1. " in result.stdout
    assert "a linear probe on the frozen features tells them apart" in result.stdout
    facts = json.loads((report / "diagnosis.json").read_text())
    assert [c["score"] for c in facts["causes"]] == sorted(
        (c["score"] for c in facts["causes"]), reverse=True
    )
    page = (report / "diagnosis.html").read_text()
    assert facts["causes"][0]["sentence"].split(";")[0] in page.replace("&#39;", "'")
    assert "<svg" in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)


STOCK = """
import sys
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
served = model.signatures["serving_default"]

class Stock(tf.Module):
    def __init__(self):
        super().__init__()
        self.model = model

    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8)])
    def __call__(self, input_tensor):
        return dict(served(input_tensor))

stock = Stock()
tf.saved_model.save(stock, sys.argv[2], signatures=stock.__call__)
"""
"""The signature of the OD API's own exporter: one image, of any size."""


def test_a_saved_model_of_the_od_api_and_one_set_of_labels(data, tmp_path):
    from classlift.detectors.backends import load_detector
    from classlift.detectors.export import export

    export(load_detector("od_api", MODEL), tmp_path / "ours")
    stock = tmp_path / "stock"
    subprocess.run([sys.executable, "-c", STOCK, tmp_path / "ours", stock], check=True)
    options = ["--data", labels(data, "new"), "--target", "8", "--report", tmp_path / "report"]
    result = diagnose(
        "--model", stock, *options, "--label-map", MODEL / "label_map.pbtxt", "--json"
    )
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert "objects of class 8" in facts["sentences"][2]
    assert "not known for this model" in " ".join(facts["sentences"])  # no anchors, no features
    assert 0 < facts["recalibrated"] <= 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--model", "{}", "--target", "8"], "there is no pipeline.config, no model.keras"),
        (["--model", "{}/stock", "--target", "8"], "give its label map"),
        (["--model", MODEL, "--target", "cat"], "no class is called 'cat'; it has: 0, 1"),
        (["--model", MODEL, "--target", "8", "--precision", "2"], "must lie between 0 and 1"),
    ],
)
def test_bad_input_is_a_sentence(data, tmp_path, options, sentence):
    given = [str(option).format(tmp_path) for option in options]
    (tmp_path / "stock").mkdir()
    (tmp_path / "stock" / "saved_model.pb").touch()
    result = diagnose(*given, "--data", labels(data, "eval"), "--report", tmp_path / "report")
    assert result.returncode == 78
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "report").exists()


def test_no_object_of_the_class(data, tmp_path):
    document = json.loads(labels(data, "eval").read_text())
    number = next(c["id"] for c in document["categories"] if c["name"] == "8")
    kept = [a for a in document["annotations"] if a["category_id"] != number]
    shutil.copytree(data / "eval", tmp_path / "eval")
    labels(tmp_path, "eval").write_text(json.dumps({**document, "annotations": kept}))
    result = diagnose(
        *("--model", MODEL, "--data", labels(tmp_path, "eval"), "--train", labels(data, "new")),
        *("--target", "8", "--report", tmp_path / "report"),
    )
    assert result.returncode == 78
    assert "show no object of class 8" in result.stderr
