"""Tries configs of the OD API's model zoo: each is served, or ends in one sentence.

    .venv/ml/bin/python -m tests.zoo ../shared/zoo/configs --side 192

For each config a folder is made as the zoo's archives have them, without a label map, with random
weights and batch norms that fit them. It is loaded, trained for two steps by the default freeze
policy on objects of one class, exported, and loaded again. Printed is a row of a table a config:

parts: of the model, as policies name them; steps: the loss of the classes at each; export: whether
the SavedModel answers as the detector does; others: whether the detections of all other classes are
the same to the bit as before training; inference: time of the exported graph as a multiple of the
champion's, one image.

A process a config; minutes for the large ones. A test runs what ends in a sentence, which takes no
TensorFlow (tests/classlift/detectors/od_api/test_outline.py).
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from classlift.detectors import od_api
from classlift.detectors.backends import load_detector
from classlift.environment import restart_with
from classlift.errors import ClassLiftError

CONFIG = "pipeline.config"
TARGET = "toothbrush"
"""The class with the last of COCO's ids, after all gaps."""
COLUMNS = ("config", "parts", "policy", "steps", "export", "others", "inference")
MULTIPLE = 128
"""Of the sides of an EfficientDet or hourglass: the stride of its coarsest map."""


def main() -> int:
    """Prints a row a config; 1 where one neither is served nor ends in a sentence."""
    parser = argparse.ArgumentParser(description="Try configs of the model zoo.")
    parser.add_argument("configs", type=Path, help="a folder of them, or one")
    parser.add_argument("--side", type=int, help="of the images, instead of the config's")
    parser.add_argument("--losses", type=int, default=2, help="steps of training")
    parser.add_argument("--only", default="", help="what the names of the configs begin with")
    arguments = parser.parse_args()
    if arguments.configs.is_file():
        print(attempt(arguments.configs, arguments.side, arguments.losses))
        return 0
    failed = 0
    print("| " + " | ".join(COLUMNS) + " | |\n" + "|---" * (len(COLUMNS) + 1) + "|")
    for path in sorted(arguments.configs.glob(f"{arguments.only}*.config")):
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
        print(f"| {path.stem} | {verdict}{''.join(last)} | {took:.0f} s |", flush=True)
    return int(failed > 0)


def attempt(path: Path, side: int | None, steps: int) -> str:
    """What becomes of a config: the sentence that refuses it, or the row of its model."""
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
        return " | ".join(row(detector, steps, folder / "saved_model"))


def write_entry(folder: Path, side: int | None) -> None:
    """A checkpoint of random weights, with the statistics of noise in its batch norms."""
    import tensorflow as tf

    from classlift.detectors.od_api.architectures import ARCHITECTURES
    from classlift.detectors.od_api.branching import Branched
    from classlift.detectors.od_api.outline import read_label_map
    from classlift.detectors.od_api.zoo_entry import learning_phase, read_config

    config = read_config(folder)
    kind = config.model.WhichOneof("model")
    model_config = getattr(config.model, kind)
    resizer = model_config.image_resizer
    if side is not None:
        if re.search("efficientnet|hourglass", model_config.feature_extractor.type):
            side = -(-side // MULTIPLE) * MULTIPLE
        fixed = resizer.WhichOneof("image_resizer_oneof") == "fixed_shape_resizer"
        own = resizer.fixed_shape_resizer if fixed else resizer.keep_aspect_ratio_resizer
        for field in ("height", "width") if fixed else ("min_dimension", "max_dimension"):
            setattr(own, field, side)
    tf.keras.utils.set_random_seed(0)
    detector = Branched(ARCHITECTURES[kind](config, read_label_map(folder)))
    if kind != "faster_rcnn":
        extractor = detector.common.parts.extractor
        for layer in (x for x in detector.common.model.submodules if hasattr(x, "moving_mean")):
            layer.momentum = 0.5
        images = tf.random.uniform([4, *detector.frame.size, 3], 0, 255)
        with learning_phase(True):
            for _ in range(12):
                detector.common.model.predict(
                    extractor.preprocess(images), detector.common.shapes(4)
                )
    shutil.rmtree(folder / "checkpoint")
    name = TemporaryDirectory(prefix="classlift-zoo-")
    with name as saved:
        detector.save(Path(saved) / "entry")
        shutil.move(Path(saved) / "entry" / "checkpoint", folder / "checkpoint")
        shutil.copy(Path(saved) / "entry" / CONFIG, folder / CONFIG)
    (folder / "checkpoint" / "checkpoint").unlink()  # the state file, which is not needed


def row(detector, steps: int, folder: Path) -> list[str]:
    """The columns of a served model, after its name."""
    import tensorflow as tf

    from classlift.detectors.export import OUTPUTS, Serving
    from classlift.detectors.freeze import part_of
    from classlift.diagnosis.recipes import WITHOUT_BRANCH
    from classlift.serving.probe import difference
    from classlift.settings.freeze import TARGET_BRANCH

    policy = TARGET_BRANCH if detector.can_branch else WITHOUT_BRANCH
    parts = " ".join(dict.fromkeys(part_of(name) for name in detector.variables()))
    images = tf.random.stateless_uniform([1, *detector.frame.size, 3], [1, 2], 0, 256)
    images = tf.cast(images, tf.uint8)
    champion = Serving(detector).default
    before = rows_of(champion(images), detector)
    losses = train(detector, policy, steps)
    serving = Serving(detector)
    after = rows_of(serving.default(images), detector)
    target = detector.label_map.id_of(TARGET)
    same = [r for r in before if r[0] != target] == [r for r in after if r[0] != target]
    serving.write(folder)
    loaded = tf.saved_model.load(str(folder)).signatures["serving_default"]
    ours, theirs = (
        {name: value.numpy()[0] for name, value in answer(images).items()}
        for answer in (serving.default, loaded)
    )
    assert set(theirs) == set(OUTPUTS)
    alike = difference(ours, theirs) < 1e-5  # those of equal scores may stand in another order
    return [
        parts,
        policy,
        " ".join(f"{loss:.3g}" for loss in losses),
        "alike" if alike else "DIFFERS",
        ("same" if same else "CHANGED") + f", {len(before)}" if detector.branches() else "",
        f"{ratio(champion, serving.default, images):.2f}" if detector.branches() else "",
    ]


def rows_of(answer, detector) -> list[tuple]:
    """Class, score and box of each detection, in one order; all are of classes that have a name."""
    boxes, classes, scores = (
        answer[f"detection_{name}"][0].numpy() for name in ("boxes", "classes", "scores")
    )
    count = int(answer["num_detections"][0])
    if not set(classes[:count].astype(int)) <= set(detector.label_map.ids):
        raise AssertionError("it answers with classes that have no name")
    return sorted((int(classes[i]), float(scores[i]), *boxes[i].tolist()) for i in range(count))


def ratio(champion, challenger, images) -> float:
    """The time that one takes as a multiple of the other's, in turn."""
    times = []
    for _ in range(7):
        pair = []
        for serve in (champion, challenger):
            started = time.perf_counter()
            serve(images)
            pair.append(time.perf_counter() - started)
        times.append(pair[1] / pair[0])
    return median(times)


def train(detector, policy: str, steps: int) -> list[float]:
    """The class losses of the first steps on objects of `TARGET`."""
    import numpy as np
    import tensorflow as tf

    from classlift.detectors.detector import Batch
    from classlift.detectors.freeze import frozen_names
    from classlift.settings.freeze import BRANCH_PARTS
    from classlift.settings.recipe import Recipe
    from classlift.training.step import TrainingStep

    recipe = Recipe(policy, batch_size=2, auxiliary=0.0)
    if policy in BRANCH_PARTS:
        detector.grow_branches([TARGET], BRANCH_PARTS[policy])
    names = list(detector.variables())
    frozen = frozen_names(policy, names, detector.trained_branches)
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
    features = detector.features(batch.images) if detector.prefix is not None else ()
    losses = [float(step(features, batch)["class"]) for _ in range(steps)]
    if not all(map(np.isfinite, losses)):
        raise AssertionError(f"losses that are no numbers: {losses}")
    return losses


if __name__ == "__main__":
    restart_with({**od_api.ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "3"})
    sys.exit(main())
