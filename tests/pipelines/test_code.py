"""Which code each component is cached by: all that it can read, and no more."""

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pipelines import code
from pipelines.code import DATA_SUFFIXES, PACKAGES, ROOT, code_version, files_of

pytestmark = pytest.mark.unit
COMPONENTS = sorted(
    path.stem
    for path in (ROOT / "components").glob("*.py")
    if path.stem not in ("__init__", "artifacts")
)
NO_COMPONENT = {"watch/report.html.j2", "examples/schema.pbtxt"}
"""Files that other commands read."""


def rooms(module: str) -> set[str]:
    files = {path.relative_to(code.ROOT) for path in files_of(module)}
    return {path.parts[1] for path in files if path.parts[0] == "classlift" and len(path.parts) > 2}


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Iterator[Path]:
    """The packages in another folder, where tests may change them."""
    root = tmp_path_factory.mktemp("copied")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, root / package, ignore=ignored)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "ROOT", root)
        for name in ("_file", "_read_by"):
            patch.setattr(code, name, cache(getattr(code, name).__wrapped__))
        yield root


def versions() -> dict[str, str]:
    return {name: code_version(f"components.{name}") for name in COMPONENTS}


@pytest.mark.parametrize(
    ("file", "runs_again", "stays"),
    [
        ("components/recall_gate.py", {"recall_gate"}, set(COMPONENTS) - {"recall_gate"}),
        ("classlift/gate/report.html.j2", {"recall_gate"}, {"trainer", "bulk_detect"}),
        ("classlift/gate/rules.py", {"recall_gate"}, {"bulk_detect", "champion_resolver"}),
        ("classlift/diagnosis/causes.py", {"class_diagnoser"}, {"trainer", "bulk_detect"}),
        ("classlift/training/loop.py", {"trainer"}, {"champion_resolver", "class_diagnoser"}),
        ("classlift/serving/publish.py", {"pusher"}, {"trainer", "recall_gate"}),
        ("classlift/errors.py", set(COMPONENTS), set()),
    ],
)
def test_a_change_runs_again_what_can_read_it_and_no_more(copied, file, runs_again, stays):
    before = versions()
    with (copied / file).open("a") as changed_file:
        changed_file.write("\n# changed\n")
    after = versions()
    changed = {name for name in COMPONENTS if after[name] != before[name]}
    assert runs_again <= changed
    assert not stays & changed


def test_what_a_clean_process_runs_is_read_too():
    probe = code.ROOT / "classlift" / "serving" / "probe.py"
    assert probe in files_of("components.serving_check")


def test_no_file_that_is_read_at_run_time_is_forgotten():
    read = {path for name in COMPONENTS for path in files_of(f"components.{name}")}
    files = {path for s in DATA_SUFFIXES for path in (code.ROOT / "classlift").rglob(f"*{s}")}
    known = {code.ROOT / "classlift" / name for name in NO_COMPONENT}
    assert files - read == known


def test_the_gate_and_what_comes_after_are_no_matter_of_data():
    for module in ("dataset_snapshot", "rebalanced_example_gen", "data_validator"):
        assert not rooms(f"components.{module}") & {"gate", "training", "diagnosis"}
