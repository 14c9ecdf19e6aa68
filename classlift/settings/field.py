"""One setting: a field of a frozen dataclass, with all that is to be said of it on the field.

The checks, the form, the schema of the config, `classlift settings` and the reference page are made
from it:

>>> @dataclasses.dataclass(frozen=True)
... class Oven:
...     degrees: int = setting(180, "Heat", "Heat of the oven.", unit="°C", minimum=50, maximum=250)
>>> [field] = fields_of(Oven)
>>> field.name, field.default, field.range_words()
('degrees', 180, '50 to 250')
>>> require_in_range(Oven(300), "oven")
Traceback (most recent call last):
classlift.errors.ConfigError: oven.degrees is 300; it must be a whole number, 50 to 250.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from classlift.errors import ConfigError
from classlift.text import shorten

T = TypeVar("T")
Value = bool | int | float | str | None | Sequence[str] | Mapping[str, float]
"""What a parameter of a run can be; None leaves it to its default."""

Values = Mapping[str, Value]
"""Values of parameters by name."""

JsonSchema = dict[str, Any]
"""A JSON schema, of draft 2020-12."""

REQUIRED: Any = dataclasses.MISSING
"""In place of a default: the setting has none, and must be given."""

_KEY = "setting"
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}
_NOUNS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
}
# A path as the file system takes it: nothing unprintable, each name in it short enough.
_PATH: JsonSchema = {
    "minLength": 1,
    "maxLength": 1000,
    "pattern": r"^[^\x00-\x1f\x7f]+$",
    "not": {"pattern": "[^/]{256}"},
}


@dataclass(frozen=True)
class Setting:
    """What there is to say of a setting beside its name, its type and its default.

    Attributes:
        title: Its name in the form.
        help: What it does, in a sentence.
        section: The heading that it stands under in the form; empty for what is not in the form.
        unit: What its numbers count.
        unset: What holds when it is not set, where the default does not say so.
        minimum: The least number, or of items in a list; of each value in a mapping.
        above: The number that it must be above.
        maximum: The largest number; of each value in a mapping.
        choices: The words it can be.
        pattern: A regular expression that the text, or each item of a list, must match.
        min_length: The least number of characters.
        max_length: The largest number of characters.
        examples: Words that the form proposes; with a pattern, those that match it.
        forms: What other text may look like that matches the pattern, in words.
        after: The setting of the same section that it follows in the form, where that is one of
            another dataclass.
        or_one: For a list: whether a single item may stand for a list of one.
        groups: For a mapping of values: the dataclasses whose settings it may have.

    """

    title: str
    help: str
    section: str = ""
    unit: str = ""
    unset: str = ""
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    examples: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    after: str = ""
    or_one: bool = False
    groups: tuple[type, ...] = ()


def setting(default: T, title: str, help: str, **about: Any) -> T:
    """A field of a dataclass that is a setting; `about`: further parts of `Setting`."""
    metadata = {_KEY: Setting(title, help, **about)}
    if isinstance(default, dict):
        return cast(T, dataclasses.field(default_factory=default.copy, metadata=metadata))
    if dataclasses.is_dataclass(default):
        made = type(default)
        return cast(T, dataclasses.field(default_factory=made, metadata=metadata))
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Field:
    """A setting as it was declared: its name and type, and what is said of it.

    Attributes:
        name: The name of the field, and its key in the config.
        type: The type of a value, None left out; of a list or a mapping, the whole of it.
        optional: Whether None is a value too.
        default: What it is when nobody sets it; `REQUIRED` when somebody must.
        setting: What is said of it.

    """

    name: str
    type: Any
    optional: bool
    default: Any
    setting: Setting

    @property
    def item(self) -> Any:
        """The type of an item of a list, or of a value in a mapping; None for a single value."""
        arguments = get_args(self.type)
        if get_origin(self.type) is tuple:
            return arguments[0]
        return arguments[1] if arguments else None

    @property
    def is_list(self) -> bool:
        """Whether it is a list of values."""
        return get_origin(self.type) is tuple

    @property
    def in_form(self) -> bool:
        """Whether a run may set it anew: in the form, by `--set`, by REST."""
        return bool(self.setting.section)

    @property
    def below(self) -> tuple[type, ...]:
        """The dataclasses whose settings stand below its key in the config; empty for a value."""
        return self.setting.groups or tuple(filter(is_group, (self.type, self.item)))

    @property
    def is_section(self) -> bool:
        """Whether its key in the config has other keys below it."""
        return bool(self.below)

    def default_words(self) -> str:
        """What holds when it is not set, in words.

        Returns:
            The default as a config writes it, or a phrase.

        >>> Field("x", bool, False, True, Setting("", "")).default_words()
        'true'

        """
        if self.default is REQUIRED:
            return "must be set"
        if self.setting.unset:
            return self.setting.unset
        if isinstance(self.default, str):
            return self.default
        if isinstance(self.default, int | float) and not isinstance(self.default, bool):
            return _number(self.default)
        return json.dumps(self.default)

    def range_words(self) -> str:
        """The values that it can have, in words.

        Returns:
            A phrase; empty where its type says it all.

        >>> Field("x", float, False, 0.5, Setting("", "", above=0, maximum=1e6)).range_words()
        'above 0, at most 1,000,000'

        """
        about = self.setting
        if about.choices:
            return ", ".join(about.choices)
        if about.or_one:
            return f"{self.noun()}, or a list of several"
        if self.is_list:
            return "" if about.minimum is None else f"at least {about.minimum:g} of them"
        least, most = about.minimum, about.maximum
        if about.above is not None:
            words = f"above {_number(about.above)}"
            return words if most is None else f"{words}, at most {_number(most)}"
        if least is not None and most is not None:
            return f"{_number(least)} to {_number(most)}"
        if least is not None:
            return f"{_number(least)} or more"
        return "" if most is None else f"at most {_number(most)}"

    def noun(self) -> str:
        """What a single value is, in words: of the setting, or of an item or a class in it."""
        return _NOUNS[_TYPES[self.item or self.type]]

    def value_words(self) -> str:
        """What a value must be, in words.

        Returns:
            Its type and its range.

        >>> Field("x", int, False, 0, Setting("", "", minimum=0)).value_words()
        'a whole number, 0 or more'

        """
        noun = f"{self.noun()} for each class" if self.item else self.noun()
        return ", ".join(filter(None, (noun, self.range_words())))

    def allows(self, value: object) -> bool:
        """Whether a value is of the type and in the range; patterns are left to the schema."""
        if value is None:
            return self.optional
        if self.is_list:
            return isinstance(value, tuple) and all(map(self._allows_single, value))
        if isinstance(value, Mapping):
            return all(map(self._allows_single, value.values()))
        return self._allows_single(value)

    def _allows_single(self, value: object) -> bool:
        about, single = self.setting, self.item or self.type
        if about.choices:
            return value in about.choices
        if isinstance(value, bool) or single is bool:
            return single is bool and isinstance(value, bool)
        if single not in (int, float):
            return isinstance(value, single)
        if not isinstance(value, int if single is int else (int, float)):
            return False
        if about.above is not None and not value > about.above:
            return False
        least = -float("inf") if about.minimum is None else about.minimum
        most = float("inf") if about.maximum is None else about.maximum
        return least <= value <= most  # false for what is no number

    def schema(self, or_null: bool = False) -> JsonSchema:
        """The JSON schema of a value. or_null: null leaves the value to its default."""
        about = self.setting
        words = {"title": about.title, "description": about.help}
        if self.is_section and not self.is_list:
            return {"description": about.help, **schema_of(*self.below)}
        if self.is_list:
            item = schema_of(*self.below) if self.is_section else self._single()
            least = {} if about.minimum is None else {"minItems": int(about.minimum)}
            listed = {"type": "array", **least, "items": item, **words}
            if not about.or_one:
                return listed
            return {**item, **listed, "type": ["string", "array"], "uniqueItems": True}
        if self.item:
            kind: JsonSchema = {"type": "object", "propertyNames": {"type": "string"}}
            kind["additionalProperties"] = self._single()
        else:
            kind = self._single()
        if or_null:
            kind["type"] = [kind["type"], "null"]
            if "enum" in kind:
                kind["enum"] = [*kind["enum"], None]
        return {**kind, **words}

    def _single(self) -> JsonSchema:
        """The JSON schema of a single value: of the setting, of an item, of a mapping's value."""
        about, single = self.setting, self.item or self.type
        words: JsonSchema = {}
        if about.pattern and about.forms:  # an error that lists words says more than the pattern
            listed = {"enum": [*about.examples, *about.forms]}
            words = {"if": {"pattern": about.pattern}, "else": listed}
        limits: JsonSchema = {
            "minimum": None if self.is_list else about.minimum,
            "exclusiveMinimum": about.above,
            "maximum": about.maximum,
            "enum": list(about.choices) or None,
            "pattern": None if words else about.pattern,
            "minLength": about.min_length,
            "maxLength": about.max_length,
            "examples": list(about.examples) or None,
        }
        given = {name: limit for name, limit in limits.items() if limit is not None}
        return {"type": _TYPES[single], **(_PATH if single is Path else {}), **given, **words}


def fields_of(group: type[Any]) -> tuple[Field, ...]:
    """The settings that a dataclass declares, in order; its other fields are left out."""
    hints = get_type_hints(group)
    found = []
    for field in dataclasses.fields(group):
        if _KEY not in field.metadata:
            continue
        kind, optional = hints[field.name], False
        if get_origin(kind) in (Union, UnionType) and type(None) in get_args(kind):
            [kind], optional = [part for part in get_args(kind) if part is not type(None)], True
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        found.append(Field(field.name, kind, optional, default, field.metadata[_KEY]))
    return tuple(found)


def field_of(group: type[Any], name: str) -> Field:
    """The setting of a name that a dataclass declares."""
    return next(field for field in fields_of(group) if field.name == name)


def require_in_range(settings: object, where: str) -> None:
    """Checks each setting of a dataclass.

    Args:
        settings: the dataclass.
        where: what the sentence calls it, as `recipe`.

    Raises:
        ConfigError: a value is of another type, or out of its range.

    """
    for field in fields_of(type(settings)):
        value = getattr(settings, field.name)
        if field.allows(value):
            continue
        place = f"{where}.{field.name} is {shorten(repr(value), 80)}"
        if field.setting.choices:
            raise ConfigError(f"{place}; choose one of: {field.range_words()}.")
        raise ConfigError(f"{place}; it must be {field.value_words()}.")


def schema_of(*groups: type) -> JsonSchema:
    """The JSON schema of a mapping with the settings of dataclasses.

    Args:
        *groups: the dataclasses, with no setting twice.

    Returns:
        The schema. What stands in the form may be null, as the form leaves it.

    """
    fields = [field for group in groups for field in fields_of(group)]
    schema: JsonSchema = {"type": "object", "additionalProperties": False}
    needed = [field.name for field in fields if field.default is REQUIRED]
    if needed:
        schema["required"] = needed
    schema["properties"] = {
        field.name: {**field.schema(or_null=field.in_form), **_default(field)} for field in fields
    }
    return schema


def _default(field: Field) -> JsonSchema:
    """The default for an editor to show; none where words say it better, or what is below it."""
    if field.default in (REQUIRED, None) or field.setting.unset or field.is_section:
        return {}
    return {"default": list(field.default) if field.is_list else field.default}


def read(group: type[T], record: Mapping[str, Any]) -> T:
    """A dataclass of settings from the mapping of a config that its schema allows.

    Args:
        group: the dataclass.
        record: the mapping; what it leaves out has its default.

    Returns:
        The settings.

    Raises:
        ConfigError: the dataclass itself refuses them.

    """
    values: dict[str, object] = {}
    for field in fields_of(group):
        if field.name in record:
            values[field.name] = _value(field, record[field.name])
    return group(**values)


def _value(field: Field, value: Any) -> object:
    if field.is_list:
        value = [value] if isinstance(value, str) else value
        return tuple(read(field.item, item) if is_group(field.item) else item for item in value)
    if is_group(field.type):
        return read(field.type, value)
    if isinstance(value, Mapping):
        return dict(value)
    return Path(value) if field.type is Path else value


def is_group(kind: Any) -> bool:
    """Whether a type is a dataclass of settings."""
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _number(value: float) -> str:
    return f"{value:,.10g}"
