"""Earlier looks at a test set, as ML Metadata has them."""

import pytest
from google.protobuf import json_format
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

from classlift.gate.uses import TestSet, id_of_test_set
from components.recorded_uses import EVALUATION, TEST_IMAGES, TEST_SET, recorded_uses
from pipelines.metadata import connection_to
from tests.classlift.gate.test_uses import images

pytestmark = pytest.mark.unit


@pytest.mark.usefixtures("each_metadata_database")
def test_counts_the_evaluations_on_each_test_set(tmp_path):
    config = connection_to(tmp_path)
    connection, store = json_format.MessageToJson(config), metadata_store.MetadataStore(config)

    def uses(ids, numbers=()):
        return recorded_uses(connection, TestSet(id_of_test_set(ids), images(numbers)))

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
