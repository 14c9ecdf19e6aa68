"""From the predictions of two models to the evidence on each class."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset.label_map import LabelMap
from components.dataset.predictions import Predictions
from components.errors import EvaluationError
from components.metrics.curves import operating_points, recall_at
from components.metrics.matching import Matches, match
from components.metrics.resampling import resampled_recalls
from components.metrics.statistics import (
    CONFIDENCE,
    Change,
    count_by_unit,
    count_detections_by_unit,
    paired_change,
    share_bounds,
)
from components.recall_gate.rules import ClassEvidence
from components.recall_gate.settings import GateSettings


@dataclass(frozen=True)
class Comparison:
    """Both models on test, each at its operating points.

    deployed_recall: the target's, of the champion at its thresholds in production.
    """

    champion: Matches
    challenger: Matches
    champion_points: dict[str, float]
    challenger_points: dict[str, float]
    evidence: list[ClassEvidence]
    deployed_recall: float


EACH_ITS_OWN: Mapping[str, str] = MappingProxyType({})
"""Units of no image: each image is its own."""

Points = tuple[Mapping[str, float], Mapping[str, float]]
"""Operating points of champion and challenger, by class."""


@dataclass(frozen=True)
class ModelPredictions:
    """One model's predictions on the two splits that the gate reads."""

    eval: Predictions
    test: Predictions


@dataclass(frozen=True)
class ModelMatches:
    """The same, matched to the labels."""

    eval: Matches
    test: Matches


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
) -> Comparison:
    """Evidence for every class of the label map.

    deployed_points: the champion's score thresholds in production; recalibrated: the challenger's,
    where it is the champion itself with another threshold for the target. Then each is read at its
    own in production. units: the name of each image's unit, as `find_units` gives them; an image
    that is not there is its own. confidence: of the bounds of changes, one-sided.

    Raises EvaluationError when the two models were not shown the same images, and when what is
    called recalibrated is more than that.
    """
    for split in ("eval", "test"):
        if getattr(champion, split).image_ids != getattr(challenger, split).image_ids:
            raise EvaluationError(
                f"Champion and challenger were shown different images of {split}: "
                "predict both again on one snapshot."
            )

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

    same = {
        label
        for label in labels
        if same_bits(champion.test.detections, challenger.test.detections, label)
    }
    matches = matched(champion), matched(challenger)
    shipped = None
    if recalibrated is not None:
        moved = {label for label in labels if recalibrated[label] != deployed_points[label]}
        if same != set(labels) or not moved <= {target}:
            raise EvaluationError(
                "The challenger says that it is the champion with another threshold for class "
                f"{target}, and differs in more than that: run the trainer again."
            )
        shipped = deployed_points, recalibrated
    return weigh(*matches, labels, target, settings, deployed_points, same, shipped, confidence)


def common_label_map(champion: LabelMap, challenger: LabelMap) -> LabelMap:
    """That of both. Raises EvaluationError when they differ."""
    if champion != challenger:
        raise EvaluationError(
            f"The label maps differ: the champion has {champion.listed()}, the challenger "
            f"{challenger.listed()} ({champion.difference(challenger, 'the one', 'the other')}); "
            "nothing can be compared. Give both models one label map."
        )
    return champion


def require_all(name: str, model: ModelPredictions, images: pa.Table) -> None:
    """Raises EvaluationError when a model's predictions leave out images of a split, or have more.

    images: `schema.IMAGES` of the snapshot.
    """
    for split in ("eval", "test"):
        of_split = images.filter(pc.equal(images["split"], split))["image_id"].to_pylist()
        predicted = getattr(model, split).image_ids
        strange = set(of_split) ^ set(predicted)
        if strange or len(predicted) != len(of_split):
            example = f", as {sorted(strange)[0]!r}" if strange else ""
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
    shipped: Points | None = None,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Evidence from the matches of both models.

    same: the classes whose detections on test are the same bits in both. shipped: the operating
    points that each model is to be read at, instead of those that the settings ask for.
    confidence: of the bounds of changes, one-sided.
    """
    models = (champion, challenger)
    before, after = champion.test, challenger.test
    points = shipped or tuple(
        operating_points(model.eval, settings.precision, settings.score_threshold)
        for model in models
    )
    fixed = shipped is not None or settings.score_threshold is not None
    found = [count_by_unit(m.test, p) for m, p in zip(models, points, strict=True)]
    kept = [count_detections_by_unit(m.test, p) for m, p in zip(models, points, strict=True)]
    objects = found[1].wholes
    change_draws = challenger_draws = None  # a fixed threshold has no doubt of its own
    if not fixed:
        draws = resampled_recalls([(m.eval, m.test) for m in models], settings.precision)
        change_draws, challenger_draws = draws[1] - draws[0], draws[1]
    changes = paired_change(*found, change_draws, confidence=confidence)
    # A share is its change from nothing, with the same doubt.
    nothing = found[1]._replace(parts=np.zeros_like(objects))
    recalls = paired_change(nothing, found[1], challenger_draws, confidence=confidence)
    precisions = [share_bounds(counts.wholes, counts.parts) for counts in kept]
    precision_changes: Sequence[Change | None] = [None] * len(labels)
    if fixed:
        precision_changes = paired_change(*kept, confidence=confidence)
    recall_before, recall_after = recall_at(before, points[0]), recall_at(after, points[1])
    evidence = [
        ClassEvidence(
            label=label,
            objects=int(objects[:, k].sum()),
            champion_recall=recall_before[label],
            challenger_recall=recall_after[label],
            challenger_recall_upper=min(recalls[k].upper_bound, 1.0),
            recall=changes[k],
            unchanged=points[0][label] == points[1][label] and label in same,
            champion_precision=precisions[0][k][0],
            precision=precisions[1][k][0],
            precision_lower=precisions[1][k][1],
            precision_upper=precisions[1][k][2],
            precision_change=precision_changes[k],
            champion_ap50=before.ap50[label],
            challenger_ap50=after.ap50[label],
        )
        for k, label in enumerate(labels)
    ]
    return Comparison(
        champion=before,
        challenger=after,
        champion_points=dict(points[0]),
        challenger_points=dict(points[1]),
        evidence=evidence,
        deployed_recall=recall_at(before, deployed_points)[target],
    )


def same_bits(a: pa.Table, b: pa.Table, label: str) -> bool:
    """Whether two models' detections of a class have the same boxes and scores, bit for bit."""
    order = [(name, "ascending") for name in a.schema.names]
    tables = [t.filter(pc.equal(t["label"], label)).sort_by(order) for t in (a, b)]
    return tables[0].equals(tables[1])
