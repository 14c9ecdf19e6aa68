"""Rules checked by Great Expectations, which also writes its Data Docs."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

import pandas as pd

from classlift.quality.data_docs import make_offline
from classlift.quality.findings import CRITICAL, EXAMPLES_SHOWN, Finding
from classlift.quality.rules import Rule

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # nothing is sent from a user's machine


@dataclass(frozen=True)
class Checked:
    """One table with its rules; identity: the columns that say where, the file first."""

    name: str
    frame: pd.DataFrame
    rules: Sequence[Rule]
    identity: Sequence[str]

    def columns(self) -> list[str]:
        """The columns that places are made of."""
        shown = [column for rule in self.rules for column in rule.shows]
        return list(dict.fromkeys([*self.identity, *shown]))


def check(tables: Sequence[Checked], docs: Path) -> list[Finding]:
    """Checks tables by Great Expectations.

    Args:
        tables: with their rules.
        docs: folder to which its Data Docs are written.

    Returns:
        The broken rules; one that could not be evaluated is critical.

    """
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
    source = context.data_sources.add_pandas("snapshot")
    findings = []
    for table in tables:
        rules = [_expectation(rule) for rule in table.rules]
        asset = source.add_dataframe_asset(table.name)
        definition = gx.ValidationDefinition(
            name=table.name,
            data=asset.add_batch_definition_whole_dataframe("all"),
            suite=context.suites.add(gx.ExpectationSuite(name=table.name, expectations=rules)),
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name=table.name,
                validation_definitions=[context.validation_definitions.add(definition)],
                result_format={
                    "result_format": "SUMMARY",
                    "partial_unexpected_count": EXAMPLES_SHOWN,
                    "unexpected_index_column_names": table.columns(),
                },
            )
        )
        outcome = checkpoint.run(batch_parameters={"dataframe": table.frame})
        for run in outcome.run_results.values():
            findings += [_finding(result, table) for result in run.results if not result.success]
    context.build_data_docs()
    make_offline(docs)
    return findings


def _expectation(rule: Rule) -> Any:
    """The rule as Great Expectations knows it."""
    import great_expectations.expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    conditions = [Column(name) == value for name, value in rule.only.items()]
    return getattr(gxe, rule.expectation)(
        **rule.arguments,
        **({"row_condition": reduce(and_, conditions)} if conditions else {}),
        severity=rule.severity,
        meta={"rule": rule.sentence},
    )


def _finding(result: Any, table: Checked) -> Finding:
    """A finding from a failed expectation; one that raised says so (its result is empty)."""
    name = result.expectation_config.meta["rule"]
    [rule] = [rule for rule in table.rules if rule.sentence == name]
    if not result.result:
        fault = f"{name}: could not be checked ({result.exception_info})"
        return Finding(name, fault, CRITICAL, 1, [])
    rows = result.result.get("partial_unexpected_index_list") or []
    count = int(result.result.get("unexpected_count") or 1)
    where = [_place(row, rule, table.identity) for row in rows]
    observed = result.result.get("observed_value")
    if rule.floor is not None:
        lacking = int(observed or 0)
        where = [
            f"there {'is' if lacking == 1 else 'are'} {lacking}, {rule.floor - lacking} more "
            f"{'is' if rule.floor - lacking == 1 else 'are'} needed"
        ]
    elif isinstance(observed, float) and not where:
        where = [f"it is {observed:.2f}"]
    box_ids = [int(row["box_id"]) for row in rows if "box_id" in row]
    return Finding(name, rule.fault(count), rule.severity, count, where, rule.fix, box_ids)


def _place(row: Mapping[str, Any], rule: Rule, identity: Sequence[str]) -> str:
    """Where a rule is broken, after the values that its row is to show."""
    values = ", ".join(f"{key} {_value(row[key])}" for key in rule.shows if _is_given(row[key]))
    place = f"{row[identity[0]]} ({row['image_id']})"
    return f"{values} in {place}" if values else place


def _is_given(value: Any) -> bool:
    return not (value is None or value == "" or value != value)  # the last is NaN


def _value(value: Any) -> str:
    """A text as Python writes it, so that one sees its blanks; a number as float32 has it."""
    return repr(value) if isinstance(value, str) else f"{value:.7g}"
