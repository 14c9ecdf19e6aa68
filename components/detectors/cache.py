"""Cached features: what the frozen parts make of each training view is computed once.

Where backbone and neck are frozen, most of a training step would compute the same again; and so
would the next run, where only other parts of the recipe have changed.
"""

import fcntl
import hashlib
import itertools
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components import own_folders
from components.dataset.paths import replacing
from components.detectors.detector import Batch, Detector

MAX_BYTES = 4_000_000_000
"""On disk; there are fewer views where they would take more."""

INDEX = "index.json"
BATCHES_PER_FLUSH = 50

Features = tuple[tf.Tensor, ...]


class FeatureCache:
    """Views of training images, in the order in which they came: features, boxes and labels.

    The features lie in memory-mapped files of `dtype`; half precision halves the disk. An index
    beside them names their batches, so that a cache of the same `key` in the same folder knows them
    again.
    """

    def __init__(
        self, folder: Path, capacity: int, dtype: npt.DTypeLike = np.float16, key: str = ""
    ) -> None:
        self._folder, self._capacity, self._dtype = folder, capacity, np.dtype(dtype)
        self._key = f"{key} {capacity} {self._dtype}"
        self._maps: list[np.memmap] = []
        self._labels: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._batches: list[str] = []
        """The names of those whose features are there; this cache has come to `_position`."""
        self._position = 0
        index = folder / INDEX
        if index.exists():
            note = json.loads(index.read_text())
            if note["key"] == self._key:
                self._map(note["shapes"], "r+")
                self._batches = note["batches"]

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def bytes_per_view(self) -> int:
        """Of the features of one view."""
        return sum(int(np.prod(m.shape[1:])) * m.dtype.itemsize for m in self._maps)

    def knows(self, batch: Batch, name: str) -> bool:
        """Takes up the next batch if its features are there already, under that name."""
        known = self._batches[self._position : self._position + 1] == [name]
        if known:
            self._label(batch)
        return known

    def add(self, features: Features, batch: Batch, name: str = "") -> bool:
        """Adds the next batch; False when it no longer fits, and nothing is added."""
        count = int(batch.images.shape[0])
        if not self._maps:
            one = sum(int(np.prod(f.shape[1:])) for f in features) * self._dtype.itemsize
            capacity = min(self._capacity, MAX_BYTES // one)
            (self._folder / INDEX).unlink(missing_ok=True)
            for other in self._folder.glob("*.npy"):
                other.unlink()
            self._map([(capacity, *feature.shape[1:]) for feature in features], "w+")
        start = len(self)
        if start + count > len(self._maps[0]):
            return False
        if self._position < len(self._batches):  # others lie there, and will not any more
            del self._batches[self._position :]
            self.flush()
        for store, feature in zip(self._maps, features, strict=True):
            store[start : start + count] = tf.cast(feature, tf.float32).numpy()
        self._batches.append(name)
        self._label(batch)
        if self._position % BATCHES_PER_FLUSH == 0:
            self.flush()
        return True

    def flush(self) -> None:
        """Writes what is there to disk, then the index: a killed run leaves no false entry."""
        for store in self._maps:
            store.flush()
        note = {
            "key": self._key,
            "shapes": [store.shape for store in self._maps],
            "batches": self._batches,
        }
        with replacing(self._folder / INDEX) as draft:
            draft.write_text(json.dumps(note))

    def _map(self, shapes: Sequence[Sequence[int]], mode: Literal["r+", "w+"]) -> None:
        self._maps = [
            np.memmap(self._folder / f"{level}.npy", self._dtype, mode, shape=tuple(shape))
            for level, shape in enumerate(shapes)
        ]

    def _label(self, batch: Batch) -> None:
        self._labels += zip(
            batch.boxes.numpy(), batch.labels.numpy(), batch.weights.numpy(), strict=True
        )
        self._position += 1

    def read(self, views: npt.NDArray[np.int64]) -> tuple[Features, Batch]:
        """Features in float32 and labels of some views; the batch has no images."""
        order = np.argsort(views)  # the disk is read in one direction
        back = np.argsort(order)
        features = tuple(
            tf.constant(np.asarray(store[views[order]], np.float32)[back]) for store in self._maps
        )
        found = [self._labels[view] for view in views]
        longest = max(len(labels) for _, labels, _ in found)
        boxes = np.zeros((len(views), longest, 4), np.float32)
        labels = np.zeros((len(views), longest), np.int32)
        weights = np.zeros((len(views), longest), np.float32)
        for row, (b, c, w) in enumerate(found):
            boxes[row, : len(c)], labels[row, : len(c)], weights[row, : len(c)] = b, c, w
        none = tf.zeros([len(views), 0, 0, 3])
        return features, Batch(none, *map(tf.constant, (boxes, labels, weights)))

    def draw(self, batch_size: int, seed: int, start: int = 0) -> Iterator[tuple[Features, Batch]]:
        """Endless batches from the one numbered `start` on: all views in a random order, then all
        in another one. Empty when there are no views.
        """
        rng = np.random.default_rng(seed)
        left = np.empty(0, np.int64)
        for number in itertools.count() if len(self) else ():
            while len(left) < batch_size:
                left = np.concatenate([left, rng.permutation(len(self))])
            views, left = left[:batch_size], left[batch_size:]
            if number >= start:
                yield self.read(views)


@contextmanager
def cached(
    detector: Detector,
    batches: Iterable[Batch],
    count: int,
    report: Callable[[str], None] = print,
    folder: Path | None = None,
    key: str = "",
) -> Iterator[FeatureCache]:
    """A cache of the first `count` batches.

    folder: keeps the features for the next run, which computes only those of batches with other
        pixels; None for a temporary folder, which the second of two runs at once takes too.
    key: of what makes the features of pixels; those of another key are replaced.
    """
    features = tf.function(detector.features, autograph=False)
    with _owned(folder, report) as own:
        cache: FeatureCache | None = None
        known = 0
        for number, batch in enumerate(batches):
            if cache is None:
                cache = FeatureCache(own, count * int(batch.images.shape[0]), key=key)
            if number == count:
                break
            name = hashlib.blake2b(batch.images.numpy(), digest_size=16).hexdigest()
            if cache.knows(batch, name):
                known += 1
            elif not cache.add(features(batch.images), batch, name):
                break
            if number % 50 == 0:
                report(f"caching features: batch {number + 1}/{count}")
        if cache is None:
            cache = FeatureCache(own, 0)
        else:
            cache.flush()
            size = len(cache) * cache.bytes_per_view / 1e6
            report(
                f"{len(cache)} views cached, {size:.0f} MB"
                + (f"; {known} batches of them from an earlier run" if known else "")
            )
        yield cache


@contextmanager
def _owned(folder: Path | None, report: Callable[[str], None]) -> Iterator[Path]:
    """The folder, for this process alone; a temporary one where there is none or it is taken."""
    with ExitStack() as stack:
        if folder is not None:
            own_folders.make(folder, own_folders.FEATURES)
            lock = stack.enter_context((folder / "lock").open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                report(f"another run is using {folder}: its features are not shared")
            else:
                yield folder
                return
        temporary = tempfile.TemporaryDirectory(prefix="classlift-features-")
        yield Path(stack.enter_context(temporary))
