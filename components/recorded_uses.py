"""The looks at a test set that ML Metadata has records of: the evaluations of earlier runs, and of
runs that were judged again.
"""

from google.protobuf import json_format
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

from classlift.gate.uses import TestImages, TestSet

EVALUATION, TEST_SET, TEST_IMAGES = "ModelEvaluation", "test_set", "test_images"
USE = "use"
"""The type of the artifact, and the properties in which it keeps its test set; `USE`: which use a
look outside a run was.
"""


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


def look_again(connection: str, test_set: TestSet, name: str) -> int:
    """Records a look outside a run, if it is a new one.

    Args:
        connection: to ML Metadata, `ConnectionConfig` as JSON.
        test_set: that is looked at.
        name: of the look: who asks the same again learns nothing new.

    Returns:
        Which use of the test set the look is, from 1.

    """
    store = metadata_store.MetadataStore(json_format.Parse(connection, pb.ConnectionConfig()))
    known = store.get_artifact_by_type_and_name(EVALUATION, name)
    if known is not None:
        return int(known.custom_properties[USE].int_value)
    use = recorded_uses(connection, test_set) + 1
    look = pb.Artifact(
        type_id=store.get_artifact_type(EVALUATION).id, name=name, state=pb.Artifact.LIVE
    )
    look.custom_properties[TEST_SET].string_value = test_set.id
    look.custom_properties[TEST_IMAGES].string_value = str(test_set.images)
    look.custom_properties[USE].int_value = use
    store.put_artifacts([look])
    return use
