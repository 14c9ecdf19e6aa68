"""From the predictions of two models to the evidence on each class."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from classlift.data.label_map import LabelMap
from classlift.data.predictions import Predictions
from classlift.errors import EvaluationError
from classlift.gate import measures
from classlift.gate.class_evidence import PRECISION_CONFIDENCE, ClassEvidence
from classlift.gate.reading import ModelMatches, Reading, read_models
from classlift.metrics.change import NOTHING, Measure, Pair
from classlift.metrics.matching import Matches, match
from classlift.metrics.paired import ap50_change, mean_iou_change
from classlift.metrics.statistics import (
    CONFIDENCE,
    held_share,
)
from classlift.metrics.thresholds import same_bits
from classlift.settings.gate import GateSettings


@dataclass(frozen=True)
class Comparison:
    """Both models on test.

    Attributes:
        champion_points: score thresholds by class at which the champion is read.
        challenger_points: those at which the challenger is read.
        deployed: the champion's thresholds in production.
        served: those that the challenger is served with.
        on_test: the target's recalls where both have the precision asked for on test itself.

    """

    champion: Matches
    challenger: Matches
    champion_points: dict[str, float]
    challenger_points: dict[str, float]
    deployed: dict[str, float]
    served: dict[str, float]
    evidence: list[ClassEvidence]
    on_test: Measure

    def of(self, label: str) -> ClassEvidence:
        """The evidence on one class."""
        return next(e for e in self.evidence if e.label == label)


EACH_ITS_OWN: Mapping[str, str] = MappingProxyType({})
"""Units of no image: each image is its own."""


@dataclass(frozen=True)
class ModelPredictions:
    """One model's predictions on the two splits that the gate reads.

    Attributes:
        eval: where every choice is made.
        test: what is judged by.

    """

    eval: Predictions
    test: Predictions

    @classmethod
    def read(cls, folder: Path) -> "ModelPredictions":
        """Reads a folder of predictions, with a folder for each split.

        Returns:
            The predictions.

        Raises:
            EvaluationError: predictions are missing or damaged.

        """
        return cls(*(Predictions.read(folder / split) for split in ("eval", "test")))


def compare(
    champion: ModelPredictions,
    challenger: ModelPredictions,
    labels: Sequence[str],
    target: str,
    settings: GateSettings,
    deployed_points: Mapping[str, float],
    recalibrated: Mapping[str, float] | None = None,
    units: Mapping[str, str] = EACH_ITS_OWN,
    confidence: float = CONFIDENCE,
    served: Mapping[str, float] | None = None,
    kept: Set[str] | None = None,
) -> Comparison:
    """Evidence for every class of the label map.

    Args:
        champion: its predictions.
        challenger: its predictions on the same images.
        labels: all classes.
        target: the class that was to be raised.
        settings: what the gate asks.
        deployed_points: the champion's score thresholds in production, by class.
        recalibrated: the challenger's, where it is the champion itself with another threshold for
            the target. Then each is read at its own in production.
        units: the name of each image's unit, as `find_units` gives them; an image that is not there
            is its own.
        confidence: of the bounds of changes, one-sided.
        served: the thresholds that the challenger carries; of classes that it leaves out, or where
            it is None, those that the settings ask for.
        kept: classes that the recipe can't have changed; by default those whose detections on eval
            are the same bits in both models.

    Returns:
        Both models on test, with the evidence on each class.

    Raises:
        EvaluationError: the two models were not shown the same images, what is called recalibrated
            is more than that, or the challenger carries other thresholds than the settings ask for.

    """
    require_same_images(champion, challenger)

    def matched(model: ModelPredictions) -> ModelMatches:
        return ModelMatches(
            *(
                match(
                    split.boxes,
                    split.detections,
                    split.image_ids,
                    labels,
                    [units.get(image_id, image_id) for image_id in split.image_ids],
                )
                for split in (model.eval, model.test)
            )
        )

    same_on_eval, same = (
        {label for label in labels if same_bits(a.detections, b.detections, label)}
        for a, b in ((champion.eval, challenger.eval), (champion.test, challenger.test))
    )
    matches = matched(champion), matched(challenger)
    if recalibrated is not None:
        moved = {label for label in labels if recalibrated[label] != deployed_points[label]}
        if same != set(labels) or not moved <= {target}:
            raise EvaluationError(
                "The challenger says that it is the champion with another threshold for class "
                f"{target}, and differs in more than that: run the trainer again."
            )
        served = recalibrated
    return weigh(
        *matches,
        labels,
        target,
        settings,
        deployed_points,
        same,
        served,
        confidence,
        same_on_eval if kept is None else kept,
        recalibrated is not None,
    )


def require_same_images(champion: ModelPredictions, challenger: ModelPredictions) -> None:
    """Raises EvaluationError where two models were shown different images."""
    for split in ("eval", "test"):
        if getattr(champion, split).image_ids != getattr(challenger, split).image_ids:
            raise EvaluationError(
                f"Champion and challenger were shown different images of {split}: "
                "predict both again on one snapshot."
            )


def common_label_map(champion: LabelMap, challenger: LabelMap) -> LabelMap:
    """That of both. Raises EvaluationError when they differ, or a name can't be written."""
    for name in champion:
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise EvaluationError(
                f"Class {name!r} of the label map has half of a character in its name, which no "
                "report can show: rename it."
            ) from None
    if champion != challenger:
        raise EvaluationError(
            f"The label maps differ: the champion has {champion.listed()}, the challenger "
            f"{challenger.listed()} ({champion.difference(challenger, 'the one', 'the other')}); "
            "nothing can be compared. Give both models one label map."
        )
    return champion


def require_all(name: str, model: ModelPredictions, images: pa.Table) -> None:
    """Checks that a model was shown all images of eval and test, and no other.

    Args:
        name: of the model, in words.
        model: its predictions.
        images: `schema.IMAGES` of the snapshot.

    Raises:
        EvaluationError: the predictions leave out images of a split, or have more.

    """
    for split in ("eval", "test"):
        of_split = images.filter(pc.equal(images["split"], split))["image_id"].to_pylist()
        predicted = getattr(model, split).image_ids
        unknown = set(of_split) ^ set(predicted)
        if unknown or len(predicted) != len(of_split):
            example = f", as {sorted(unknown)[0]!r}" if unknown else ""
            raise EvaluationError(
                f"The {name} has predictions for {len(predicted)} images of {split}, and the "
                f"snapshot has {len(of_split)}: some differ{example}; nothing can be judged. Run "
                "the pipeline again."
            )


def weigh(
    champion: ModelMatches,
    challenger: ModelMatches,
    labels: Sequence[str],
    target: str,
    settings: GateSettings,
    deployed_points: Mapping[str, float],
    same: Set[str] = frozenset(),
    served: Mapping[str, float] | None = None,
    confidence: float = CONFIDENCE,
    kept: Set[str] | None = None,
    recalibrated: bool = False,
) -> Comparison:
    """Evidence from the matches of both models.

    Args:
        champion: its matches.
        challenger: its matches on the same images.
        labels: all classes.
        target: the class that was to be raised.
        settings: what the gate asks.
        deployed_points: the champion's score thresholds in production, by class.
        same: the classes whose detections on test are the same bits in both.
        served: the thresholds that the challenger carries; of classes that it leaves out, or where
            it is None, those that the settings ask for.
        confidence: of the bounds of changes, one-sided.
        kept: classes that the recipe can't have changed; by default all of `same`.
        recalibrated: each model is read at its threshold in production, also the target.

    Returns:
        Both models on test, with the evidence on each class.

    Raises:
        EvaluationError: `served` are not the thresholds that the settings ask for.

    """
    kept = same if kept is None else kept
    reading = read_models(
        champion,
        challenger,
        labels,
        target,
        settings,
        deployed_points,
        same,
        served,
        kept,
        recalibrated,
    )
    return Comparison(
        champion=champion.test,
        challenger=challenger.test,
        champion_points=reading.points[0],
        challenger_points=reading.points[1],
        deployed=reading.deployed,
        served=reading.served,
        evidence=_evidence(reading, confidence),
        on_test=measures.on_test(*reading.on_test, target, settings.precision, confidence),
    )


def _evidence(reading: Reading, confidence: float) -> list[ClassEvidence]:
    """The evidence on each class, in the order of the labels."""
    before, after = reading.on_test
    recalls = measures.recalls(reading, confidence)
    precisions = measures.precisions(reading, confidence)
    of_served = measures.served(reading.on_test, (reading.deployed, reading.served))
    served_changes = measures.served_changes(reading, confidence)
    compared = measures.compared_by_precision(reading)
    guarantee = measures.guarantee(reading)
    floor = reading.settings.precision - reading.settings.precision_tolerance
    evidence = []
    for k, label in enumerate(reading.labels):
        is_changed = label not in reading.unchanged
        lower, needed = held_share(precisions.challenger, k, floor, PRECISION_CONFIDENCE)
        precision, _, precision_upper = precisions.challenger_bounds[k]
        gains = recalls.challenger.parts[:, k] - recalls.champion.parts[:, k]
        evidence.append(
            ClassEvidence(
                label=label,
                objects=int(recalls.challenger.wholes[:, k].sum()),
                champion_recall=recalls.of_champion(k),
                challenger_recall=recalls.of_challenger(k),
                challenger_recall_upper=min(recalls.uppers[k].upper_bound, 1.0),
                recall=recalls.changes[k],
                unchanged=not is_changed,
                champion_precision=precisions.champion_bounds[k][0],
                precision=precision,
                precision_lower=lower,
                precision_upper=precision_upper,
                precision_change=precisions.changes[k] if label in compared else None,
                detections_needed=needed,
                champion_ap50=before.ap50[label],
                challenger_ap50=after.ap50[label],
                ap50=ap50_change(before, after, label) if is_changed else NOTHING,
                boxes=mean_iou_change(before, after, reading.points, label, confidence)
                if is_changed
                else None,
                gained=int((gains > 0).sum()),
                lost=int((gains < 0).sum()),
                read_at=Pair(reading.points[0][label], reading.points[1][label]),
                served=of_served[label],
                served_recall=served_changes[label],
                hole=reading.holes[label] if is_changed or label == reading.target else None,
                guarantee=guarantee if label == reading.target else None,
            )
        )
    return evidence
