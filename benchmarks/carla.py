"""The default recipe on real data that it was not tuned on: street scenes with few bikes.

    make bench-carla DATA=../shared/data/carla

Divides a Pascal VOC data set at random by image: `test` 35%, `eval` 20%, the rest for training.
A champion, started from the demo's model where the shapes fit, is trained on the training images
with all but a few of those that show a bike left out; these, and as many others, are the new data.
Champion, data and results are kept in `build/bench-carla`. Takes an hour and a half on two
cores.
"""

import os
import random
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.comparison import ROOT, Entry, Setting, main
from classlift.data.snapshot import Source
from classlift.detectors import od_api
from classlift.environment import restart_with
from classlift.progress import configure

WORK = ROOT / "build" / "bench-carla"
TARGET, CLASSES = "bike", ("vehicle", "traffic_light", "bike", "traffic_sign", "motobike")
TEST, EVAL, KNOWN_TARGET_IMAGES = 0.35, 0.20, 12
HEIGHT, WIDTH = 256, 384
REFERENCE = "full, balanced replay"
AUGMENTATION = {"flip": True, "batch_size": 16}
FULL = {**AUGMENTATION, "freeze_policy": "none", "learning_rate": 1e-3, "steps": 600}
BRANCH = {**AUGMENTATION, "freeze_policy": "target-branch", "learning_rate": 0.008}
ENTRIES = (
    Entry("default (target-branch)", BRANCH),
    Entry("target-branch+neck", {**BRANCH, "freeze_policy": "target-branch+neck"}),
    Entry(REFERENCE, FULL),
    Entry("full, new data only", FULL, {"replay_share": 0.0, "method": "none"}),
)


def sources() -> Sequence[Source]:
    """The parts of the data, one folder each."""
    data = WORK / "data"
    return [
        Source(data / "old", "train", "old"),
        Source(data / "new", "train"),
        Source(data / "eval", "eval"),
        Source(data / "test", "test"),
    ]


def divide(source: Path) -> None:
    """Copies images and annotations to the folders of `sources`."""
    names = sorted(path.stem for path in (source / "Annotations").glob("*.xml"))
    random.Random(0).shuffle(names)

    def shows_target(name: str) -> bool:
        return f"<name>{TARGET}</name>" in (source / "Annotations" / f"{name}.xml").read_text()

    test, evaluation = int(TEST * len(names)), int((TEST + EVAL) * len(names))
    training = names[evaluation:]
    showing = [name for name in training if shows_target(name)]
    known, rare = showing[:KNOWN_TARGET_IMAGES], showing[KNOWN_TARGET_IMAGES:]
    others = [name for name in training if name not in showing]
    folders = {
        "test": names[:test],
        "eval": names[test:evaluation],
        "new": [*rare, *others[: len(rare)]],
        "old": [*known, *others[len(rare) :]],
    }
    for folder, members in folders.items():
        for kind, suffix in (("Annotations", ".xml"), ("images", ".jpg")):
            (WORK / "data" / folder / kind).mkdir(parents=True)
            for name in members:
                shutil.copy(source / kind / f"{name}{suffix}", WORK / "data" / folder / kind)


def train_champion(folder: Path) -> None:
    """Writes a zoo entry: the demo's architecture for wider images and smaller objects."""
    import tensorflow as tf

    from classlift.data.label_map import LabelMap
    from classlift.data.snapshot import take_snapshot
    from classlift.detectors.examples import example_files
    from classlift.detectors.od_api.ssd import SsdDetector
    from classlift.detectors.od_api.zoo_entry import read_config
    from classlift.examples.write import write_examples
    from classlift.settings.rebalancing import Rebalancing
    from classlift.settings.recipe import Recipe
    from classlift.training.fit import fit
    from classlift.training.input import training_batches

    tf.keras.utils.set_random_seed(0)
    labels = LabelMap(CLASSES)
    config = read_config(ROOT / "demo" / "model")
    ssd = config.model.ssd
    ssd.num_classes = len(CLASSES)
    resizer = ssd.image_resizer.fixed_shape_resizer
    resizer.height, resizer.width = HEIGHT, WIDTH
    ssd.feature_extractor.fpn.max_level = 6
    anchors = ssd.anchor_generator.multiscale_anchor_generator
    anchors.max_level, anchors.anchor_scale = 6, 1.0
    examples = WORK / "examples-champion"
    if not examples.exists():
        old, _, *rest = sources()
        write_examples(
            take_snapshot([Source(old.path, "train"), *rest]),
            labels,
            Rebalancing(method="none"),
            examples,
        )
    recipe = Recipe(
        "none", steps=2500, batch_size=16, learning_rate=3e-3, flip=True, mosaic=0.2, evaluations=0
    )
    detector = SsdDetector(config, labels)
    started = SsdDetector.load(ROOT / "demo" / "model").variables()
    for name, variable in detector.variables().items():
        if name in started and started[name].shape == variable.shape:
            variable.assign(started[name])
    files = example_files(examples, "train")
    fit(detector, partial(training_batches, files, detector.frame, labels, recipe), recipe)
    detector.save(folder)


SETTING = Setting(
    module="benchmarks.carla",
    work=WORK,
    model=WORK / "model",
    target=TARGET,
    sources=sources,
    entries=ENTRIES,
    reference=REFERENCE,
)

if __name__ == "__main__":
    restart_with({**od_api.ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "3"})
    configure(sys.stdout)
    if not (WORK / "data").exists():
        divide(Path(os.environ["DATA"]))
    if not SETTING.model.exists():
        train_champion(SETTING.model)
    sys.exit(main(SETTING, ROOT / "benchmarks" / "carla.svg"))
