"""The command line: `classlift COMMAND --help` has an example for each command."""

import argparse
import datetime
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classlift import own_folders
from classlift.data.formats import FORMATS
from classlift.data.label_map import LabelMap
from classlift.data.writers import WRITERS, new_folder, require_new
from classlift.detectors.backends import ENVIRONMENTS, backend_of, require_model
from classlift.environment import PARENT_VARIABLE, VERBOSE_VARIABLE, restart_with
from classlift.errors import EXIT_OK, EXIT_PERMANENT, ConfigError, DataError
from classlift.faults import exit_code_of
from classlift.parent import die_with_parent, raise_on_sigterm
from classlift.progress import escape_what_is_not_printable, to_stderr, without_stderr
from classlift.serving.bundle import Bundle
from classlift.settings.gate import GateSettings
from classlift.text import printable, shown
from pipelines import airflow
from pipelines.claims import claim
from pipelines.compile import compile_all, compile_config
from pipelines.config import Config, load_config
from pipelines.local_runner import run_pipeline

if TYPE_CHECKING:
    from classlift.data.snapshot import Snapshot

ROOT = Path(__file__).resolve().parent.parent


def start() -> int:
    """The installed command: `main` in a process that takes all text for Unicode."""
    restart_with({"PYTHONUTF8": "1"})  # names in labels are, whatever the user's locale is
    return main()


def main() -> int:
    """Runs one command; returns its exit code."""
    escape_what_is_not_printable()
    arguments = _parser().parse_args()
    if PARENT_VARIABLE in os.environ:  # started by Airflow, not by a person
        die_with_parent()
    if getattr(arguments, "verbose", False):
        os.environ[VERBOSE_VARIABLE] = "1"

    def run() -> int:
        restart_with(arguments.environment(arguments))
        return int(arguments.command(arguments))

    return exit_code_of(run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="classlift",
        description="Raise the recall of one weak class, and push only on evidence.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str,
        function: Callable[[argparse.Namespace], int],
        purpose: str,
        example: str,
        environment: Callable[[argparse.Namespace], Mapping[str, str]] = lambda _: {},
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=purpose, description=purpose, epilog=f"example: classlift {example}"
        )
        sub.set_defaults(command=function, environment=environment)
        return sub

    run = command(
        "run",
        _run,
        "Run the whole pipeline of a config on this machine, without Airflow.",
        "run --config configs/digits.yaml --set target=8 --set steps=400",
    )
    _config_option(run)
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of this run; numbers, true, false, null and objects are read as JSON",
    )
    run.add_argument("--verbose", action="store_true", help="show all logs of TensorFlow and TFX")
    run.add_argument("--json", action="store_true", help="print the verdict as JSON at the end")

    compile_ = command(
        "compile",
        _compile,
        "Compile a config to TFX's IR and the topology that the DAG reads.",
        "compile --config configs/digits.yaml",
    )
    compile_.add_argument("--config", type=Path, help="default: all in configs/")
    report = command(
        "report",
        _report,
        "Show the latest verdict of a config and where its report lies.",
        "report --config configs/digits.yaml --json",
    )
    _config_option(report)
    report.add_argument("--json", action="store_true", help="print verdict.json")
    push = command(
        "push",
        _push,
        "Push what the gate did not bless; who and why are recorded for good.",
        'push --config configs/digits.yaml --by "Ada Lovelace" --reason "seen all errors: labels"',
    )
    _config_option(push)
    push.add_argument("--by", required=True, metavar="NAME", help="who pushes")
    push.add_argument("--reason", required=True, metavar="TEXT", help="why, in a sentence")
    push.add_argument("--run", help="default: the latest that reached its gate")
    rollback = command(
        "rollback",
        _rollback,
        "Serve an older version again, as a copy with a higher number; who and why are recorded.",
        'rollback --config configs/digits.yaml --by "Ada Lovelace" --reason "misses all bikes"',
    )
    _config_option(rollback)
    rollback.add_argument("--by", required=True, metavar="NAME", help="who rolls back")
    rollback.add_argument("--reason", required=True, metavar="TEXT", help="why, in a sentence")
    rollback.add_argument(
        "--to", type=int, metavar="VERSION", help="default: the one before the newest"
    )
    watch = command(
        "watch",
        _watch,
        "Score the version served on freshly labelled data, and keep the series; see `watch` in "
        "the config.",
        "watch --config configs/digits.yaml",
    )
    _config_option(watch)
    watch.add_argument(
        "--json", action="store_true", help="print the record, and the classes that fell"
    )
    lineage = command(
        "lineage",
        _lineage,
        "Say what a served version is made of: data, recipe, verdict, and the versions before it.",
        "lineage --config configs/digits.yaml",
    )
    _config_option(lineage)
    lineage.add_argument("version", type=int, nargs="?", help="default: the newest")
    lineage.add_argument("--json", action="store_true", help="for a machine to read")
    validate = command(
        "validate",
        _validate,
        "Check labels and images without a pipeline; exit code 78 on critical findings.",
        "validate /data/streets --label-map models/ssd/label_map.pbtxt",
    )
    _source_options(validate)
    validate.add_argument(
        "--model",
        type=Path,
        help="a version that ClassLift served; lists the labels that it doubts, to look at again",
    )
    validate.add_argument(
        "--fix", type=Path, metavar="NEW", help="write a repaired copy (COCO JSON) to a new folder"
    )
    validate.add_argument(
        "--report",
        type=Path,
        default=Path("validation"),
        help="folder for report.html, findings.json and Data Docs (default: ./validation)",
    )
    validate.add_argument("--json", action="store_true", help="print the findings as JSON")
    diagnose = command(
        "diagnose",
        _diagnose,
        "Say why a class is weak and what to do, without training.",
        "diagnose --model models/ssd --data /data/streets --target scooter",
        lambda arguments: ENVIRONMENTS[backend_of(arguments.model) or "od_api"],
    )
    diagnose.add_argument(
        "--model",
        type=Path,
        required=True,
        help="a folder to train, a version that ClassLift served, or an exported SavedModel",
    )
    diagnose.add_argument("--data", type=Path, required=True, help="labels, in any format")
    diagnose.add_argument(
        "--train",
        type=Path,
        help="labels that the model was trained on; default: a part of --data stands for them",
    )
    diagnose.add_argument("--target", required=True, help="the weak class")
    diagnose.add_argument("--precision", type=float, default=GateSettings.precision)
    diagnose.add_argument("--label-map", type=Path, help="of a model that has none, or another one")
    diagnose.add_argument(
        "--report",
        type=Path,
        default=Path("diagnosis"),
        help="folder for diagnosis.html and diagnosis.json (default: ./diagnosis)",
    )
    diagnose.add_argument("--json", action="store_true", help="print diagnosis.json")
    convert = command(
        "convert",
        _convert,
        "Write labels and their images in another format, to a new folder.",
        "convert /data/streets --to coco streets_coco",
    )
    _source_options(convert)
    convert.add_argument("new", type=Path, help="the folder to make")
    convert.add_argument("--to", choices=list(WRITERS), required=True)
    new_model = command(
        "new-model",
        _new_model,
        "Make the folder of a KerasHub model (model.backend: keras_hub) for the classes of a "
        "label map: from a preset, a .keras file, or fresh and small.",
        "new-model --preset retinanet_resnet50_fpn_coco --labels label_map.pbtxt models/retinanet",
        lambda _: ENVIRONMENTS["keras_hub"],
    )
    new_model.add_argument("folder", type=Path, help="the folder to make")
    new_model.add_argument(
        "--labels",
        type=Path,
        metavar="PBTXT",
        help="the label map; default: a preset's COCO classes",
    )
    source = new_model.add_mutually_exclusive_group(required=True)
    source.add_argument("--preset", help="of KerasHub, downloaded if need be, or its folder")
    source.add_argument("--keras", type=Path, metavar="FILE", help="a RetinaNet or D-FINE")
    source.add_argument("--small", choices=["retinanet", "d_fine"], help="with random weights")
    new_model.add_argument(
        "--size", type=int, help="of its images in pixels, a multiple of 32; default: the source's"
    )
    prune = command(
        "prune",
        _prune,
        "Show what old runs left behind and nothing needs, and remove it when asked to.",
        "prune --config configs/digits.yaml --runs 5",
    )
    _config_option(prune)
    for name, least, text in (
        ("runs", 1, "so many of the newest runs"),
        ("days", 0, "all runs that are younger than so many days"),
        ("versions", 2, "so many of the newest served versions"),
    ):
        prune.add_argument(
            f"--{name}",
            type=_at_least(least),
            metavar="N",
            help=f"keep {text}, with all that they need; default: `retention` in the config",
        )
    prune.add_argument("--remove", action="store_true", help="remove it; without, it is only shown")
    arrived = command(
        "data-arrived",
        _data_arrived,
        "Tell Airflow that new labels are there: a run starts, and ends early if too few are new.",
        "data-arrived --config configs/digits.yaml",
    )
    _config_option(arrived)
    arrived.add_argument("--url", default="http://localhost:8080", help="of Airflow's server")
    arrived.add_argument("--note", metavar="TEXT", help="shown beside the event in the UI")
    doctor = command("doctor", _doctor, "Say what this machine is missing.", "doctor --json")
    doctor.add_argument("--json", action="store_true", help="for a machine to read")
    command(
        "airflow",
        _airflow,
        "Compile configs/*.yaml and serve the Airflow UI at http://localhost:8080.",
        "airflow",
    )
    return parser


def _source_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="COCO .json, .record, or a folder of labels")
    parser.add_argument("--format", choices=list(FORMATS), help="when the path does not tell")
    parser.add_argument(
        "--images", type=Path, help="where the images of COCO JSON are, if not beside it"
    )
    parser.add_argument("--label-map", type=Path, help="default: all labelled classes, by name")


def _config_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="e.g. configs/digits.yaml")


def _claimed(arguments: argparse.Namespace) -> Config:
    """The config that a command writes for, whose folders are its own."""
    config = load_config(arguments.config)
    claim(config.name, config.path, config.work, config.serving, to_stderr)
    return config


def _run(arguments: argparse.Namespace) -> int:
    parameters = dict(_assignment(text) for text in arguments.set)
    config = load_config(arguments.config)
    out = sys.stderr if arguments.json else sys.stdout
    print("compiling the pipeline", file=out, flush=True)
    compiled = compile_config(config, in_airflow=config.path.parent == ROOT / "configs")
    run_id = datetime.datetime.now(datetime.UTC).strftime("local__%Y%m%dT%H%M%S%f")
    code = run_pipeline(
        compiled,
        run_id,
        parameters,
        show=to_stderr if arguments.json else _say,
        verbose=arguments.verbose,
    )
    if code != EXIT_OK:
        return code
    from pipelines.summary import render, render_times, summarise

    summary = summarise(config, run_id)
    if arguments.json:
        print(json.dumps(summary.verdict))
    else:
        _say(f"\n{render_times(summary)}\n\n{render(summary)}")
    return EXIT_OK


def _assignment(text: str) -> tuple[str, Any]:
    """`name=value`; a value that is no JSON, or a JSON string or list, is a string."""
    name, separator, value = text.partition("=")
    if not separator:
        raise ConfigError(f"--set {text[:80]!r} must be NAME=VALUE.")
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return name, value
    # The classes of some models are called 8: a name stays a string.
    return name, value if name == "target" or isinstance(parsed, str | list) else parsed


def _compile(arguments: argparse.Namespace) -> int:
    if arguments.config:
        print(compile_config(load_config(arguments.config)))
    else:
        compile_all()
    return EXIT_OK


def _report(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    path = config.work / "verdict.json"
    if not path.exists():
        raise ConfigError(f"{path}: there is no verdict yet; run the pipeline first.")
    verdict = json.loads(path.read_text())
    if arguments.json:
        print(json.dumps(verdict))
    else:
        _say(f"Verdict on class {shown(verdict['target'])}: {verdict['verdict']}")
        for reason in verdict["reasons"]:
            _say(f"  {reason}")
        print(f"Report: {config.work / 'report.html'}")
    return EXIT_OK


def _push(arguments: argparse.Namespace) -> int:
    from pipelines.override import push_anyway

    config = _claimed(arguments)
    raise_on_sigterm()
    _say(str(push_anyway(config, arguments.by, arguments.reason, arguments.run, to_stderr)))
    return EXIT_OK


def _rollback(arguments: argparse.Namespace) -> int:
    from pipelines.rollback import roll_back

    config = _claimed(arguments)
    raise_on_sigterm()
    destination = roll_back(config, arguments.by, arguments.reason, arguments.to, to_stderr)
    record = Bundle(destination).provenance()["rollback_of"]
    to_stderr(f"served again: version {record['version']}, in place of {record['replaced']}")
    print(destination)
    return EXIT_OK


def _watch(arguments: argparse.Namespace) -> int:
    from classlift.watch.score import fallen, sentences
    from pipelines.watch import watch

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    found = watch(_claimed(arguments), to_stderr)
    classes = found.record["classes"]
    if arguments.json:
        extra = {"fell": fallen(classes), "is_new": found.is_new, "page": str(found.page)}
        print(json.dumps({**found.record, **extra}))
        return EXIT_OK
    for sentence in sentences(classes):
        _say(sentence)
    print(f"page: {found.page}")
    return EXIT_OK


def _lineage(arguments: argparse.Namespace) -> int:
    from pipelines.lineage import render, trace

    found = trace(load_config(arguments.config), arguments.version)
    _say(json.dumps(found) if arguments.json else render(found))
    return EXIT_OK


def _at_least(least: int) -> Callable[[str], int]:
    """Reads a number of an option that must not be smaller."""

    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= 36500:
            raise argparse.ArgumentTypeError(f"it must be a number from {least} to 36500")
        return int(text)

    return number


def _prune(arguments: argparse.Namespace) -> int:
    from pipelines import prune

    config = _claimed(arguments) if arguments.remove else load_config(arguments.config)
    given = {name: getattr(arguments, name) for name in ("runs", "days", "versions")}
    given = {name: value for name, value in given.items() if value is not None}
    retention = replace(config.retention, **given)
    if arguments.remove:
        with prune.alone_with(config):
            found = prune.plan(config, retention)
            prune.remove(config, found, print)
    else:
        found = prune.plan(config, retention)
        for left in found.leftovers:
            print(f"{prune.readable(left.size):>10}  {left.path}")
    counts = ", ".join(
        f"{found.count(kind)} {kind}{'' if found.count(kind) == 1 else 's'} "
        f"({prune.readable(found.size(kind))})"
        for kind in (prune.ARTIFACT, prune.RUN, prune.VERSION)
    )
    print(f"kept: {len(found.kept_runs)} runs, {len(found.kept_versions)} served versions")
    print(f"{'removed' if arguments.remove else 'would go'}: {counts}")
    if found.leftovers and not arguments.remove:
        print("nothing is removed yet: run it again with --remove")
    return EXIT_OK


def _data_arrived(arguments: argparse.Namespace) -> int:
    from pipelines.arrival import raise_event

    name = load_config(arguments.config).name
    raise_event(name, arguments.url, arguments.note, ROOT / "build" / "airflow")
    print(f"Airflow was told that labels/{name} have arrived.")
    return EXIT_OK


def _validate(arguments: argparse.Namespace) -> int:
    from classlift.quality.validate import REPORT, validate

    own_folders.require_own(arguments.report, own_folders.VALIDATION)  # before the work, not after
    if arguments.fix:
        require_new(arguments.fix)
    snapshot, labels = _read(arguments)
    suspicions = _suspicions(arguments.model, snapshot) if arguments.model else []
    own_folders.make(arguments.report, own_folders.VALIDATION)
    findings = validate(
        snapshot, labels, None, 0, arguments.report, to_stderr, suspicions=suspicions
    )
    critical = sum(finding.severity == "critical" for finding in findings)
    warnings = sum(finding.severity == "warning" for finding in findings)
    if arguments.json:
        print(json.dumps([vars(finding) for finding in findings]))
    else:
        for finding in findings:
            _say(f"{finding.severity}: {finding.sentence()}")
        print(
            f"{snapshot.images.num_rows} images, {snapshot.boxes.num_rows} boxes, "
            f"{critical} critical findings, {warnings} warnings"
            + (f", {len(suspicions)} labels to look at again" if arguments.model else "")
            + f"; report: {arguments.report / REPORT}"
        )
    if arguments.fix:
        return _fix(snapshot, labels, arguments.fix, arguments.report)
    return EXIT_PERMANENT if critical else EXIT_OK


def _read(arguments: argparse.Namespace) -> tuple["Snapshot", tuple[str, ...]]:
    """The labels that a command names, and their classes: the label map's, or all by name."""
    from classlift.data.snapshot import Source, take_snapshot

    images = arguments.images.resolve() if arguments.images else None
    source = Source(arguments.path.resolve(), format=arguments.format, images=images)
    if arguments.label_map:
        label_map = LabelMap.read(arguments.label_map)
        return take_snapshot([source], to_stderr, renamed=label_map.renamed), label_map.names
    snapshot = take_snapshot([source], to_stderr)
    return snapshot, tuple(sorted(snapshot.boxes["label"].unique().to_pylist()))


def _fix(snapshot: "Snapshot", labels: Sequence[str], folder: Path, report: Path) -> int:
    """Writes the repaired copy and judges it; its exit code is the command's."""
    from classlift.data.formats.coco import ANNOTATIONS
    from classlift.data.snapshot import Source, take_snapshot
    from classlift.quality.repair import CHANGES, repair
    from classlift.quality.validate import validate

    changes = repair(snapshot, labels, folder.resolve(), to_stderr)
    repaired = take_snapshot([Source((folder / ANNOTATIONS).resolve())], to_stderr)
    own_folders.make(report / "repaired", own_folders.VALIDATION)
    findings = validate(repaired, labels, None, 0, report / "repaired", to_stderr)
    critical = [finding for finding in findings if finding.severity == "critical"]
    for finding in critical:
        to_stderr(f"still critical: {finding.sentence()}")
    print(
        f"repaired copy: {folder / ANNOTATIONS}, {len(changes)} changes listed in "
        f"{folder / CHANGES}, {len(critical)} critical findings left",
        file=sys.stderr,
    )
    return EXIT_PERMANENT if critical else EXIT_OK


def _suspicions(saved_model: Path, snapshot: "Snapshot") -> list[Any]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from classlift.quality.suspicions import suspicions

    with without_stderr():  # what TensorFlow says before its log level counts
        from classlift.detectors.predict import load_signature, predict_images

    to_stderr("predicting all images with the model")
    bundle = Bundle(saved_model)
    import pyarrow.compute as pc

    readable = snapshot.images.filter(pc.not_equal(snapshot.images["phash"], ""))
    found = predict_images(load_signature(saved_model), readable, bundle.label_map(), to_stderr)
    return suspicions(snapshot.boxes, found)


def _diagnose(arguments: argparse.Namespace) -> int:
    from classlift.data.snapshot import Source, take_snapshot

    if not 0 < arguments.precision < 1:
        raise ConfigError(f"--precision {arguments.precision:g}: it must lie between 0 and 1.")
    own_folders.require_own(arguments.report, own_folders.DIAGNOSIS)
    backend = backend_of(arguments.model)
    if backend is not None and arguments.label_map is None:
        require_model(backend, arguments.model)  # before TensorFlow is loaded, not after
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    to_stderr("loading TensorFlow")
    with without_stderr():  # what TensorFlow says before its log level counts
        import tensorflow as tf

        from classlift.diagnosis import standalone

    tf.get_logger().setLevel("ERROR")
    data = arguments.data.resolve()
    if arguments.train:
        sources = [Source(arguments.train.resolve(), "train"), Source(data, "eval")]
        snapshot = take_snapshot(sources, to_stderr)
    else:
        snapshot = standalone.judged_on_the_rest(take_snapshot([Source(data)], to_stderr))
    _require_sound(snapshot)
    facts = standalone.diagnose_model(
        arguments.model.resolve(),
        snapshot,
        arguments.target,
        arguments.precision,
        arguments.report,
        arguments.label_map,
        to_stderr,
    )
    note = {"what": own_folders.DIAGNOSIS, "note": own_folders.NOTE}
    own_folders.write_mark(arguments.report, note)
    if arguments.json:
        print(json.dumps(facts))
        return EXIT_OK
    for sentence in (*facts["sentences"], *facts["reasons"], facts["advice"]):
        _say(sentence)
    if facts["stop"]:
        _say(facts["stop"])
    print(f"report: {arguments.report / standalone.PAGE}")
    return EXIT_OK


def _require_sound(snapshot: "Snapshot") -> None:
    """Raises DataError when images are broken."""
    broken = [row for row in snapshot.problems.to_pylist() if row["severity"] == "critical"]
    if broken:
        raise DataError(
            f"{broken[0]['source']}: {broken[0]['problem']}; run `classlift validate --fix` first."
        )


def _convert(arguments: argparse.Namespace) -> int:
    require_new(arguments.new)  # before the work, not after
    snapshot, labels = _read(arguments)
    _require_sound(snapshot)
    with new_folder(arguments.new.resolve()) as draft:
        given = arguments.label_map
        label_map = LabelMap.read(given) if given else LabelMap(labels)
        WRITERS[arguments.to](snapshot.images, snapshot.boxes, label_map, draft)
    print(f"{arguments.new}: {snapshot.images.num_rows} images, {snapshot.boxes.num_rows} boxes")
    return EXIT_OK


def _new_model(arguments: argparse.Namespace) -> int:
    label_map = LabelMap.read(arguments.labels) if arguments.labels else None
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with new_folder(arguments.folder.resolve()) as draft:
        to_stderr("loading KerasHub")
        with without_stderr():  # what TensorFlow says before its log level counts
            from classlift.detectors.keras_hub.new_model import write_new
        write_new(
            draft,
            label_map,
            preset=arguments.preset,
            file=arguments.keras,
            small=arguments.small,
            size=arguments.size,
            report=to_stderr,
        )
    print(arguments.folder)
    return EXIT_OK


def _say(text: str) -> None:
    """Prints text with names of users in it, which a terminal does not obey."""
    print(printable(text, keep="\n"), flush=True)


def _doctor(arguments: argparse.Namespace) -> int:
    specification = importlib.util.spec_from_file_location(
        "install", ROOT / "requirements" / "install.py"
    )
    if specification is None or specification.loader is None:
        raise ConfigError(f"{ROOT / 'requirements' / 'install.py'} is missing.")
    install = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(install)
    checks = {
        f"environment {name}": (
            install.is_current(name),
            "not as its lock says; run `make environments`",
        )
        for name in install.LOCKS
    }
    checks["free disk"] = (
        shutil.disk_usage(ROOT).free / 1e9 > 1,
        "less than 1 GB is free; make room",
    )
    missing = {name: advice for name, (fine, advice) in checks.items() if not fine}
    if arguments.json:
        print(json.dumps({name: fine for name, (fine, _) in checks.items()}))
    else:
        for name in checks:
            print(f"{name}: {missing.get(name, 'fine')}")
    return EXIT_PERMANENT if missing else EXIT_OK


def _airflow(_: argparse.Namespace) -> int:
    compile_all()
    home = ROOT / "build" / "airflow"
    airflow.migrate(home)
    airflow.make_pool(home)
    port = airflow.airflow_environment(home)["AIRFLOW__API__PORT"]
    print(f"Airflow's UI will be at http://localhost:{port}; Ctrl-C stops it", flush=True)
    print(f"its users and their passwords: {airflow.passwords_file(home)}", flush=True)
    return airflow.serve(home)


if __name__ == "__main__":
    sys.exit(main())
