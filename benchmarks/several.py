"""Several classes in one run, known and new ones, and what it costs against one class.

    make bench-several [DATA=../shared/data/carla]

On the demo's digits and, with DATA, on the street scenes of `carla`. Each case is a whole run, from
the labels to the push, a process a node. Of each data set two cases take its champion. The other
two take one that never had a box of a class: it is trained here, as that champion is, on the same
old images, in which the class stays without a box; and so it stays in the old data of the run. It
takes all of that training: after a quarter of it, other digits are found at 28%, and such features
carry no new class. Seconds are the processor's, of a node's process and its children, for wall time
says little where other things run. Takes an hour on one free core, and two with the street scenes;
what has run is kept in `build/bench-several`.
"""

import json
import os
import re
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from benchmarks import carla, situations
from benchmarks.comparison import ROOT
from classlift.detectors import od_api
from classlift.environment import restart_with
from classlift.gate.verdict import PUSH, UNCHANGED, Verdict, read_evaluation
from demo.scenes import CLASSES, write_demo_data

WORK = ROOT / "build" / "bench-several"
RUN = "run"


class DataSet(ABC):
    """Labelled images, and two champions of them.

    Attributes:
        name: of its folder.
        weak: the classes that both champions know too little of; the first is weakest.
        held_back: the class that one champion never had a box of.
        recipe: of the runs.
        root: of the data.

    """

    name: str
    weak: tuple[str, str]
    held_back: str
    recipe: ClassVar[dict[str, Any]]
    root: Path

    @abstractmethod
    def prepare(self) -> None:
        """Makes data and champions where they are missing."""

    @abstractmethod
    def model(self, is_new: bool) -> Path:
        """The zoo entry of a champion, of the one without a class where that is new."""

    @abstractmethod
    def sources(self, is_new: bool) -> list[dict[str, str]]:
        """The config's sources, below `root`; the old one without a box of a new class."""


class Digits(DataSet):
    """The demo's."""

    name = "digits"
    weak = ("8", "3")
    held_back = "9"  # the last, so that all others keep their ids
    recipe: ClassVar[dict[str, Any]] = {"learning_rate": 0.008}
    root = WORK / "data"
    _without = WORK / "model"

    def prepare(self) -> None:
        """Writes the scenes, and trains the champion without a class."""
        write_demo_data(self.root)
        old = self.root / "old"
        hold_back(old / "annotations.json", old / "annotations_without.json", self.held_back)
        if not self._without.exists():
            self._train()

    def _train(self) -> None:
        """Writes a zoo entry as the demo's, for which the held-back digit is background."""
        from demo.pretrain import load_scenes, train, untrained

        detector = untrained(self.model(is_new=False), CLASSES[:-1])
        images, boxes, labels = load_scenes()
        held = labels == len(CLASSES)
        boxes[held], labels[held] = 0, 0
        train(detector, images, boxes, labels)
        detector.save(self._without)

    def model(self, is_new: bool) -> Path:
        """The demo's, or the one that was trained here."""
        return self._without if is_new else ROOT / "demo" / "model"

    def sources(self, is_new: bool) -> list[dict[str, str]]:
        """COCO JSON."""
        end = "_without" if is_new else ""
        return [
            {"path": f"old/annotations{end}.json", "split": "train", "tag": "old"},
            *({"path": f"{s}/annotations.json", "split": s} for s in ("eval", "test")),
            {"path": "new/annotations.json", "split": "train"},
        ]


class Streets(DataSet):
    """Those of `carla`."""

    name = "streets"
    weak = ("bike", "motobike")
    held_back = "motobike"  # the last, so that all others keep their ids
    recipe: ClassVar[dict[str, Any]] = carla.COMMON
    _whole = carla.DATA
    root = _whole.work / "data"
    _less = replace(_whole, name=f"{_whole.name}-without", classes=_whole.classes[:-1])

    def prepare(self) -> None:
        """Divides the data set, holds a class back, and trains both champions."""
        self._whole.prepare()
        data, draft = self._less.work / "data", self._less.work / "data.draft"
        if not data.exists():
            shutil.rmtree(draft, ignore_errors=True)
            shutil.copytree(self._whole.work / "data", draft)
            for path in draft.glob("*/Annotations/*.xml"):
                hold_back_voc(path, self.held_back)
            shutil.copytree(draft / "old", self.root / "old_without", dirs_exist_ok=True)
            draft.rename(data)
        self._less.prepare()

    def model(self, is_new: bool) -> Path:
        """Of the whole data set, or of the one without a class."""
        return (self._less if is_new else self._whole).model

    def sources(self, is_new: bool) -> list[dict[str, str]]:
        """Pascal VOC."""
        return [
            {"path": "old_without" if is_new else "old", "split": "train", "tag": "old"},
            *({"path": split, "split": split} for split in ("eval", "test")),
            {"path": "new", "split": "train"},
        ]


@dataclass(frozen=True)
class Case:
    """A run of the table.

    Attributes:
        name: of the row.
        data: what it is of.
        targets: of the run.
        of_one: the name of the case with one class less, whose time is 1.
        is_new: whether the first target is a class that the champion does not have.

    """

    name: str
    data: DataSet
    targets: tuple[str, ...]
    of_one: str = ""
    is_new: bool = False

    @property
    def folder(self) -> Path:
        """Where the run works."""
        kind = "new" if self.is_new else "known"
        return WORK / self.data.name / "_".join((kind, *self.targets))

    @property
    def seconds(self) -> Path:
        """What its nodes took, once it has run."""
        return self.folder / "seconds.json"

    @property
    def evaluation(self) -> Path:
        """What the gate said, once it has run."""
        return self.folder / "state" / "runs" / RUN / "evaluation"


ONE, NEW = "one weak class", "a new class"


def cases(data: DataSet) -> tuple[Case, ...]:
    """The runs of a data set."""
    weak, held_back = data.weak, data.held_back
    return (
        Case(ONE, data, weak[:1]),
        Case("two weak classes", data, weak, ONE),
        Case(NEW, data, (held_back,), is_new=True),
        Case("a new class beside a weak one", data, (held_back, weak[0]), NEW, is_new=True),
    )


def main() -> int:
    """Runs what is missing, then prints a table for each data set."""
    WORK.mkdir(parents=True, exist_ok=True)
    found: list[DataSet] = [Digits(), *([Streets()] if os.environ.get("DATA") else [])]
    for data in found:
        print(f"{data.name}: making data and champions where they are missing", flush=True)
        data.prepare()
        for case in cases(data):
            if not case.seconds.exists():
                print(f"{case.name}: {', '.join(case.targets)}; see {case.folder}/log", flush=True)
                run(case)
    print("\n\n".join(table(cases(data)) for data in found))
    return 0


def hold_back(labels: Path, without: Path, held_back: str) -> None:
    """Writes the COCO JSON of `labels` without the boxes of a class."""
    coco = json.loads(labels.read_text())
    held = {c["id"] for c in coco["categories"] if c["name"] == held_back}
    coco["categories"] = [c for c in coco["categories"] if c["id"] not in held]
    coco["annotations"] = [a for a in coco["annotations"] if a["category_id"] not in held]
    without.write_text(json.dumps(coco))


def hold_back_voc(path: Path, held_back: str) -> None:
    """Takes the boxes of a class out of a Pascal VOC file."""
    text = path.read_text()
    for box in re.findall("<object>.*?</object>", text, re.DOTALL):
        if f"<name>{held_back}</name>" in box:
            text = text.replace(box, "")
    path.write_text(text)


def run(case: Case) -> None:
    """A run from the labels to the push, and the seconds of its nodes."""
    shutil.rmtree(case.folder, ignore_errors=True)  # of a run that was stopped
    case.folder.mkdir(parents=True)
    config = {
        "name": case.folder.name,
        "work": str(case.folder / "state"),
        "serving": str(case.folder / "served"),
        "model": {"path": str(case.data.model(case.is_new)), "backend": "od_api"},
        "data": {"root": str(case.data.root), "sources": case.data.sources(case.is_new)},
        "target": list(case.targets),
        "new_classes": [case.data.held_back] if case.is_new else [],
        "recipe": case.data.recipe,
    }
    situations.compile_config(case.folder, ROOT, config)
    costs = situations.costs(case.folder, ROOT, case.folder.name, RUN, {})
    case.seconds.write_text(json.dumps({node: seconds for node, (seconds, _) in costs.items()}))


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
        verdict = read_evaluation(case.evaluation)
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
