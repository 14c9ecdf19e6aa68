"""Cached features: what the frozen parts make of each training view is computed once.

Where backbone and neck are frozen, most of a training step would compute the same again.
"""

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.detectors.detector import Batch, Detector

MAX_BYTES = 4_000_000_000
"""On disk; there are fewer views where they would take more."""

Features = tuple[tf.Tensor, ...]


class FeatureCache:
    """Views of training images, in the order in which they came: features, boxes and labels.

    The features lie in memory-mapped files of `dtype`; half precision halves the disk.
    """

    def __init__(self, folder: Path, capacity: int, dtype: npt.DTypeLike = np.float16) -> None:
        self._folder, self._capacity, self._dtype = folder, capacity, dtype
        self._maps: list[np.memmap] = []
        self._labels: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def bytes_per_view(self) -> int:
        """Of the features of one view."""
        return sum(int(np.prod(m.shape[1:])) * m.dtype.itemsize for m in self._maps)

    def add(self, features: Features, batch: Batch) -> bool:
        """Adds a batch; False when it no longer fits, and nothing is added."""
        count = int(batch.images.shape[0])
        if not self._maps:
            one = sum(int(np.prod(f.shape[1:])) for f in features) * np.dtype(self._dtype).itemsize
            self._capacity = min(self._capacity, MAX_BYTES // one)
            self._maps = [
                np.memmap(
                    self._folder / f"{level}.npy",
                    self._dtype,
                    "w+",
                    shape=(self._capacity, *feature.shape[1:]),
                )
                for level, feature in enumerate(features)
            ]
        start = len(self)
        if start + count > self._capacity:
            return False
        for store, feature in zip(self._maps, features, strict=True):
            store[start : start + count] = tf.cast(feature, tf.float32).numpy()
        self._labels += zip(
            batch.boxes.numpy(), batch.labels.numpy(), batch.weights.numpy(), strict=True
        )
        return True

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
    scratch: Path | None = None,
) -> Iterator[FeatureCache]:
    """A cache of the first `count` batches, on disk until the block ends.

    scratch: the folder, emptied first of what a killed run left; a temporary one by default.
    """
    features = tf.function(detector.features, autograph=False)
    with _empty_folder(scratch) as folder:
        cache: FeatureCache | None = None
        for number, batch in enumerate(batches):
            cache = cache or FeatureCache(folder, count * int(batch.images.shape[0]))
            if number == count or not cache.add(features(batch.images), batch):
                break
            if number % 50 == 0:
                report(f"caching features: batch {number + 1}/{count}")
        if cache is None:
            cache = FeatureCache(folder, 0)
        else:
            size = len(cache) * cache.bytes_per_view / 1e6
            report(f"{len(cache)} views cached, {size:.0f} MB")
        yield cache


@contextmanager
def _empty_folder(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="classlift-features-") as made:
            yield Path(made)
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
