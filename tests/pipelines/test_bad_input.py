"""Damaged data and wrong parameters stop a run before any training, with one sentence."""

import json
import shutil
from pathlib import Path

import pytest

from tests.pipelines.conftest import small_project
from tests.project import Project

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Project:
    """A project with few scenes, enough for validation."""
    return small_project(tmp_path_factory.mktemp("small"), "small_test", 60)


@pytest.fixture
def labels(small):
    """The path of the new labels; what a test does to them is undone."""
    folder = small.folder / "data" / "new"
    copy = shutil.copytree(folder, small.folder / "copy")
    yield folder / "annotations.json"
    shutil.rmtree(folder)
    copy.rename(folder)


def box_outside(path: Path) -> None:
    coco = json.loads(path.read_text())
    coco["annotations"][4]["bbox"] = [120, 10, 30, 20]
    path.write_text(json.dumps(coco))


def unknown_class(path: Path) -> None:
    coco = json.loads(path.read_text())
    coco["categories"].append({"id": 11, "name": "zebra"})
    coco["annotations"][4]["category_id"] = 11
    path.write_text(json.dumps(coco))


def truncated_image(path: Path) -> None:
    image = path.parent / "images" / "000007.jpg"
    image.write_bytes(image.read_bytes()[:1500])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (box_outside, ["new/annotations.json annotation 5", "leaves its image", "xmax 150,"]),
        (unknown_class, ["new/annotations.json annotation 5", "in the label map", "zebra"]),
        (truncated_image, ["new/images/000007.jpg", "decoded whole", "annotations.json image 8"]),
    ],
)
def test_damaged_data_stop_the_run_with_one_sentence(small, labels, damage, words):
    damage(labels)
    result = small.command("classlift", "run", "--config", str(small.config))
    assert result.returncode == 78, result.stdout
    sentence = next(line for line in result.stdout.splitlines() if "stopped:" in line)
    assert sentence.startswith("[2/14] DataValidator: stopped: The data break a rule")
    assert all(word in sentence for word in words), sentence
    assert set(small.outcomes()) == {"DatasetSnapshot"}  # nothing after it was started
    assert small.versions() == []
    assert (small.work / "validation" / "findings.json").exists()


INJECTIONS = [
    '"; touch pwned #',
    "$(touch pwned)",
    "{{ macros }}",
    "8\n",
    "8" * 10_000,
]


@pytest.mark.parametrize("target", INJECTIONS, ids=range(len(INJECTIONS)))
def test_a_target_that_is_no_class_is_refused(small, target):
    words = ["classlift", "run", "--config", str(small.config), "--set", f"target={target}"]
    result = small.command(*words)
    assert result.returncode == 78
    assert "Invalid input for param target:" in result.stdout
    assert not list(small.folder.rglob("pwned"))


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ('recall_floors={"11": 0.5}', "param recall_floors: '11' is not one of ['0', '1',"),
        ("steps=true", "param steps: True is not of type"),
        ("steps=[1]", "param steps: '[1]' is not of type"),
        ("steps", "'steps' must be NAME=VALUE"),
    ],
)
def test_wrong_assignments_are_refused(small, assignment, sentence):
    words = ["classlift", "run", "--config", str(small.config), "--set", assignment]
    result = small.command(*words)
    assert result.returncode == 78
    assert sentence in result.stdout


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ('{"stepps": 1}', "no run parameter 'stepps'"),
        ('{"steps": "many"}', "Invalid input for param steps: 'many'"),
        ("not json", "CLASSLIFT_PARAMETERS: not valid JSON"),
        ("[]", "must be a JSON object"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_a_node_checks_its_parameters_itself(small, parameters, sentence):
    """Whoever starts it: the form, REST and the CLI all end here."""
    words = ["pipelines.run_node", "--compiled", str(small.compiled / "small_test")]
    words += ["--node", "DatasetSnapshot", "--run-id", "x"]
    result = small.command(*words, CLASSLIFT_PARAMETERS=parameters)
    assert result.returncode == 78
    assert sentence in result.stdout


def test_an_unknown_node_is_named(small):
    words = ["pipelines.run_node", "--compiled", str(small.compiled / "small_test")]
    result = small.command(*words, "--node", "Evaluator", "--run-id", "x")
    assert result.returncode == 78
    assert "no node 'Evaluator'; there are: DatasetSnapshot" in result.stdout


def test_not_compiled_is_a_sentence(small, tmp_path):
    words = ["pipelines.run_node", "--compiled", str(tmp_path)]
    result = small.command(*words, "--node", "Pusher", "--run-id", "x")
    assert result.returncode == 78
    assert "there is no compiled pipeline" in result.stdout
