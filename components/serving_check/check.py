"""Whether an export answers as a server would ask it, in a process of its own."""

import base64
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.errors import ModelError

TOLERANCE = 1e-4
"""Of scores and 0..1 coordinates, batch against single: kernels may sum in another order."""

TIMEOUT = 300  # seconds


def check_export(saved_model: Path, images: Sequence[bytes]) -> dict[str, Any]:
    """Replays image files against a SavedModel; returns the probe's answers.

    Raises ModelError when the export does not load, answers differently for a batch than for its
    images, or answers with what is not a number.
    """
    with tempfile.TemporaryDirectory() as folder:
        requests = Path(folder, "requests.json")
        requests.write_text(json.dumps([base64.b64encode(image).decode() for image in images]))
        probe = Path(__file__).with_name("probe.py")
        process = subprocess.run(
            [sys.executable, "-I", str(probe), str(saved_model), str(requests)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env={},
            check=False,
        )
    if process.returncode:
        last = (process.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"{saved_model}: the export does not answer in a clean process: {last}")
    answers = json.loads(process.stdout.splitlines()[-1])
    if answers["shapes"]["detection_scores"][0] != len(images):
        raise ModelError(
            f"{saved_model}: the export answered for {answers['shapes']['detection_scores'][0]} "
            f"of {len(images)} images."
        )
    if not (answers["finite"] and answers["largest_difference"] <= TOLERANCE):
        raise ModelError(
            f"{saved_model}: a batch and its single images differ by "
            f"{answers['largest_difference']:.2g}, or the answers are no numbers."
        )
    if answers["strange_modules"]:
        raise ModelError(f"{saved_model}: loading it imported {answers['strange_modules']}.")
    return answers
