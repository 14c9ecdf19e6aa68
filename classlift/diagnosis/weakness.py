"""How weak a class is: what moving its threshold would give, and the causes of the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from classlift.data.predictions import Predictions
from classlift.diagnosis.causes import Cause, LabelFigures, Study, find_causes
from classlift.diagnosis.probe import DescribedObjects, learning_curve, separability
from classlift.metrics.curves import operating_points, recall_at
from classlift.metrics.matching import Matches
from classlift.quality.suspicions import Suspicion, suspicions
from classlift.serving.detect import OBJECTS
from classlift.serving.provenance import Provenance


@dataclass(frozen=True)
class Weakness:
    """What is said of the champion on eval.

    Attributes:
        target: the weak class.
        precision: 0 to 1, at which recalls are read.
        deployed: recall of the target at its threshold in production.
        recalibrated: its recall at the lowest threshold with the precision asked for.
        others: mean recall of the other classes, each at its lowest threshold with it.
        ap50: average precision of the target at an IoU of 0.5.
        causes: the likeliest first.
        is_new: whether the champion does not know the class at all.

    """

    target: str
    precision: float
    deployed: float
    recalibrated: float
    others: float
    ap50: float
    causes: tuple[Cause, ...]
    is_new: bool = False

    def sentences(self) -> list[str]:
        """In words, first things first."""
        if self.is_new:
            return [
                f"Class {self.target} is new: the champion does not know it. The other classes are "
                f"at {self.others:.0%} on average at precision {self.precision:.2f}.",
                *(
                    f"{number}. {cause.name}: {cause.sentence}"
                    for number, cause in enumerate(self.causes, start=1)
                ),
            ]
        return [
            f"On eval the champion finds {self.deployed:.0%} of class {self.target} at its "
            f"threshold in production, and {self.recalibrated:.0%} at the lowest threshold with "
            f"precision {self.precision:.2f}: so much recalibration alone would give, and "
            "recalibrate pushes just that.",
            f"The other classes are at {self.others:.0%} on average; AP50 of class {self.target} "
            f"is {self.ap50:.2f}.",
            *(
                f"{number}. {cause.name} (recall at stake {cause.score:.2f}): {cause.sentence}"
                for number, cause in enumerate(self.causes, start=1)
            ),
        ]


def find_weakness(
    matches: Matches,
    target: str,
    precision: float,
    deployed_points: Mapping[str, float],
    trained_on: Mapping[str, int],
    objects: Mapping[str, pa.Table] | None = None,
    smallest: float | None = None,
    is_new: bool = False,
    is_assumed: bool = False,
) -> Weakness:
    """Looks for the causes of the champion's weakness.

    Args:
        matches: of the champion on eval.
        target: the weak class.
        precision: 0 to 1, at which recalls are read.
        deployed_points: the champion's score thresholds in production, by class.
        trained_on: boxes by class in what it was trained on.
        objects: `schema.OBJECTS` of `train` and `eval`, where the model can describe them.
        smallest: `Detector.smallest_object`, in pixels of the frame.
        is_new: whether the champion does not know the target.
        is_assumed: whether what it was trained on is not known, and train stands for it.

    Returns:
        The recalls, and the causes with the likeliest first.

    """
    study = Study(target, precision, matches, trained_on, smallest=smallest, is_assumed=is_assumed)
    if objects is not None:
        study = _with_probe(study, objects)
    recalls = recall_at(matches, operating_points(matches, precision))
    others = [r for label, r in recalls.items() if label != target and r == r]
    return Weakness(
        target=target,
        precision=precision,
        deployed=recall_at(matches, deployed_points)[target],
        recalibrated=recalls[target],
        others=sum(others) / max(len(others), 1),
        ap50=matches.ap50[target],
        causes=tuple(find_causes(study)),
        is_new=is_new,
    )


def _with_probe(study: Study, objects: Mapping[str, pa.Table]) -> Study:
    train, test = (DescribedObjects.read(objects[split]) for split in ("train", "eval"))
    rivals = [label for label in study.matches.labels if label != study.target]
    apart = {rival: separability(train, test, study.target, rival) for rival in rivals}
    seen = objects["eval"].select(["image_id", "box_id", "side"]).to_pandas()
    return replace(
        study,
        curve=learning_curve(train, test, study.target, study.precision),
        apart={rival: share for rival, share in apart.items() if share is not None},
        sides=seen[seen["box_id"] >= 0].set_index(["image_id", "box_id"])["side"],
    )


def labels_to_look_at(weakness: Weakness, predictions: Predictions) -> list[Suspicion]:
    """The labels that the champion contradicts.

    They are those of any class where it is confident, and of the target all that `label quality`
    may count.

    Args:
        weakness: of the champion.
        predictions: its answers for eval, with the labels.

    Returns:
        The doubted labels, the most confident first.

    """
    confident = suspicions(predictions.boxes, predictions.detections)
    [from_score] = [
        cause.figures.from_score
        for cause in weakness.causes
        if isinstance(cause.figures, LabelFigures)
    ]
    counted = suspicions(predictions.boxes, predictions.detections, from_score)
    more = [s for s in counted if s.detected == weakness.target and s not in confident]
    return confident + more


def trained_on(provenance: Provenance) -> dict[str, int]:
    """Boxes by class in the data that ClassLift trained a model on; empty for any other model."""
    return dict(provenance.of_last_training.trained_on or {})


def read_objects(folder: Path) -> dict[str, pa.Table] | None:
    """What `BulkDetect` described; None when the model could not."""
    paths = {split: folder / split / OBJECTS for split in ("train", "eval")}
    if not all(path.exists() for path in paths.values()):
        return None
    return {split: pq.read_table(path) for split, path in paths.items()}
