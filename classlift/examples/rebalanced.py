"""`rebalancing.json`: what rebalancing did to the train split, beside the records it wrote."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from classlift.data.profile import Profile
from classlift.data.snapshot import Snapshot, SnapshotFacts
from classlift.errors import DataError
from classlift.settings.rebalancing import Rebalancing

FILE = "rebalancing.json"


@dataclass(frozen=True)
class TrainingData:
    """What a served model says of the data that it was trained on; its provenance carries this.

    Attributes:
        profile: class mix and box sizes of the whole snapshot.
        snapshot: its hash and size.
        rebalancing: what was asked of rebalancing.
        trained_on: boxes by class in the train split, before rebalancing.

    """

    profile: Profile
    snapshot: SnapshotFacts
    rebalancing: Rebalancing
    trained_on: Mapping[str, int]

    @classmethod
    def of(
        cls, snapshot: Snapshot, plan: Rebalancing, trained_on: Mapping[str, int]
    ) -> "TrainingData":
        """The facts of a snapshot whose train split has so many boxes of each class."""
        profile = Profile.of(snapshot.images, snapshot.boxes)
        return cls(profile, snapshot.facts(), plan, trained_on)


@dataclass(frozen=True)
class Rebalanced:
    """What rebalancing did to the train split.

    Attributes:
        method: one of `classlift.settings.rebalancing.METHODS`.
        factors: how often an image of each class was to be shown, 1 or more, by class.
        share_of_images_repeated: 0 to 1.
        effective_sample_size: in images, after Kish.
        boxes_before: boxes by class in the images of the split.
        boxes_old: the same, of the images that are tagged as old alone.
        boxes_after: boxes by class in the records that were written.
        pasted: objects that copy-paste added.
        data: what the model that is trained on it will say of its data.

    """

    method: str
    factors: Mapping[str, float]
    share_of_images_repeated: float
    effective_sample_size: float
    boxes_before: Mapping[str, int]
    boxes_old: Mapping[str, int]
    boxes_after: Mapping[str, int]
    pasted: int
    data: TrainingData

    def sentences(self) -> list[str]:
        """What it did, in words."""
        counts = ", ".join(
            f"{label} {self.boxes_before[label]} -> {after}"
            for label, after in self.boxes_after.items()
        )
        return [
            f"boxes in train, before and after: {counts}",
            f"{self.share_of_images_repeated:.0%} of the images repeat; effective sample size "
            f"{self.effective_sample_size:.0f}"
            + (f"; {self.pasted} objects pasted" if self.pasted else ""),
        ]

    def write(self, folder: Path) -> None:
        """Writes `rebalancing.json` into the folder of the Examples."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, folder: Path) -> "Rebalanced":
        """Reads it from the folder of the Examples.

        Raises:
            DataError: the file is missing or damaged.

        """
        path = folder / FILE
        try:
            return cls.from_json(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: it is missing or damaged ({error!r}); remove the Examples and run again."
            ) from None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Rebalanced":
        """Reads what `dataclasses.asdict` made of one. Raises KeyError or TypeError for others."""
        data = record["data"]
        return cls(
            **{
                **record,
                "data": TrainingData(
                    Profile(**data["profile"]),
                    SnapshotFacts(**data["snapshot"]),
                    Rebalancing(**data["rebalancing"]),
                    data["trained_on"],
                ),
            }
        )
