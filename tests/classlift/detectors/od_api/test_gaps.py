"""Label maps with gaps: the checkpoint's ids stand everywhere, and what has no name is no class."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from classlift.data.label_map import LabelMap
from classlift.detectors.backends import load_detector
from classlift.detectors.detector import Batch
from classlift.detectors.export import OUTPUTS, export
from classlift.detectors.freeze import frozen_names
from classlift.detectors.od_api.api import pipeline_pb2
from classlift.detectors.od_api.branching import Branched
from classlift.detectors.od_api.ssd import SsdDetector
from classlift.detectors.od_api.zoo_entry import read_config
from classlift.settings.freeze import BRANCH_PARTS, TARGET_BRANCH
from classlift.settings.recipe import Recipe
from classlift.training.step import Teacher, TrainingStep
from tests.classlift.conftest import DEMO_MODEL

pytestmark = pytest.mark.pipeline

CLASSES = 6
SIDE = 64
GAPS = [
    # ids that have a name, of the six
    (2, 3, 6),  # the first has none
    (1, 4),  # nor have the last
    (5,),
]


def small(ids, softmax=False) -> Branched:
    """The demo's architecture with random weights that score everything alike."""
    config = pipeline_pb2.TrainEvalPipelineConfig()
    config.CopyFrom(read_config(DEMO_MODEL))
    ssd = config.model.ssd
    ssd.num_classes = CLASSES
    ssd.image_resizer.fixed_shape_resizer.height = SIDE
    ssd.image_resizer.fixed_shape_resizer.width = SIDE
    nms = ssd.post_processing.batch_non_max_suppression
    nms.score_threshold = 0.0
    # All that a class may have fits: no class takes the place of another.
    nms.max_total_detections = CLASSES * nms.max_detections_per_class
    if softmax:
        text_format.Merge("weighted_softmax {}", ssd.loss.classification_loss)
        ssd.post_processing.score_converter = ssd.post_processing.SOFTMAX
    label_map = LabelMap(tuple(f"class {i}" for i in ids), tuple(ids))
    detector = Branched(SsdDetector(config, label_map))
    rng = np.random.default_rng(0)
    for name, variable in detector.variables().items():
        if name.startswith("class-head/") and name.endswith("bias"):
            variable.assign(rng.normal(0, 2, variable.shape))
    return detector


def batch_of(label: int) -> Batch:
    rng = np.random.default_rng(1)
    return Batch(
        images=tf.constant(rng.uniform(0, 255, (2, SIDE, SIDE, 3)).astype(np.float32)),
        boxes=tf.constant([[[0.2, 0.2, 0.6, 0.6], [0.0] * 4]] * 2),
        labels=tf.constant([[label, 0]] * 2),
        weights=tf.constant([[1.0, 0.0]] * 2),
    )


def columns(values: np.ndarray, ids) -> np.ndarray:
    """The columns of the class head with these ids, of a kernel or a bias."""
    return values.reshape(-1, CLASSES + 1)[:, list(ids)]


@pytest.mark.parametrize(("ids", "softmax"), [*((ids, False) for ids in GAPS), (GAPS[0], True)])
def test_answers_have_the_ids_and_scores_of_the_checkpoint(ids, softmax):
    """As those of the same model in which every class has a name."""
    images = batch_of(1).images
    whole, some = small(range(1, CLASSES + 1), softmax), small(ids, softmax)
    for theirs, ours in zip(whole.variables().values(), some.variables().values(), strict=True):
        ours.assign(theirs)
    every, found = rows_of(whole.detect(images)), rows_of(some.detect(images))
    assert {number for _, number, _ in every} == set(range(1, CLASSES + 1))
    assert {number for _, number, _ in found} == set(ids)
    assert found == [row for row in every if row[1] in ids]


def rows_of(answer) -> list[tuple[int, int, float]]:
    """Image, class and score of each detection."""
    counts = answer["num_detections"].numpy().astype(int)
    classes, scores = (answer[f"detection_{name}"].numpy() for name in ("classes", "scores"))
    return sorted(
        (image, int(classes[image, i]), round(float(scores[image, i]), 5))
        for image, count in enumerate(counts)
        for i in range(count)
    )


@pytest.mark.parametrize("ids", GAPS[:2])
def test_training_leaves_what_has_no_name(ids):
    detector, teacher = small(ids), small(ids)
    unnamed = sorted(set(range(1, CLASSES + 1)) - set(ids))
    names = list(detector.variables())
    recipe = Recipe(freeze_policy="all-but-heads", steps=3, batch_size=2, distillation=1.0)
    frozen = frozen_names(recipe.freeze_policy, names)
    trained = detector.freeze(frozen)
    teacher.freeze(frozen)
    heads = {
        name: variable
        for name, variable in trained.items()
        if name.startswith("class-head/") and variable.shape[-1] % (CLASSES + 1) == 0
    }
    assert heads
    before = {name: variable.numpy() for name, variable in heads.items()}
    step = TrainingStep(detector, trained, recipe, Teacher(teacher, frozenset()))
    for _ in range(2):
        losses = step((), batch_of(ids[-1]))
        assert all(np.isfinite(value) for value in losses.values())
    for name, variable in heads.items():
        after = variable.numpy()
        assert np.array_equal(columns(after, unnamed), columns(before[name], unnamed)), name
        changed = columns(after, [ids[-1]]) != columns(before[name], [ids[-1]])
        assert changed.any(), name


def test_a_branch_after_a_gap_is_that_of_its_id(tmp_path):
    ids = (2, 3, 6)
    detector = small(ids)
    detector.grow_branches(["class 6"], BRANCH_PARTS[TARGET_BRANCH])
    [prefix] = detector.trained_branches
    branch = {n: v for n, v in detector.variables().items() if n.startswith(prefix)}
    common = detector.variables()
    compared = 0
    for name, variable in branch.items():
        theirs = common.get(name.removeprefix(f"{prefix}/"))
        if theirs is not None and theirs.shape != variable.shape:
            ours = variable.numpy().reshape(-1, 2)
            assert np.array_equal(ours, columns(theirs.numpy(), (0, 6)))
            compared += 1
    assert compared
    recipe = Recipe(steps=3, batch_size=2)
    trained = detector.freeze(frozen_names(TARGET_BRANCH, list(common), detector.trained_branches))
    before = [variable.numpy() for variable in trained.values()]
    step = TrainingStep(detector, trained, recipe)
    assert float(detector.losses(batch_of(6))["class"]) != float(
        detector.losses(batch_of(2))["class"]  # the object is background to this branch
    )
    step((), batch_of(6))
    assert any((b != v.numpy()).any() for b, v in zip(before, trained.values(), strict=True))
    detector.save(tmp_path)
    again = load_detector("od_api", tmp_path)
    assert again.label_map == detector.label_map
    serve = export(again, tmp_path / "saved_model")
    png = tf.io.encode_png(tf.cast(batch_of(1).images[0], tf.uint8))
    found = serve(tf.stack([png]))
    assert set(found) == set(OUTPUTS)
    count = int(found["num_detections"][0])
    assert {int(c) for c in found["detection_classes"][0, :count]} <= set(ids)
