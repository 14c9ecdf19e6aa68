"""The rules of validation, as tables: what is asked of each box, and of each image.

A new rule is a row in `box_rules` or `image_rules`: the sentence that it is known by, and an
expectation of Great Expectations on a column of `tables`. What no column can show is a function in
`checks`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from classlift.data.duplicates import NEAR_DISTANCE
from classlift.data.profile import SIZES, Profile
from classlift.data.schema import SPLITS
from classlift.quality.findings import CRITICAL, INFO, WARNING
from classlift.records import Json
from classlift.text import shown

REPEATED_IOU = 0.9
MAX_DRIFT = 0.1
"""The largest Kullback-Leibler divergence, in nats: about what doubling one class of ten costs."""


@dataclass(frozen=True)
class Asked:
    """What a snapshot is checked against.

    Attributes:
        labels: the classes of the label map.
        target: the class to raise; None for data that are no training set yet, which then need not
            have something in each split.
        min_target_boxes: how many boxes the target needs in each split.
        baseline: of the last blessed snapshot, whose class mix and box sizes should be alike.

    """

    labels: Sequence[str]
    target: str | None
    min_target_boxes: int
    baseline: Profile | None

    @property
    def splits(self) -> Sequence[str]:
        """The splits that need to have something in them."""
        return () if self.target is None else SPLITS


@dataclass(frozen=True)
class Rule:
    """One row of a table of rules.

    Attributes:
        sentence: what should be.
        expectation: the name of a class of `great_expectations.expectations`.
        arguments: of that class.
        severity: of a finding.
        only: the rows that it is about, by the values of columns; empty for all rows.
        floor: how many rows there should be, where the finding says how many more are needed.

    """

    sentence: str
    expectation: str
    arguments: Mapping[str, Json]
    severity: str = CRITICAL
    only: Mapping[str, str] = field(default_factory=dict)
    floor: int | None = None


def box_rules(asked: Asked) -> list[Rule]:
    """What is asked of the boxes."""
    sides = ("xmin", "ymin", "xmax", "ymax")
    return [
        _rows("the data have boxes"),
        _given("width", "the image of a box is listed"),
        Rule(
            "a box names its class",
            "ExpectColumnValueLengthsToBeBetween",
            {"column": "label", "min_value": 1},
        ),
        Rule(
            "the class of a box is in the label map",
            "ExpectColumnValuesToBeInSet",
            {"column": "label", "value_set": list(asked.labels)},
        ),
        *(_given(side, f"{side} of a box is a number") for side in sides),
        _between("xmin", "a box lies inside its image (xmin >= 0)", minimum=0),
        _between("ymin", "a box lies inside its image (ymin >= 0)", minimum=0),
        _greater("width", "xmax", "a box lies inside its image (xmax <= width)", or_equal=True),
        _greater("height", "ymax", "a box lies inside its image (ymax <= height)", or_equal=True),
        _greater("xmax", "xmin", "a box has an area (xmax > xmin)"),
        _greater("ymax", "ymin", "a box has an area (ymax > ymin)"),
        _between("side", "a box is at least one pixel wide and high", WARNING, minimum=1),
        _between(
            "repeated_iou",
            f"no object is labelled twice (IoU over {REPEATED_IOU} in its class)",
            WARNING,
            maximum=REPEATED_IOU,
        ),
        *_enough_of_the_target(asked),
        *_like_the_baseline(asked),
    ]


def image_rules(asked: Asked) -> list[Rule]:
    """What is asked of the images."""
    return [
        _rows("the data have images"),
        _unique("image_id", "an image is listed once"),
        _between("splits_of_sha256", "an image file is in one split alone", maximum=1),
        _unique("sha256", "no image file is there twice", WARNING),
        _between("splits_of_group", "the images of a group are in one split", WARNING, maximum=1),
        _between(
            "twin_distance",
            "no image of eval or test has a near twin in train (perceptual hashes differ in more "
            f"than {NEAR_DISTANCE} of 256 bits)",
            WARNING,
            minimum=NEAR_DISTANCE + 1,
        ),
        _between("boxes", "an image has boxes", INFO, minimum=1),
        *(_rows(f"the split {split} has images", {"split": split}) for split in asked.splits),
    ]


def _enough_of_the_target(asked: Asked) -> list[Rule]:
    least = asked.min_target_boxes
    return [
        Rule(
            f"class {shown(asked.target or '')} has at least {least} boxes in {split}",
            "ExpectTableRowCountToBeBetween",
            {"min_value": least},
            only={"label": asked.target or "", "split": split},
            floor=least,
        )
        for split in asked.splits
    ]


def _like_the_baseline(asked: Asked) -> list[Rule]:
    if asked.baseline is None:
        return []
    classes, sizes = asked.baseline.classes, asked.baseline.sizes
    known = sorted({*asked.labels, *classes})
    return [
        _alike("label", classes, known, "the class mix is that"),
        _alike("size", sizes, SIZES, "the mix of box sizes is that"),
    ]


def _alike(column: str, counts: Mapping[str, int], values: Sequence[str], sentence: str) -> Rule:
    # One more of each, so that what was never there before is a large step, not an infinite.
    weights = np.array([counts.get(value, 0) + 1 for value in values], float)
    return Rule(
        f"{sentence} of the last blessed snapshot (Kullback-Leibler divergence below {MAX_DRIFT})",
        "ExpectColumnKLDivergenceToBeLessThan",
        {
            "column": column,
            "partition_object": {
                "values": list(values),
                "weights": (weights / weights.sum()).tolist(),
            },
            "threshold": MAX_DRIFT,
        },
        WARNING,
    )


def _rows(sentence: str, only: Mapping[str, str] | None = None) -> Rule:
    return Rule(sentence, "ExpectTableRowCountToBeBetween", {"min_value": 1}, only=only or {})


def _given(column: str, sentence: str) -> Rule:
    return Rule(sentence, "ExpectColumnValuesToNotBeNull", {"column": column})


def _unique(column: str, sentence: str, severity: str = CRITICAL) -> Rule:
    return Rule(sentence, "ExpectColumnValuesToBeUnique", {"column": column}, severity)


def _between(
    column: str,
    sentence: str,
    severity: str = CRITICAL,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Rule:
    limits = {"min_value": minimum, "max_value": maximum}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return Rule(sentence, "ExpectColumnValuesToBeBetween", {"column": column, **given}, severity)


def _greater(column: str, other: str, sentence: str, or_equal: bool = False) -> Rule:
    columns = {"column_A": column, "column_B": other}
    return Rule(
        sentence, "ExpectColumnPairValuesAToBeGreaterThanB", {**columns, "or_equal": or_equal}
    )
