"""`classlift diagnose`: why a class is weak, for any model and any labels, without training."""

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from classlift import own_folders
from classlift.cli.command import Command, require_sound, say
from classlift.environment import quiet_tensorflow
from classlift.errors import EXIT_OK, ConfigError
from classlift.progress import without_stderr

logger = logging.getLogger(__name__)


def _arguments(parser: argparse.ArgumentParser) -> None:
    from classlift.settings.field import field_of
    from classlift.settings.gate import GateSettings

    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        help="a folder to train, a version that ClassLift served, or an exported SavedModel",
    )
    parser.add_argument("--data", type=Path, required=True, help="labels, in any format")
    parser.add_argument(
        "--train",
        type=Path,
        help="labels that the model was trained on; default: a part of --data stands for them",
    )
    parser.add_argument("--target", required=True, help="the weak class")
    parser.add_argument(
        "--precision",
        type=float,
        default=GateSettings.precision,
        help=f"{field_of(GateSettings, 'precision').setting.help.rstrip('.')} "
        "(default: %(default)s)",
    )
    parser.add_argument("--label-map", type=Path, help="of a model that has none, or another one")
    parser.add_argument(
        "--report",
        type=Path,
        default=Path("diagnosis"),
        help="folder for diagnosis.html and diagnosis.json (default: ./diagnosis)",
    )
    parser.add_argument("--json", action="store_true", help="print diagnosis.json")


def _environment(arguments: argparse.Namespace) -> Mapping[str, str]:
    from classlift.detectors.backends import ENVIRONMENTS, backend_of

    return ENVIRONMENTS[backend_of(arguments.model) or "od_api"]


def _run(arguments: argparse.Namespace) -> int:
    from classlift.data.snapshot import Source, take_snapshot
    from classlift.detectors.backends import backend_of, require_model

    if not 0 < arguments.precision < 1:
        raise ConfigError(f"--precision {arguments.precision:g}: it must lie between 0 and 1.")
    own_folders.require_own(arguments.report, own_folders.DIAGNOSIS)
    backend = backend_of(arguments.model)
    if backend is not None and arguments.label_map is None:
        require_model(backend, arguments.model)  # before TensorFlow is loaded, not after
    quiet_tensorflow()
    logger.info("loading TensorFlow")
    with without_stderr():  # what TensorFlow says before its log level counts
        import tensorflow as tf

        from classlift.diagnosis import standalone

    tf.get_logger().setLevel("ERROR")
    data = arguments.data.resolve()
    if arguments.train:
        sources = [Source(arguments.train.resolve(), "train"), Source(data, "eval")]
        snapshot = take_snapshot(sources)
    else:
        snapshot = standalone.judged_on_the_rest(take_snapshot([Source(data)]))
    require_sound(snapshot)
    diagnosis = standalone.diagnose_model(
        arguments.model.resolve(),
        snapshot,
        arguments.target,
        arguments.precision,
        arguments.report,
        arguments.label_map,
        is_assumed=arguments.train is None,
    )
    note = {"what": own_folders.DIAGNOSIS, "note": own_folders.NOTE}
    own_folders.write_mark(arguments.report, note)
    if arguments.json:
        print(json.dumps(diagnosis.to_json()))
        return EXIT_OK
    for sentence in diagnosis.sentences():
        say(sentence)
    if diagnosis.stop:
        say(diagnosis.stop)
    print(f"report: {arguments.report / standalone.PAGE}")
    return EXIT_OK


COMMAND = Command(
    "Say why a class is weak and what to do, without training.",
    "diagnose --model models/ssd --data /data/streets --target scooter",
    _run,
    _arguments,
    _environment,
)
