"""The five causes of a weak class, each with evidence, a score and a sentence.

Scores have one unit, so that they can be ranked: the recall of the target on eval, at matched
precision, that is estimated to be lost to the cause. They overlap, so they do not add up. How often
the first one is the true one: `benchmarks/causes.py`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd

from classlift.diagnosis.probe import Point, decay
from classlift.metrics.curves import operating_points, recall_at
from classlift.metrics.iou import iou_matrix
from classlift.metrics.matching import IOU_THRESHOLD, Matches
from classlift.metrics.taxonomy import BACKGROUND, CLASSIFICATION, classify
from classlift.records import Json, Record

FEW, IMBALANCE, LABELS = "few examples", "imbalance", "label quality"
OVERLAP, ARCHITECTURE = "feature overlap", "architecture"
CAUSES = (FEW, IMBALANCE, LABELS, OVERLAP, ARCHITECTURE)

GROWTH = 3
"""How many times the objects of today one could label: what few examples are judged by."""

FEW_OBJECTS = 30
"""So many explain half of the gap to the other classes, whatever a probe says, which has no more to
learn from; three times as many a tenth. Chosen on the data sets of `benchmarks/causes.py`.
"""

DOUBT = 0.5
"""A detection doubts the label at its place when the labelled class scores less than so much of it
there. Two classes that look alike both score; a wrong label's class does not.
"""

MOSTLY = 0.5  # right, of its confident detections, is a model that may doubt labels
ENOUGH = 10  # objects from which a recall is worth quoting
_SIDES = ["xmin", "ymin", "xmax", "ymax"]


@dataclass(frozen=True)
class Study:
    """What is known of the weak class.

    Attributes:
        matches: of the champion on eval.
        trained_on: boxes by class in what the champion was trained on.
        is_assumed: whether that is not known, and train stands for it.
        curve: of the probe; None without one.
        apart: how well a probe tells the target from a class, by its name.
        sides: root of the area in pixels of the detector's frame, by image_id and box_id; None when
            not known.
        smallest: `Detector.smallest_object`.

    """

    target: str
    precision: float
    matches: Matches
    trained_on: Mapping[str, int]
    curve: tuple[Point, ...] | None = None
    apart: Mapping[str, float] = field(default_factory=dict)
    sides: "pd.Series[float] | None" = None
    smallest: float | None = None
    is_assumed: bool = False


@dataclass(frozen=True)
class FewFigures:
    """The figures of few examples; those of the probe are None without one.

    Attributes:
        objects: of the target, in what the champion was trained on.
        curve: learning curve of the probe.
        decay: exponent of its power law.
        gain_of_twice: recall that twice as many objects promise, 0 to 1.

    """

    objects: int
    curve: tuple[Point, ...] | None = None
    decay: float | None = None
    gain_of_twice: float | None = None


@dataclass(frozen=True)
class ImbalanceFigures:
    """The figures of imbalance.

    Attributes:
        share: of the target, in the boxes that the champion was trained on, 0 to 1.
        even_share: what it would be if all classes had as many.
        allowed_recall: of a probe that weighs the target evenly, on eval; None without one.

    """

    share: float
    even_share: float
    allowed_recall: float | None = None


@dataclass(frozen=True)
class LabelFigures:
    """The figures of label quality.

    Attributes:
        missing: places where the champion sees the target, and nothing is labelled.
        wrong: places where it does, and another class is labelled that hardly scores.
        mended_recall: the champion's, were these labels as it says, 0 to 1.
        from_score: the lowest score of a detection that may doubt a label.

    """

    missing: int
    wrong: int
    mended_recall: float
    from_score: float


@dataclass(frozen=True)
class OverlapFigures:
    """The figures of feature overlap: the nearest class, and how much it is mixed, 0 to 1."""

    rival: str
    mixed: float


@dataclass(frozen=True)
class SizeFigures:
    """The figures of the architecture; None where the sizes that it sees are not known.

    Attributes:
        smallest: side of an object that an anchor fits, in pixels of the detector's frame.
        share_smaller: objects of the target that are smaller, 0 to 1.
        recall_of_fitting: recall of the others, 0 to 1.

    """

    smallest: float | None = None
    share_smaller: float | None = None
    recall_of_fitting: float | None = None


Figures = FewFigures | ImbalanceFigures | LabelFigures | OverlapFigures | SizeFigures

FIGURES: Mapping[str, type[Figures]] = {
    FEW: FewFigures,
    IMBALANCE: ImbalanceFigures,
    LABELS: LabelFigures,
    OVERLAP: OverlapFigures,
    ARCHITECTURE: SizeFigures,
}
"""What a cause, by its name, has as its figures."""


@dataclass(frozen=True)
class Cause:
    """One possible cause.

    Attributes:
        name: one of `CAUSES`.
        score: recall at stake, 0 to 1.
        sentence: the evidence, in words.
        figures: its numbers, of the type that `FIGURES` says.

    """

    name: str
    score: float
    sentence: str
    figures: Figures

    def to_json(self) -> dict[str, Json]:
        """The object that `read_cause` reads; figures that are None are left out."""
        figures = {name: v for name, v in asdict(self.figures).items() if v is not None}
        return {**vars(self), "figures": figures}


def read_cause(record: Record) -> Cause:
    """Reads what `Cause.to_json` made. Raises the record's error for anything else."""
    name, figures = record.text("name"), record.part("figures")
    if name not in FIGURES:
        raise record.error("name")
    values: dict[str, object] = dict(figures.content)
    if "curve" in values:
        values["curve"] = tuple(
            Point(point.count("objects"), point.figure("recall"), point.figure("error"))
            for point in figures.items("curve")
        )
    try:
        known = FIGURES[name](**cast(Any, values))
    except TypeError:
        raise record.error("figures") from None
    return Cause(name, record.figure("score"), record.text("sentence"), known)


def find_causes(study: Study) -> list[Cause]:
    """All five, the likeliest first."""
    seen = _Seen(study)
    causes = [
        _few(study, seen),
        _imbalance(study, seen),
        _labels(study, seen),
        _overlap(study, seen),
        _architecture(study, seen),
    ]
    return sorted(causes, key=lambda cause: -cause.score)


class _Seen:
    """Figures that several causes read."""

    def __init__(self, study: Study) -> None:
        self.points = operating_points(study.matches, study.precision)
        recalls = recall_at(study.matches, self.points)
        self.recall = recalls[study.target]
        others = [r for label, r in recalls.items() if label != study.target and r == r]
        self.others = float(np.median(others)) if others else self.recall
        self.gap = max(0.0, self.others - self.recall)
        self.count = study.trained_on.get(study.target, 0)
        total = sum(study.trained_on.values())
        self.share = self.count / max(total, 1)
        self.known = 1 - 1 / (1 + (self.count / FEW_OBJECTS) ** 2)
        self.even = 1 / max(len(study.matches.labels), 1)


def _few(study: Study, seen: _Seen) -> Cause:
    """What too few objects cost.

    It is what `GROWTH` times as many promise, as far as those of today are not enough; with few of
    them at least a part of the gap.

    Returns:
        The cause, scored in recall.

    """
    objects = f"{seen.count} objects of class {study.target}"
    sentence = f"The champion was trained on {objects}"
    if study.is_assumed:
        sentence = (
            f"The train split has {objects}, and stands for what the champion was trained on, "
            "which is not known"
        )
    least = seen.gap * (1 - seen.known)
    if study.curve is None:
        return Cause(FEW, least, f"{sentence}.", FewFigures(seen.count))
    rate, last = decay(study.curve), study.curve[-1]
    missing = 1 - seen.recall
    promised = missing * (1 - 2**-rate)
    return Cause(
        FEW,
        max(least, missing * (1 - GROWTH**-rate) * (1 - last.recall)),
        f"{sentence}; by the learning curve of a linear probe on {study.curve[0].objects} to "
        f"{last.objects} of the train split, twice as many promise a recall of "
        f"{seen.recall + promised:.0%} instead of {seen.recall:.0%}.",
        FewFigures(seen.count, study.curve, rate, promised),
    )


def _imbalance(study: Study, seen: _Seen) -> Cause:
    """Lost: what a probe that weighs the class evenly finds more, as far as its share is uneven."""
    uneven = max(0.0, 1 - seen.share / seen.even)
    boxes = "of the train split" if study.is_assumed else "that the champion was trained on"
    sentence = (
        f"{seen.share:.1%} of the boxes {boxes} are of class {study.target}, where an even share "
        f"is {seen.even:.1%}"
    )
    if study.curve is None:
        figures = ImbalanceFigures(seen.share, seen.even)
        return Cause(IMBALANCE, seen.gap * uneven * seen.known, f"{sentence}.", figures)
    allowed = study.curve[-1].recall
    return Cause(
        IMBALANCE,
        uneven * max(0.0, allowed - seen.recall),
        f"{sentence}; a linear probe on the same frozen features, given even weight and the places "
        f"of the objects, tells {allowed:.0%} of the class from the rest. The champion, which has "
        f"to find their places too, finds {seen.recall:.0%}: a branch on these features may gain "
        "less than lies between.",
        ImbalanceFigures(seen.share, seen.even, allowed),
    )


def _labels(study: Study, seen: _Seen) -> Cause:
    """What wrong labels cost: the recall if the doubted ones were mended as the champion says.

    Doubted are places where the champion finds the target with confidence, and there is no label,
    or one whose own class hardly scores. With confidence is above its threshold, and in any case
    among as many of its first detections as half of the labelled objects: with many wrong labels,
    no threshold has the precision. A model that is wrong there more often than not has no say.

    Returns:
        The cause, scored in recall.

    """
    taxonomy = classify(study.matches)
    detections = study.matches.detections.assign(
        error=taxonomy.errors["error"].to_numpy(), object=taxonomy.errors["object"].to_numpy()
    )
    ranked = detections[detections["label"] == study.target]
    ranked = ranked.sort_values("score", ascending=False, kind="stable")
    scores = ranked["score"].to_numpy()
    objects = int((study.matches.objects["label"] == study.target).sum())
    above = scores >= seen.points[study.target]
    above[: objects // 2] = True
    is_match = ranked["is_match"].to_numpy(bool)
    above &= is_match[above].sum() >= MOSTLY * above.sum()
    missing = above & (ranked["error"] == BACKGROUND).to_numpy()
    wrong = above & (ranked["error"] == CLASSIFICATION).to_numpy()
    wrong[wrong] = _scores_of_labels(study.matches, ranked[wrong]) < DOUBT * scores[wrong]
    right = np.cumsum(is_match | missing | wrong)
    enough = np.flatnonzero(right / np.arange(1, len(right) + 1) >= study.precision)
    doubted = int(missing.sum() + wrong.sum())
    mended = right[enough[-1]] / (objects + doubted) if len(enough) else 0.0
    return Cause(
        LABELS,
        max(0.0, float(mended) - seen.recall),
        f"On eval {objects} objects of class {study.target} are labelled; the champion sees one "
        f"with confidence at {int(missing.sum())} places where nothing is labelled, and at "
        f"{int(wrong.sum())} where another class is, and hardly scores. Were these labels mended "
        f"as it says, its recall would be {mended:.0%}.",
        LabelFigures(
            missing=int(missing.sum()),
            wrong=int(wrong.sum()),
            mended_recall=float(mended),
            from_score=float(scores[above].min(initial=1.0)),
        ),
    )


def _scores_of_labels(matches: Matches, rows: pd.DataFrame) -> np.ndarray:
    """For detections at objects of other classes, the best score of those classes at the place."""
    by_image = dict(iter(matches.detections.groupby("image_id")))
    best = np.zeros(len(rows))
    places = zip(rows["image_id"], rows["object"].astype(int).tolist(), strict=True)
    for number, (image_id, object_row) in enumerate(places):
        labelled = matches.objects.iloc[object_row]
        near = by_image[image_id]
        near = near[near["label"] == labelled["label"]]
        corners = labelled[_SIDES].to_numpy(float)[None]
        overlap = iou_matrix(near[_SIDES].to_numpy(float), corners)[:, 0]
        best[number] = near["score"][overlap >= IOU_THRESHOLD].max() if overlap.size else 0.0
    return np.nan_to_num(best)


def _overlap(study: Study, seen: _Seen) -> Cause:
    """What a likeness to another class costs.

    It is the gap to the other classes, as far as features do not tell the target from a rival, and
    `GROWTH` times the objects would not help. A probe that saw few objects can't tell. The rival is
    the class that a line tells least well from the target; without a probe, the one that most often
    stands in its place, both ways.

    Returns:
        The cause, scored in recall.

    """
    stays = 1.0
    if study.curve is not None:
        stays = GROWTH ** -decay(study.curve) * seen.known
    if study.apart:
        rival = min(study.apart, key=lambda label: study.apart[label])
        mixed = 1 - study.apart[rival]
        how = f"a linear probe on the frozen features tells them apart to {1 - mixed:.0%}"
    else:
        rival, mixed = _most_confused(study, seen)
        how = f"{mixed:.0%} of their objects are taken for the other"
    return Cause(
        OVERLAP,
        seen.gap * mixed * stays,
        f"Class {rival} is nearest to class {study.target}: {how}.",
        OverlapFigures(rival, mixed),
    )


def _most_confused(study: Study, seen: _Seen) -> tuple[str, float]:
    """The class with the largest share of mutual confusion at the operating points."""
    from classlift.metrics.confusion import confusion_matrix

    table = confusion_matrix(study.matches, seen.points)
    labels = study.matches.labels
    own = labels.index(study.target)
    shares = table[:-1] / np.maximum(table[:-1].sum(axis=1, keepdims=True), 1)
    mutual = np.minimum(shares[own, :-1], shares[:, own])
    mutual[own] = -1.0
    rival = int(mutual.argmax())
    return labels[rival], max(0.0, float(mutual[rival]))


def _architecture(study: Study, seen: _Seen) -> Cause:
    """Lost: what would be found if small objects were found as those are that an anchor fits."""
    if study.sides is None or study.smallest is None:
        return Cause(
            ARCHITECTURE,
            0.0,
            "What size of object the detector can see is not known for this model.",
            SizeFigures(),
        )
    objects = study.matches.objects
    own = objects[objects["label"] == study.target]
    keys = pd.MultiIndex.from_frame(own[["image_id", "box_id"]])
    sides = study.sides.reindex(keys).to_numpy()
    known = ~np.isnan(sides)
    small = sides[known] < study.smallest
    detected = (own["score"] >= seen.points[study.target]).to_numpy()[known]
    share = float(small.mean()) if known.any() else 0.0
    fits = float(detected[~small].mean()) if (~small).sum() >= ENOUGH else seen.others
    lost = max(0.0, fits - float(detected.mean())) if share else 0.0
    return Cause(
        ARCHITECTURE,
        lost,
        f"{share:.0%} of the objects of class {study.target} are smaller than "
        f"{study.smallest:.0f} pixels as the detector sees them, less than any anchor fits; of the "
        f"others it finds {fits:.0%}.",
        SizeFigures(study.smallest, share, fits),
    )
