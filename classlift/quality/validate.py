"""Validation of a snapshot: Great Expectations on its tables, and what the images showed.

A new rule is an expectation in `_box_rules` or `_image_rules`, with its sentence. What a row alone
does not show comes as a further column, from `measures`.
"""

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from classlift.data.copies import MAX_DIFFERENCE
from classlift.data.duplicates import NEAR_DISTANCE
from classlift.data.profile import SIZES, Profile, joined, size_names
from classlift.data.schema import SPLITS
from classlift.data.snapshot import Snapshot
from classlift.errors import DataError
from classlift.quality.data_docs import make_offline
from classlift.quality.measures import repeated_iou, train_copies, train_twins
from classlift.quality.report import write_report
from classlift.quality.suspicions import Suspicion
from classlift.text import shown

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # nothing is sent from a user's machine

EXAMPLES_SHOWN = 20
REPEATED_IOU = 0.9
MAX_DRIFT = 0.1
"""The largest Kullback-Leibler divergence, in nats: about what doubling one class of ten costs."""

REPORT, DOCS, FINDINGS, RELABEL = "report.html", "data_docs", "findings.json", "relabel.json"


@dataclass(frozen=True)
class Finding:
    """A broken rule: how often, and where, with file, record and value.

    severity: `critical` stops a run; `warning` is reported; `info` is counted. box_ids: of the
    boxes that are shown, of the snapshot's.
    """

    rule: str
    severity: str
    count: int
    where: list[str]
    box_ids: list[int] = field(default_factory=list)

    def sentence(self) -> str:
        """One sentence with the rule, the first place and how many more there are."""
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        place = f": {self.where[0]}" if self.where else ""
        return f"{self.rule}{place}{more}"


def validate(
    snapshot: Snapshot,
    labels: Sequence[str],
    target: str | None,
    min_target_boxes: int,
    folder: Path,
    report: Callable[[str], None] = print,
    baseline: Profile | None = None,
    suspicions: Sequence[Suspicion] = (),
) -> list[Finding]:
    """Checks a snapshot; writes `report.html`, `findings.json` and Data Docs below `folder`.

    labels: the label map's names; boxes of other classes are findings.
    target: the class to raise; None for data that are no training set yet, which then need not
        have something in each split.
    min_target_boxes: how many boxes the target class needs in each split.
    baseline: of the last blessed snapshot; the class mix and the box sizes are compared with it.
    suspicions: labels that a model doubts, for the report.

    An expectation that could not be evaluated is a critical finding too.
    """
    boxes, images = _frames(snapshot)
    report("looking for images of train among those of eval and test")
    findings = [*_image_findings(snapshot), *_copied_images(images)]
    report("loading Great Expectations")
    if target is not None:
        findings += _unseen_classes(boxes, labels, target)
    box_rules = _box_rules(labels, target, min_target_boxes)
    if baseline:
        box_rules += _drift_rules(baseline, labels)
    findings += _check_tables(
        {
            "boxes": (boxes, box_rules, ["source", "image_id", "box_id"]),
            "images": (
                images,
                _image_rules(SPLITS if target is not None else ()),
                ["uri", "image_id", "twin"],
            ),
        },
        folder / DOCS,
    )
    findings.sort(key=lambda finding: ("critical", "warning", "info").index(finding.severity))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FINDINGS).write_text(json.dumps([asdict(f) for f in findings], indent=1))
    (folder / RELABEL).write_text(json.dumps([asdict(s) for s in suspicions], indent=1))
    write_report(folder / REPORT, boxes, images, findings, suspicions, f"{DOCS}/index.html")
    return findings


def _image_findings(snapshot: Snapshot) -> list[Finding]:
    """What the images themselves showed, rule by rule; a problem is a rule and its value."""
    places: dict[tuple[str, str], list[str]] = {}
    for row in snapshot.problems.to_pylist():
        rule, _, value = row["problem"].partition(": ")
        where = f"{value} in {row['source']} ({row['image_id']})"
        places.setdefault((rule, row["severity"]), []).append(where)
    return [
        Finding(rule, severity, len(where), where[:EXAMPLES_SHOWN])
        for (rule, severity), where in places.items()
    ]


def _copied_images(images: pd.DataFrame) -> list[Finding]:
    """Images of eval and test that training has seen: what is measured on them proves nothing."""
    copies = train_copies(images)
    if not copies:
        return []
    rule = (
        "no image of eval or test is one of train, saved anew, mirrored or cropped (laid over each "
        f"other, they differ nowhere by more than {MAX_DIFFERENCE:g}%); remove one of the two, or "
        "give both the same split (where none is given: the same `group`)"
    )
    where = [
        f"{copy.image.uri} ({copy.image.name}) is {copy.original.name}, {copy.how}: they differ by "
        f"at most {copy.difference:.1f}%"
        for copy in copies[:EXAMPLES_SHOWN]
    ]
    return [Finding(rule, "critical", len(copies), where)]


def _unseen_classes(boxes: pd.DataFrame, labels: Sequence[str], target: str) -> list[Finding]:
    """Classes of which eval or test has no object: the gate can't read them.

    The target has a rule of its own, with a least number. Boxes of crowds are no objects.
    """
    findings = []
    for split in ("eval", "test"):
        seen = set(boxes["label"][(boxes["split"] == split) & ~boxes["is_crowd"].astype(bool)])
        unseen = [label for label in labels if label != target and label not in seen]
        if unseen:
            findings.append(
                Finding(
                    f"{split} has an object of each class (one without can't be read by the gate: "
                    "where training may have changed it, nothing is pushed)",
                    "warning",
                    len(unseen),
                    [
                        f"{split} has no object of class {label}"
                        for label in unseen[:EXAMPLES_SHOWN]
                    ],
                )
            )
    return findings


def _frames(snapshot: Snapshot) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Boxes and images with the columns that the rules ask for."""
    boxes, images = joined(snapshot.images, snapshot.boxes), snapshot.images.to_pandas()
    with np.errstate(all="ignore"):  # infinite sides: the rules below name them
        boxes["side"] = np.minimum(boxes["xmax"] - boxes["xmin"], boxes["ymax"] - boxes["ymin"])
        boxes["repeated_iou"] = repeated_iou(boxes)
        boxes["size"] = size_names(boxes)
    counts = boxes["image_id"].value_counts()
    images["boxes"] = images["image_id"].map(counts).fillna(0).astype(int)
    twins = train_twins(images)
    images["twin_distance"] = pd.Series({row: float(t.distance) for row, t in twins.items()})
    images["twin"] = pd.Series({row: t.image_id for row, t in twins.items()}, dtype=object)
    for key in ("sha256", "group"):
        sides = images[images[key] != ""].groupby(key)["split"].nunique()
        images[f"splits_of_{key}"] = images[key].map(sides).fillna(1).astype(int)
    return boxes, images


def require_no_critical(findings: Sequence[Finding], folder: Path) -> None:
    """Raises DataError with one sentence on the first critical finding."""
    critical = [f for f in findings if f.severity == "critical"]
    if critical:
        more = len(critical) - 1
        others = f" {more} more rule{'s are' if more > 1 else ' is'} broken." if more else ""
        raise DataError(
            f"The data break a rule: {critical[0].sentence()}.{others} "
            f"All findings: {folder / REPORT}"
        )


def _box_rules(labels: Sequence[str], target: str | None, min_target_boxes: int) -> list[Any]:
    import great_expectations.expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    def greater(a: str, b: str, or_equal: bool, rule: str) -> Any:
        return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=a, column_B=b, or_equal=or_equal, meta={"rule": rule}
        )

    rules = [
        gxe.ExpectTableRowCountToBeBetween(min_value=1, meta={"rule": "the data have boxes"}),
        gxe.ExpectColumnValuesToNotBeNull(
            column="width", meta={"rule": "the image of a box is listed"}
        ),
        gxe.ExpectColumnValueLengthsToBeBetween(
            column="label", min_value=1, meta={"rule": "a box names its class"}
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="label",
            value_set=list(labels),
            meta={"rule": "the class of a box is in the label map"},
        ),
        *(
            gxe.ExpectColumnValuesToNotBeNull(
                column=side, meta={"rule": f"{side} of a box is a number"}
            )
            for side in ("xmin", "ymin", "xmax", "ymax")
        ),
        *(
            gxe.ExpectColumnValuesToBeBetween(
                column=side,
                min_value=0,
                meta={"rule": f"a box lies inside its image ({side} >= 0)"},
            )
            for side in ("xmin", "ymin")
        ),
        greater("width", "xmax", True, "a box lies inside its image (xmax <= width)"),
        greater("height", "ymax", True, "a box lies inside its image (ymax <= height)"),
        greater("xmax", "xmin", False, "a box has an area (xmax > xmin)"),
        greater("ymax", "ymin", False, "a box has an area (ymax > ymin)"),
        gxe.ExpectColumnValuesToBeBetween(
            column="side",
            min_value=1,
            severity="warning",
            meta={"rule": "a box is at least one pixel wide and high"},
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="repeated_iou",
            max_value=REPEATED_IOU,
            severity="warning",
            meta={"rule": f"no object is labelled twice (IoU over {REPEATED_IOU} in its class)"},
        ),
    ]
    for split in SPLITS if target is not None else ():
        rules.append(
            gxe.ExpectTableRowCountToBeBetween(
                min_value=min_target_boxes,
                row_condition=(Column("label") == target) & (Column("split") == split),
                meta={
                    "rule": f"class {shown(target or '')} has at least {min_target_boxes} boxes in "
                    f"{split}",
                    "floor": min_target_boxes,
                },
            )
        )
    return rules


def _drift_rules(baseline: Profile, labels: Sequence[str]) -> list[Any]:
    import great_expectations.expectations as gxe

    def alike(column: str, counts: Mapping[str, int], values: Sequence[str], rule: str) -> Any:
        # One more of each, so that what was never there before is a large step, not an infinite.
        weights = np.array([counts.get(value, 0) + 1 for value in values], float)
        return gxe.ExpectColumnKLDivergenceToBeLessThan(
            column=column,
            partition_object={
                "values": list(values),
                "weights": (weights / weights.sum()).tolist(),
            },
            threshold=MAX_DRIFT,
            severity="warning",
            meta={
                "rule": f"{rule} of the last blessed snapshot (Kullback-Leibler divergence "
                f"below {MAX_DRIFT})"
            },
        )

    known = sorted({*labels, *baseline.classes})
    return [
        alike("label", baseline.classes, known, "the class mix is that"),
        alike("size", baseline.sizes, SIZES, "the mix of box sizes is that"),
    ]


def _image_rules(splits: Sequence[str]) -> list[Any]:
    import great_expectations.expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=1, meta={"rule": "the data have images"}),
        gxe.ExpectColumnValuesToBeUnique(
            column="image_id", meta={"rule": "an image is listed once"}
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="splits_of_sha256",
            max_value=1,
            meta={"rule": "an image file is in one split alone"},
        ),
        gxe.ExpectColumnValuesToBeUnique(
            column="sha256",
            severity="warning",
            meta={"rule": "no image file is there twice"},
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="splits_of_group",
            max_value=1,
            severity="warning",
            meta={"rule": "the images of a group are in one split"},
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="twin_distance",
            min_value=NEAR_DISTANCE + 1,
            severity="warning",
            meta={
                "rule": "no image of eval or test has a near twin in train (perceptual hashes "
                f"differ in more than {NEAR_DISTANCE} of 256 bits)"
            },
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="boxes", min_value=1, severity="info", meta={"rule": "an image has boxes"}
        ),
        *(
            gxe.ExpectTableRowCountToBeBetween(
                min_value=1,
                row_condition=Column("split") == split,
                meta={"rule": f"the split {split} has images"},
            )
            for split in splits
        ),
    ]


def _check_tables(
    tables: dict[str, tuple[pd.DataFrame, list[Any], list[str]]], docs: Path
) -> list[Finding]:
    """Findings of tables, each with its rules and the columns that say where; writes Data Docs."""
    import great_expectations as gx

    logging.getLogger(gx.data_context.types.base.__name__).setLevel(logging.WARNING)

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    for name in list(context.get_site_names()):
        context.delete_data_docs_site(name)
    context.add_data_docs_site(
        "local",
        {
            "class_name": "SiteBuilder",
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(docs.resolve()),
            },
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    pandas_source = context.data_sources.add_pandas("snapshot")
    findings = []
    for name, (frame, rules, identity) in tables.items():
        asset = pandas_source.add_dataframe_asset(name)
        definition = gx.ValidationDefinition(
            name=name,
            data=asset.add_batch_definition_whole_dataframe("all"),
            suite=context.suites.add(gx.ExpectationSuite(name=name, expectations=rules)),
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name=name,
                validation_definitions=[context.validation_definitions.add(definition)],
                result_format={
                    "result_format": "SUMMARY",
                    "partial_unexpected_count": EXAMPLES_SHOWN,
                    "unexpected_index_column_names": identity,
                },
            )
        )
        outcome = checkpoint.run(batch_parameters={"dataframe": frame})
        for run in outcome.run_results.values():
            findings += [_finding(result, identity) for result in run.results if not result.success]
    context.build_data_docs()
    make_offline(docs)
    return findings


def _value(value: Any) -> str:
    return shown(value) if isinstance(value, str) else str(value)


def _finding(result: Any, identity: list[str]) -> Finding:
    """A finding from a failed expectation; one that raised says so (its result is empty)."""
    config = result.expectation_config
    rule = config.meta["rule"]
    if not result.result:
        return Finding(f"{rule}: could not be checked ({result.exception_info})", "critical", 1, [])
    rows = result.result.get("partial_unexpected_index_list") or []
    where = []
    for row in rows:
        given = {key: value for key, value in row.items() if key not in identity}
        if "twin_distance" in given:
            given["twin"] = row["twin"]
        values = ", ".join(f"{key} {_value(value)}" for key, value in given.items())
        where.append(f"{values} in {row[identity[0]]} ({row['image_id']})")
    if "observed_value" in result.result and not where:
        observed = result.result["observed_value"]
        if "floor" in config.meta:
            where = [f"there are {observed}, {config.meta['floor'] - observed} more are needed"]
        elif isinstance(observed, float):
            where = [f"it is {observed:.2f}"]
        else:
            where = [f"there are {observed}"]
    return Finding(
        rule=rule,
        severity=str(getattr(config.severity, "value", config.severity)),
        count=int(result.result.get("unexpected_count") or 1),
        where=where,
        box_ids=[int(row["box_id"]) for row in rows if "box_id" in row],
    )
