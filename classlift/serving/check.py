"""Whether an export answers as a server would ask it, in a process of its own."""

import base64
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from classlift.errors import ModelError

TOLERANCE = 1e-4
"""The largest difference of scores and 0..1 coordinates, batch against single: kernels may sum in
another order."""

TIMEOUT = 300  # seconds


def check_export(saved_model: Path, images: Sequence[bytes]) -> dict[str, Any]:
    """Replays image files against a SavedModel; returns the probe's answers.

    Raises ModelError when the export does not load, answers differently for a batch than for its
    images, or answers with what is not a number.
    """
    answers = _ask(saved_model, images, f"{saved_model}: the export")
    if not (answers["finite"] and answers["largest_difference"] <= TOLERANCE):
        raise ModelError(
            f"{saved_model}: a batch and its single images differ by "
            f"{answers['largest_difference']:.2g}, or the answers are no numbers."
        )
    if answers["unwanted_modules"]:
        raise ModelError(f"{saved_model}: loading it imported {answers['unwanted_modules']}.")
    return answers


def require_answers(saved_model: Path, name: str) -> None:
    """Loads a SavedModel in a clean process, and asks it about two grey images.

    name: of the model, in words, for the error. Raises ModelError when it does not load, or answers
    with what is not a number.
    """
    with io.BytesIO() as file:
        Image.new("RGB", (64, 64), (128, 128, 128)).save(file, "PNG")
        image = file.getvalue()
    if not _ask(saved_model, [image, image], name)["finite"]:
        raise ModelError(f"{name} answers with what is no number.")


def _ask(saved_model: Path, images: Sequence[bytes], name: str) -> dict[str, Any]:
    """What the probe found out in a process of its own.

    Raises ModelError when there is no answer for each image.
    """
    with tempfile.TemporaryDirectory() as folder:
        requests = Path(folder, "requests.json")
        requests.write_text(json.dumps([base64.b64encode(image).decode() for image in images]))
        probe = Path(__file__).with_name("probe.py")
        try:
            process = subprocess.run(
                [sys.executable, "-I", str(probe), str(saved_model), str(requests)],
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                env={},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ModelError(
                f"{name} does not answer in a clean process within {TIMEOUT} s."
            ) from None
    if process.returncode:
        lines = [line for line in process.stderr.splitlines() if line and not line[0].isspace()]
        last = lines[-1] if lines else f"it ended with code {process.returncode}"
        last = last.replace(f"{saved_model}/", "")  # a draft is gone when this is read
        raise ModelError(f"{name} does not answer in a clean process: {last}")
    answers: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    if answers["shapes"]["detection_scores"][0] != len(images):
        raise ModelError(
            f"{name} answered for {answers['shapes']['detection_scores'][0]} "
            f"of {len(images)} images."
        )
    return answers
