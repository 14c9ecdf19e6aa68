"""Recipes side by side: what each gives the weak class, and what it costs the others.

Each recipe is trained with every seed and exported by the Trainer's own code, and judged by the
gate's: champion and challenger at matched precision on the same test images. A recipe runs in a
process of its own on a core of its own, as many at once as there are cores: that is faster than all
cores for each, and as fair. Results are kept in the setting's folder, so that a run that was
stopped goes on.
"""

import argparse
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from shutil import rmtree
from statistics import mean
from typing import Any

from classlift.data.snapshot import Source
from classlift.detectors import od_api
from classlift.settings.freeze import TARGET_BRANCH

ROOT = Path(__file__).resolve().parent.parent
SEEDS = (0, 1, 2)
REFERENCE = "full, balanced replay"
"""The entry of each setting whose time is 1."""

PRECISION = 0.8
BATCH, ROUNDS = 16, 30  # images a call, and calls, of the timing of inference


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    data: of the rebalancing; recipe: of the training, `class_weight` being the target's. Without a
    freeze policy, eval chooses how deep a branch begins, as it does by default.
    """

    name: str
    recipe: dict[str, Any]
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """A data set with its champion, and the recipes to compare.

    module: whose `main` runs this setting; work: for examples and results; model: a zoo entry;
    sources: writes the data where they are missing; entries: `REFERENCE` among them.
    """

    module: str
    work: Path
    model: Path
    target: str
    sources: Callable[[], Sequence[Source]]
    entries: Sequence[Entry]


def main(setting: Setting, picture: Path) -> int:
    """Runs what is missing, then prints the table and draws the trade-off."""
    parser = argparse.ArgumentParser(description="Compare recipes.")
    parser.add_argument("--only", help="part of a recipe's name")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, seed, core = json.loads(arguments.one)
        os.sched_setaffinity(0, {core})
        entry = next(entry for entry in setting.entries if entry.name == name)
        found = json.dumps(measure(setting, entry, seed))
        _result_path(setting, entry, seed).write_text(found)
        return 0
    setting.work.mkdir(parents=True, exist_ok=True)
    wanted = [entry for entry in setting.entries if (arguments.only or "") in entry.name]
    missing = [  # a whole table after the first seed
        (entry, seed)
        for seed in SEEDS
        for entry in wanted
        if not _result_path(setting, entry, seed).exists()
    ]
    on_cores(lambda job, core: _run_apart(setting, *job, core), missing)
    print(table(setting, wanted))
    draw(setting, wanted, picture)
    return 0


def on_cores(run: Callable[[Any, int], None], jobs: Iterable[Any]) -> None:
    """Runs jobs, as many at once as there are cores, each with the number of one of its own."""
    cores: SimpleQueue[int] = SimpleQueue()
    for core in os.sched_getaffinity(0):
        cores.put(core)

    def run_one(job: Any) -> None:
        core = cores.get()
        try:
            run(job, core)
        finally:
            cores.put(core)

    with ThreadPoolExecutor(cores.qsize()) as pool:
        for _ in pool.map(run_one, jobs):
            pass


def _run_apart(setting: Setting, entry: Entry, seed: int, core: int) -> None:
    print(f"{entry.name}, seed {seed}", flush=True)
    subprocess.run(
        [sys.executable, "-m", setting.module, "--one", json.dumps([entry.name, seed, core])],
        cwd=ROOT,
        env={**os.environ, **od_api.ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
        stderr=subprocess.DEVNULL,
    )


def _result_path(setting: Setting, entry: Entry, seed: int) -> Path:
    name = "".join(c if c.isalnum() else "_" for c in entry.name)
    return setting.work / f"{name}-{seed}.json"


def measure(setting: Setting, entry: Entry, seed: int) -> dict[str, Any]:
    """Trains one recipe with one seed, as the Trainer does, and judges it as the gate does."""
    from classlift.detectors.backends import load_detector
    from classlift.detectors.cost import operations
    from classlift.detectors.predict import load_signature
    from classlift.gate.predictions import gate_predictions
    from classlift.serving.bundle import Bundle
    from classlift.serving.write import import_entry
    from classlift.settings.gate import GateSettings
    from classlift.training.depths import DEPTHS
    from classlift.training.devices import make_reproducible
    from classlift.training.run import TrainingTask, run

    target, settings = setting.target, GateSettings(precision=PRECISION)
    examples = examples_for(setting, entry, seed)
    recipe = recipe_of(entry, target, seed)
    make_reproducible(recipe.seed)
    champion_path = setting.work / "champion"
    champion = load_detector("od_api", setting.model)
    labels = champion.label_map
    with _alone(setting):
        if not champion_path.exists():
            import_entry(champion, setting.model, champion_path)
    work = _result_path(setting, entry, seed).with_suffix("")
    rmtree(work, ignore_errors=True)  # of a run that was stopped
    saved = work / "challenger"
    task = TrainingTask(
        recipe=recipe,
        backend="od_api",
        targets=(target,),
        settings=settings,
        champion=champion_path,
        examples=examples,
        challenger=saved,
        board=work / "board",
        work=work / "training",
        code_version="",
        thresholds={},
        curves=work / "curves.json",
    )
    started, cpu = time.perf_counter(), time.process_time()
    bundle = run(task)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    training = bundle.provenance().training or {}
    serves = [load_signature(path) for path in (champion_path, saved)]
    predictions = [_predictions(serve, examples, labels) for serve in serves]
    verdict, comparison = gate_predictions(
        *predictions,
        target,
        settings,
        labels=labels.names,
        champion_thresholds=Bundle(champion_path).operating_points(),
    )
    raised = comparison.of(target)
    others = [e for e in comparison.evidence if e.label != target]
    worst = min(others, key=lambda e: e.recall.change)
    on_test = comparison.on_test
    found = {
        "lift": raised.recall.change,
        "lift_lower": raised.recall.lower_bound,
        "equal_recall": (on_test.before, on_test.after),
        "equal_lift": on_test.change.change,
        "equal_lift_lower": on_test.change.lower_bound,
        "recall": raised.challenger_recall,
        "precision": raised.precision,
        "ap50": raised.challenger_ap50,
        "ap50_before": raised.champion_ap50,
        "ap50_eval": [_ap50_of_eval(found, labels.names)[target] for found in predictions],
        "worst": worst.recall.change,
        "worst_lower": min(e.recall.lower_bound for e in others),
        "unchanged": sum(e.unchanged for e in others),
        "others": len(others),
        "mean_others": mean(e.recall.change for e in others),
        "verdict": verdict.verdict,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "trained_parameters": training["trained_parameters"],
        "depths": training.get(DEPTHS),
        "work": operations(load_detector("od_api", bundle.entry)) / operations(champion),
        "inference": inference_ratio(serves, examples),
        "bytes": _size(bundle.saved_model / "variables") / _size(champion_path / "variables"),
    }
    rmtree(work)
    print(
        f"  {entry.name}, seed {seed}: {raised.recall.change:+.3f}, "
        f"AP50 {raised.challenger_ap50:.3f}, {verdict.verdict}"
    )
    return found


def recipe_of(entry: Entry, target: str, seed: int) -> Any:
    """What an entry trains; where it names a freeze policy, that and nothing else."""
    from classlift.diagnosis.weighting import with_class_weights
    from classlift.settings.recipe import Recipe

    changes = with_class_weights(entry.recipe, [target], {})
    chosen = {"max_inference": 1} if "freeze_policy" in changes else {}
    return Recipe(seed=seed).override({**chosen, **changes})


def examples_for(setting: Setting, entry: Entry, seed: int) -> Path:
    """What RebalancedExampleGen would write; made once for all that ask alike."""
    from classlift.data.label_map import LabelMap
    from classlift.data.snapshot import take_snapshot
    from classlift.examples import run
    from classlift.settings.rebalancing import Rebalancing

    name = "-".join(f"{key}={value}" for key, value in sorted(entry.data.items())) or "default"
    folder = setting.work / f"rebalanced-{name}-{seed}"
    with _alone(setting):
        snapshot = setting.work / "snapshot"
        if not snapshot.exists():
            take_snapshot(setting.sources()).write(snapshot)
        if not folder.exists():
            labels = LabelMap.read(setting.model / "label_map.pbtxt")
            plan = Rebalancing(targets=(setting.target,), seed=seed, **entry.data)
            run.run(snapshot, labels, plan, folder, ())
    return folder


@contextmanager
def _alone(setting: Setting) -> Iterator[None]:
    """Within the block, no other recipe makes what all of them share."""
    with (setting.work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _predictions(serve: Any, examples: Path, labels: Any) -> Any:
    from classlift.detectors.examples import example_files
    from classlift.detectors.predict import predict
    from classlift.gate.evidence import ModelPredictions

    return ModelPredictions(
        *(predict(serve, example_files(examples, split), labels) for split in ("eval", "test"))
    )


def _ap50_of_eval(model: Any, labels: Sequence[str]) -> Any:
    from classlift.metrics.matching import match

    return match(model.eval.boxes, model.eval.detections, model.eval.image_ids, labels).ap50


def inference_ratio(serves: list[Any], examples: Path) -> float:
    """Median time of the challenger on a batch over that of the champion, called in turn."""
    from statistics import median

    from classlift.data.schema import ExampleKeys
    from classlift.detectors.examples import example_files, read_examples

    encoded = next(read_examples(example_files(examples, "test"), BATCH))[ExampleKeys.ENCODED]
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for serve, spent in zip(serves, times, strict=True):
            started = time.perf_counter()
            serve(encoded)
            spent.append(time.perf_counter() - started)
    return median(b / a for a, b in zip(*times, strict=True))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def results(setting: Setting, entry: Entry) -> list[dict[str, Any]]:
    """Of the seeds that have run."""
    paths = [_result_path(setting, entry, seed) for seed in SEEDS]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def table(setting: Setting, entries: Sequence[Entry]) -> str:
    """Means over the seeds; the bounds are the worst over the seeds."""
    full = results(setting, next(e for e in setting.entries if e.name == REFERENCE))
    lines = [
        "| recipe | lift (each seed) | lower bound | at equal precision | recall there | AP50 | "
        "worst other class | unchanged | verdicts | training time | inference |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in entries:
        found = results(setting, entry)
        if not found:
            continue
        seconds = mean(r["seconds"] for r in found)
        ratio = f" ({seconds / mean(r['seconds'] for r in full):.2f})" if full else ""
        gains = ", ".join(f"{r['lift']:+.3f}" for r in found)
        lines.append(
            f"| {entry.name} | **{mean(r['lift'] for r in found):+.3f}** ({gains}) "
            f"| {min(r['lift_lower'] for r in found):+.3f} "
            f"| {mean(r['equal_lift'] for r in found):+.3f} "
            f"(≥ {min(r['equal_lift_lower'] for r in found):+.3f}) "
            f"| {mean(r['equal_recall'][0] for r in found):.3f} → "
            f"{mean(r['equal_recall'][1] for r in found):.3f} "
            f"| {mean(r['ap50_before'] for r in found):.3f} → {mean(r['ap50'] for r in found):.3f} "
            f"| {mean(r['worst'] for r in found):+.3f} "
            f"{_bound(found)} "
            f"| {min(r['unchanged'] for r in found)} of {found[0]['others']} "
            f"| {', '.join(sorted({r['verdict'] for r in found}))} "
            f"| {seconds:.0f} s{ratio} | {mean(r['inference'] for r in found):.2f} |"
        )
    return "\n".join(lines)


def _bound(found: Sequence[dict[str, Any]]) -> str:
    """The lowest bound of another class; what is unchanged to the bit needs none."""
    if all(r["unchanged"] == r["others"] for r in found):
        return "(exactly)"
    return f"(≥ {min(r['worst_lower'] for r in found):+.3f})"


def draw(setting: Setting, entries: Sequence[Entry], path: Path) -> None:
    """The trade-off: lift of the target against the worst change of another class."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "classlift"
    import matplotlib.pyplot as plt

    points = []
    for entry in entries:
        found = results(setting, entry)
        if found:
            ours = entry.recipe.get("freeze_policy", TARGET_BRANCH).startswith(TARGET_BRANCH)
            middle = (mean(r["worst"] for r in found), mean(r["lift"] for r in found))
            points.append((*middle, entry.name, "#d4380d" if ours else "#5b6b7b"))
    points.sort(key=lambda point: (point[1], point[0]))
    figure, axes = plt.subplots(figsize=(9, 5))
    heights = (0.04 + 0.92 * (row + 0.5) / len(points) for row in range(len(points)))
    for (x, y, name, colour), height in zip(points, heights, strict=True):
        axes.plot(x, y, "o", color=colour)
        axes.annotate(  # the names in a column beside the picture: many points lie close together
            name,
            (x, y),
            xytext=(1.03, height),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=colour,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.4, "relpos": (0, 0.5)},
        )
    axes.axvline(0, color="#999", linewidth=0.8)
    axes.set_xlabel("worst change of another class's recall")
    axes.set_ylabel("lift of the weak class")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
