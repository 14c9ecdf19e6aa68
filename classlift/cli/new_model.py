"""`classlift new-model`: the folder of a KerasHub model for the classes of a label map."""

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from classlift.cli.command import Command, json_argument
from classlift.environment import quiet_tensorflow
from classlift.errors import EXIT_OK
from classlift.progress import without_stderr

logger = logging.getLogger(__name__)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the folder to make")
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="PBTXT",
        help="the label map; default: a preset's COCO classes",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--preset", help="of KerasHub, downloaded if need be, or its folder")
    source.add_argument("--keras", type=Path, metavar="FILE", help="a RetinaNet or D-FINE")
    source.add_argument("--small", choices=["retinanet", "d_fine"], help="with random weights")
    parser.add_argument(
        "--size", type=int, help="of its images in pixels, a multiple of 32; default: the source's"
    )
    json_argument(parser)


def _environment(_: argparse.Namespace) -> Mapping[str, str]:
    from classlift.detectors.backends import ENVIRONMENTS

    return ENVIRONMENTS["keras_hub"]


def _run(arguments: argparse.Namespace) -> int:
    from classlift.data.label_map import LabelMap
    from classlift.data.writers import new_folder

    label_map = LabelMap.read(arguments.labels) if arguments.labels else None
    quiet_tensorflow()
    with new_folder(arguments.folder.resolve()) as draft:
        logger.info("loading KerasHub")
        with without_stderr():  # what TensorFlow says before its log level counts
            from classlift.detectors.keras_hub.new_model import write_new
        write_new(
            draft,
            label_map,
            preset=arguments.preset,
            file=arguments.keras,
            small=arguments.small,
            size=arguments.size,
        )
    print(json.dumps({"folder": str(arguments.folder)}) if arguments.json else arguments.folder)
    return EXIT_OK


COMMAND = Command(
    "Make the folder of a KerasHub model (model.backend: keras_hub) for the classes of a "
    "label map: from a preset, a .keras file, or fresh and small.",
    "new-model --preset retinanet_resnet50_fpn_coco --labels label_map.pbtxt models/retinanet",
    _run,
    _arguments,
    _environment,
)
