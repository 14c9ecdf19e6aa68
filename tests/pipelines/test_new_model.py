"""`classlift new-model` says in one sentence what is wrong, and leaves no folder behind."""

import pytest

from classlift.data.label_map import LabelMap
from tests.project import make_project

pytestmark = pytest.mark.pipeline

NOWHERE = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
"""No download gets through, wherever the tests run."""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (["--preset", "dfine_nano_coco"], "preset 'dfine_nano_coco' of KerasHub could not be had"),
        (["--keras", "none.keras"], "none.keras: there is no such file"),
        (["--small", "d_fine", "--size", "100"], "--size is 100; it must be a multiple of 32"),
    ],
)
def test_bad_sources(tmp_path, source, words):
    project = make_project(tmp_path, "new_model_test")
    labels, folder = tmp_path / "labels.pbtxt", tmp_path / "model"
    LabelMap(("car", "bike")).write(labels)
    result = project.command(
        "classlift",
        "new-model",
        *source,
        *("--labels", str(labels), str(folder)),
        **NOWHERE,
        KAGGLEHUB_CACHE=str(tmp_path / "cache"),
    )
    assert result.returncode == 78, result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.startswith("classlift: ")
    assert words in last
    assert "Traceback" not in result.stdout
    assert not folder.exists()
