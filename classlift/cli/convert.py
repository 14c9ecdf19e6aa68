"""`classlift convert`: labels and their images in another format."""

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from classlift.cli.command import (
    Command,
    json_argument,
    read_labels,
    require_sound,
    source_arguments,
)

logger = logging.getLogger(__name__)


def _arguments(parser: argparse.ArgumentParser) -> None:
    from classlift.data.writers import WRITERS

    source_arguments(parser)
    parser.add_argument("new", type=Path, help="the folder to make")
    parser.add_argument("--to", choices=list(WRITERS), required=True)
    json_argument(parser)


def _classes(arguments: argparse.Namespace, labelled: Sequence[str]) -> tuple[str, ...]:
    """The classes of the source in its own order, whether or not they are labelled."""
    from classlift.data.formats import class_list, look

    images = arguments.images.resolve() if arguments.images else None
    listed = class_list(look(arguments.path.resolve(), arguments.format, images), ())
    if not listed:
        logger.warning(
            f"{arguments.path}: the labels list no classes, so those with boxes are numbered by "
            "name; give the other splits of a data set the same --label-map"
        )
    return (*listed, *sorted(set(labelled) - set(listed)))


def _run(arguments: argparse.Namespace) -> int:
    from classlift.data.label_map import LabelMap
    from classlift.data.writers import WRITERS, new_folder, require_new

    require_new(arguments.new)  # before the work, not after
    snapshot, labels = read_labels(arguments)
    require_sound(snapshot)
    with new_folder(arguments.new.resolve()) as draft:
        given = arguments.label_map
        label_map = LabelMap.read(given) if given else LabelMap(_classes(arguments, labels))
        write = WRITERS[arguments.to]
        write(snapshot.images, snapshot.boxes, label_map, draft, snapshot.is_published)
    images, boxes = snapshot.images.num_rows, snapshot.boxes.num_rows
    if arguments.json:
        print(json.dumps({"folder": str(arguments.new), "images": images, "boxes": boxes}))
    else:
        print(f"{arguments.new}: {images} images, {boxes} boxes")
    return 0


COMMAND = Command(
    "Write labels and their images in another format, to a new folder.",
    "convert /data/streets --to coco streets_coco",
    _run,
    _arguments,
)
