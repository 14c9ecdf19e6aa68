"""Several classes in one run, known and new ones, and what it costs against one class, on the demo.

    make bench-several

Each case is a real `classlift run` with the demo's data and settings, from the labels to the push.
Two cases take the demo's model. The other two take a champion that never had a box of the digit 9:
it is trained here, as the demo's model is, on the same old scenes, in which the 9s stay without a
box; and so they stay in the old data of the run. It takes all of that training: after a quarter of
it, other digits are found at 28%, and such features carry no new class. Seconds are the
processor's, of a node's process and its children, for wall time says little where other things run.
Takes about an hour on two free cores; what has run is kept in `build/bench-several`.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from benchmarks.comparison import ROOT
from classlift.detectors import od_api
from classlift.environment import restart_with
from classlift.gate.verdict import PUSH, UNCHANGED, Verdict, read_evaluation
from demo.scenes import CLASSES, write_demo_data

WORK = ROOT / "build" / "bench-several"
DATA = WORK / "data"
HELD_BACK = "9"  # the last, so that all others keep their ids
DEMO, WITHOUT = ROOT / "demo" / "model", WORK / "model"
LABELS, LABELS_WITHOUT = "old/annotations.json", "old/annotations_without.json"
NODE_ARGUMENT = "--node"
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Case:
    """A run of the table.

    Attributes:
        name: of the row.
        model: the champion, a zoo entry.
        targets: of the run.
        of_one: the name of the case with one class less, whose time is 1.

    """

    name: str
    model: Path
    targets: tuple[str, ...]
    of_one: str = ""

    @property
    def folder(self) -> Path:
        """Where the run works."""
        return WORK / "_".join(("new" if self.is_new else "known", *self.targets))

    @property
    def seconds(self) -> Path:
        """What its nodes took, once it has run."""
        return self.folder / "seconds.json"

    @property
    def is_new(self) -> bool:
        """Whether a target is a class that the champion does not have."""
        return self.model == WITHOUT


ONE, NEW = "one weak class", "a new class"
CASES = (
    Case(ONE, DEMO, ("8",)),
    Case("two weak classes", DEMO, ("8", "3"), ONE),
    Case(NEW, WITHOUT, (HELD_BACK,)),
    Case("a new class beside a weak one", WITHOUT, (HELD_BACK, "8"), NEW),
)


def main() -> int:
    """Runs what is missing, then prints the table."""
    WORK.mkdir(parents=True, exist_ok=True)
    write_demo_data(DATA)
    hold_back(DATA / LABELS, DATA / LABELS_WITHOUT)
    if not WITHOUT.exists():
        train_champion()
    for case in CASES:
        if not case.seconds.exists():
            print(f"{case.name}: {', '.join(case.targets)}", flush=True)
            run(case)
    print(table(CASES))
    return 0


def hold_back(labels: Path, without: Path) -> None:
    """Writes the COCO JSON of `labels` without the boxes of the digit that is held back."""
    coco = json.loads(labels.read_text())
    held = {c["id"] for c in coco["categories"] if c["name"] == HELD_BACK}
    coco["categories"] = [c for c in coco["categories"] if c["id"] not in held]
    coco["annotations"] = [a for a in coco["annotations"] if a["category_id"] not in held]
    without.write_text(json.dumps(coco))


def train_champion() -> None:
    """Writes a zoo entry as the demo's, for which the digit that is held back is background."""
    import tensorflow as tf

    from classlift.data.label_map import LabelMap
    from classlift.detectors.od_api.branching import Branched
    from classlift.detectors.od_api.ssd import SsdDetector
    from classlift.detectors.od_api.zoo_entry import read_config
    from demo.pretrain import load_scenes, train

    tf.random.set_seed(0)
    config = read_config(DEMO)
    config.model.ssd.num_classes = len(CLASSES) - 1
    detector = Branched(SsdDetector(config, LabelMap(CLASSES[:-1])))
    images, boxes, labels = load_scenes()
    held = labels == len(CLASSES)
    boxes[held], labels[held] = 0, 0
    train(detector, images, boxes, labels)
    detector.save(WITHOUT)


def run(case: Case) -> None:
    """A run from the labels to the push, and the seconds of its nodes."""
    case.folder.mkdir(exist_ok=True)
    old = LABELS_WITHOUT if case.is_new else LABELS
    config = {
        "name": case.folder.name,
        "work": str(case.folder / "state"),
        "serving": str(case.folder / "served"),
        "model": {"path": str(case.model), "backend": "od_api"},
        "data": {
            "root": str(DATA),
            "sources": [
                {"path": old, "split": "train", "tag": "old"},
                *({"path": f"{s}/annotations.json", "split": s} for s in ("eval", "test")),
                {"path": "new/annotations.json", "split": "train"},
            ],
        },
        "target": list(case.targets),
        "new_classes": [HELD_BACK] if case.is_new else [],
        "recipe": {"learning_rate": 0.008, "max_inference": 1},
    }
    path = case.folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "classlift", "run", "--config", str(path)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        seconds: dict[str, float] = {}
        ended = threading.Event()
        watching = threading.Thread(target=watch, args=(process.pid, seconds, ended))
        watching.start()
        code = process.wait()
        ended.set()
        watching.join()
    if code:
        sys.exit(f"{case.name}: the run ended with {code}")
    case.seconds.write_text(json.dumps(seconds))


def watch(pid: int, seconds: dict[str, float], ended: threading.Event) -> None:
    """Notes the processor's seconds of each node of a run, until it has ended."""
    started = psutil.Process(pid)
    while not ended.wait(POLL_SECONDS):
        with suppress(psutil.Error):
            for process in started.children():
                words = process.cmdline()
                if NODE_ARGUMENT in words:
                    node = words[words.index(NODE_ARGUMENT) + 1]
                    own = process.cpu_times()
                    living = [child.cpu_times() for child in process.children(recursive=True)]
                    used = own.user + own.system + own.children_user + own.children_system
                    seconds[node] = used + sum(times.user + times.system for times in living)


def table(cases: Sequence[Case]) -> str:
    """A row for each target of each case that has run."""
    lines = [
        "| run | class | verdict | recall | lift | at equal precision | AP50 "
        "| others unchanged | training | whole run |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    ran = [case for case in cases if case.seconds.exists()]
    taken = {case.name: json.loads(case.seconds.read_text()) for case in ran}
    for case in ran:
        verdict = read_evaluation(case.folder / "state")
        seconds = taken[case.name]
        ratio = ""
        if case.of_one in taken:
            ratio = f" ({seconds['Trainer'] / taken[case.of_one]['Trainer']:.2f})"
        times = f"{seconds['Trainer']:.0f} s{ratio} | {sum(seconds.values()):.0f} s"
        for target in case.targets:
            lines.append(row(case, verdict, target, times))
    return "\n".join(lines)


def row(case: Case, verdict: Verdict, target: str, times: str) -> str:
    """What the gate says of one target."""
    own = next(v for v in (verdict, *verdict.beside) if v.target == target)
    found, equal = own.classes[target], own.at_equal_precision
    others = [c for label, c in own.classes.items() if label not in case.targets]
    same = sum(c.status == UNCHANGED for c in others)
    decision = "push" if own.verdict == PUSH else f"{own.verdict}: {own.sentence_of_target}"
    return (
        f"| {case.name} | {target} | {decision} "
        f"| {found.champion_recall:.3f} → {found.challenger_recall:.3f} "
        f"| **{found.lift:+.3f}** (≥ {found.lower_bound:+.3f}) "
        f"| {equal.change:+.3f} (≥ {equal.lower_bound:+.3f}) "
        f"| {found.champion_ap50:.3f} → {found.challenger_ap50:.3f} "
        f"| {same} of {len(others)} | {times} |"
    )


if __name__ == "__main__":
    restart_with({**od_api.ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "3"})
    sys.exit(main())
