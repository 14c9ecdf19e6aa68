"""The OD API's own modules that this backend uses, once its conditions are met."""

from classlift.detectors import od_api

od_api.prepare()

from object_detection.builders import model_builder  # noqa: E402
from object_detection.core import losses  # noqa: E402
from object_detection.core.freezable_batch_norm import FreezableBatchNorm  # noqa: E402
from object_detection.predictors.convolutional_keras_box_predictor import (  # noqa: E402
    WeightSharedConvolutionalBoxPredictor,
)
from object_detection.protos import model_pb2, pipeline_pb2  # noqa: E402
from object_detection.utils.ops import bfloat16_to_float32_nested  # noqa: E402

__all__ = [
    "FreezableBatchNorm",
    "WeightSharedConvolutionalBoxPredictor",
    "bfloat16_to_float32_nested",
    "losses",
    "model_builder",
    "model_pb2",
    "pipeline_pb2",
]
