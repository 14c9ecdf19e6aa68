"""Lines of progress: one formatter for all processes, and no other library's lines among them."""

import io
import logging
import subprocess
import sys

import pytest

from classlift import progress
from tests.project import ROOT

pytestmark = pytest.mark.unit
OURS = ("classlift.data.snapshot", "components.trainer", "pipelines.hooks", "demo", "__main__")


@pytest.mark.parametrize("name", OURS)
def test_a_line_is_its_message(name):
    stream = io.StringIO()
    progress.configure(stream)
    logging.getLogger(name).info("reading 50% of a\x1b[31m\nb")
    assert stream.getvalue() == "reading 50% of a\\x1b[31m\\nb\n"


def test_a_process_that_configures_anew_says_nothing_twice(capsys):
    progress.configure(sys.stderr)
    progress.configure(sys.stdout)
    logging.getLogger(OURS[0]).info("once")
    assert capsys.readouterr() == ("once\n", "")


def test_a_node_marks_its_lines(capsys):
    progress.configure_node("100%s Trainer")
    logging.getLogger(OURS[0]).info("starting")
    assert capsys.readouterr().out == "classlift| 100%s Trainer: starting\n"


def test_the_seconds_of_the_process_stand_before_the_line():
    stream = io.StringIO()
    progress.configure(stream, progress.ELAPSED)
    record = logging.LogRecord("demo", logging.INFO, "run.py", 1, "compiling", None, None)
    record.relativeCreated = 12_340.0
    logging.getLogger("demo").handle(record)
    assert stream.getvalue() == "  12.3 s  compiling\n"


def test_what_can_not_be_written_stops_the_process_as_print_does():
    stream = io.StringIO()
    progress.configure(stream)
    stream.close()
    with pytest.raises(ValueError, match="closed file"):
        logging.getLogger(OURS[0]).info("reading")


ABSL = """
import sys
from classlift.progress import configure
configure(sys.stdout)
import logging
from absl import logging as absl
logging.basicConfig(level=logging.INFO)
absl.use_absl_handler()
absl.set_verbosity(absl.INFO)
logging.getLogger("classlift.data").info("ours")
absl.info("absl's")
logging.getLogger("tensorflow").info("TensorFlow's")
"""

PROGRAM = """
import logging, sys
from classlift.progress import show_by_default
if sys.argv[1:]:
    logging.basicConfig(level=logging.INFO, format="theirs: %(message)s", stream=sys.stdout)
show_by_default()
show_by_default()
logging.getLogger("classlift.data").info("reading")
logging.getLogger("other").info("other")
"""


def started(code: str, *words: str) -> tuple[str, str]:
    result = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return result.stdout, result.stderr


def test_what_libraries_do_to_the_root_changes_nothing():
    out, err = started(ABSL)
    assert out == "ours\n"
    assert "absl's" in err
    assert "ours" not in err


def test_a_program_that_says_nothing_of_logging_sees_the_lines():
    assert started(PROGRAM) == ("", "reading\n")


def test_a_program_that_does_decides_for_itself():
    assert started(PROGRAM, "own") == ("theirs: reading\ntheirs: other\n", "")


def test_what_takes_long_says_how_far_it_is_and_nothing_twice(monkeypatch, caplog):
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    countdown = progress.Countdown(logging.getLogger(OURS[0]), 5400, "images")
    for seconds, images in ((1, 200), (4, 1000), (3, 0), (3, 100), (20, 4100)):
        now += seconds
        countdown.add(images)
    assert caplog.messages == [
        "1,200 of 5,400 images, 18 s left",  # after 5 seconds
        "1,300 of 5,400 images, 35 s left",  # nothing was done in between; all: no line
    ]
