"""Tries configs of the OD API's model zoo: each is served, or ends in one sentence.

    .venv/ml/bin/python -m tests.zoo ../shared/zoo/configs --side 128 --losses 20

For each config a folder is made as the zoo's archives have them, without a label map, with random
weights and batch norms that fit them. It is loaded, answers an image, and where its classes can
have branches, one is trained by the default recipe. A process a config; minutes for the large ones.

A test runs the configs that end in a sentence, which takes no TensorFlow
(tests/classlift/detectors/od_api/test_outline.py).
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from classlift.detectors import od_api
from classlift.detectors.backends import load_detector
from classlift.environment import restart_with
from classlift.errors import ClassLiftError

CONFIG = "pipeline.config"
TARGET = "toothbrush"
"""The class with the last of COCO's ids, after all gaps."""


def main() -> int:
    """Prints a line a config; 1 where one neither is served nor ends in a sentence."""
    parser = argparse.ArgumentParser(description="Try configs of the model zoo.")
    parser.add_argument("configs", type=Path, help="a folder of them, or one")
    parser.add_argument("--side", type=int, help="of the images, instead of the config's")
    parser.add_argument("--losses", type=int, default=0, help="steps of training to show")
    arguments = parser.parse_args()
    if arguments.configs.is_file():
        print(attempt(arguments.configs, arguments.side, arguments.losses))
        return 0
    failed = 0
    for path in sorted(arguments.configs.glob("*.config")):
        started = time.monotonic()
        options = [] if arguments.side is None else ["--side", str(arguments.side)]
        words = [str(path), *options, "--losses", str(arguments.losses)]
        result = subprocess.run(
            [sys.executable, "-m", "tests.zoo", *words], capture_output=True, text=True, check=False
        )
        last = (result.stdout if result.returncode == 0 else result.stderr).splitlines()[-1:]
        failed += result.returncode != 0
        verdict = "" if result.returncode == 0 else "FAILED: "
        took = time.monotonic() - started
        print(f"{path.stem}: {verdict}{''.join(last)} ({took:.0f} s)", flush=True)
    return int(failed > 0)


def attempt(path: Path, side: int | None, steps: int) -> str:
    """What becomes of a config: the sentence that refuses it, or what its model does."""
    with TemporaryDirectory(prefix="classlift-zoo-") as work:
        folder = Path(work)
        shutil.copy(path, folder / CONFIG)
        (folder / "checkpoint").mkdir()
        for name in ("ckpt-0.index", "ckpt-0.data-00000-of-00001"):
            (folder / "checkpoint" / name).write_bytes(b"-")
        from classlift.detectors.backends import require_model

        try:
            require_model("od_api", folder)
            write_entry(folder, side)
            detector = load_detector("od_api", folder)
        except ClassLiftError as error:
            return f"sentence: {str(error).replace(str(folder), '')}"
        return serve(detector) + (train(detector, steps) if steps and detector.can_branch else "")


def write_entry(folder: Path, side: int | None) -> None:
    """A checkpoint of random weights, with the statistics of noise in its batch norms."""
    import tensorflow as tf

    from classlift.detectors.od_api.branching import Branched
    from classlift.detectors.od_api.faster_rcnn import FasterRcnnDetector
    from classlift.detectors.od_api.outline import read_label_map
    from classlift.detectors.od_api.ssd import SsdDetector
    from classlift.detectors.od_api.zoo_entry import learning_phase, read_config

    config = read_config(folder)
    kind = {"ssd": SsdDetector, "faster_rcnn": FasterRcnnDetector}[config.model.WhichOneof("model")]
    resizer = getattr(config.model, kind.meta_architecture).image_resizer
    if side is not None:
        fixed = resizer.WhichOneof("image_resizer_oneof") == "fixed_shape_resizer"
        own = resizer.fixed_shape_resizer if fixed else resizer.keep_aspect_ratio_resizer
        for field in ("height", "width") if fixed else ("min_dimension", "max_dimension"):
            setattr(own, field, side)
    tf.keras.utils.set_random_seed(0)
    detector = Branched(kind(config, read_label_map(folder)))
    if kind is SsdDetector:
        model = detector.common.model
        for layer in (x for x in model.submodules if hasattr(x, "moving_mean")):
            layer.momentum = 0.5
        images = tf.random.uniform([4, *detector.frame.size, 3], 0, 255)
        with learning_phase(True):
            for _ in range(12):
                maps = model._feature_extractor(model._feature_extractor.preprocess(images))
                model._box_predictor(list(maps))
    shutil.rmtree(folder / "checkpoint")
    name = TemporaryDirectory(prefix="classlift-zoo-")
    with name as saved:
        detector.save(Path(saved) / "entry")
        shutil.move(Path(saved) / "entry" / "checkpoint", folder / "checkpoint")
        shutil.copy(Path(saved) / "entry" / CONFIG, folder / CONFIG)
    (folder / "checkpoint" / "checkpoint").unlink()  # the state file, which is not needed


def serve(detector) -> str:
    """How many detections it answers with, all of classes that have a name."""
    import tensorflow as tf

    found = detector.detect(tf.random.uniform([1, *detector.frame.size, 3], 0, 255, seed=1))
    count = int(found["num_detections"][0])
    classes = {int(c) for c in found["detection_classes"][0, :count]}
    if not classes <= set(detector.label_map.ids):
        raise AssertionError(f"it answers with classes that have no name: {classes}")
    height, width = detector.frame.size
    return f"served: {len(detector.label_map)} classes, {count} detections at {width} x {height}"


def train(detector, steps: int) -> str:
    """The class losses of the first steps of the default recipe on objects of `TARGET`."""
    import numpy as np
    import tensorflow as tf

    from classlift.detectors.detector import Batch
    from classlift.detectors.freeze import frozen_names
    from classlift.settings.freeze import BRANCH_PARTS
    from classlift.settings.recipe import Recipe
    from classlift.training.step import TrainingStep

    recipe = Recipe(batch_size=4)
    detector.grow_branch(TARGET, BRANCH_PARTS[recipe.freeze_policy])
    names = list(detector.variables())
    frozen = frozen_names(recipe.freeze_policy, names, detector.branch)
    step = TrainingStep(detector, detector.freeze(frozen), recipe)
    rng = np.random.default_rng(0)
    shape = (recipe.batch_size, *detector.frame.size, 3)
    corners = rng.uniform(0, 0.5, (recipe.batch_size, 1, 2))
    sides = rng.uniform(0.1, 0.5, (recipe.batch_size, 1, 2))
    batch = Batch(
        images=tf.constant(rng.uniform(0, 255, shape).astype(np.float32)),
        boxes=tf.constant(np.concatenate([corners, corners + sides], -1).astype(np.float32)),
        labels=tf.fill([recipe.batch_size, 1], detector.label_map.id_of(TARGET)),
        weights=tf.ones([recipe.batch_size, 1]),
    )
    features = detector.features(batch.images)
    losses = [float(step(features, batch)["class"]) for _ in range(steps)]
    return "; class losses " + " ".join(f"{loss:.3g}" for loss in losses)


if __name__ == "__main__":
    restart_with({**od_api.ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "3"})
    sys.exit(main())
