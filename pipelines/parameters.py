"""What a user may set for one run, in the Airflow form, the CLI or the REST API alike.

Each is declared once, as a field of the dataclasses in `classlift.settings`; here they become the
fields of the form, and are checked. None means: what the config or the diagnosis says.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import jsonschema

from classlift.errors import ConfigError
from classlift.settings import airflow, gate, rebalancing, recipe
from classlift.settings.airflow import AirflowSettings
from classlift.settings.diagnosis import DiagnosisSettings
from classlift.settings.field import Field, JsonSchema, Values, fields_of
from classlift.settings.freeze import check_policy
from classlift.settings.gate import GateSettings
from classlift.settings.rebalancing import Rebalancing
from classlift.settings.recipe import Recipe
from classlift.text import did_you_mean, shorten

# The groups travel to different nodes, so that a change runs again only what depends on it.
RECIPE, DATA, GATE = "recipe", "data", "gate"
AIRFLOW = "airflow"
"""What Airflow does around the nodes; these ask for no other result, and no node reads them."""

_GROUPS: tuple[tuple[str, type], ...] = (
    (RECIPE, DiagnosisSettings),
    (RECIPE, Recipe),
    (DATA, Rebalancing),
    (GATE, GateSettings),
    (AIRFLOW, AirflowSettings),
)

NOUNS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text, in quotes where it looks like a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping of names to values",
}
"""Types of a JSON schema, in words."""

LIMITS = ("minimum", "exclusiveMinimum", "maximum")
"""Words of a JSON schema for the range of a number."""

_SECTIONS = (recipe.SECTION, rebalancing.SECTION, gate.SECTION, airflow.SECTION, recipe.DETAILS)
"""The headings of the form, from top to bottom."""


@dataclass(frozen=True)
class RunParameter:
    """One field of the form.

    Attributes:
        group: Where its value goes.
        about: The setting that it is a value of.

    """

    group: str
    about: Field

    @property
    def schema(self) -> JsonSchema:
        """The JSON schema of a value, null among them, with title and description for the form."""
        return self.about.schema(or_null=True)

    def field(self) -> JsonSchema:
        """The schema as Airflow's form takes it.

        The form moves a number into a range that it knows, without a word: so the range stands in
        `allOf`, where the form does not look. A switch is on or off, so its default is what holds
        where nobody sets it; a list shows words for null.

        Returns:
            The schema with a section, and with words for what is unset.

        """
        about, schema = self.about, self.schema
        limits = {name: schema.pop(name) for name in LIMITS if name in schema}
        if limits:
            schema["allOf"] = [limits]
        if about.type is bool:
            schema["default"] = bool(about.default)
        if about.setting.choices:
            schema["values_display"] = {
                **{word: word for word in about.setting.choices},
                "null": f"default: {about.default_words()}",
            }
        schema["description"] = f"{about.setting.help} {self.range_and_default()}"
        return {"section": about.setting.section, **schema}

    def range_and_default(self) -> str:
        """What a value can be, and what holds when it is not set.

        Returns:
            A phrase or two.

        >>> PARAMETERS["steps"].range_and_default()
        '1 to 1,000,000; empty: 900.'

        """
        about = self.about
        default = about.default_words()
        if about.type is bool:
            words = about.setting.unset or ("on" if about.default else "off")
            return f"Default: {words}."
        if about.setting.choices:
            return f"Default: {default}."
        if about.item:
            default = "none"
        range_words = about.range_words()
        if not range_words:
            return f"Empty: {default}."
        unit = f" {about.setting.unit}" if about.setting.unit else ""
        return f"{range_words[:1].upper()}{range_words[1:]}{unit}; empty: {default}."


def _in_order() -> dict[str, RunParameter]:
    """The settings that the form has, by section; in one, as the dataclasses declare them.

    What another dataclass adds to a section stands after the setting that it names.

    Returns:
        The parameters by name, in this order.

    """
    found = {
        about.name: RunParameter(group, about)
        for group, settings in _GROUPS
        for about in fields_of(settings)
        if about.setting.section
    }
    after = {name: parameter.about.setting.after for name, parameter in found.items()}
    names = [name for name in found if not after[name]]
    for name in filter(after.get, found):
        names.insert(names.index(after[name]) + 1, name)
    names.sort(key=lambda name: _SECTIONS.index(found[name].about.setting.section))
    return {name: found[name] for name in names}


PARAMETERS = _in_order()
"""All parameters but `target`, whose values are the classes of the model."""


def check(values: Values, schemas: Mapping[str, JsonSchema]) -> None:
    """Checks the values of a run.

    Args:
        values: by name.
        schemas: of all parameters, by name.

    Raises:
        ConfigError: a name is unknown, or a value of the wrong type or range.

    """  # noqa: DOC501 - ValidationError is caught
    for name, value in values.items():
        if name not in schemas:
            raise ConfigError(
                f"There is no run parameter {str(name)[:80]!r}{did_you_mean(str(name), schemas)}; "
                f"there are: {', '.join(schemas)}."
            )
        try:
            numbers = value.values() if isinstance(value, dict) else [value]
            if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
                raise jsonschema.ValidationError(f"{json.dumps(value)} is no finite number")
            jsonschema.validate(value, schemas[name])
            json.dumps(value, ensure_ascii=False).encode()  # half characters can't be kept
            if name == "freeze_policy" and isinstance(value, str):
                check_policy(value)  # before any node has worked for a pattern that is none
        except jsonschema.ValidationError as error:
            # Airflow's own words, which the form and the REST API say before a run starts.
            raise ConfigError(f"Invalid input for param {name}: {in_words(error)}") from None
        except (RecursionError, UnicodeEncodeError):
            raise ConfigError(
                f"Invalid input for param {name}: it is nested too deeply, or no text in Unicode."
            ) from None


def in_words(error: jsonschema.ValidationError) -> str:
    """What is wrong with a value: jsonschema's own words, and what is needed."""
    said, schema = shorten(error.message, 300), cast("JsonSchema", error.schema)
    if error.validator == "pattern" and "examples" in schema:
        given, example = shorten(repr(error.instance), 100), schema["examples"][0]
        return f"{given} is not of the right form; write it as {example!r} is written"
    if error.validator == "enum" and isinstance(error.instance, str):
        return said + did_you_mean(error.instance, filter(None, schema["enum"]))
    if error.validator != "type":
        return said
    kinds = cast("str | list[str]", error.validator_value)
    names = [kinds] if isinstance(kinds, str) else kinds
    return f"{said}; it must be {' or '.join(NOUNS[name] for name in names if name in NOUNS)}"
