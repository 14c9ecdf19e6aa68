"""Champions for photographs: what `carla` and `cards` have in common.

A Pascal VOC data set is divided at random by image into test, eval, and training data. A champion,
started from the demo's model where the shapes fit, is trained on the training images with all but a
few of those that show a weak class left out; these, and some others, are the new data. Champion,
data and results are kept in a folder of `build`; the recipes are compared by `comparison`.
"""

import os
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.comparison import REFERENCE, ROOT, Entry, Setting, main
from classlift.data.snapshot import Source
from classlift.detectors import od_api
from classlift.environment import restart_with

TEST, EVAL = 0.35, 0.20  # of the images; the rest are for training


@dataclass(frozen=True)
class RealData:
    """A data set and the champion that is trained of it.

    Attributes:
        name: of the folder in `build`.
        parts: the folders of a Pascal VOC data set that are joined, each with `Annotations` and the
            folder of its images.
        classes: of the labels.
        weak: the classes that the champion knows few of; the first is the target.
        known: how many images that show a weak class it learns.
        others: how many other images are new, for each new one that shows a weak class.
        height: of the champion's input, in pixels, as `width`.
        width: of its input.
        anchor_scale: the side of the smallest anchor, in strides of the first level.
        steps: of its training.
        flip: whether a mirrored image is one that could be.
        division: the seed by which images are divided.

    """

    name: str
    parts: Sequence[tuple[str, str]]
    classes: tuple[str, ...]
    weak: tuple[str, ...]
    known: int
    others: float
    height: int
    width: int
    anchor_scale: float
    steps: int
    flip: bool
    division: int = 0

    @property
    def work(self) -> Path:
        """The folder of data, champion and results."""
        return ROOT / "build" / f"bench-{self.name}"

    @property
    def model(self) -> Path:
        """The champion, a zoo entry."""
        return self.work / "model"

    def prepare(self) -> None:
        """Makes data and champion where they are missing.

        The data set is the folder that the variable `DATA` names.
        """
        if not (self.work / "data").exists():
            source = Path(os.environ.get("DATA", ""))
            if not self.is_in(source):
                wanted = ", ".join(f"{part}/Annotations".lstrip("/") for part, _ in self.parts)
                sys.exit(f"bench-{self.name}: give DATA=, a folder with {wanted}.")
            self.divide(source)
        if not self.model.exists():
            self.train_champion()

    def is_in(self, source: Path) -> bool:
        """Whether a folder has the annotations of all parts."""
        return all((source / part / "Annotations").is_dir() for part, _ in self.parts)

    def sources(self) -> Sequence[Source]:
        """The parts of the divided data, one folder each."""
        data = self.work / "data"
        return [
            Source(data / "old", "train", "old"),
            Source(data / "new", "train"),
            Source(data / "eval", "eval"),
            Source(data / "test", "test"),
        ]

    def divide(self, source: Path) -> None:
        """Copies the images and annotations of a data set to the folders of `sources`, or none."""
        files = {
            xml.stem: (xml, source / part / images / f"{xml.stem}.jpg")
            for part, images in self.parts
            for xml in (source / part / "Annotations").glob("*.xml")
        }
        names = sorted(files)
        random.Random(self.division).shuffle(names)

        def shows_weak(name: str) -> bool:
            text = files[name][0].read_text()
            return any(f"<name>{label}</name>" in text for label in self.weak)

        test, evaluation = int(TEST * len(names)), int((TEST + EVAL) * len(names))
        training = names[evaluation:]
        showing = [name for name in training if shows_weak(name)]
        known, rare = showing[: self.known], showing[self.known :]
        others = [name for name in training if name not in showing]
        fresh = int(self.others * len(rare))
        folders = {
            "test": names[:test],
            "eval": names[test:evaluation],
            "new": [*rare, *others[:fresh]],
            "old": [*known, *others[fresh:]],
        }
        draft = self.work / "data.draft"
        shutil.rmtree(draft, ignore_errors=True)
        for folder, members in folders.items():
            for place, kind in enumerate(("Annotations", "images")):
                (draft / folder / kind).mkdir(parents=True)
                for name in members:
                    shutil.copy(files[name][place], draft / folder / kind)
        draft.rename(self.work / "data")

    def train_champion(self) -> None:
        """Writes a zoo entry: the demo's architecture for larger images and other objects."""
        import tensorflow as tf

        from classlift.data.label_map import LabelMap
        from classlift.data.snapshot import take_snapshot
        from classlift.detectors.examples import example_files
        from classlift.detectors.od_api.branching import Branched
        from classlift.detectors.od_api.ssd import SsdDetector
        from classlift.detectors.od_api.zoo_entry import read_config
        from classlift.examples.write import write_examples
        from classlift.settings.rebalancing import Rebalancing
        from classlift.settings.recipe import Recipe
        from classlift.training.fit import fit
        from classlift.training.input import training_batches

        tf.keras.utils.set_random_seed(0)
        labels = LabelMap(self.classes)
        config = read_config(ROOT / "demo" / "model")
        ssd = config.model.ssd
        ssd.num_classes = len(self.classes)
        resizer = ssd.image_resizer.fixed_shape_resizer
        resizer.height, resizer.width = self.height, self.width
        ssd.feature_extractor.fpn.max_level = 6
        anchors = ssd.anchor_generator.multiscale_anchor_generator
        anchors.max_level, anchors.anchor_scale = 6, self.anchor_scale
        examples = self.work / "examples-champion"
        if not examples.exists():
            old, _, *rest = self.sources()
            snapshot = take_snapshot([Source(old.path, "train"), *rest])
            write_examples(snapshot, labels, Rebalancing(method="none"), examples)
        recipe = Recipe(
            "none",
            steps=self.steps,
            batch_size=16,
            learning_rate=3e-3,
            flip=self.flip,
            mosaic=0.2,
            evaluations=0,
        )
        detector = Branched(SsdDetector(config, labels))
        started = Branched.load(SsdDetector, ROOT / "demo" / "model").variables()
        for name, variable in detector.variables().items():
            if name in started and started[name].shape == variable.shape:
                variable.assign(started[name])
        files = example_files(examples, "train")
        fit(detector, partial(training_batches, files, detector.frame, labels, recipe), recipe)
        detector.save(self.model)


def setting(data: RealData, common: Mapping[str, Any]) -> Setting:
    """The recipes to compare on a data set, by what all of them have in common."""

    def branch(depth: str) -> dict[str, Any]:
        return {**common, "freeze_policy": f"target-branch{depth}"}

    full = {**common, "freeze_policy": "none", "learning_rate": 1e-3}
    rate = {"learning_rate": 0.008}
    return Setting(
        module=f"benchmarks.{data.name}",
        work=data.work,
        model=data.model,
        target=data.weak[0],
        sources=data.sources,
        entries=(
            Entry("default", {**common}),
            Entry("default at 0.008", {**common, **rate}),
            Entry("target-branch", branch("")),
            Entry("target-branch at 0.008", {**branch(""), **rate}),
            Entry("target-branch+neck", branch("+neck")),
            Entry("target-branch+block:9", branch("+block:9")),
            Entry("target-branch+block:9 at 0.008", {**branch("+block:9"), **rate}),
            Entry("target-branch+image", branch("+image")),
            Entry(REFERENCE, full),
            Entry("full, new data only", full, {"replay_share": 0.0, "method": "none"}),
        ),
    )


def run(data: RealData, recipes: Setting) -> None:
    """Makes data and champion where they are missing, and compares the recipes."""
    restart_with({**od_api.ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "3"})
    data.prepare()
    sys.exit(main(recipes, ROOT / "benchmarks" / f"{data.name}.svg"))
