"""`rebalancing.json`: what rebalancing did to the train split, beside the records it wrote."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from classlift.data.profile import Profile
from classlift.data.snapshot import Snapshot, SnapshotFacts
from classlift.errors import DataError
from classlift.records import Record
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

    @classmethod
    def read(cls, record: Record) -> "TrainingData":
        """Reads what `dataclasses.asdict` made of one. Raises the record's fault for others."""
        profile, facts, plan = (record.part(n) for n in ("profile", "snapshot", "rebalancing"))
        return cls(
            Profile(profile.counts("classes"), profile.counts("sizes")),
            SnapshotFacts(facts.text("content_hash"), facts.count("images"), facts.count("boxes")),
            Rebalancing(
                method=plan.text("method"),
                target_boost=plan.figure("target_boost"),
                max_growth=plan.figure("max_growth"),
                copy_paste=plan.figure("copy_paste"),
                replay_share=plan.figure("replay_share"),
                targets=plan.texts("targets"),
                repeat_threshold=(
                    plan.figure("repeat_threshold") if plan.has("repeat_threshold") else None
                ),
                seed=plan.count("seed"),
            ),
            record.counts("trained_on"),
        )


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

        Args:
            folder: of the Examples.

        Returns:
            What rebalancing did.

        Raises:
            DataError: the file is missing or damaged.

        """  # noqa: DOC501 - `fault` makes the DataError
        path = folder / FILE

        def fault(what: str) -> DataError:
            return DataError(
                f"{path}: it is missing or damaged ({what}); remove the Examples and run again."
            )

        try:
            content = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise fault(str(error)) from None
        return cls.of(Record.of(content, lambda name: fault(f"no {name or 'object'}"), ""))

    @classmethod
    def of(cls, record: Record) -> "Rebalanced":
        """Reads what `dataclasses.asdict` made of one. Raises the record's fault for others."""
        return cls(
            method=record.text("method"),
            factors=record.figures("factors"),
            share_of_images_repeated=record.figure("share_of_images_repeated"),
            effective_sample_size=record.figure("effective_sample_size"),
            boxes_before=record.counts("boxes_before"),
            boxes_old=record.counts("boxes_old"),
            boxes_after=record.counts("boxes_after"),
            pasted=record.count("pasted"),
            data=TrainingData.read(record.part("data")),
        )
