"""From the predictions of two models to the evidence on each class."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from classlift.data.label_map import LabelMap
from classlift.data.predictions import Predictions
from classlift.errors import EvaluationError
from classlift.gate.class_evidence import PRECISION_CONFIDENCE, ClassEvidence
from classlift.gate.verdict import Served
from classlift.metrics.change import NOTHING, Change, Measure, Pair
from classlift.metrics.curves import NEVER, operating_point, recall_at
from classlift.metrics.matching import Matches, match
from classlift.metrics.paired import ap50_change, fell_by, mean_iou_change
from classlift.metrics.resampling import resampled_at_deployed_precision, resampled_recalls
from classlift.metrics.statistics import (
    CONFIDENCE,
    Shares,
    count_by_unit,
    count_detections_by_unit,
    held_share,
    paired_change,
    share_bounds,
)
from classlift.metrics.thresholds import SLACK, Chosen, champions_point, choose, same_bits
from classlift.settings.gate import GUARANTEED, MATCHED, GateSettings

POINT_TOLERANCE = 1e-4
"""The most that scores differ between the trainer's process and this one: kernels may sum in
another order."""


@dataclass(frozen=True)
class Comparison:
    """Both models on test.

    champion_points, challenger_points: at which each is read. deployed: the champion's thresholds
    in production; served: those that the challenger is served with.
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

        Raises:
            EvaluationError: predictions are missing or damaged.

        """
        return cls(*(Predictions.read(folder / split) for split in ("eval", "test")))


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
    served: Mapping[str, float] | None = None,
    kept: Set[str] | None = None,
) -> Comparison:
    """Evidence for every class of the label map.

    deployed_points: the champion's score thresholds in production; recalibrated: the challenger's,
    where it is the champion itself with another threshold for the target. Then each is read at its
    own in production. units: the name of each image's unit, as `find_units` gives them; an image
    that is not there is its own. confidence: of the bounds of changes, one-sided.
    served: the thresholds that the challenger carries; None for those that the settings ask for.
    kept: classes that the recipe can't have changed; by default those whose detections on eval are
    the same bits in both models.

    Raises EvaluationError when the two models were not shown the same images, when what is called
    recalibrated is more than that, and when the challenger carries other thresholds than the
    settings ask for.
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
    """Raises EvaluationError when a model's predictions leave out images of a split, or have more.

    images: `schema.IMAGES` of the snapshot.
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

    same: the classes whose detections on test are the same bits in both. served, kept: as for
    `compare`; by default all of `same` are kept. confidence: of the bounds of changes, one-sided.
    recalibrated: each model is read at its threshold in production, also the target.

    Raises EvaluationError when `served` are not the thresholds that the settings ask for.
    """
    before, after = champion.test, challenger.test
    deployed = dict(deployed_points)
    if settings.score_threshold is not None:  # production cuts there, whatever a model carries
        deployed = dict.fromkeys(labels, settings.score_threshold)
    kept = same if kept is None else kept
    chosen = choose(settings, target, deployed, challenger.eval, champion.eval, kept)
    if served is None:
        served = {label: choice.threshold for label, choice in chosen.items()}
    elif not recalibrated:
        _require_same(served, chosen)
    read_at = _read_at(champion.eval, chosen, target, settings, deployed, served, recalibrated)
    holes = _holes(champion, chosen, target, settings, recalibrated)
    unchanged = {label for label in same if deployed[label] == served[label]}
    chosen_on_eval = [
        label
        for label, choice in chosen.items()
        if choice.precision is not None
        and label not in unchanged
        and not recalibrated
        and holes[label] is None
    ]
    found = [count_by_unit(m, p) for m, p in zip((before, after), read_at, strict=True)]
    objects, gains = found[1].wholes.sum(axis=0), found[1].parts - found[0].parts
    changes, uppers = _recall_changes(
        champion, challenger, found, chosen_on_eval, target, settings, deployed, confidence
    )
    detected = [
        count_detections_by_unit(m, p) for m, p in zip((before, after), read_at, strict=True)
    ]
    precisions = [share_bounds(counts.wholes, counts.parts) for counts in detected]
    precision_changes = paired_change(*detected, confidence=confidence)
    is_fixed = recalibrated or settings.score_threshold is not None
    if not is_fixed:
        # Chosen for the champion's precision on eval; on test that has a tolerance.
        shown = ((detected[0].wholes > 0) | (detected[1].wholes > 0)).sum(axis=0)
        precision_changes = [
            fell_by(change, settings.precision_tolerance, count)
            for change, count in zip(precision_changes, shown.tolist(), strict=True)
        ]
    floor = settings.precision - settings.precision_tolerance
    # At one threshold, or where the champion's own was asked for, the precision is compared too.
    compared = set(labels) if is_fixed else set()
    if settings.thresholds != MATCHED:
        compared |= set(labels) - {target} - unchanged
    of_served = _served((before, after), (deployed, served))
    served_changes = dict.fromkeys(labels)
    if settings.thresholds == MATCHED and not is_fixed:
        counts = (count_by_unit(before, deployed), count_by_unit(after, served))
        served_changes |= zip(labels, paired_change(*counts, confidence=confidence), strict=True)
        served_changes[target] = None
    evidence = []
    for k, label in enumerate(labels):
        is_changed = label not in unchanged
        lower, needed = held_share(detected[1], k, floor, PRECISION_CONFIDENCE)
        recall = [
            float(f.parts[:, k].sum() / objects[k]) if objects[k] else math.nan for f in found
        ]
        evidence.append(
            ClassEvidence(
                label=label,
                objects=int(objects[k]),
                champion_recall=recall[0],
                challenger_recall=recall[1],
                challenger_recall_upper=min(uppers[k].upper_bound, 1.0),
                recall=changes[k],
                unchanged=not is_changed,
                champion_precision=precisions[0][k][0],
                precision=precisions[1][k][0],
                precision_lower=lower,
                precision_upper=precisions[1][k][2],
                precision_change=precision_changes[k] if label in compared else None,
                detections_needed=needed,
                champion_ap50=before.ap50[label],
                challenger_ap50=after.ap50[label],
                ap50=ap50_change(before, after, label) if is_changed else NOTHING,
                boxes=mean_iou_change(before, after, read_at, label, confidence)
                if is_changed
                else None,
                gained=int((gains[:, k] > 0).sum()),
                lost=int((gains[:, k] < 0).sum()),
                read_at=Pair(read_at[0][label], read_at[1][label]),
                served=of_served[label],
                served_recall=served_changes[label],
                hole=holes[label] if is_changed or label == target else None,
                measured_recall=_measured_recall(champion, challenger, label, settings),
            )
        )
    return Comparison(
        champion=before,
        challenger=after,
        champion_points=read_at[0],
        challenger_points=read_at[1],
        deployed=deployed,
        served=dict(served),
        evidence=evidence,
        on_test=_on_test(before, after, target, settings.precision, confidence),
    )


def _require_same(served: Mapping[str, float], chosen: Mapping[str, Chosen]) -> None:
    """Raises EvaluationError unless the challenger carries the thresholds that are chosen here."""
    fits = served.keys() == chosen.keys() and all(
        math.isclose(served[label], choice.threshold, abs_tol=POINT_TOLERANCE)
        for label, choice in chosen.items()
    )
    if not fits:
        raise EvaluationError(
            "The challenger carries other operating points than the eval split or the score "
            "threshold gives: it was not trained on this data with these settings; run the trainer "
            "again."
        )


def _read_at(
    champion: Matches,
    chosen: Mapping[str, Chosen],
    target: str,
    settings: GateSettings,
    deployed: Mapping[str, float],
    served: Mapping[str, float],
    recalibrated: bool,
) -> tuple[dict[str, float], dict[str, float]]:
    """The thresholds at which the two models are read, the challenger's being those served.

    The target, and with `matched` all classes, are read at the precision of the settings; `NEVER`
    where the target does not reach it. champion: on eval.
    """
    before, after = dict(deployed), dict(served)
    if recalibrated or settings.score_threshold is not None:
        return before, after
    for label in chosen if settings.thresholds == MATCHED else [target]:
        point = champions_point(champion, label, settings)
        if point != NEVER or label == target:
            before[label] = point
    if chosen[target].hole is not None:
        after[target] = NEVER
    return before, after


def _holes(
    champion: ModelMatches,
    chosen: Mapping[str, Chosen],
    target: str,
    settings: GateSettings,
    recalibrated: bool,
) -> dict[str, str | None]:
    """Why a class can't be read, in words, by class; None where it can."""
    is_fixed = recalibrated or settings.score_threshold is not None
    holes = {}
    on_eval, on_test = (set(split.objects["label"]) for split in (champion.eval, champion.test))
    for label, choice in chosen.items():
        hole = choice.hole
        if label not in on_eval and not is_fixed:
            hole = f"eval has no object of class {label}"
        elif label not in on_test:
            hole = f"test has no object of class {label}"
        elif (
            settings.thresholds == MATCHED
            and not is_fixed
            and label != target
            and champions_point(champion.eval, label, settings) == NEVER
        ):
            hole = (
                f"at no threshold has the champion a precision of {settings.precision:.2f} on eval "
                f"for class {label}"
            )
        holes[label] = hole
    return holes


def _recall_changes(
    champion: ModelMatches,
    challenger: ModelMatches,
    found: Sequence[Shares],
    chosen_on_eval: Sequence[str],
    target: str,
    settings: GateSettings,
    deployed: Mapping[str, float],
    confidence: float,
) -> tuple[list[Change], list[Change]]:
    """The change of each class's recall, and the challenger's recall as a change from nothing.

    chosen_on_eval: the classes whose thresholds were; that eval is a sample too is part of their
    doubt. A fixed threshold has no doubt of its own.
    """
    labels = champion.test.labels
    nothing = found[1]._replace(parts=np.zeros_like(found[1].parts))
    changes = paired_change(*found, confidence=confidence)
    uppers = paired_change(nothing, found[1], confidence=confidence)
    models = [(m.eval, m.test) for m in (champion, challenger)]
    at_precision = [
        label for label in chosen_on_eval if label == target or settings.thresholds == MATCHED
    ]
    as_deployed = [label for label in chosen_on_eval if label not in at_precision]
    groups = []
    if at_precision:
        draws = resampled_recalls(
            models,
            settings.precision,
            labels=at_precision,
            guaranteed=settings.operating_points == GUARANTEED,
        )
        groups.append((at_precision, draws))
    if as_deployed:
        points = {label: deployed[label] - SLACK for label in as_deployed}
        groups.append((as_deployed, resampled_at_deployed_precision(*models, points)))
    for group, draws in groups:
        columns = [labels.index(label) for label in group]
        of_group = [_columns(shares, columns) for shares in (*found, nothing)]
        for column, change, upper in zip(
            columns,
            paired_change(*of_group[:2], draws[1] - draws[0], confidence=confidence),
            paired_change(of_group[2], of_group[1], draws[1], confidence=confidence),
            strict=True,
        ):
            changes[column], uppers[column] = change, upper
    return changes, uppers


def _columns(shares: Shares, columns: Sequence[int]) -> Shares:
    """The shares of some classes."""
    return Shares(*(np.broadcast_to(part, shares.wholes.shape)[:, columns] for part in shares))


def _measured_recall(
    champion: ModelMatches, challenger: ModelMatches, label: str, settings: GateSettings
) -> Pair | None:
    """Recall of a class on test at the measured operating points, where others are asked for."""
    if settings.score_threshold is not None or settings.operating_points != GUARANTEED:
        return None
    return Pair(
        *(
            _recall_at(model.test, label, operating_point(model.eval, label, settings.precision))
            for model in (champion, challenger)
        )
    )


def _recall_at(matches: Matches, label: str, point: float) -> float:
    return recall_at(matches, dict.fromkeys(matches.labels, point))[label]


def _served(
    models: tuple[Matches, Matches], thresholds: tuple[Mapping[str, float], Mapping[str, float]]
) -> dict[str, Served]:
    """Each class on test at the thresholds that are served, before and after a push."""
    recalls = [recall_at(m, p) for m, p in zip(models, thresholds, strict=True)]
    alarms = []
    for matches, points in zip(models, thresholds, strict=True):
        detections = matches.detections
        is_kept = detections["score"] >= detections["label"].map(points)
        alarms.append(detections["label"][is_kept & ~detections["is_match"]].value_counts())
    return {
        label: Served(
            threshold=Pair(*(float(points[label]) for points in thresholds)),
            recall=Pair(*(recall[label] for recall in recalls)),
            false_alarms=Pair(*(int(counts.get(label, 0)) for counts in alarms)),
        )
        for label in models[0].labels
    }


def _on_test(
    before: Matches, after: Matches, target: str, precision: float, confidence: float
) -> Measure:
    """The target's recall where both models have the precision on test itself.

    Eval's thresholds miss the precision on test by a few points, each model's by others.
    """
    models = (before, after)
    points = [{target: operating_point(m, target, precision)} for m in models]
    column = [before.labels.index(target)]
    found = [
        _columns(count_by_unit(m, dict.fromkeys(m.labels, p[target])), column)
        for m, p in zip(models, points, strict=True)
    ]
    draws = resampled_recalls([(m, m) for m in models], precision, labels=[target])
    [change] = paired_change(*found, draws[1] - draws[0], confidence=confidence)
    return Measure(
        *(_recall_at(m, target, p[target]) for m, p in zip(models, points, strict=True)),
        change,
    )
