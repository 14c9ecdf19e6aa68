"""A head of its own for one class: it learns, and nothing else changes by a bit."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.text_format import ParseError
from object_detection.utils.config_util import get_configs_from_pipeline_file

from classlift.data.label_map import LabelMap
from classlift.data.schema import ExampleKeys
from classlift.detectors.backends import load_detector
from classlift.detectors.branch_note import BRANCHES
from classlift.detectors.cost import operations
from classlift.detectors.detections import Detections, merge
from classlift.detectors.detector import Batch
from classlift.detectors.examples import example_files, read_examples
from classlift.detectors.export import Serving
from classlift.detectors.freeze import frozen_names
from classlift.detectors.od_api.branching import Branched
from classlift.detectors.od_api.outline import CONFIG
from classlift.detectors.od_api.private import SsdParts
from classlift.detectors.od_api.ssd import SsdDetector
from classlift.detectors.od_api.zoo_entry import LABEL_MAP, read_config
from classlift.errors import ModelError
from classlift.settings.freeze import (
    BRANCH_PARTS,
    TARGET_BRANCH,
    TARGET_BRANCH_IMAGE,
    TARGET_BRANCH_NECK,
    branch_parts,
)
from classlift.settings.recipe import Recipe
from classlift.training.affordable import affordable_depths
from classlift.training.fit import fit
from classlift.training.input import training_batches
from classlift.training.run import let_learn
from classlift.training.step import TrainingStep
from tests.classlift.conftest import DEMO_MODEL
from tests.classlift.detectors.models import (
    write_center_net,
    write_efficientdet,
    write_faster_rcnn,
)
from tests.classlift.detectors.twins import require_apart

pytestmark = pytest.mark.pipeline
BLOCK = "target-branch+block:5"
LABELS = LabelMap(("car", "bus", "tram"), (1, 2, 4))


def test_a_head_built_alone_is_that_of_a_whole_model(detector):
    whole = SsdParts(detector.common.build(2)).predictor
    alone = detector.common.build_head(2)
    for own, other in zip(alone.variables, whole.variables, strict=True):
        assert own.shape == other.shape
        assert own.name.partition(f"{alone.name}/")[2] == other.name.partition(f"{whole.name}/")[2]


def train(detector, labels, examples, steps=5, policy=TARGET_BRANCH, auxiliary=0.0):
    detector.grow_branches(labels, BRANCH_PARTS[policy], auxiliary > 0)
    recipe = Recipe(policy, steps=steps, batch_size=8, learning_rate=0.01, auxiliary=auxiliary)
    files = example_files(examples, "train")
    batches = partial(training_batches, files, detector.frame, detector.label_map, recipe)
    fit(detector, batches, recipe)


def branch_values(detector, label):
    prefix = f"branch/{label}/"
    return {n: v.numpy() for n, v in detector.variables().items() if n.startswith(prefix)}


def detections(detector, examples):
    """What the detector says of the test split, class by class, in one order.

    The export is proven alike by the demo, whose gate compares every test image.
    """
    parsed = next(read_examples(example_files(examples, "test"), 16))
    encoded = parsed[ExampleKeys.ENCODED].numpy()
    images = [tf.io.decode_image(e, 3, expand_animations=False) for e in encoded]
    images = tf.cast(tf.stack(images), tf.float32)
    spec = tf.TensorSpec([None, *images.shape[1:]], tf.float32)
    found = tf.function(detector.detect, input_signature=[spec], autograph=False)(images)
    boxes, classes, scores, count = (value.numpy() for value in found.values())
    rows = [
        (image, *boxes[image, slot], scores[image, slot], classes[image, slot])
        for image in range(len(count))
        for slot in range(int(count[image]))
    ]
    return {
        label: np.array(sorted(row for row in rows if row[-1] == number))
        for number, label in enumerate(detector.label_map, 1)
    }


@pytest.fixture(scope="module")
def trained(examples, tmp_path_factory):
    """Detections before, with a branch for 8, with one for 3 too; and the last one as saved."""
    entry = tmp_path_factory.mktemp("branches") / "entry"
    detector = load_detector("od_api", DEMO_MODEL)
    before = detections(detector, examples)
    train(detector, ["8"], examples)
    first = detections(detector, examples)
    train(detector, ["3"], examples, policy=TARGET_BRANCH_NECK)
    second = detections(detector, examples)
    detector.save(entry)
    return before, first, second, entry


def test_every_other_class_is_the_same_to_the_bit(trained, detector):
    before, first, second, _ = trained
    for label in detector.label_map:
        if label != "8":
            assert np.array_equal(before[label], first[label]), label
        if label != "3":
            assert np.array_equal(first[label], second[label]), label


def test_the_target_is_answered_by_its_branch(trained):
    before, first, second, _ = trained
    assert not np.array_equal(before["8"], first["8"])
    assert not np.array_equal(first["3"], second["3"])


def test_the_tools_of_the_od_api_refuse_a_model_with_branches(trained, tmp_path):
    """They would export it without, as if nothing had been trained."""
    *_, entry = trained
    with pytest.raises(ParseError, match="classlift_branches"):
        get_configs_from_pipeline_file(str(entry / CONFIG))
    detector = load_detector("od_api", entry)
    detector.drop_branches(["8"])
    assert detector.branches() == ("3",)
    detector.drop_branches()
    detector.save(tmp_path)
    found = get_configs_from_pipeline_file(str(tmp_path / CONFIG))
    assert found["model"] == read_config(entry).model


def test_branches_learn_together_what_each_learns_alone(trained, examples):
    """Of the same batches, from the same features; and each can be left out afterwards."""
    before, _, _, entry = trained
    together = load_detector("od_api", DEMO_MODEL)
    train(together, ["3", "8"], examples)
    alone, learned = branch_values(load_detector("od_api", entry), "8"), together.variables()
    for name, value in alone.items():
        np.testing.assert_allclose(learned[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    after = detections(together, examples)
    for label in together.label_map:
        assert np.array_equal(before[label], after[label]) == (label not in ("3", "8")), label
    one = load_detector("od_api", DEMO_MODEL)
    one.take_branch("8", together)
    shipped = detections(one, examples)
    for label in one.label_map:
        assert np.array_equal(shipped[label], (after if label == "8" else before)[label]), label


def test_a_branch_with_a_neck_and_one_without_learn_together(trained, examples):
    """They share the features of the backbone alone."""
    *_, entry = trained
    again = load_detector("od_api", entry)  # 3 has a neck of its own, which stays as it is
    before = {label: branch_values(again, label) for label in ("8", "3")}
    train(again, ["8", "3"], examples, steps=2)
    assert again.prefix == "backbone"
    for label, values in before.items():
        after = branch_values(again, label)
        changed = {n for n, v in after.items() if not np.array_equal(v, values[n])}
        assert changed
        assert not [name for name in changed if "/neck/" in name]


def test_a_branch_travels_with_the_model(trained, examples):
    """Saved and loaded: the same answers; the next run finds its branches."""
    _, _, second, entry = trained
    assert json.loads((entry / BRANCHES).read_text()) == {
        "branches": {"8": ["class-head", "head"], "3": ["class-head", "head", "neck"]}
    }
    again = load_detector("od_api", entry)
    found = detections(again, examples)
    assert all(np.array_equal(second[label], found[label]) for label in again.label_map)
    before = branch_values(again, "3")
    train(again, ["8"], examples, steps=2)  # trained on, from where it was
    assert again.branches() == ("8", "3")
    after = branch_values(again, "3")
    assert any("/neck/" in name for name in before)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_an_untrained_branch_says_what_the_common_head_says(detector, examples):
    images = tf.random.stateless_uniform([2, 128, 128, 3], [1, 2], 0, 255)
    before = detector.detect(images)
    detector.grow_branches(["8"], BRANCH_PARTS[TARGET_BRANCH])
    try:
        after = detector.detect(images)
    finally:
        detector.drop_branches()
    assert after["detection_scores"].shape[1] == 70  # 50, and 20 of the branch
    for answer in (before, after):  # by falling score, padding at the end
        scores = answer["detection_scores"].numpy()
        assert (np.diff(scores, axis=1) <= 0).all()
    for image in range(2):
        scores = []
        for answer in (before, after):
            is_8 = answer["detection_classes"][image].numpy() == detector.label_map.id_of("8")
            scores.append(answer["detection_scores"][image].numpy()[is_8][:3])
        shared = min(map(len, scores))
        np.testing.assert_allclose(scores[0][:shared], scores[1][:shared], atol=1e-5)


def as_in_the_demo(ssd):
    pass


def with_a_tower_for_boxes_and_scores(ssd):
    ssd.box_predictor.weight_shared_convolutional_box_predictor.share_prediction_tower = True


def with_a_head_for_each_map(ssd):
    hyperparams = ssd.box_predictor.weight_shared_convolutional_box_predictor.conv_hyperparams
    kept = type(hyperparams).FromString(hyperparams.SerializeToString())
    predictor = ssd.box_predictor.convolutional_box_predictor
    predictor.min_depth = predictor.max_depth = 16
    predictor.num_layers_before_predictor = predictor.kernel_size = 1
    predictor.conv_hyperparams.CopyFrom(kept)


@pytest.mark.parametrize(
    "change", [as_in_the_demo, with_a_tower_for_boxes_and_scores, with_a_head_for_each_map]
)
def test_a_branch_is_the_part_of_any_head_that_scores(change, train_files):
    """It starts with the head's scores, and all of it learns."""
    config = read_config(DEMO_MODEL)
    change(config.model.ssd)
    detector = Branched(SsdDetector(config, LabelMap.read(DEMO_MODEL / LABEL_MAP)))
    detector.grow_branches(["8"], BRANCH_PARTS[TARGET_BRANCH], auxiliary=True)
    images = tf.random.stateless_uniform([2, 128, 128, 3], [5, 6], 0, 255)
    _, scores = detector.outputs(images)
    boxes, branch_scores = detector._branches["8"](detector.common._trunk.maps(images))
    assert boxes is None
    np.testing.assert_allclose(branch_scores, tf.gather(scores, [0, 9], axis=-1), atol=1e-5)
    frozen = frozen_names(TARGET_BRANCH, list(detector.variables()), detector.trained_branches)
    trained = detector.freeze(frozen)
    batch = next(
        training_batches(train_files, detector.frame, detector.label_map, Recipe(batch_size=4))
    )
    with tf.GradientTape() as tape:
        losses = detector.losses(batch)
        total = tf.add_n(list(losses.values()))
    assert set(losses) == {"class", "regularization", "auxiliary"}
    gradients = tape.gradient(total, list(trained.values()))
    assert all(gradient is not None for gradient in gradients)
    # It starts with what the head itself says of the classes, at the anchors of objects.
    _, scores = detector.outputs(batch.images)
    targets = detector.common.assign(batch.boxes, batch.labels, batch.weights)
    weights = tf.repeat(targets.box_weights[..., None], scores.shape[-1], axis=-1)
    at_objects = detector.common.model._classification_loss(
        scores, targets.classes, weights=weights
    )
    mean = tf.reduce_sum(at_objects) / tf.reduce_sum(targets.box_weights)
    np.testing.assert_allclose(losses["auxiliary"], mean, rtol=1e-4)


def test_without_objects_nothing_is_told_apart(detector):
    """And no loss is no number."""
    empty = Batch(
        tf.zeros([2, 128, 128, 3]),
        tf.zeros([2, 1, 4]),
        tf.zeros([2, 1], tf.int32),
        tf.zeros([2, 1]),
    )
    detector.grow_branches(["8"], BRANCH_PARTS[TARGET_BRANCH], auxiliary=True)
    try:
        losses = detector.losses(empty)
    finally:
        detector.drop_branches()
    assert float(losses["auxiliary"]) == 0
    assert np.isfinite(float(losses["class"]))


def test_the_recipe_weighs_the_auxiliary_loss(train_files):
    for weight in (0.0, 2.0):
        recipe = Recipe(TARGET_BRANCH, batch_size=4, auxiliary=weight)
        detector = load_detector("od_api", DEMO_MODEL)
        let_learn(detector, ["8"], recipe)
        names = list(detector.variables())
        trained = detector.freeze(frozen_names(TARGET_BRANCH, names, detector.trained_branches))
        batch = next(training_batches(train_files, detector.frame, detector.label_map, recipe))
        plain = detector.losses(batch)
        found = TrainingStep(detector, trained, recipe)((), batch)
        assert set(found) == set(plain)
        assert ("auxiliary" in found) == (weight > 0)
        if weight:
            np.testing.assert_allclose(found["auxiliary"], 2 * plain["auxiliary"], rtol=1e-4)


def test_what_training_alone_has_is_not_saved(detector, examples, tmp_path):
    train(detector, ["8"], examples, steps=1, auxiliary=1.0)
    try:
        names = [name for name in detector.variables() if "/auxiliary/" in name]
        assert names
        assert len(Serving(detector).weights) == len(detector.variables()) - len(names)
        detector.save(tmp_path / "entry")
    finally:
        detector.drop_branches()
    again = load_detector("od_api", tmp_path / "entry")
    assert again.branches() == ("8",)
    assert not [name for name in again.variables() if "/auxiliary/" in name]


def test_a_neck_goes_on_from_what_the_branch_has_learned(trained, examples):
    _, _, _, entry = trained
    detector = load_detector("od_api", entry)
    before = detections(detector, examples)["8"]
    detector.grow_branches(["8"], BRANCH_PARTS[TARGET_BRANCH_NECK])
    assert any("BoxPredictor" in name for name in branch_values(detector, "8"))
    np.testing.assert_allclose(detections(detector, examples)["8"], before, atol=1e-4)


def test_a_deeper_branch_goes_on_from_what_a_shallower_one_has_learned(detector):
    """And one that is there already stays, whatever shallower policy comes."""
    detector.grow_branches(["8"], branch_parts(BLOCK))
    blocks = [n for n in branch_values(detector, "8") if "/backbone/" in n]
    assert blocks[0].endswith("block_3_expand/kernel")  # the fifth: Conv1 and expanded_conv count
    with pytest.raises(ModelError, match=r"\+block:99: the backbone has 19 blocks"):
        detector.grow_branches(["3"], branch_parts("target-branch+block:99"))
    try:
        for variable in (v for n, v in detector.variables().items() if n.startswith("branch/")):
            variable.assign_add(tf.ones_like(variable))
        learned = branch_values(detector, "8")
        detector.grow_branches(["8"], branch_parts(TARGET_BRANCH_NECK))
        for name, value in branch_values(detector, "8").items():
            assert np.array_equal(value, learned[name]), name
        detector.grow_branches(["8"], branch_parts(TARGET_BRANCH_IMAGE))
        deeper = branch_values(detector, "8")
        assert set(learned) < set(deeper)
        assert all(np.array_equal(value, deeper[name]) for name, value in learned.items())
    finally:
        detector.drop_branches()


@pytest.mark.parametrize(
    ("policy", "own"), [(TARGET_BRANCH_NECK, True), (BLOCK, False), (TARGET_BRANCH_IMAGE, True)]
)
def test_from_a_block_on_a_branch_scores_the_boxes_of_the_champion(detector, policy, own):
    """And has no layers that find some, so that it can begin with an earlier block."""
    images = tf.random.stateless_uniform([1, 128, 128, 3], [3, 4], 0, 255)
    detector.grow_branches(["8"], branch_parts(policy))
    try:
        branch = detector._branches["8"]
        boxes, _ = branch(branch._trunk.maps(images))
        layers = [name for name in branch_values(detector, "8") if "Box" in name]
    finally:
        detector.drop_branches()
    assert (boxes is not None, bool(layers)) == (own, own)


def test_a_whole_network_is_twice_the_work(detector):
    before = operations(detector)
    detector.grow_branches(["8"], branch_parts(TARGET_BRANCH_IMAGE))
    try:
        assert 2.0 < operations(detector) / before < 2.1
    finally:
        detector.drop_branches()
    assert tuple(detector.branch_blocks) == tuple(range(2, 20))  # of the 19, all but the first


def test_what_blocks_cost_equals_the_plain_way(detector):
    """One branch from the first block on says it of all, also of two classes at once."""
    targets = ["3", "8"]
    champion = operations(detector)

    def grown(policy):
        twin = detector.twin()
        twin.grow_branches(targets, branch_parts(policy))
        return twin

    found = affordable_depths(grown, detector, 1.5)
    plain = {policy: operations(grown(policy)) / champion for policy in found}
    assert len(found) == 2
    assert found == plain


@pytest.mark.parametrize(
    ("write", "policies"),
    [
        (None, [TARGET_BRANCH, "target-branch+block:9"]),
        (write_efficientdet, [TARGET_BRANCH, "target-branch+neck"]),
        (write_center_net, [TARGET_BRANCH]),
        (write_faster_rcnn, [TARGET_BRANCH]),
    ],
)
def test_a_twin_has_branches_of_its_own(write, policies, tmp_path):
    entry = write(tmp_path / "entry", LABELS) if write else DEMO_MODEL
    target = "tram" if write else "8"
    for policy in policies:
        tf.keras.utils.set_random_seed(0)
        detector = load_detector("od_api", entry)
        detector.grow_branches([target], branch_parts(policy))
        require_apart(detector, target)


def test_dropped_branches_leave_the_model_as_it_was(detector):
    images = tf.random.stateless_uniform([1, 128, 128, 3], [3, 4], 0, 255)
    before = detector.detect(images)
    detector.grow_branches(["8"], BRANCH_PARTS[TARGET_BRANCH])
    detector.drop_branches()
    for name, value in detector.detect(images).items():
        assert np.array_equal(value, before[name])


def boxes(scores, classes, count):
    values = tf.constant([scores], tf.float32)
    return Detections(
        tf.tile(values[..., None], [1, 1, 4]),
        tf.constant([classes], tf.float32),
        values,
        tf.constant([count], tf.float32),
    )


def test_merging():
    """The common head's detections of a class with a branch go, the branch's come, by score."""
    common = boxes([0.9, 0.8, 0.7, 0.0], [1, 2, 1, 1], 3)
    branch = boxes([0.85, 0.1, 0.0], [2, 2, 2], 2)
    found = merge(common, [branch], [2])
    np.testing.assert_allclose(found.scores[0], [0.9, 0.85, 0.7, 0.1, 0, 0, 0])
    assert found.classes[0].numpy().tolist() == [1, 2, 1, 2, 1, 1, 1]
    np.testing.assert_allclose(found.boxes[0, :, 0], found.scores[0])
    assert found.count.numpy().tolist() == [4]


def test_a_rival_on_the_same_object_discounts_the_score():
    """Overlapping by more than half, the strongest counts; padding and others do not."""
    branch = Detections(
        tf.constant([[[0.0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 0, 0]]]),
        tf.constant([[2.0, 2, 2]]),
        tf.constant([[0.8, 0.4, 0.0]]),
        tf.constant([2.0]),
    )
    rivals = Detections(
        tf.constant(
            [[[0.0, 0, 10, 9], [0, 1, 10, 10], [0, 0, 10, 4], [0, 0, 10, 10], [50, 50, 60, 60]]]
        ),
        tf.constant([[1.0, 3, 1, 2, 1]]),  # one of the class itself
        tf.constant([[0.64, 0.36, 0.9, 0.95, 0.99]]),
        tf.constant([4.0]),  # the last one is padding
    )
    found = branch.discounted(rivals, tf.constant(0.5))
    np.testing.assert_allclose(found.scores[0], [0.8 * 0.6, 0.4, 0], rtol=1e-6)
    untouched = branch.discounted(rivals, tf.constant(0.0))
    assert np.array_equal(untouched.scores, branch.scores)


@pytest.mark.parametrize(
    "note",
    [
        "{",
        "[]",
        '{"branches": {"tram": ["head"]}}',
        '{"branches": ["8"]}',
        '{"branches": {}, "new": ["tram"]}',
    ],
)
def test_a_damaged_note_is_refused(tmp_path, note):
    entry = shutil.copytree(DEMO_MODEL, tmp_path / "entry")
    (entry / BRANCHES).write_text(note)
    with pytest.raises(ModelError, match="take it from the same folder as the checkpoint"):
        load_detector("od_api", entry)


def test_a_note_without_its_weights_is_refused(tmp_path):
    entry = shutil.copytree(DEMO_MODEL, tmp_path / "entry")
    (entry / BRANCHES).write_text('{"branches": {"8": ["head", "class-head"]}}')
    with pytest.raises(ModelError, match="does not fit"):
        load_detector("od_api", entry)


def test_classes_that_share_their_scores_have_no_branch(tmp_path):
    entry = shutil.copytree(DEMO_MODEL, tmp_path / "entry")
    config = entry / "pipeline.config"
    config.write_text(
        config.read_text().replace(
            "weighted_sigmoid_focal { gamma: 2.0 alpha: 0.25 }", "weighted_softmax {}"
        )
    )
    detector = load_detector("od_api", entry)
    with pytest.raises(ModelError, match="share their scores"):
        detector.grow_branches(["8"], BRANCH_PARTS[TARGET_BRANCH])
    with pytest.raises(ModelError, match="class 'tram' can't be added"):
        detector.add_class("tram", 11)


@pytest.fixture(scope="module")
def with_trams():
    """The demo's detector with a class that it does not know."""
    detector = load_detector("od_api", DEMO_MODEL)
    detector.add_class("tram", 11)
    return detector


def scores_of(found, number):
    classes, scores = (found[f"detection_{name}"].numpy() for name in ("classes", "scores"))
    return scores[classes == number]


@pytest.mark.parametrize("policy", [TARGET_BRANCH, TARGET_BRANCH_NECK, BLOCK, TARGET_BRANCH_IMAGE])
def test_a_new_class_starts_at_nothing_and_leaves_the_others(with_trams, tmp_path, policy):
    images = tf.random.stateless_uniform([2, 128, 128, 3], [7, 8], 0, 255)
    with_trams.drop_branches()
    with_trams._branches.clear()
    before = with_trams.detect(images)
    assert with_trams.unanswered == ("tram",)
    with_trams.grow_branches(["tram"], branch_parts(policy))
    assert with_trams.unanswered == ()
    found = with_trams.detect(images)
    assert 0 < scores_of(found, 11).max() < 0.011  # the prior, everywhere
    for number in range(1, 11):
        assert np.array_equal(np.sort(scores_of(before, number)), np.sort(scores_of(found, number)))
    with_trams.save(tmp_path)
    again = load_detector("od_api", tmp_path)
    assert again.label_map.id_of("tram") == 11
    for name, answer in again.detect(images).items():
        assert np.array_equal(answer, found[name]), name
    again.drop_branches()  # of a new class, nothing else knows anything
    assert again.branches() == ("tram",)


def test_what_is_seen_where_nobody_labelled_is_no_mistake(with_trams):
    """In a region the branch is not told that there is nothing, once it sees something."""
    with_trams.grow_branches(["tram"], BRANCH_PARTS[TARGET_BRANCH])
    images = tf.random.stateless_uniform([1, 128, 128, 3], [7, 8], 0, 255)
    half = [0.0, 0.0, 1.0, 0.5]

    def loss(labels):
        boxes = tf.constant([[half, [0.0, 0.0, 0.0, 0.0]]])
        batch = Batch(images, boxes, tf.constant([labels]), tf.zeros([1, 2]))
        return float(with_trams.losses(batch)["class"])

    biases = [
        v for n, v in with_trams.variables().items() if n.startswith("branch/tram/class-head")
    ]
    [bias] = [v for v in biases if v.shape.rank == 1]
    assert loss([-11, 0]) == loss([0, 0])  # it sees nothing yet
    bias.assign_add(tf.fill(bias.shape, 8.0))  # now it sees trams everywhere
    try:
        nowhere, in_a_half, of_another = loss([0, 0]), loss([-11, 0]), loss([-3, 0])
    finally:
        bias.assign_add(tf.fill(bias.shape, -8.0))
    assert nowhere == of_another > 0
    assert 0.4 < in_a_half / nowhere < 0.6
