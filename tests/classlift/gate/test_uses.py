import hashlib

import pytest
from google.protobuf import json_format
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

from classlift.gate.uses import (
    EVALUATION,
    TEST_IMAGES,
    TEST_SET,
    TestImages,
    confidence_of_use,
    id_of_test_set,
    recorded_uses,
)
from pipelines.metadata import connection_to

pytestmark = pytest.mark.unit


def content(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def images(numbers):
    return TestImages.of([content(number) for number in numbers])


@pytest.mark.usefixtures("each_metadata_database")
def test_counts_the_evaluations_on_each_test_set(tmp_path):
    config = connection_to(tmp_path)
    connection, store = json_format.MessageToJson(config), metadata_store.MetadataStore(config)

    def uses(ids, numbers=()):
        return recorded_uses(connection, id_of_test_set(ids), images(numbers))

    assert uses(["a", "b"]) == 0  # nor is the type known yet

    kind = store.put_artifact_type(pb.ArtifactType(name=EVALUATION))
    for image_ids, seen in (
        (["a", "b"], None),  # of an older version, as the next
        (["b", "a"], None),
        (["a", "c"], range(100)),
        (["a", "c"], range(100)),
        (["d"], range(50, 150)),
        (None, None),
    ):
        evaluation = pb.Artifact(type_id=kind, uri="somewhere")
        if image_ids:
            evaluation.custom_properties[TEST_SET].string_value = id_of_test_set(image_ids)
        if seen:
            evaluation.custom_properties[TEST_IMAGES].string_value = str(images(seen))
        store.put_artifacts([evaluation])
    assert uses(["a", "b"]) == 2
    assert uses(["a", "c"]) == 2
    assert uses(["e"], [1000]) == 0
    # another split of the same images, under other names
    assert uses(["e"], range(10, 100)) == 3  # 2, and 50 of 90
    assert uses(["e"], range(1, 101)) == 2  # 2 * 0.99, and 0.51, of 100
    # half of the images are new
    assert uses(["e"], range(50)) == 2
    assert uses(["e"], range(-100, 100)) == 1  # 2 * 0.5, and 0.25


@pytest.mark.parametrize(
    ("ours", "earlier", "share"),
    [
        (range(10), range(10), 1.0),
        (range(10), range(5, 100), 0.5),
        (range(10), range(0), 0.0),
        (range(0), range(10), 0.0),
        (range(400), range(100, 700), 0.75),
        (range(4000), range(2000, 9000), 0.5),  # more than are kept
        (range(9000), range(6000, 9000), 1 / 3),
    ],
)
def test_the_share_of_images_that_an_earlier_look_saw(ours, earlier, share):
    today, before = images(ours), TestImages.parse(str(images(earlier)))
    tolerance = 1e-9 if max(len(ours), len(earlier)) <= 512 else 0.06
    assert today.share_seen_by(before) == pytest.approx(share, abs=tolerance)


def test_each_use_is_charged():
    errors = [1 - confidence_of_use(use) for use in range(1, 41)]
    assert errors[0] == pytest.approx(0.05)
    assert errors == sorted(errors, reverse=True)
    assert errors[4] == pytest.approx(0.01)
