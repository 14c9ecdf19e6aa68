"""One scoring: what a model's recalls are on labelled data, and which are below their floors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from classlift.metrics.matching import match
from classlift.metrics.statistics import (
    clustered_share_bounds,
    count_by_unit,
    count_detections_by_unit,
)
from classlift.records import Record
from classlift.serving.provenance import Provenance
from classlift.settings.gate import GUARANTEED
from classlift.text import shown


@dataclass(frozen=True)
class Figures:
    """The figures of one class at its operating point.

    Attributes:
        objects: how many the labels have.
        recall: 0 to 1; None without objects.
        lower: the one-sided 95% lower bound of the recall; None without objects.
        upper: the one-sided 95% upper bound of the recall; None without objects.
        precision: 0 to 1; None where nothing was detected.
        floor: the recall that is asked for; None where none is.
        fell: whether the recall is below its floor for sure.
        precision_upper: the one-sided 95% upper bound of the precision; None where nothing was
            detected, and in a scoring by an earlier version of this code.

    """

    objects: int
    recall: float | None
    lower: float | None
    upper: float | None
    precision: float | None
    floor: float | None = None
    fell: bool = False
    precision_upper: float | None = None

    @classmethod
    def read(cls, record: Record) -> "Figures":
        """Reads what `dataclasses.asdict` made of one. Raises the record's fault for others."""

        def figure(name: str) -> float | None:
            return None if record.value(name) is None else record.figure(name)

        return cls(
            objects=record.count("objects"),
            recall=figure("recall"),
            lower=figure("lower"),
            upper=figure("upper"),
            precision=figure("precision"),
            floor=figure("floor"),
            fell=record.flag("fell"),
            precision_upper=record.figure("precision_upper")
            if record.has("precision_upper")
            else None,
        )


@dataclass(frozen=True)
class Promise:
    """What the score threshold of one class was chosen for.

    Attributes:
        label: the class that the version was trained for.
        precision: 0 to 1, that the threshold has on eval.
        is_guaranteed: whether eval guaranteed it, and did not merely show it.

    """

    label: str
    precision: float
    is_guaranteed: bool

    @classmethod
    def all_of(cls, provenance: Provenance) -> "tuple[Promise, ...]":
        """What a version says; nothing where its thresholds were fixed."""
        chosen_for = provenance.thresholds or {}
        precision = chosen_for.get("precision")
        if not isinstance(precision, float) or "score_threshold" in chosen_for:
            return ()
        is_guaranteed = chosen_for.get("operating_points") == GUARANTEED
        return tuple(cls(label, precision, is_guaranteed) for label in provenance.targets)

    def sentence(self, classes: Mapping[str, Figures]) -> str:
        """What became of it on the images that were scored."""
        figures = classes[self.label]
        sure = "guaranteed" if self.is_guaranteed else "showed"
        said = (
            f"At the score threshold of class {shown(self.label)}, eval {sure} a precision of "
            f"{self.precision:.2f}; "
        )
        if figures.precision is None:
            return f"{said}nothing of it was detected here."
        here = f"{said}here it is {figures.precision:.3f}"
        upper = figures.precision_upper
        if upper is not None and upper < self.precision:
            return f"{here}, at most {upper:.3f}: it is lost."
        return f"{here}."


def score(
    boxes: pa.Table,
    detections: pa.Table,
    image_ids: Sequence[str],
    points: Mapping[str, float],
    floors: Mapping[str, float],
) -> dict[str, Figures]:
    """The figures of each class at its operating point.

    Args:
        boxes: `schema.BOXES` of the images, in pixels.
        detections: `schema.DETECTIONS` of the same.
        image_ids: all images.
        points: score thresholds, of all classes.
        floors: recalls, of some.

    Returns:
        The figures by class.

    Raises:
        EvaluationError: as `matching.match`.

    """
    labels = list(points)
    matches = match(boxes, detections, image_ids, labels)
    objects, found, _ = count_by_unit(matches, points)
    recalls = clustered_share_bounds(objects, found)
    detections_kept, detections_right, _ = count_detections_by_unit(matches, points)
    precisions = clustered_share_bounds(detections_kept, detections_right)
    classes = {}
    for k, label in enumerate(labels):
        recall, lower, upper = (None if math.isnan(value) else value for value in recalls[k])
        precision, _, at_most = (None if math.isnan(value) else value for value in precisions[k])
        classes[label] = Figures(
            int(objects[:, k].sum()), recall, lower, upper, precision, precision_upper=at_most
        )
    return judged(classes, floors)


def judged(classes: Mapping[str, Figures], floors: Mapping[str, float]) -> dict[str, Figures]:
    """The figures with `floor` and `fell` anew, by other floors.

    A recall fell below its floor when its upper bound is below it; that of a few objects hardly
    ever is.

    Args:
        classes: the figures by class.
        floors: recalls, 0 to 1, of some of them.

    Returns:
        The figures by class.

    """
    result = {}
    for label, figures in classes.items():
        floor, upper = floors.get(label), figures.upper
        fell = floor is not None and upper is not None and upper < floor
        result[label] = replace(figures, floor=floor, fell=fell)
    return result


def fallen(classes: Mapping[str, Figures]) -> list[str]:
    """The classes whose recall fell below its floor, the furthest below first."""
    below = {
        label: figures.recall - figures.floor
        for label, figures in classes.items()
        if figures.fell and figures.recall is not None and figures.floor is not None
    }
    return sorted(below, key=lambda label: below[label])


def sentences(classes: Mapping[str, Figures]) -> list[str]:
    """What there is to say of the classes that have a floor, those that fell first."""
    fell = fallen(classes)
    doubtful = [
        label
        for label, figures in classes.items()
        if figures.floor is not None
        and not figures.fell
        and (figures.recall is None or figures.recall < figures.floor)
    ]
    said = [_sentence(label, classes[label]) for label in (*fell, *doubtful)]
    fine = sum(figures.floor is not None for figures in classes.values()) - len(said)
    if fine:
        said.append(
            "1 class is on or above its floor."
            if fine == 1
            else f"{fine} classes are on or above their floors."
        )
    return said


def _sentence(label: str, figures: Figures) -> str:
    floor, recall, objects = figures.floor, figures.recall, figures.objects
    if recall is None:
        return f"Class {shown(label)}: the data have no object of it, so nothing can be said."
    place = f"below its floor of {floor:.2f}: its recall is {recall:.3f}"
    count = f"{objects} object{'' if objects == 1 else 's'}"
    if figures.fell:
        return f"Class {shown(label)} fell {place}, at most {figures.upper:.3f} ({count})."
    return (
        f"Class {shown(label)}: can't tell whether it is {place} and may be up to "
        f"{figures.upper:.3f} ({count}); label more of it."
    )
