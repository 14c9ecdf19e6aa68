"""The OD API's own modules that this backend uses, once its conditions are met."""

from classlift.detectors import od_api

od_api.prepare()

from object_detection.builders import model_builder  # noqa: E402
from object_detection.core import losses  # noqa: E402
from object_detection.core.freezable_batch_norm import FreezableBatchNorm  # noqa: E402
from object_detection.core.target_assigner import max_distance_for_overlap  # noqa: E402
from object_detection.meta_architectures import center_net_meta_arch  # noqa: E402
from object_detection.models.keras_models import mobilenet_v2, resnet_v1  # noqa: E402
from object_detection.predictors.convolutional_keras_box_predictor import (  # noqa: E402
    WeightSharedConvolutionalBoxPredictor,
)
from object_detection.protos import model_pb2, pipeline_pb2  # noqa: E402
from object_detection.utils.ops import bfloat16_to_float32_nested  # noqa: E402
from tf_keras.src.applications import resnet  # noqa: E402

resnet_v1.resnet = resnet  # the API would take Keras 3's, which has no class for a ResNet of 18

__all__ = [
    "FreezableBatchNorm",
    "WeightSharedConvolutionalBoxPredictor",
    "bfloat16_to_float32_nested",
    "center_net_meta_arch",
    "losses",
    "max_distance_for_overlap",
    "mobilenet_v2",
    "model_builder",
    "model_pb2",
    "pipeline_pb2",
]
