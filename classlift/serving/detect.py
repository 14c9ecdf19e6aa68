"""A model's answers for record files, a file a shard."""

import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from classlift.data.examples import example_files
from classlift.data.formats.tfrecord import count_records
from classlift.data.label_map import LabelMap
from classlift.data.predictions import Predictions
from classlift.serving.bundle import Bundle
from classlift.serving.manifest import Manifest
from classlift.transforms import LOCAL_OPTIONS, count_images, map_shards

if TYPE_CHECKING:
    from classlift.detectors.answers import Answers

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
    kept: Path | None = None,
    version: str = "",
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
        kept: keeps the answers for the next run, which asks the model of other images alone.
        version: of the code that asks; answers of another are not taken.

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
    with _answers(kept, saved_model, version) as answers:
        map_shards(
            _detect_file,
            shards,
            parts,
            options,
            images=sum(map(_images_of, shards)),
            saved_model=saved_model,
            answers=answers,
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


def _answers(
    kept: Path | None, saved_model: Path, version: str
) -> "AbstractContextManager[Answers | None]":
    """The answers of earlier runs to a model, if any are kept."""
    if kept is None:
        return nullcontext()
    from classlift.detectors import answers

    return answers.kept(kept, f"{Manifest.of(saved_model).digest()} {version}")


def _detect_file(shard: Shard, folder: Path, saved_model: Path, answers: "Answers | None") -> None:
    from classlift.detectors.predict import describe_objects, predict

    def serve(encoded: Any) -> Any:
        return _load(saved_model)[0](encoded)

    def describe(encoded: Any, boxes: Any) -> Any:
        return _load(saved_model)[1](encoded=encoded, boxes=boxes)

    label_map, describes = _about(saved_model)
    remembering: Callable[[Any], Any] = answers.remembering if answers else lambda ask: ask
    limit = shard.images if shard.partly else None
    found = predict(remembering(serve), [shard.file], label_map, limit, count_images)
    found.write(folder / shard.name)
    if describes and shard.images is not None:
        objects = describe_objects(remembering(describe), [shard.file], found, shard.images)
        pq.write_table(objects, folder / shard.name / OBJECTS)


@cache  # once a worker
def _about(saved_model: Path) -> tuple[LabelMap, bool]:
    """A bundle's label map, and whether it can describe objects."""
    from classlift.detectors.export import FEATURES
    from classlift.detectors.predict import signatures_of

    return Bundle(saved_model).label_map(), FEATURES in signatures_of(saved_model)


@cache  # once a worker, and where all answers are known, never
def _load(saved_model: Path) -> tuple[Any, Any]:
    from classlift.detectors.predict import load_signatures

    return load_signatures(saved_model)
