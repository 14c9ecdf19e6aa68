"""What a run costs in five situations, node by node, with this code or that of another checkout.

    python -m benchmarks.situations --images 120 --steps 60 --checkout ../earlier

The demo with fewer images and steps: a first run, which the gate refuses; then a run in which
nothing is new, one of another `min_lift`, one that recalibrates, and one in which three boxes have
moved. Prints the CPU seconds and the peak memory of each node's process; with `--whole`, those of
each run by `classlift run`, whose nodes share what they import.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from demo import scenes

ROOT = Path(__file__).resolve().parent.parent
NAME = "situations"
DONE, NOTHING = 0, 99  # exit codes of nodes that ended well
REFUSED = {"min_lift": 0.9}

SITUATIONS: dict[str, dict[str, Any]] = {
    "first run": REFUSED,
    "nothing new": REFUSED,
    "`min_lift` alone": {"min_lift": 0.95},
    "recalibrate": {**REFUSED, "recalibrate": True},
    "three labels": REFUSED,
}
"""What the run sets, in the order in which they come."""

Costs = dict[str, tuple[float, float]]
"""CPU seconds and peak MB by node."""


def prepare(folder: Path, checkout: Path, images: int, steps: int) -> None:
    """Writes data and config, and compiles them."""
    for split in (scenes.OLD, scenes.NEW, scenes.EVAL, scenes.TEST):
        scenes.write_split(split, folder / "data" / split.name, images)
    document = yaml.safe_load((checkout / "configs" / "digits.yaml").read_text())
    document |= {"name": NAME, "work": str(folder / "work"), "serving": str(folder / "served")}
    document["data"]["root"] = str(folder / "data")
    document["recipe"]["steps"] = steps
    compile_config(folder, checkout, document)


def compile_config(folder: Path, checkout: Path, document: dict[str, Any]) -> None:
    """Writes a config into a folder, and compiles it there."""
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(document))
    run(folder, checkout, ["pipelines.compile", str(config)], {})


def costs(
    folder: Path, checkout: Path, name: str, run_id: str, parameters: dict[str, Any]
) -> Costs:
    """Runs all nodes of a compiled config, each in its process; what each took."""
    compiled = folder / "compiled" / name
    skipped: set[str] = set()
    found: Costs = {}
    for row in json.loads((compiled / "topology.json").read_text())["nodes"]:
        node = row["id"]
        if skipped & set(row["upstream"]):
            skipped.add(node)
            continue
        words = ["--compiled", str(compiled), "--node", node, "--run-id", run_id]
        asked = {"CLASSLIFT_PARAMETERS": json.dumps(parameters)}
        code, found[node] = run(folder, checkout, ["pipelines.run_node", *words], asked)
        if code == NOTHING:
            skipped.add(node)
    return found


def whole(folder: Path, checkout: Path, parameters: dict[str, Any]) -> Costs:
    """Runs the pipeline by its command; what all of it took."""
    is_package = (checkout / "classlift" / "__main__.py").exists()
    command = "classlift" if is_package else "pipelines.cli"  # as it was called before 0.2.0
    words = [command, "run", "--config", str(folder / "config.yaml")]
    for name, value in parameters.items():
        words += ["--set", f"{name}={json.dumps(value)}"]
    return {"whole run": run(folder, checkout, words, {})[1]}


def run(
    folder: Path, checkout: Path, words: list[str], variables: dict[str, str]
) -> tuple[int, tuple[float, float]]:
    """The exit code of a process; the CPU seconds of it and of those that it started, its MB."""
    plain = {name: os.environ[name] for name in ("HOME", "PATH")}
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=checkout,
            env={**plain, "CLASSLIFT_COMPILED": str(folder / "compiled"), **variables},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (DONE, NOTHING):
        sys.exit(f"{' '.join(words)}: exit code {code}\n{(folder / 'log').read_text()}")
    return code, (usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3)  # Linux has KB


def move_three_boxes(folder: Path) -> None:
    """Moves the first three boxes of the new labels by a pixel."""
    path = folder / "data" / "new" / "annotations.json"
    labels = json.loads(path.read_text())
    for annotation in labels["annotations"][:3]:
        x, y, width, height = annotation["bbox"]
        annotation["bbox"] = [max(x - 1, 0), y, width, height]
    path.write_text(json.dumps(labels))


def main() -> None:
    """Prints a line a node and situation as they end, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkout", type=Path, default=ROOT, help="whose code runs")
    parser.add_argument("--images", type=int, default=400, help="of each of the four data sets")
    parser.add_argument("--steps", type=int, default=900, help="of the training")
    parser.add_argument("--whole", action="store_true", help="measure runs, and not their nodes")
    parser.add_argument("--first-alone", action="store_true", help="measure no other run")
    arguments = parser.parse_args()
    print("| situation | node | CPU s | peak MB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder, checkout = Path(name), arguments.checkout.resolve()
        prepare(folder, checkout, arguments.images, arguments.steps)
        for number, (situation, parameters) in enumerate(SITUATIONS.items()):
            if situation == "three labels":
                move_three_boxes(folder)
            if arguments.whole:
                found = whole(folder, checkout, parameters)
            else:
                found = costs(folder, checkout, NAME, f"run{number}", parameters)
            for node, (seconds, peak) in found.items():
                print(f"| {situation} | {node} | {seconds:.1f} | {peak:.0f} |", flush=True)
            total = sum(seconds for seconds, _ in found.values())
            print(f"| {situation} | all | {total:.1f} | |", flush=True)
            if arguments.first_alone:
                break


if __name__ == "__main__":
    main()
