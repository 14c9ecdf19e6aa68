"""What a command of the command line is made of, and what several of them share."""

import argparse
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from classlift.colour import Line, is_wanted, to_text
from classlift.errors import DataError

if TYPE_CHECKING:
    from classlift.data.snapshot import Snapshot


def _no_arguments(_: argparse.ArgumentParser) -> None:
    """Adds none."""


def _no_environment(_: argparse.Namespace) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes:
        purpose: a sentence for `--help`.
        example: the words after `classlift`.
        run: does it, and returns the exit code.
        arguments: adds its own to a parser.
        environment: what the process needs before anything is imported.

    """

    purpose: str
    example: str
    run: Callable[[argparse.Namespace], int]
    arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments
    environment: Callable[[argparse.Namespace], Mapping[str, str]] = _no_environment


def say(*lines: Line | str) -> None:
    """Prints lines with names of users in them, which a terminal does not obey; it gets colours."""
    styled = (Line(line) if isinstance(line, str) else line for line in lines)
    print(to_text(styled, is_wanted(sys.stdout)), flush=True)


def json_argument(parser: argparse.ArgumentParser) -> None:
    """Adds `--json`."""
    parser.add_argument("--json", action="store_true", help="for a machine to read")


def source_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what names labels: a path, and what can't be told by looking at it."""
    from classlift.data.formats import FORMATS

    parser.add_argument("path", type=Path, help="COCO .json, .record, or a folder of labels")
    parser.add_argument("--format", choices=list(FORMATS), help="when the path does not tell")
    parser.add_argument("--images", type=Path, help="where the images are, if not with the labels")
    parser.add_argument(
        "--label-map",
        type=Path,
        help="names and ids of the classes; default: all labelled ones, by name",
    )


def setting_argument(
    parser: argparse.ArgumentParser,
    group: type,
    name: str,
    help: str,
    default: object = None,
    option: str = "",
) -> None:
    """Adds the option of a setting, which has the setting's type and range.

    Args:
        parser: Gets the option.
        group: The dataclass that declares the setting.
        name: Its name there.
        help: What the option does, for `--help`.
        default: What it is when it is not given.
        option: The name of the option; that of the setting where it is empty.

    """
    from classlift.settings.field import field_of

    field = field_of(group, name)

    def value(text: str) -> object:
        with suppress(ValueError):
            number = field.type(text)
            if field.allows(number):
                return cast(object, number)
        raise argparse.ArgumentTypeError(f"it must be {field.value_words()}")

    parser.add_argument(f"--{option or name}", type=value, metavar="N", help=help, default=default)


def read_labels(arguments: argparse.Namespace) -> tuple["Snapshot", tuple[str, ...]]:
    """The labels that a command names, and their classes: the label map's, or all by name."""
    from classlift.data.label_map import LabelMap
    from classlift.data.snapshot import Source, take_snapshot

    images = arguments.images.resolve() if arguments.images else None
    source = Source(arguments.path.resolve(), format=arguments.format, images=images)
    if arguments.label_map:
        label_map = LabelMap.read(arguments.label_map)
        source = replace(source, label_map=arguments.label_map.resolve())
        return take_snapshot([source], renamed=label_map.renamed), label_map.names
    snapshot = take_snapshot([source])
    return snapshot, tuple(sorted(snapshot.boxes["label"].unique().to_pylist()))


def require_sound(snapshot: "Snapshot") -> None:
    """Raises DataError when images are broken, or boxes have no class or no place."""
    import numpy as np

    from classlift.data.geometry import has_place, sides_of
    from classlift.data.labels import has_class

    broken = [problem for problem in snapshot.image_problems() if problem.is_critical]
    if broken:
        raise DataError(
            f"{broken[0].source}: {broken[0].problem}; run `classlift validate --fix` first."
        )
    nameless = np.flatnonzero(~has_class(snapshot.boxes))
    if len(nameless):
        first = snapshot.boxes["source"][nameless[0]].as_py()
        raise DataError(
            f"{first}: the box names no class; name its class or number in the labels, data.yaml "
            "or the label map, or take the line out."
        )
    lost = np.flatnonzero(~has_place(sides_of(snapshot.boxes)))
    if len(lost):
        raise DataError(
            f"{snapshot.boxes['source'][lost[0]].as_py()}: the box has no place: a side is missing "
            "or no number; run `classlift validate --fix` first."
        )
