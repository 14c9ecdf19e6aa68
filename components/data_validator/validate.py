"""Validation of a snapshot: Great Expectations on its tables, and what the images showed.

A new rule is an expectation in `_box_rules` or `_image_rules`, with its sentence.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from components.dataset.schema import SPLITS
from components.dataset.snapshot import Snapshot
from components.errors import DataError

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # nothing is sent from a user's machine

EXAMPLES_SHOWN = 20


@dataclass(frozen=True)
class Finding:
    """A broken rule: how often, and where, with file, record and value."""

    rule: str
    severity: str
    count: int
    where: list[str]

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
    docs: Path,
    report: Callable[[str], None] = print,
) -> list[Finding]:
    """Checks a snapshot; writes Data Docs and `findings.json` under `docs`.

    labels: the label map's names; boxes of other classes are findings.
    target: the class to raise; None for data that are no training set yet, which then need not
        have something in each split.
    min_target_boxes: how many boxes the target class needs in each split.

    An expectation that could not be evaluated is a critical finding too.
    """
    images, boxes = snapshot.images.to_pandas(), snapshot.boxes.to_pandas()
    boxes["label"] = boxes["label"].astype(str)
    boxes = boxes.merge(images[["image_id", "width", "height", "split"]], on="image_id", how="left")
    report("loading Great Expectations")
    findings = [
        Finding(problem["problem"], "critical", 1, [f"{problem['source']} ({problem['image_id']})"])
        for problem in snapshot.problems.to_pylist()
    ]
    findings += _check_tables(
        {
            "boxes": (boxes, _box_rules(labels, target, min_target_boxes)),
            "images": (images, _image_rules(SPLITS if target is not None else ())),
        },
        docs,
    )
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "findings.json").write_text(json.dumps([asdict(f) for f in findings], indent=1))
    return findings


def require_no_critical(findings: Sequence[Finding], docs: Path) -> None:
    """Raises DataError with one sentence on the first critical finding."""
    critical = [f for f in findings if f.severity == "critical"]
    if critical:
        more = len(critical) - 1
        others = f" {more} more rule{'s are' if more > 1 else ' is'} broken." if more else ""
        raise DataError(
            f"The data break a rule: {critical[0].sentence()}.{others} "
            f"All findings: {docs / 'findings.json'}"
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
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=["image_id", "label", "xmin", "ymin", "xmax", "ymax"],
            severity="warning",
            meta={"rule": "no box is labelled twice"},
        ),
    ]
    for split in SPLITS if target is not None else ():
        rules.append(
            gxe.ExpectTableRowCountToBeBetween(
                min_value=min_target_boxes,
                row_condition=(Column("label") == target) & (Column("split") == split),
                meta={"rule": f"class {target} has at least {min_target_boxes} boxes in {split}"},
            )
        )
    return rules


def _image_rules(splits: Sequence[str]) -> list[Any]:
    import great_expectations.expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    return [
        gxe.ExpectColumnValuesToBeUnique(
            column="image_id", meta={"rule": "an image is listed once"}
        ),
        gxe.ExpectColumnValuesToBeUnique(
            column="sha256",
            severity="warning",
            meta={"rule": "no image file is there twice"},
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


def _check_tables(tables: dict[str, tuple[pd.DataFrame, list[Any]]], docs: Path) -> list[Finding]:
    import great_expectations as gx

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
    for name, (frame, rules) in tables.items():
        identity = ["source", "image_id"] if "source" in frame else ["uri", "image_id"]
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
    return findings


def _finding(result: Any, identity: list[str]) -> Finding:
    """A finding from a failed expectation; one that raised says so (its result is empty)."""
    config = result.expectation_config
    rule = config.meta["rule"]
    if not result.result:
        return Finding(f"{rule}: could not be checked ({result.exception_info})", "critical", 1, [])
    where = [
        ", ".join(f"{key} {value}" for key, value in row.items() if key not in identity)
        + f" in {row[identity[0]]} ({row['image_id']})"
        for row in result.result.get("partial_unexpected_index_list") or []
    ]
    if "observed_value" in result.result and not where:
        where = [f"there are {result.result['observed_value']}"]
    return Finding(
        rule=rule,
        severity=str(getattr(config.severity, "value", config.severity)),
        count=int(result.result.get("unexpected_count") or 1),
        where=where,
    )
