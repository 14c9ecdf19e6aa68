"""What of a challenger is pushed: of several targets, only those that are lifted.

The model is made anew from the champion, in a process of its own, which `trim` is.
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from classlift.detectors.backends import ENVIRONMENTS
from classlift.errors import ModelError

ROOT = Path(__file__).resolve().parents[2]
"""The folder that the package lies in."""


@dataclass(frozen=True)
class Shipment:
    """A model to be made of a challenger and its champion.

    Attributes:
        champion: the folder of its SavedModel.
        challenger: likewise.
        backend: of both.
        targets: the classes that the challenger answers for; the champion answers for all others.
        points: the score threshold of each class, 0 to 1.
        images: JPEG or PNG files in base64, on which each class must be answered as by the model
            that answers for it, to the bit.
        folder: of the SavedModel to write.

    """

    champion: str
    challenger: str
    backend: str
    targets: Sequence[str]
    points: Mapping[str, float]
    images: Sequence[str]
    folder: str


def leave_out(
    champion: Path,
    challenger: Path,
    backend: str,
    targets: Sequence[str],
    points: Mapping[str, float],
    images: Sequence[bytes],
    folder: Path,
) -> None:
    """Writes the challenger without what it learned of all but some of its targets.

    Args:
        champion: the SavedModel that the challenger was trained from.
        challenger: its SavedModel.
        backend: of both.
        targets: the classes that keep their branches.
        points: the score threshold of each class, 0 to 1.
        images: JPEG or PNG files on which the model is compared with the two.
        folder: of the SavedModel; it must not be there.

    Raises:
        ModelError: on an image, a class is answered otherwise than by the model that is to answer
            for it; or the model can't be made.

    """
    encoded = [base64.b64encode(image).decode() for image in images]
    shipment = Shipment(
        str(champion), str(challenger), backend, targets, points, encoded, str(folder)
    )
    process = subprocess.run(
        [sys.executable, "-m", "classlift.serving.trim"],
        cwd=ROOT,
        input=json.dumps(asdict(shipment)),
        capture_output=True,
        text=True,
        # On CPUs, where two graphs compute the same bits.
        env={**os.environ, **ENVIRONMENTS[backend], "CUDA_VISIBLE_DEVICES": "-1"},
        check=False,
    )
    if process.returncode:
        last = (process.stderr.strip() or f"it ended with code {process.returncode}").splitlines()
        raise ModelError(
            f"{challenger}: what is not lifted could not be left out, so nothing is pushed: "
            f"{last[-1]}"
        )
