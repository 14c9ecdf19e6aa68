"""Whether an export answers as a server would ask it, in a process of its own."""

import base64
import io
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from classlift.data.images import encoded_for_tensorflow
from classlift.errors import ModelError
from classlift.serving.manifest import Manifest

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""The largest difference of scores and 0..1 coordinates, batch against single: kernels may sum in
another order."""

TIMEOUT = 300  # seconds


REQUESTS = 8
"""Images of eval that an export is asked about."""


@dataclass(frozen=True)
class Answers:
    """What the probe says of a SavedModel's answers.

    Attributes:
        shapes: of each output for the batch of all images, by name.
        finite: whether all that it answered are numbers.
        largest_difference: of scores and 0..1 coordinates, batch against single images.
        milliseconds: for one image, the median.
        unwanted_modules: modules that loading it imported and must not.

    """

    shapes: Mapping[str, Sequence[int]]
    finite: bool
    largest_difference: float
    milliseconds: float
    unwanted_modules: Sequence[str]


def run(saved_model: Path, images: pa.Table) -> str:
    """Replays images of eval against an export.

    Args:
        saved_model: folder of the export.
        images: `schema.IMAGES` of the snapshot.

    Returns:
        The `digest` of the export that answered.

    Raises:
        ModelError: as `check_export`.
        DataError: an image can't be read.

    """
    encoded = requests(images)
    logger.info(f"asking the export about {len(encoded)} images, together and one by one")
    digest = Manifest.of(saved_model).digest()
    answers = check_export(saved_model, encoded)
    logger.info(f"it answers; {answers.milliseconds:.0f} ms for one image")
    return digest


def requests(images: pa.Table) -> list[bytes]:
    """The images of eval that an export is asked about, as JPEG or PNG files.

    Args:
        images: `schema.IMAGES` of the snapshot.

    Returns:
        Up to `REQUESTS` files.

    Raises:
        DataError: an image can't be read.

    """
    rows = images.filter(pc.equal(images["split"], "eval")).slice(0, REQUESTS)
    return encoded_for_tensorflow(rows)


def check_export(saved_model: Path, images: Sequence[bytes]) -> Answers:
    """Replays image files against a SavedModel in a clean process, as a batch and one by one.

    Args:
        saved_model: its folder.
        images: JPEG or PNG files.

    Returns:
        What the probe found out.

    Raises:
        ModelError: the export does not load, loads what serving has not, answers differently for a
            batch than for its images, or answers with what is not a number.

    """
    answers = _ask(saved_model, images, f"{saved_model}: the export")
    if not (answers.finite and answers.largest_difference <= TOLERANCE):
        raise ModelError(
            f"{saved_model}: a batch and its single images differ by "
            f"{answers.largest_difference:.2g}, or the answers are no numbers."
        )
    if answers.unwanted_modules:
        raise ModelError(f"{saved_model}: loading it imported {answers.unwanted_modules}.")
    return answers


def require_answers(saved_model: Path, name: str) -> None:
    """Loads a SavedModel in a clean process, and asks it about two grey images.

    Args:
        saved_model: its folder.
        name: of the model, in words, for errors.

    Raises:
        ModelError: it does not load, or answers with what is not a number.

    """
    with io.BytesIO() as file:
        Image.new("RGB", (64, 64), (128, 128, 128)).save(file, "PNG")
        image = file.getvalue()
    if not _ask(saved_model, [image, image], name).finite:
        raise ModelError(f"{name} answers with what is no number.")


def _ask(saved_model: Path, images: Sequence[bytes], name: str) -> Answers:
    """Asks a SavedModel by the probe, in a process of its own.

    Returns:
        What the probe found out.

    Raises:
        ModelError: there is no answer for each image within `TIMEOUT`.

    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "requests.json")
        file.write_text(json.dumps([base64.b64encode(image).decode() for image in images]))
        probe = Path(__file__).with_name("probe.py")
        try:
            process = subprocess.run(
                [sys.executable, "-I", str(probe), str(saved_model), str(file)],
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
    answers = Answers(**json.loads(process.stdout.splitlines()[-1]))
    answered = answers.shapes["detection_scores"][0]
    if answered != len(images):
        raise ModelError(f"{name} answered for {answered} of {len(images)} images.")
    return answers
