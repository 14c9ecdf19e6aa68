import pytest
from google.protobuf import json_format
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

from components.recall_gate.uses import EVALUATION, TEST_SET, id_of_test_set, recorded_uses
from pipelines.metadata import connection_to

pytestmark = pytest.mark.unit


@pytest.mark.usefixtures("each_metadata_database")
def test_counts_the_evaluations_on_each_test_set(tmp_path):
    config = connection_to(tmp_path)
    connection, store = json_format.MessageToJson(config), metadata_store.MetadataStore(config)
    asked = id_of_test_set(["a", "b"])
    assert recorded_uses(connection, asked) == 0  # nor is the type known yet

    kind = store.put_artifact_type(pb.ArtifactType(name=EVALUATION))
    for image_ids in (["a", "b"], ["b", "a"], ["a", "c"], None):  # None: of an older version
        evaluation = pb.Artifact(type_id=kind, uri="somewhere")
        if image_ids:
            evaluation.custom_properties[TEST_SET].string_value = id_of_test_set(image_ids)
        store.put_artifacts([evaluation])
    assert recorded_uses(connection, asked) == 2
    assert recorded_uses(connection, id_of_test_set(["a", "c"])) == 1
    assert recorded_uses(connection, id_of_test_set(["d"])) == 0
