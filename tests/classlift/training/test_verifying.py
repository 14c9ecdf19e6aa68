"""Verifiers are fitted to train, and kept where eval says that more is found with them."""

import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from classlift.data.examples import example_files
from classlift.data.schema import ExampleKeys
from classlift.detectors.backends import load_detector
from classlift.detectors.export import Serving, evidence
from classlift.detectors.predict import load_signature, predict
from classlift.detectors.verifier import Verifier
from classlift.gate.run import verified_of
from classlift.metrics.matching import match
from classlift.settings.freeze import BRANCH_PARTS, TARGET_BRANCH
from classlift.settings.recipe import Recipe
from classlift.training import run as run_module
from classlift.training.run import run
from classlift.training.verified import VERIFIERS
from classlift.training.verifying import LEAST_SCORE, _fitted, _found, fit_verifiers
from tests.classlift.training.test_run import HEAD

pytestmark = pytest.mark.pipeline


def test_what_is_known_belongs_to_what_is_judged(branched, train_files):
    known, is_right = found_of_8(evidence(branched), train_files, branched.label_map)
    plain = predict(Serving(branched).encoded, train_files, branched.label_map, 1000)
    found = match(plain.boxes, plain.detections, plain.image_ids, branched.label_map.names)
    rows = found.detections[found.detections["label"] == "8"]
    rows = rows[rows["score"] > LEAST_SCORE]
    logits = [math.log(score / (1 - score)) for score in rows["score"]]
    expected = sorted(zip(logits, rows["is_match"], strict=True))
    seen = sorted(zip(known[:, 0].tolist(), is_right.tolist(), strict=True))
    assert 10 <= is_right.sum() < len(is_right)
    np.testing.assert_allclose(seen, expected, atol=1e-3)


def found_of_8(ask, files, label_map):
    return _found(ask, ["8"], files, label_map)["8"]


def test_all_at_once_equals_the_plain_way(branched, train_files):
    """One class after the other, each with answers of its own."""
    branched.grow_branches(["8", "3"], BRANCH_PARTS[TARGET_BRANCH])
    ask = evidence(branched)
    at_once = _found(ask, ["8", "3"], train_files, branched.label_map)
    for label, (known, is_right) in at_once.items():
        ((alone, alone_right),) = _found(ask, [label], train_files, branched.label_map).values()
        assert len(known) >= 10
        np.testing.assert_array_equal(known, alone)
        np.testing.assert_array_equal(is_right, alone_right)


def test_images_without_labels_of_the_class_teach_nothing(branched, train_files, tmp_path):
    """Nobody knows what is right there."""
    number = branched.label_map.id_of("8")
    kept, all_of_them = tmp_path / "labelled", tmp_path / "all"
    with tf.io.TFRecordWriter(str(kept)) as few, tf.io.TFRecordWriter(str(all_of_them)) as every:
        for record in tf.data.TFRecordDataset(train_files[0]).as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            (image,) = example.features.feature[ExampleKeys.SOURCE_ID].bytes_list.value
            if image[-5] % 3:
                few.write(record)
            else:
                feature = example.features.feature[ExampleKeys.UNLABELLED]
                feature.int64_list.value.append(number)
            every.write(example.SerializeToString())
    ask = evidence(branched)
    found, expected = (
        found_of_8(ask, [str(path)], branched.label_map) for path in (all_of_them, kept)
    )
    assert len(found[0]) == len(found[1]) > 0
    assert found[1].tolist() == expected[1].tolist()
    np.testing.assert_allclose(found[0], expected[0], atol=1e-2)


def test_a_line_says_what_the_regression_says():
    rng = np.random.default_rng(0)
    known = rng.normal(3, [1, 5, 0.1, 40], (200, 4)).astype(np.float32)
    is_right = known[:, 0] + 0.1 * known[:, 1] + rng.normal(0, 0.5, 200) > 4
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    plain = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.003, solver="newton-cg", max_iter=500)
    )
    line = _fitted(known, is_right).line.numpy()
    expected = plain.fit(known, is_right).decision_function(known)
    np.testing.assert_allclose(known @ line[:-1] + line[-1], expected, atol=1e-4)


def test_too_little_to_learn_from_is_said(branched, train_files, tmp_path, caplog):
    caplog.set_level(logging.INFO, "classlift")
    path = tmp_path / "few"
    with tf.io.TFRecordWriter(str(path)) as few:
        for record in tf.data.TFRecordDataset(train_files[0]).take(2).as_numpy_iterator():
            few.write(record)
    assert fit_verifiers(branched, [str(path)], branched.label_map, ["8"]) == {}
    assert "too little of class 8 is found there for a verifier" in caplog.messages


def test_nothing_found_is_too_little(branched, tmp_path):
    nothing = tmp_path / "nothing"
    tf.io.TFRecordWriter(str(nothing)).close()
    assert fit_verifiers(branched, [str(nothing)], branched.label_map, ["8"]) == {}


def test_it_is_kept_where_more_is_found_with_it(task, monkeypatch, caplog):
    """The branches have forgotten what they knew; the common head has not, and a line believes it,
    or the contrary.
    """
    monkeypatch.setattr(run_module, "make_reproducible", tf.keras.utils.set_random_seed)
    caplog.set_level(logging.INFO, "classlift")

    def fit(detector, files, label_map, targets):
        verifiers = {}
        for label, says in zip(targets, (5.0, -5.0), strict=True):
            verifiers[label] = Verifier(evidence_inputs(detector, label))
            line = np.zeros(verifiers[label].line.shape)
            line[1] = says  # the common head's score for the class
            verifiers[label].line.assign(line)
        return verifiers

    monkeypatch.setattr(run_module, "fit_verifiers", fit)
    recipe = Recipe(
        HEAD, steps=2, batch_size=2, cached_batches=0, learning_rate=0.01, max_inference=1
    )
    bundle = run(replace(task, targets=("9", "5"), recipe=recipe))
    gave = {one.label: one for one in verified_of(bundle)}
    assert {label: one.is_kept for label, one in gave.items()} == {"9": True, "5": False}
    assert all(one.sentence() in caplog.messages for one in gave.values())
    again = load_detector("od_api", bundle.entry)
    names = [name for name in again.variables() if name.endswith("verifier")]
    assert names == ["branch/9/head/verifier"]
    files, labels = example_files(task.examples, "eval"), again.label_map
    found = predict(load_signature(bundle.saved_model), files, labels)
    served = match(found.boxes, found.detections, found.image_ids, labels.names).ap50
    assert served["9"] == pytest.approx(gave["9"].with_it, abs=1e-6)
    assert served["5"] == pytest.approx(gave["5"].without, abs=1e-6)


def evidence_inputs(detector, label):
    images = tf.zeros([1, *detector.frame.size, 3])
    return detector.evidence(images)[label][1].shape[-1]


def test_a_recipe_may_do_without(task, monkeypatch):
    monkeypatch.setattr(run_module, "make_reproducible", tf.keras.utils.set_random_seed)
    monkeypatch.setattr(run_module, "fit_verifiers", None)  # would raise
    recipe = Recipe(HEAD, steps=1, batch_size=2, cached_batches=0, verifier=False, max_inference=1)
    assert run(replace(task, recipe=recipe)).provenance().training[VERIFIERS] == []
