import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from classlift.data import schema
from classlift.data.examples import example_files
from classlift.data.predictions import Predictions
from classlift.detectors import predict as predict_module
from classlift.detectors.export import Serving
from classlift.detectors.predict import (
    APART,
    UNLABELLED,
    load_signature,
    predict,
    unlabelled,
)
from classlift.errors import DataError
from classlift.metrics.iou import iou_matrix
from classlift.serving.detect import OBJECTS, PARTS, _load, detect
from classlift.serving.write import write_bundle
from tests.classlift.test_transforms import PROCESSES

pytestmark = pytest.mark.pipeline
SPLITS = ("eval", "test")


@pytest.fixture(scope="module")
def saved_model(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "model"
    write_bundle(detector, Serving(detector), folder)
    return folder


def test_says_what_the_model_says(saved_model, detector, examples, tmp_path):
    detect(saved_model, examples, SPLITS, tmp_path)
    serve = load_signature(saved_model)
    for split in SPLITS:
        found = Predictions.read(tmp_path / split)
        plain = predict(serve, example_files(examples, split), detector.label_map)
        assert found.image_ids == plain.image_ids
        assert found.boxes.equals(plain.boxes)
        assert found.detections.equals(plain.detections)
    assert not (tmp_path / PARTS).exists()


def test_describes_the_objects_of_train_and_eval(saved_model, examples, tmp_path, monkeypatch):
    monkeypatch.setattr("classlift.serving.detect.STUDIED_IMAGES", 32)
    detect(saved_model, examples, ("eval",), tmp_path, study=True)
    for split, fewest, most in (("train", 32, 63), ("eval", 16, 16)):
        found = Predictions.read(tmp_path / split)
        assert fewest <= len(found.image_ids) == len(set(found.image_ids)) <= most
        objects = pq.read_table(tmp_path / split / OBJECTS, schema=schema.OBJECTS).to_pandas()
        assert set(objects["image_id"]) == set(found.image_ids)
        labelled = objects[objects["box_id"] >= 0].merge(
            found.boxes.to_pandas(), on=["image_id", "box_id"]
        )
        assert len(labelled) == found.boxes.num_rows
        assert (labelled["label_x"] == labelled["label_y"].astype(str)).all()
        areas = (labelled["xmax"] - labelled["xmin"]) * (labelled["ymax"] - labelled["ymin"])
        np.testing.assert_allclose(labelled["side"], np.sqrt(areas), rtol=1e-4)
        nothing = objects[objects["box_id"] < 0]
        assert set(nothing["label"]) == {""}
        assert nothing.groupby("image_id").size().max() == UNLABELLED
        assert {len(vector) for vector in objects["features"]} == {3 * 4 * 64}


@pytest.mark.parametrize(
    ("detections", "kept"),
    [
        ([(0.9, 0, 0), (0.8, 40, 0)], [40]),  # the first is of the object at 0, 0
        ([(0.2, 40, 0), (0.9, 41, 0)], [41]),  # of two at one place, the surer
        ([(0.1 * k, 40 * k, 0) for k in range(1, 7)], [240, 200, 160]),  # the surest three
        ([], []),
    ],
)
def test_detections_of_nothing(detections, kept):
    places = np.array([(x, y, x + 20, y + 20) for _, x, y in detections], np.float32)
    scores = np.array([score for score, *_ in detections], np.float32)
    found = unlabelled(np.float32([[0, 0, 20, 20]]), places.reshape(-1, 4), scores)
    assert places.reshape(-1, 4)[found, 0].tolist() == kept


def test_detections_of_nothing_are_those_of_the_plain_way():
    rng = np.random.default_rng(0)
    for count in range(60):
        low = rng.uniform(0, 60, (count + 3, 2))
        corners = np.concatenate([low, low + rng.choice([0, 20, 30], low.shape)], axis=1)
        boxes, detections = np.split(corners.astype(np.float32), [3])
        scores = rng.choice([0.2, 0.5, 0.7, 0.9], count)
        kept: list[int] = []
        for row in sorted(range(count), key=lambda row: -scores[row]):
            others = np.concatenate([boxes, detections[kept]]).astype(np.float64)
            near = iou_matrix(detections[[row]].astype(np.float64), others) >= APART
            if len(kept) < UNLABELLED and not near.any():
                kept.append(row)
        assert unlabelled(boxes, detections, scores) == kept


def test_two_processes_say_the_same(saved_model, examples, tmp_path):
    """Up to the last digits: kernels of another process may sum in another order."""
    detect(saved_model, examples, ("test",), tmp_path / "one")
    detect(saved_model, examples, ("test",), tmp_path / "two", PROCESSES)
    one, two = (Predictions.read(tmp_path / name / "test") for name in ("one", "two"))
    assert one.image_ids == two.image_ids
    assert one.detections["label"].equals(two.detections["label"])
    np.testing.assert_allclose(one.detections["score"], two.detections["score"], atol=1e-5)


def test_a_model_of_other_classes_is_named(saved_model, examples, tmp_path):
    other = shutil.copytree(saved_model, tmp_path / "other")
    (other / "assets.extra" / "label_map.pbtxt").write_text("item { id: 1 name: '0' }")
    with pytest.raises(DataError, match="they do not belong together"):
        detect(other, examples, ("eval",), tmp_path / "found")


def reordered(examples, split, folder):
    """The Examples of one split, the last first, and no others."""
    (file,) = example_files(examples, split)
    records = [record.numpy() for record in tf.data.TFRecordDataset([file])]
    target = folder / f"Split-{split}" / Path(file).name
    target.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(target)) as out:
        for record in reversed(records):
            out.write(record)
    return folder


@pytest.fixture
def asked(monkeypatch):
    """How many images the model was asked about, by signature."""
    counts = Counter()
    load = predict_module.load_signatures

    def counting(name, signature):
        def ask(*encoded, **more):
            counts[name] += len(encoded[0]) if encoded else len(more["encoded"])
            return signature(*encoded, **more)

        return ask

    def loading(saved_model):
        return tuple(map(counting, ("detections", "objects"), load(saved_model)))

    monkeypatch.setattr(predict_module, "load_signatures", loading)
    _load.cache_clear()
    yield counts
    _load.cache_clear()


def test_kept_answers_are_those_of_the_model(saved_model, examples, asked, tmp_path):
    """To the bit, also where other images stand beside them."""
    kept = tmp_path / "kept"
    detect(saved_model, examples, ("eval",), tmp_path / "first", study=True, kept=kept)
    asked.clear()
    detect(saved_model, examples, ("eval",), tmp_path / "again", study=True, kept=kept)
    assert not asked
    assert_same(tmp_path / "first", tmp_path / "again", ("train", "eval"))
    other = reordered(examples, "eval", tmp_path / "other")
    detect(saved_model, other, ("eval",), tmp_path / "plain")
    assert asked["detections"] == 16
    asked.clear()
    detect(saved_model, other, ("eval",), tmp_path / "known", kept=kept)
    assert not asked
    assert_same(tmp_path / "plain", tmp_path / "known", ("eval",))


def assert_same(one, two, splits):
    for split in splits:
        names = {path.name for path in (one / split).iterdir()}
        assert names == {path.name for path in (two / split).iterdir()}
        tables = [name for name in names if name.endswith(".parquet")]
        assert len(tables) >= 2
        for name in tables:
            assert pq.read_table(one / split / name).equals(pq.read_table(two / split / name))


@pytest.mark.parametrize("what", ["version", "model"])
def test_answers_of_another_code_or_model_are_not_taken(
    what, saved_model, examples, asked, tmp_path
):
    kept = tmp_path / "kept"
    detect(saved_model, examples, ("eval",), tmp_path / "first", kept=kept, version="1")
    assert asked["detections"] == 16
    if what == "model":
        saved_model = shutil.copytree(saved_model, tmp_path / "other")
        (saved_model / "variables" / "note").write_text("another")
    version = "2" if what == "version" else "1"
    detect(saved_model, examples, ("eval",), tmp_path / "again", kept=kept, version=version)
    assert asked["detections"] == 32
