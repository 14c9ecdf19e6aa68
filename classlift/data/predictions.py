"""Predictions of one model on one split, with the labels of the same images: what is judged."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from classlift.data.checksums import damage, seal
from classlift.data.schema import BOXES, DETECTIONS
from classlift.errors import EvaluationError
from classlift.metrics.coco_eval import require_scores

_FILES = ("images.parquet", "boxes.parquet", "detections.parquet")
_IMAGES = pa.schema([("image_id", pa.string())])


@dataclass(frozen=True)
class Predictions:
    """What one model answered for one split.

    Attributes:
        image_ids: all images, in the order of the records.
        boxes: the labels of these images, `schema.BOXES`, in pixels.
        detections: what the model answered, `schema.DETECTIONS`, in pixels.

    """

    image_ids: tuple[str, ...]
    boxes: pa.Table
    detections: pa.Table

    def write(self, folder: Path) -> None:
        """Writes `images.parquet`, `boxes.parquet` and `detections.parquet`, and their checksums.

        Args:
            folder: to write into; it need not be there yet.

        Raises:
            EvaluationError: as `coco_eval.require_scores`; nothing is written then.

        """
        require_scores(self.detections.to_pandas())
        folder.mkdir(parents=True, exist_ok=True)
        images = pa.table({"image_id": list(self.image_ids)}, _IMAGES)
        tables = {"images": images, "boxes": self.boxes, "detections": self.detections}
        for name, table in tables.items():
            pq.write_table(table, folder / f"{name}.parquet")
        seal(folder, _FILES)

    @classmethod
    def read(cls, folder: Path) -> "Predictions":
        """Reads what `write` wrote.

        Args:
            folder: with the three files.

        Returns:
            The predictions.

        Raises:
            EvaluationError: they are missing or damaged; or as `coco_eval.require_scores`.

        """
        damaged = damage(folder, _FILES)
        if damaged:
            raise EvaluationError(
                f"{folder}: the predictions are damaged: {damaged}; remove the folder and run the "
                "pipeline again."
            )
        try:
            images, boxes, detections = (
                pq.read_table(folder / f"{name}.parquet", schema=schema)
                for name, schema in (
                    ("images", _IMAGES),
                    ("boxes", BOXES),
                    ("detections", DETECTIONS),
                )
            )
        except (OSError, pa.ArrowException) as error:
            raise EvaluationError(
                f"{folder}: the predictions can't be read ({error}); run the pipeline again."
            ) from None
        require_scores(detections.to_pandas())
        return cls(tuple(images["image_id"].to_pylist()), boxes, detections)

    @classmethod
    def join(cls, parts: Iterable["Predictions"]) -> "Predictions":
        """Those of several files, one after another."""
        found = list(parts)
        # Dictionary columns of different parts have different dictionaries.
        boxes = pa.concat_tables([BOXES.empty_table(), *(part.boxes for part in found)])
        detections = [DETECTIONS.empty_table(), *(part.detections for part in found)]
        return cls(
            tuple(image_id for part in found for image_id in part.image_ids),
            boxes.unify_dictionaries(),
            pa.concat_tables(detections),
        )
