"""`classlift compare`: the gate's table for two models, without a pipeline; or two runs."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from classlift.cli.command import Command, require_sound, say
from classlift.environment import quiet_tensorflow
from classlift.errors import EXIT_OK, ConfigError
from classlift.paths import did_you_mean_path
from pipelines.commands.options import assigned, loaded, set_argument

if TYPE_CHECKING:
    from classlift.gate.verdict import Verdict


def _arguments(parser: argparse.ArgumentParser) -> None:
    what = "a SavedModel, a folder to train, a served version's number, or COCO results"
    parser.add_argument("old", help=f"the model in production: {what}; or, without --data, a run")
    parser.add_argument("new", help="the other one, of the same kind")
    parser.add_argument(
        "--data",
        type=Path,
        help="labels that neither model was trained on, in any format; without it, two runs of "
        "--config are shown side by side, from what they left",
    )
    parser.add_argument(
        "--eval",
        type=Path,
        metavar="DATA",
        help="labels to choose score thresholds on; default: one half of --data",
    )
    parser.add_argument("--target", help="the class to look at; default: that of --config")
    parser.add_argument("--config", type=Path, help="whose served versions or runs they are")
    parser.add_argument("--label-map", type=Path, help="of models that have none")
    set_argument(parser, "a setting of the gate, as precision=0.9")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")


def _environment(arguments: argparse.Namespace) -> Mapping[str, str]:
    from classlift.detectors.backends import ENVIRONMENTS, backend_of

    if arguments.data is None:
        return {}
    models = [Path(name) for name in (arguments.old, arguments.new)]
    backends = {backend_of(model) for model in models if model.is_dir()} - {None}
    if len(backends) > 1:
        raise ConfigError(
            f"{models[0]} and {models[1]} need different environments: export one as a SavedModel."
        )
    return ENVIRONMENTS[next(iter(backends), None) or "od_api"]


def _run(arguments: argparse.Namespace) -> int:
    from classlift.gate.terminal import render_verdict

    if arguments.data is None:
        return _runs(arguments)
    quiet_tensorflow()
    verdict = _compared(arguments)
    if arguments.json:
        print(json.dumps(verdict.to_json()))
    else:
        say(*render_verdict(verdict))
    return EXIT_OK


def _runs(arguments: argparse.Namespace) -> int:
    """Shows two runs side by side; returns the exit code."""
    from classlift.gate.two_runs import TwoRuns, render
    from pipelines.config import load_config
    from pipelines.summary import read_run

    if arguments.config is None:
        raise ConfigError(
            "Say what to compare: --data for two models on labels, or --config for two of its runs."
        )
    config = load_config(arguments.config)
    names = (arguments.old, arguments.new)
    runs = TwoRuns(names, *(read_run(config, name) for name in names))
    if arguments.json:
        print(json.dumps(runs.to_json()))
    else:
        say(*render(runs))
    return EXIT_OK


def _compared(arguments: argparse.Namespace) -> "Verdict":
    from classlift.data.snapshot import Source, take_snapshot
    from classlift.gate.side_by_side import compare_models, compare_results, is_results
    from classlift.settings.field import read
    from classlift.settings.gate import GateSettings
    from classlift.settings.targets import Target, targets_of
    from pipelines.parameters import GATE, PARAMETERS, check

    values = assigned(arguments)
    check(values, {n: row.schema for n, row in PARAMETERS.items() if row.group == GATE})
    settings = read(GateSettings, {n: value for n, value in values.items() if value is not None})
    config = None
    if arguments.config:
        config = loaded(arguments.config)
    targets = targets_of(cast(Target, config.defaults["target"])) if config else ()
    target = arguments.target or next(iter(targets), None)
    if target is None:
        raise ConfigError("Name the class to look at: --target, or --config for that of a config.")
    old, new = (
        _place(name, config.serving if config else None) for name in (arguments.old, arguments.new)
    )
    if is_results(old) != is_results(new):
        raise ConfigError(f"{old} and {new}: compare two models, or two files of COCO results.")
    data = arguments.data.resolve()
    if is_results(old):
        if arguments.eval:
            raise ConfigError("--eval is for models: COCO results are of the images of --data.")
        return compare_results(old, new, data, target, settings)
    sources = [Source(data, "test")]
    if arguments.eval:
        sources.append(Source(arguments.eval.resolve(), "eval"))
    snapshot = take_snapshot(sources)
    require_sound(snapshot)
    return compare_models(old, new, snapshot, target, settings, arguments.label_map)


def _place(name: str, serving: Path | None) -> Path:
    """The path of a model or of results.

    Args:
        name: a path, or the number of a version.
        serving: the folder of the versions.

    Returns:
        A path that is there.

    Raises:
        ConfigError: there is none.

    """
    from classlift.serving.folder import version_folder

    path = Path(name)
    if path.exists():
        return path.resolve()
    if not name.isdecimal():
        raise ConfigError(f"{path}: there is no such file or folder{did_you_mean_path(path)}.")
    if serving is None:
        raise ConfigError(f"{name}: a served version's number needs --config, which says of what.")
    return version_folder(serving, int(name))


COMMAND = Command(
    "Compare two models class by class as the gate does, without a pipeline; or two runs of one.",
    "compare served/7 served/9 --data /data/streets/test --target scooter",
    _run,
    _arguments,
    _environment,
)
