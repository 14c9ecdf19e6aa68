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
from classlift.text import shown

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # nothing is sent from a user's machine


@dataclass(frozen=True)
class Checked:
    """One table with its rules; identity: the columns that say where, file and image first."""

    name: str
    frame: pd.DataFrame
    rules: Sequence[Rule]
    identity: Sequence[str]


def check(tables: Sequence[Checked], docs: Path) -> list[Finding]:
    """The broken rules of some tables; writes Data Docs to the folder `docs`.

    A rule that could not be evaluated is a critical finding.
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
                    "unexpected_index_column_names": list(table.identity),
                },
            )
        )
        outcome = checkpoint.run(batch_parameters={"dataframe": table.frame})
        for run in outcome.run_results.values():
            findings += [
                _finding(result, table.identity) for result in run.results if not result.success
            ]
    context.build_data_docs()
    make_offline(docs)
    return findings


def _expectation(rule: Rule) -> Any:
    """The rule as Great Expectations knows it."""
    import great_expectations.expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    conditions = [Column(name) == value for name, value in rule.only.items()]
    meta = {"rule": rule.sentence} | ({} if rule.floor is None else {"floor": rule.floor})
    return getattr(gxe, rule.expectation)(
        **rule.arguments,
        **({"row_condition": reduce(and_, conditions)} if conditions else {}),
        severity=rule.severity,
        meta=meta,
    )


def _finding(result: Any, identity: Sequence[str]) -> Finding:
    """A finding from a failed expectation; one that raised says so (its result is empty)."""
    config = result.expectation_config
    rule = config.meta["rule"]
    if not result.result:
        return Finding(f"{rule}: could not be checked ({result.exception_info})", CRITICAL, 1, [])
    rows = result.result.get("partial_unexpected_index_list") or []
    where = [_place(row, identity) for row in rows]
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


def _place(row: Mapping[str, Any], identity: Sequence[str]) -> str:
    """The values that break a rule, and where they stand."""
    given = {key: value for key, value in row.items() if key not in identity}
    if "twin_distance" in given:
        given["twin"] = row["twin"]
    values = ", ".join(f"{key} {_value(value)}" for key, value in given.items())
    return f"{values} in {row[identity[0]]} ({row['image_id']})"


def _value(value: Any) -> str:
    return shown(value) if isinstance(value, str) else str(value)
