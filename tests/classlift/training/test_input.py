"""What training sees of images that are not labelled for all classes."""

import pytest

from classlift.data.label_map import LabelMap
from classlift.data.snapshot import Labelling, Source, take_snapshot
from classlift.detectors.examples import example_files
from classlift.examples.write import write_examples
from classlift.settings.rebalancing import Rebalancing
from classlift.settings.recipe import Recipe
from classlift.training.input import training_batches

pytestmark = pytest.mark.pipeline
LABELS = LabelMap(("car", "scooter", "bus", "tram"))
NEW = Labelling(tuple(LABELS), frozenset({"bus", "tram"}))


@pytest.mark.parametrize(
    ("targets", "regions"),
    [((), set()), (("tram", "bus", "car"), {-3, -4})],
)
def test_an_image_is_a_region_of_each_target_that_it_is_not_labelled_for(
    coco, detector, tmp_path, targets, regions
):
    sources = [Source(coco(split), split) for split in ("train", "eval", "test")]
    write_examples(take_snapshot(sources, labelling=NEW), LABELS, Rebalancing("none"), tmp_path)
    batch = next(
        training_batches(
            example_files(tmp_path, "train"),
            detector.frame,
            LABELS,
            Recipe(batch_size=2, augmentation=False),
            targets=targets,
        )
    )
    labels = batch.labels.numpy()
    for of_image, boxes in zip(labels, batch.boxes.numpy(), strict=True):
        assert {number for number in of_image if number < 0} == regions
        assert boxes[of_image < 0].tolist() == [[0, 0, 1, 1]] * len(regions)
    assert {number for number in labels.ravel() if number > 0} == {1, 2}
