from contextlib import suppress

import numpy as np
import pytest
import tensorflow as tf

from classlift.detectors import answers
from classlift.detectors.answers import kept
from classlift.errors import ConfigError


class Model:
    """Answers with numbers that an image alone decides, and counts what it is asked about."""

    def __init__(self):
        self.asked = []

    def __call__(self, encoded, **more):
        images = encoded.numpy().tolist()
        self.asked += images
        rows = np.array([np.frombuffer(image.ljust(8), np.uint8)[:8] for image in images])
        found = {"scores": tf.constant(rows / 7, tf.float32), "count": tf.constant(rows[:, 0])}
        return {**found, **({"boxes": more["boxes"] * 2} if more else {})}


def images(*numbers):
    return [f"image {number}".encode() for number in numbers]


def ask(folder, batches, key="key"):
    """The answers to batches in a run of its own, and the images that the model was asked about."""
    model = Model()
    with kept(folder, key) as found:
        serve = found.remembering(model)
        given = [{k: v.numpy() for k, v in serve(tf.constant(b)).items()} for b in batches]
    return given, model.asked


def assert_plain(given, batches):
    for answer, batch in zip(given, batches, strict=True):
        plain = Model()(tf.constant(batch))
        assert answer.keys() == plain.keys()
        for key, value in plain.items():
            assert answer[key].dtype == value.numpy().dtype
            np.testing.assert_array_equal(answer[key], value.numpy())


BATCHES = [images(0, 1, 2), images(3, 4, 5), images(6, 7)]


@pytest.mark.parametrize(
    ("batches", "asked"),
    [
        (BATCHES, ()),
        (list(reversed(BATCHES)), ()),
        ([images(5, 0, 3), images(7, 6)], ()),  # beside others, in another order
        ([images(0, 0, 0)], ()),
        ([images(0, 1, 9), images(3, 4, 5)], (0, 1, 9)),  # a batch with a new image, as it is
        ([images(0, 1)], (0, 1)),  # of another size, for which there are other kernels
        ([images(0, 1, 6)], (0, 1, 6)),  # 6 was in one of two
    ],
)
def test_what_is_known_is_not_asked(batches, asked, tmp_path):
    first, _ = ask(tmp_path / "kept", BATCHES)
    assert_plain(first, BATCHES)
    given, found = ask(tmp_path / "kept", batches)
    assert_plain(given, batches)
    assert found == images(*asked)


def test_the_run_before_is_kept_and_no_other(tmp_path):
    ask(tmp_path, BATCHES)
    ask(tmp_path, BATCHES[:1])
    assert ask(tmp_path, BATCHES[:1])[1] == []
    assert ask(tmp_path, BATCHES)[1] == images(3, 4, 5, 6, 7)


def test_what_else_is_said_of_images_counts(tmp_path):
    batch = tf.constant(images(0, 1))
    boxes = np.arange(16, dtype=np.float32).reshape(2, 2, 4)
    moved = boxes + np.array([[[0]], [[1]]], np.float32)
    for number, places in enumerate((boxes, boxes, moved, boxes[:, :1])):
        model = Model()
        with kept(tmp_path, "key") as found:
            of = found.remembering(model)(batch, boxes=tf.constant(places))
        np.testing.assert_array_equal(of["boxes"].numpy(), places * 2)
        assert bool(model.asked) == (number != 1)


def test_another_key_or_machine_is_asked(tmp_path, monkeypatch):
    ask(tmp_path, BATCHES)
    assert len(ask(tmp_path, BATCHES, "other key")[1]) == 8
    assert len(ask(tmp_path, BATCHES, "other key")[1]) == 0
    monkeypatch.setattr(answers, "machine", lambda: "another")
    assert len(ask(tmp_path, BATCHES, "other key")[1]) == 8


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS"])
def test_what_chooses_kernels_makes_another_machine(name, monkeypatch):
    answers.machine.cache_clear()
    before = answers.machine()
    monkeypatch.setenv(name, "7")
    assert answers.machine() == before  # within a process all stays
    answers.machine.cache_clear()
    assert answers.machine() != before
    answers.machine.cache_clear()


def test_a_killed_run_loses_nothing(tmp_path):
    ask(tmp_path, BATCHES[:2])
    with suppress(KeyboardInterrupt), kept(tmp_path, "key") as found:
        found.remembering(Model())(tf.constant(BATCHES[2]))
        raise KeyboardInterrupt
    assert ask(tmp_path, BATCHES)[1] == []
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_a_damaged_file_is_asked_again(tmp_path):
    """Wherever a byte of it is another one, or it ends."""
    for at in range(0, 1400, 13):
        folder = tmp_path / str(at)
        ask(folder, BATCHES[:1])
        (file,) = folder.glob("*/*.answers")
        content = bytearray(file.read_bytes())
        if at % 2:
            content[at % len(content)] ^= 0x11
        else:
            del content[at % len(content) :]
        file.write_bytes(content)
        given, found = ask(folder, BATCHES[:1])
        assert_plain(given, BATCHES[:1])
        assert found == BATCHES[0]


def test_somebody_elses_folder_stays(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(ConfigError, match="answers of the champion"), kept(tmp_path, "key"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
