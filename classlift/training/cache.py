"""Cached features: what the frozen parts make of each training view is computed once.

Where backbone and neck are frozen, most of a training step would compute the same again; and so
would the next run, where only other parts of the recipe have changed.
"""

import fcntl
import hashlib
import itertools
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from classlift import own_folders
from classlift.data.checksums import with_checksum, without_checksum
from classlift.detectors.detector import Batch
from classlift.errors import DISK_FULL
from classlift.paths import replacing
from classlift.progress import Countdown

logger = logging.getLogger(__name__)

MAX_BYTES = 4_000_000_000
"""On disk; there are fewer views where they would take more."""

INDEX = "index.json"
BATCHES_PER_FLUSH = 50

Features = tuple[tf.Tensor, ...]


@dataclass(frozen=True)
class _Index:
    """What a cache on disk holds.

    Attributes:
        key: of the cache.
        shapes: of the arrays of features, one a level.
        batches: the name of each batch, and a CRC32C a level of its features.

    """

    key: str
    shapes: Sequence[Sequence[int]]
    batches: Sequence[tuple[str, list[int]]]


class FeatureCache:
    """Views of training images, in the order in which they came: features, boxes and labels.

    The features lie in memory-mapped files of `dtype`; half precision halves the disk. An index
    beside them names their batches, with checksums, so that a cache of the same `key` in the same
    folder knows them again. What is damaged is not known, and `damage` says so.

    capacity: views that it takes, fewer where they would take more than `MAX_BYTES`.
    """

    def __init__(
        self, folder: Path, capacity: int, dtype: npt.DTypeLike = np.float16, key: str = ""
    ) -> None:
        self._folder, self._capacity, self._dtype = folder, capacity, np.dtype(dtype)
        self._key = f"{key} {capacity} {self._dtype}"
        self._maps: list[np.memmap] = []
        self._labels: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._batches: list[tuple[str, list[int]]] = []
        """Names of those whose features are there, and a CRC32C a level of these; this cache has
        come to `_position`."""
        self._position = 0
        self._known = 0
        self.damage: str | None = None
        if (folder / INDEX).exists():
            self._reopen()

    def _reopen(self) -> None:
        """Takes up what an earlier cache of this key left, if it is as that one left it."""
        index = self._read_index()
        if index is None:
            self.damage = f"{INDEX} is damaged"
        elif index.key == self._key:
            for level, shape in enumerate(index.shapes):
                path = self._path(level)
                if not path.is_file() or path.stat().st_size != self._bytes(shape):
                    self.damage = f"{path.name} is not as large as it was"
                    return
            self._map(index.shapes)
            self._batches = [(name, sums) for name, sums in index.batches]

    def _read_index(self) -> _Index | None:
        """What `flush` wrote; None where it is something else now."""
        text = without_checksum((self._folder / INDEX).read_bytes())
        return None if text is None else _Index(**json.loads(text))

    def _path(self, level: int) -> Path:
        return self._folder / f"{level}.npy"

    def _bytes(self, shape: Sequence[int]) -> int:
        return int(np.prod(shape)) * self._dtype.itemsize

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def is_full(self) -> bool:
        """Whether no batch can be added any more."""
        return len(self) >= self._capacity

    @property
    def bytes_per_view(self) -> int:
        """Bytes of the features of one view."""
        return sum(int(np.prod(m.shape[1:])) * m.dtype.itemsize for m in self._maps)

    def knows(self, batch: Batch, name: str) -> bool:
        """Takes up the next batch if its features are there already, under that name."""
        if self._position == len(self._batches) or self._batches[self._position][0] != name:
            return False
        if self._sums(int(batch.images.shape[0])) != self._batches[self._position][1]:
            self.damage = "checksums differ"
            return False
        self._label(batch)
        self._known += 1
        return True

    def _sums(self, count: int) -> list[int]:
        """Checksums of the next views' features, one a level."""
        rows = slice(len(self), len(self) + count)
        return [google_crc32c.value(store[rows].tobytes()) for store in self._maps]

    def add(self, features: Features, batch: Batch, name: str = "") -> bool:
        """Adds the next batch.

        Args:
            features: [batch, rows, columns, channels] each.
            batch: the images' boxes; the images themselves are not kept.
            name: by which the batch is known again.

        Returns:
            False when it no longer fits, and nothing is added.

        Raises:
            OSError: one of `DISK_FULL`, before anything is written.

        """
        count = int(batch.images.shape[0])
        if not self._maps:
            one = sum(int(np.prod(f.shape[1:])) for f in features) * self._dtype.itemsize
            capacity = min(self._capacity, MAX_BYTES // one)
            if capacity < count:
                self._capacity = 0
                return False
            self.clear()
            shapes = [(capacity, *map(int, feature.shape[1:])) for feature in features]
            for level, shape in enumerate(shapes):
                with self._path(level).open("wb") as file:
                    # A page of a sparse file that the disk has no room for ends the process.
                    os.posix_fallocate(file.fileno(), 0, self._bytes(shape))
            self._map(shapes)
        start = len(self)
        if start + count > len(self._maps[0]):
            self._capacity = start
            return False
        if self._position < len(self._batches):  # others lie there, and will not any more
            del self._batches[self._position :]
            self.flush()
        for store, feature in zip(self._maps, features, strict=True):
            store[start : start + count] = tf.cast(feature, self._dtype).numpy()
        self._batches.append((name, self._sums(count)))
        self._label(batch)
        if self._position % BATCHES_PER_FLUSH == 0:
            self.flush()
        return True

    def flush(self) -> None:
        """Writes what is there to disk, then the index: a killed run leaves no false entry."""
        for store in self._maps:
            store.flush()
        index = _Index(self._key, [store.shape for store in self._maps], self._batches)
        text = json.dumps(vars(index)).encode()
        with replacing(self._folder / INDEX) as draft:
            draft.write_bytes(with_checksum(text))

    def clear(self) -> None:
        """Removes the features and their index."""
        self._maps = []
        (self._folder / INDEX).unlink(missing_ok=True)
        for file in self._folder.glob("*.npy"):
            file.unlink()

    def summary(self) -> str:
        """What it holds, in words."""
        known = f"; {self._known} batches of them from an earlier run" if self._known else ""
        return f"{len(self)} views cached, {len(self) * self.bytes_per_view / 1e6:.0f} MB{known}"

    def _map(self, shapes: Sequence[Sequence[int]]) -> None:
        self._maps = [
            np.memmap(self._path(level), self._dtype, "r+", shape=tuple(shape))
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
            tf.cast(tf.constant(store[views[order]][back]), tf.float32) for store in self._maps
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
        """Endless batches: all views in a random order, then all in another one.

        Args:
            batch_size: views of each.
            seed: of the orders.
            start: the number of the first batch; those before it are left out.

        Yields:
            Features and boxes; nothing when there are no views.

        """
        rng = np.random.default_rng(seed)
        left = np.empty(0, np.int64)
        for number in itertools.count() if len(self) else ():
            while len(left) < batch_size:
                left = np.concatenate([left, rng.permutation(len(self))])
            views, left = left[:batch_size], left[batch_size:]
            if number >= start:
                yield self.read(views)


@dataclass(frozen=True)
class Place:
    """Where features of one kind are kept.

    Attributes:
        count: how many batches are taken, or as many as fit.
        folder: keeps the features for the next run, which computes only those of batches with other
            pixels; None for a temporary folder, which the second of two runs at once takes too.
        key: of what makes the features of pixels; those of another key are replaced.

    """

    count: int
    folder: Path | None = None
    key: str = ""


Kinds = Callable[[tf.Tensor, Sequence[int]], Sequence[Features]]
"""The features of images, of the kinds of some numbers."""


@contextmanager
def cached(
    features: Kinds,
    batches: Iterable[Batch],
    places: Sequence[Place],
) -> Iterator[list[FeatureCache]]:
    """Caches of the features of the first batches, from one pass over them.

    Args:
        features: of as many kinds as there are places.
        batches: of images in the frame.
        places: of the kinds.

    Yields:
        The caches; empty ones where the disk has no room for them.

    Raises:
        OSError: a folder can't be written for another reason than a full disk.

    """
    with ExitStack() as stack:
        folders = [stack.enter_context(_owned(place.folder)) for place in places]
        try:
            caches = _filled(features, batches, places, folders)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            caches = [FeatureCache(folder, 0) for folder in folders]
            for cache in caches:
                cache.clear()
            logger.warning(
                f"no features are cached, for the disk of {folders[0]} is full: each step computes "
                "them, which takes longer"
            )
        yield caches


def _filled(
    features: Kinds,
    batches: Iterable[Batch],
    places: Sequence[Place],
    folders: Sequence[Path],
) -> list[FeatureCache]:
    """The caches with the first batches, or as many as fit. Raises OSError as `add` does."""
    compute = tf.function(features, autograph=False)
    caches: list[FeatureCache] = []
    count = max(place.count for place in places)
    countdown = Countdown(logger, count, "batches of features")
    for batch in itertools.islice(batches, count):
        if not caches:
            size = int(batch.images.shape[0])
            caches = [
                FeatureCache(folder, place.count * size, key=place.key)
                for place, folder in zip(places, folders, strict=True)
            ]
        name = hashlib.sha256(batch.images.numpy()).hexdigest()
        growing = [number for number, cache in enumerate(caches) if not cache.is_full]
        unknown = [number for number in growing if not caches[number].knows(batch, name)]
        found = compute(batch.images, tuple(unknown)) if unknown else ()
        for number, kind in zip(unknown, found, strict=True):
            cache = caches[number]
            if cache.damage:
                own = folders[number]
                logger.warning(f"cached features in {own} are made anew: {cache.damage}")
                cache.damage = None
            cache.add(kind, batch, name)
        if all(cache.is_full for cache in caches):
            break
        countdown.add(1)
    for cache in caches:
        if len(cache):
            cache.flush()
            logger.info(cache.summary())
    return caches or [FeatureCache(folder, 0) for folder in folders]


@contextmanager
def _owned(folder: Path | None) -> Iterator[Path]:
    """The folder, for this process alone; a temporary one where there is none or it is taken."""
    with ExitStack() as stack:
        if folder is not None:
            own_folders.make(folder, own_folders.FEATURES)
            lock = stack.enter_context((folder / "lock").open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.info(f"another run is using {folder}: its features are not shared")
            else:
                yield folder
                return
        temporary = tempfile.TemporaryDirectory(prefix="classlift-features-")
        yield Path(stack.enter_context(temporary))
