"""What Airflow's page of a training draws while it goes on."""

import json
import os

import pytest
from defusedxml import ElementTree

from tests.dags.test_outcomes import of_dags

pytestmark = pytest.mark.unit


def written(path, **changes):
    """The file of a training that was evaluated once, as the trainer writes it."""
    document = {
        "policy": "target-branch",
        "steps": 400,
        "done": 120,
        "images_per_second": 31.4,
        "chosen": None,
        "losses": [{"step": 60, "losses": {"class": 3.0}}, {"step": 120, "losses": {"class": 1.5}}],
        "evaluations": [
            {"step": 0, "recalls": {"<8>": 0.25, "van": None}, "ap50": {"<8>": 0.2, "van": None}},
            {"step": 100, "recalls": {"<8>": 0.5, "van": None}, "ap50": {"<8>": 0.4, "van": None}},
        ],
    }
    path.write_text(json.dumps(document | changes))
    os.utime(path, (1764000000, 1764000000))
    return path


@pytest.fixture
def curves(monkeypatch):
    return of_dags("curves", monkeypatch)


def test_a_training_on_its_way_says_how_far_it_is_and_what_it_is_worth(curves, tmp_path):
    told = curves.read_curves(written(tmp_path / "curves.json"))
    assert (
        told.sentence
        == "Training of target-branch: step 120 of 400, 31 images a second; told at 16:00:00 UTC."
    )
    page = ElementTree.fromstring(f"<p>{curves.as_html(told).replace('&nbsp;', ' ')}</p>")
    text = " ".join("".join(page.itertext()).split())
    assert (
        "Class <8>: recall 0.500 at step 100, the best so far 0.500 at step 100, the champion's "
        "0.250." in text
    )
    recalls, losses = page.findall("svg")
    assert recalls.find("polyline").get("points") == "56.0,149.5 199.5,103.0"
    tops = [[word.text for word in chart.findall("text")][2] for chart in (recalls, losses)]
    assert tops == ["1", "5"]
    assert losses.findall("circle")[1][0].text == "class: 1.500 at step 120"


def test_before_its_first_point_and_after_its_last(curves, tmp_path):
    begun = curves.read_curves(
        written(tmp_path / "a", done=0, images_per_second=0.0, losses=[], evaluations=[])
    )
    assert begun.sentence == "Training of target-branch: step 0 of 400; told at 16:00:00 UTC."
    assert "<svg" not in curves.as_html(begun)
    assert "Nothing is evaluated yet." in curves.as_html(begun)
    ended = curves.read_curves(written(tmp_path / "b", done=300, chosen=100))
    assert ended.sentence == (
        "Training of target-branch has ended after 300 of 400 steps; kept: the weights of step 100."
    )
