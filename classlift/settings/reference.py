"""What is said of all settings: for a terminal, for machines, and as pages of the reference."""

import json
import textwrap
from collections.abc import Iterator

from classlift.settings.config import SCHEMA, Section, sections
from classlift.settings.field import REQUIRED, Field, JsonSchema

PAGE, SCHEMA_FILE = "settings.md", "config.schema.json"
"""The files in docs/reference that are made from the settings."""

_WIDTH = 96


def lines() -> Iterator[str]:
    """All settings for a terminal, a section after the other."""
    for section in sections():
        yield f"{section.key}: {section.help}" if section.key else section.help
        for field in section.fields:
            facts = _values(field)
            mark = "*" if field.in_form else " "
            yield f"{mark} {field.name}: {field.default_words()}{f'  ({facts})' if facts else ''}"
            yield textwrap.fill(
                field.setting.help, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6
            )
        yield ""
    yield "* can also be set for one run: --set NAME=VALUE, or the form in Airflow; so can target."


def records() -> list[JsonSchema]:
    """All settings for machines; `default` is null for what has none, and `unset` says why."""
    return [
        {
            "key": _key(section, field),
            "title": field.setting.title,
            "default": None if field.default is REQUIRED else field.default,
            "required": field.default is REQUIRED,
            "unset": field.setting.unset,
            "unit": field.setting.unit,
            "schema": field.schema(),
            "help": field.setting.help,
            "run_parameter": field.in_form,
        }
        for section in sections()
        for field in section.fields
    ]


def page() -> str:
    """The page of the reference on all settings, in Markdown."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield "# What can I set, and what holds when I don't?"
    yield ""
    yield (
        "All keys of a config, the YAML file of one model. An editor that knows "
        f"[its schema]({SCHEMA_FILE}) completes and checks them. Those with a dot (•) can also be "
        "set for one run, as can `target`: in Airflow's form, by `--set NAME=VALUE` of "
        "`classlift run`, or by REST. `classlift settings` prints this list."
    )
    yield ""
    yield "This page is made from the code: `make reference` writes it anew."
    for section in sections():
        yield ""
        yield f"## `{section.key}`" if section.key else "## At the top"
        yield ""
        yield section.help
        yield ""
        yield "| key | default | values | what it does |"
        yield "|---|---|---|---|"
        for field in section.fields:
            mark = " •" if field.in_form else ""
            cells = (f"`{field.name}`{mark}", _default(field), _values(field), field.setting.help)
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def schema_text() -> str:
    """The JSON schema of a config, as its file holds it."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The config of ClassLift for one model",
    }
    return json.dumps({**head, **SCHEMA}, indent=1, ensure_ascii=False) + "\n"


def _key(section: Section, field: Field) -> str:
    return f"{section.key}.{field.name}".lstrip(".")


def _values(field: Field) -> str:
    """The values that a setting can have, in words: its range with its unit, or its type."""
    words = field.range_words() or field.noun()
    return f"{words} {field.setting.unit}".strip()


def _default(field: Field) -> str:
    words = field.default_words()
    return words if field.default is REQUIRED or field.setting.unset else f"`{words}`"
