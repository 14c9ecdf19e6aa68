"""A model's answers for record files, a file a shard."""

import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from components.bundle import Bundle
from components.dataset.label_map import LabelMap
from components.dataset.predictions import Predictions
from components.detectors.examples import example_files
from components.transforms import LOCAL_OPTIONS, map_shards

PARTS = ".parts"


def detect(
    saved_model: Path,
    examples: Path,
    splits: Sequence[str],
    folder: Path,
    options: Sequence[str] = LOCAL_OPTIONS,
    report: Callable[[str], None] = print,
) -> None:
    """Writes `Predictions` of a bundle on splits of an Examples artifact, a folder a split.

    options: Beam's. Raises DataError with the sentence of what went wrong in a worker.
    """
    files = {split: example_files(examples, split) for split in splits}
    shards = [
        (file, f"{split}/{number:05d}")
        for split, found in files.items()
        for number, file in enumerate(found)
    ]
    parts = folder / PARTS
    map_shards(_detect_file, shards, parts, options, report, saved_model=str(saved_model))
    for split, found in files.items():
        each = (Predictions.read(parts / split / f"{n:05d}") for n in range(len(found)))
        predictions = Predictions.join(each)
        predictions.write(folder / split)
        report(
            f"{split}: {predictions.detections.num_rows} detections on "
            f"{len(predictions.image_ids)} images"
        )
    shutil.rmtree(parts)


def _detect_file(shard: tuple[str, str], folder: Path, saved_model: str) -> None:
    from components.detectors.predict import predict

    file, name = shard
    serve, label_map = _load(saved_model)
    predict(serve, [file], label_map, lambda _: None).write(folder / name)


@cache  # once a worker
def _load(saved_model: str) -> tuple[Any, LabelMap]:
    from components.detectors.predict import load_signature

    return load_signature(Path(saved_model)), Bundle(Path(saved_model)).label_map()
