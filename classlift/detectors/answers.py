"""A model's answers of an earlier run, kept image by image: it is not asked about an image twice.

They are the same to the bit as those of the model. TensorFlow chooses its kernels by the shape of a
batch, and by the machine; of the other images of a batch none changes a bit of an answer. So an
answer is known again by the model, the code, the machine, the batch's shape, and the image.
"""

import hashlib
import io
import json
import logging
import os
import platform
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from classlift import own_folders
from classlift.data.checksums import with_checksum, without_checksum
from classlift.paths import replacing

logger = logging.getLogger(__name__)

Ask = Callable[..., dict[str, tf.Tensor]]
"""Asks about a batch of encoded images, string[batch], and whatever else is said of each."""

Arrays = dict[str, npt.NDArray[np.generic]]

SUFFIX = ".answers"

NAMES = "names"
"""The array, beside the answers of a batch, that says of what they are."""

_SETTINGS = ("DNNL_", "OMP_", "ONEDNN_", "TF_ENABLE_", "TF_NUM_", "XLA_")
"""What the variables begin with that choose kernels, or how many threads share a sum."""


@dataclass(frozen=True)
class Answers:
    """Where a model's answers are kept, for workers.

    Attributes:
        folder: with a folder a run.
        run: the folder of this one.
        key: of the model and of the code.

    """

    folder: Path
    run: str
    key: str

    def remembering(self, ask: Ask) -> "Remembering":
        """The same function, but that what was answered in an earlier run is not asked."""
        return Remembering(ask, self)


@contextmanager
def kept(folder: Path, key: str) -> Iterator[Answers]:
    """Answers of earlier runs, and of this one, which replace them once the block ended well.

    Args:
        folder: that keeps them.
        key: of all that answers depend on beside images and machine; those of another are let go.

    Yields:
        The answers.

    """
    own_folders.make(folder, own_folders.ANSWERS)
    answers = Answers(folder, uuid.uuid4().hex, key)
    (folder / answers.run).mkdir()
    yield answers
    for path in folder.iterdir():
        if path.is_dir() and path.name != answers.run:
            shutil.rmtree(path)


class Remembering:
    """See `Answers.remembering`."""

    def __init__(self, ask: Ask, answers: Answers) -> None:
        self._ask, self._answers = ask, answers

    def __call__(self, encoded: tf.Tensor, **more: tf.Tensor) -> dict[str, tf.Tensor]:
        """The answer to a batch."""
        names = self._names(encoded, more)
        found = self._recall(names)
        if found is None:
            found = {k: v.numpy() for k, v in self._ask(encoded, **more).items()}
        folder = self._answers.folder / self._answers.run
        with replacing(folder / f"{uuid.uuid4().hex}{SUFFIX}") as draft:
            draft.write_bytes(_written({NAMES: np.array(names), **found}))
        return {key: tf.constant(value) for key, value in found.items()}

    def _names(self, encoded: tf.Tensor, more: dict[str, tf.Tensor]) -> list[bytes]:
        """What each row of a batch is known by."""
        arrays = {name: value.numpy() for name, value in more.items()}
        shapes = [len(encoded), *((name, array.shape) for name, array in arrays.items())]
        all_have = hashlib.sha256(repr((self._answers.key, machine(), shapes)).encode())
        names = []
        for row, image in enumerate(encoded.numpy()):
            digest = all_have.copy()
            for array in arrays.values():
                digest.update(array[row].tobytes())
            digest.update(image)
            names.append(digest.hexdigest().encode())
        return names

    def _recall(self, names: Sequence[bytes]) -> Arrays | None:
        """The answers of an earlier run, if it had the whole batch."""
        places = _index(self._answers.folder, self._answers.run)
        if not all(name in places for name in names):
            return None
        rows = []
        for path, number in (places[name] for name in names):
            arrays = _read(path)
            if arrays is None:
                return None
            rows.append({key: value[number] for key, value in arrays.items() if key != NAMES})
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def _written(arrays: Arrays) -> bytes:
    """What a file has: the arrays as numpy writes them, with a checksum."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]  # its stubs know of `allow_pickle` too
    return with_checksum(content.getvalue())


@lru_cache(maxsize=2)  # most batches are those of the run before
def _read(path: Path) -> Arrays | None:
    """The arrays of a file; None, and a line that says so, where it is not as it was written."""
    try:
        content = without_checksum(path.read_bytes())
    except OSError as error:
        logger.warning(f"{path} is left out, for it can't be read: {error.strerror}")
        return None
    if content is None:
        logger.warning(f"{path} is left out, for it is damaged")
        return None
    with np.load(io.BytesIO(content)) as arrays:
        return dict(arrays)


@cache
def _index(folder: Path, run: str) -> dict[bytes, tuple[Path, int]]:
    """File and row of each answer of earlier runs; what is damaged is left out."""
    places: dict[bytes, tuple[Path, int]] = {}
    for path in sorted(folder.glob(f"*/*{SUFFIX}")):
        if path.parent.name != run:
            arrays = _read(path) or {NAMES: np.empty(0, "S1")}
            places.update({name: (path, row) for row, name in enumerate(arrays[NAMES].tolist())})
    if places:
        logger.info(f"{len(places):,} answers of an earlier run: the same is not asked again")
    return places


@cache
def machine() -> str:
    """What computes here, of all that a sum's last digits may depend on."""
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus]
    settings = {k: v for k, v in os.environ.items() if k.startswith(_SETTINGS)}
    threads = len(os.sched_getaffinity(0))
    return json.dumps([tf.__version__, _processor(), threads, details, sorted(settings.items())])


def _processor() -> str:
    """The processor's name and instruction sets, as Linux says them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    said = ("model name", "flags", "CPU part", "Features")  # the last two are ARM's
    return "\n".join(line for line in lines if line.startswith(said))
