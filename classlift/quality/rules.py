"""The rules of validation, as tables: what is asked of each box, and of each image.

A new rule is a row in `box_rules` or `image_rules`: the sentence that it is known by, and an
expectation of Great Expectations on a column of `tables`. What no column can show is a function in
`checks`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from classlift.data.copies import FindCopies
from classlift.data.duplicates import NEAR_DISTANCE
from classlift.data.geometry import SIDES
from classlift.data.profile import SIZES, Profile
from classlift.data.schema import SPLITS
from classlift.quality.findings import CRITICAL, INFO, WARNING
from classlift.records import Json
from classlift.text import shown

_NAME_IT = (
    "(name its class or number in the labels, data.yaml or the label map, or leave out a few such "
    "boxes with `bad_boxes: drop` in a config)"
)
REPEATED_IOU = 0.9
MAX_DRIFT = 0.1
"""The largest Kullback-Leibler divergence, in nats: about what doubling one class of ten costs."""


@dataclass(frozen=True)
class Asked:
    """What a snapshot is checked against.

    Attributes:
        labels: the classes of the label map.
        targets: the classes to raise; none for data that are no training set yet, which then need
            not have something in each split.
        min_target_boxes: how many boxes each target needs in each split.
        baseline: of the last blessed snapshot, whose class mix and box sizes should be alike.
        find_copies: looks for images of train among those of eval and test.

    """

    labels: Sequence[str]
    targets: Sequence[str]
    min_target_boxes: int
    baseline: Profile | None
    find_copies: FindCopies

    @property
    def splits(self) -> Sequence[str]:
        """The splits that need to have something in them."""
        return SPLITS if self.targets else ()


Fault = Callable[[int], str]
"""What is wrong, from how often: such as "2 boxes have no area"."""


@dataclass(frozen=True)
class Rule:
    """One row of a table of rules.

    Attributes:
        sentence: what should be.
        fault: what is wrong where it is broken.
        expectation: the name of a class of `great_expectations.expectations`.
        arguments: of that class.
        severity: of a finding.
        fix: what `--fix` does about it, as in `Finding`.
        shows: the columns whose values a place names.
        only: the rows that it is about, by the values of columns; empty for all rows.
        floor: how many rows there should be, where the finding says how many more are needed.

    """

    sentence: str
    fault: Fault
    expectation: str
    arguments: Mapping[str, Json]
    severity: str = CRITICAL
    fix: str = ""
    shows: Sequence[str] = ()
    only: Mapping[str, str] = field(default_factory=dict)
    floor: int | None = None


def box_rules(asked: Asked, misspelt: bool = False) -> list[Rule]:
    """What is asked of the boxes. misspelt: some class is one of the label map, spelt otherwise."""
    return [
        _rows("the data have boxes", "the data have no boxes"),
        _given(
            "width",
            "the image of a box is listed",
            _boxes("is of no image that is listed", "are of no image that is listed"),
        ),
        Rule(
            "a box names its class",
            _boxes(f"names no class {_NAME_IT}", f"name no class {_NAME_IT}"),
            "ExpectColumnValueLengthsToBeBetween",
            {"column": "label", "min_value": 1},
        ),
        Rule(
            "the class of a box is in the label map",
            _boxes(
                "is of a class that is not in the label map",
                "are of classes that are not in the label map",
            ),
            "ExpectColumnValuesToBeInSet",
            {"column": "label", "value_set": ["", *asked.labels]},
            shows=("label", "meant"),
            fix="renames those that differ from a class of the map only in case or blanks, and "
            "leaves the others as they are"
            if misspelt
            else "",
        ),
        _given(
            "side",
            "a box has four sides that are numbers",
            _boxes(
                "has no place: a side is missing or no number",
                "have no place: a side is missing or no number",
            ),
            fix="leaves out boxes without a place",
            shows=SIDES,
        ),
        _between(
            "outside",
            "a box lies inside its image",
            _boxes("leaves its image", "leave their image"),
            maximum=0,
            fix="clips boxes to their image",
            shows=(*SIDES, "width", "height"),
        ),
        _between(
            "side",
            "a box has an area",
            _boxes("has no area", "have no area"),
            above=0,
            fix="puts reversed sides in order, and leaves out boxes that have no area then",
            shows=SIDES,
        ),
        _between(
            "thin",
            "a box is at least one pixel wide and high",
            _boxes("is less than a pixel wide or high", "are less than a pixel wide or high"),
            WARNING,
            minimum=1,
            fix="leaves out such boxes",
            shows=SIDES,
        ),
        _between(
            "repeated_iou",
            f"no object is labelled twice (IoU over {REPEATED_IOU} in its class)",
            _counted("object is labelled twice", "objects are labelled twice"),
            WARNING,
            maximum=REPEATED_IOU,
            fix="keeps one box of each",
            shows=("label", "repeated_iou"),
        ),
        *_enough_of_each_target(asked),
        *_like_the_baseline(asked),
    ]


def image_rules(asked: Asked) -> list[Rule]:
    """What is asked of the images."""
    return [
        _rows("the data have images", "the data have no images"),
        _unique(
            "image_id",
            "an image is listed once",
            _counted("image is listed again", "images are listed more than once"),
        ),
        _between(
            "splits_of_sha256",
            "an image file is in one split alone",
            _counted("image file is in another split too", "image files are in several splits"),
            maximum=1,
            fix="keeps the first of each",
        ),
        _unique(
            "sha256",
            "no image file is there twice",
            _counted("image file is there twice", "image files are there more than once"),
            WARNING,
            fix="keeps the first of each",
        ),
        _between(
            "splits_of_group",
            "the images of a group are in one split",
            _counted(
                "image is of a group that is in several splits",
                "images are of groups that are in several splits",
            ),
            WARNING,
            maximum=1,
            shows=("group", "split"),
        ),
        _between(
            "twin_distance",
            "no image of eval or test has a near twin in train (perceptual hashes differ in more "
            f"than {NEAR_DISTANCE} of 256 bits)",
            _counted(
                "image of eval or test has a near twin in train (perceptual hashes differ in at "
                f"most {NEAR_DISTANCE} of 256 bits)",
                "images of eval or test have a near twin in train (perceptual hashes differ in at "
                f"most {NEAR_DISTANCE} of 256 bits)",
            ),
            WARNING,
            minimum=NEAR_DISTANCE + 1,
            shows=("twin_distance", "twin"),
        ),
        _between(
            "boxes",
            "an image has boxes",
            _counted("image has no boxes", "images have no boxes"),
            INFO,
            minimum=1,
        ),
        *(
            _rows(f"the split {s} has images", f"the split {s} has no images", {"split": s})
            for s in asked.splits
        ),
    ]


def _counted(one: str, many: str) -> Fault:
    """A fault by number: `one` without its 1, `many` without theirs."""
    return lambda count: f"{count:,} {one if count == 1 else many}"


def _boxes(one: str, many: str) -> Fault:
    return _counted(f"box {one}", f"boxes {many}")


def _enough_of_each_target(asked: Asked) -> list[Rule]:
    least = asked.min_target_boxes
    return [
        Rule(
            f"class {shown(target)} has at least {least} boxes in {split}",
            _said(f"class {shown(target)} has fewer than {least} boxes in {split}"),
            "ExpectTableRowCountToBeBetween",
            {"min_value": least},
            only={"label": target, "split": split},
            floor=least,
        )
        for target in asked.targets
        for split in asked.splits
    ]


def _said(words: str) -> Fault:
    return lambda _: words


def _like_the_baseline(asked: Asked) -> list[Rule]:
    if asked.baseline is None:
        return []
    classes, sizes = asked.baseline.classes, asked.baseline.sizes
    known = sorted({*asked.labels, *classes})
    return [
        _alike("label", classes, known, "the class mix"),
        _alike("size", sizes, SIZES, "the mix of box sizes"),
    ]


def _alike(column: str, counts: Mapping[str, int], values: Sequence[str], what: str) -> Rule:
    # One more of each, so that what was never there before is a large step, not an infinite.
    weights = np.array([counts.get(value, 0) + 1 for value in values], float)
    snapshot = "that of the last blessed snapshot (Kullback-Leibler divergence"
    return Rule(
        f"{what} is {snapshot} below {MAX_DRIFT})",
        _said(f"{what} is not {snapshot} of {MAX_DRIFT} or more)"),
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


def _rows(sentence: str, fault: str, only: Mapping[str, str] | None = None) -> Rule:
    return Rule(
        sentence,
        _said(fault),
        "ExpectTableRowCountToBeBetween",
        {"min_value": 1},
        only=only or {},
    )


def _given(
    column: str, sentence: str, fault: Fault, fix: str = "", shows: Sequence[str] = ()
) -> Rule:
    arguments = {"column": column}
    expectation = "ExpectColumnValuesToNotBeNull"
    return Rule(sentence, fault, expectation, arguments, fix=fix, shows=shows)


def _unique(
    column: str, sentence: str, fault: Fault, severity: str = CRITICAL, fix: str = ""
) -> Rule:
    arguments = {"column": column}
    return Rule(sentence, fault, "ExpectColumnValuesToBeUnique", arguments, severity, fix)


def _between(
    column: str,
    sentence: str,
    fault: Fault,
    severity: str = CRITICAL,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    fix: str = "",
    shows: Sequence[str] = (),
) -> Rule:
    """A rule on the values of a column, with its limits; of `minimum` and `above` at most one."""
    least = minimum if above is None else above
    limits = {"min_value": least, "max_value": maximum, "strict_min": above is not None or None}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    expectation = "ExpectColumnValuesToBeBetween"
    return Rule(sentence, fault, expectation, {"column": column, **given}, severity, fix, shows)
