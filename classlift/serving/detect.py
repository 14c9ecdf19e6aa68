"""A model's answers for record files, a file a shard."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from classlift.data.examples import example_files
from classlift.data.formats.tfrecord import count_records
from classlift.data.label_map import LabelMap
from classlift.data.predictions import Predictions
from classlift.serving.bundle import Bundle
from classlift.transforms import LOCAL_OPTIONS, count_images, map_shards

logger = logging.getLogger(__name__)

PARTS = ".parts"
STUDIED, OBJECTS = ("train", "eval"), "objects.parquet"
STUDIED_IMAGES = 1500
"""The most images of a split whose objects are described; more tell a linear probe nothing new."""


def detect(
    saved_model: Path,
    examples: Path,
    splits: Sequence[str],
    folder: Path,
    options: Sequence[str] = LOCAL_OPTIONS,
    study: bool = False,
) -> None:
    """Writes `Predictions` of a bundle on splits of an Examples artifact, a folder a split.

    Args:
        saved_model: folder of the bundle.
        examples: folder of the Examples.
        splits: to predict.
        folder: to write below.
        options: Beam's.
        study: of `STUDIED_IMAGES` of the splits `STUDIED`, also writes `objects.parquet`
            (`schema.OBJECTS`) if the model can describe them; of `train`, no other images are
            predicted.

    Raises:
        DataError: something went wrong in a worker; it has that sentence.

    """
    wanted = dict.fromkeys([*splits, *(STUDIED if study else ())])
    files = {split: example_files(examples, split) for split in wanted}
    shards = []
    for split, found in files.items():
        images = -(-STUDIED_IMAGES // len(found)) if study and split in STUDIED else None
        shards += [
            Shard(file, f"{split}/{number:05d}", images, partly=split not in splits)
            for number, file in enumerate(found)
        ]
    parts = folder / PARTS
    map_shards(
        _detect_file,
        shards,
        parts,
        options,
        images=sum(map(_images_of, shards)),
        saved_model=str(saved_model),
    )
    for split, found in files.items():
        folders = [parts / split / f"{number:05d}" for number in range(len(found))]
        predictions = Predictions.join(map(Predictions.read, folders))
        predictions.write(folder / split)
        described = [pq.read_table(part / OBJECTS) for part in folders if (part / OBJECTS).exists()]
        if described:
            pq.write_table(pa.concat_tables(described), folder / split / OBJECTS)
        logger.info(
            f"{split}: {predictions.detections.num_rows} detections on "
            f"{len(predictions.image_ids)} images"
        )
    shutil.rmtree(parts)


@dataclass(frozen=True)
class Shard:
    """A record file: of so many images the objects are described, and, `partly`, no others read."""

    file: str
    name: str
    images: int | None
    partly: bool


def _images_of(shard: Shard) -> int:
    """How many of its images are predicted, about."""
    images = count_records([shard.file])
    return min(images, shard.images or images) if shard.partly else images


def _detect_file(shard: Shard, folder: Path, saved_model: str) -> None:
    from classlift.detectors.predict import describe_objects, predict

    serve, describe, label_map = _load(saved_model)
    limit = shard.images if shard.partly else None
    found = predict(serve, [shard.file], label_map, limit, count_images)
    found.write(folder / shard.name)
    if describe is not None and shard.images is not None:
        objects = describe_objects(describe, [shard.file], found, shard.images)
        pq.write_table(objects, folder / shard.name / OBJECTS)


@cache  # once a worker
def _load(saved_model: str) -> tuple[Any, Any, LabelMap]:
    from classlift.detectors.predict import load_signatures

    return *load_signatures(Path(saved_model)), Bundle(Path(saved_model)).label_map()
