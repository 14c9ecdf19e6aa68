"""How often a test set has been used: each look of the gate wears it out a little.

The count is of the evaluations in ML Metadata, each of which carries its test set as a property. An
answer from the cache is no look, and leaves no new evaluation there.
"""

import hashlib
from collections.abc import Sequence

from google.protobuf import json_format
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

EVALUATION, TEST_SET = "ModelEvaluation", "test_set"


def id_of_test_set(image_ids: Sequence[str]) -> str:
    """SHA-256 of the ids, whatever their order."""
    return hashlib.sha256("\n".join(sorted(image_ids)).encode()).hexdigest()


def recorded_uses(connection: str, test_set: str) -> int:
    """How many evaluations on a test set are recorded.

    connection: to ML Metadata, `ConnectionConfig` as JSON.
    """
    config = json_format.Parse(connection, pb.ConnectionConfig())
    recorded = metadata_store.MetadataStore(config).get_artifacts_by_type(EVALUATION)
    return sum(a.custom_properties[TEST_SET].string_value == test_set for a in recorded)
