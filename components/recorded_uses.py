"""The looks at a test set that ML Metadata has records of: the evaluations of earlier runs."""

from google.protobuf import json_format
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

from classlift.gate.uses import TestImages, TestSet

EVALUATION, TEST_SET, TEST_IMAGES = "ModelEvaluation", "test_set", "test_images"
"""The type of the artifact, and the properties in which it keeps its test set."""


def recorded_uses(connection: str, test_set: TestSet) -> int:
    """How many earlier looks at a test set are recorded, see `TestSet.uses`.

    Args:
        connection: to ML Metadata, `ConnectionConfig` as JSON.
        test_set: whose uses are counted.

    Returns:
        Their number.

    """
    config = json_format.Parse(connection, pb.ConnectionConfig())
    store = metadata_store.MetadataStore(config)
    properties = [
        evaluation.custom_properties for evaluation in store.get_artifacts_by_type(EVALUATION)
    ]
    return test_set.uses(
        TestSet(kept[TEST_SET].string_value, TestImages.parse(kept[TEST_IMAGES].string_value))
        for kept in properties
    )
