"""Small detectors of every backend, for tests: with random weights where none are trained."""

from pathlib import Path
from typing import Any

from classlift.data.label_map import LabelMap

# No box suppresses another: random weights score many alike, and which of them suppressed which
# would hang on the last bit.
FASTER_RCNN = """
model {
  faster_rcnn {
    num_classes: %d
    image_resizer { fixed_shape_resizer { height: 64 width: 64 } }
    feature_extractor { type: "faster_rcnn_resnet50_keras" batch_norm_trainable: true }
    first_stage_anchor_generator {
      grid_anchor_generator {
        scales: [0.06, 0.12, 0.25]
        aspect_ratios: [1.0]
        height_stride: 16
        width_stride: 16
      }
    }
    first_stage_box_predictor_conv_hyperparams {
      regularizer { l2_regularizer { weight: 0.0001 } }
      initializer { truncated_normal_initializer { stddev: 0.01 } }
    }
    first_stage_box_predictor_depth: 32
    first_stage_nms_score_threshold: 0.0
    first_stage_nms_iou_threshold: 1.0
    first_stage_max_proposals: 32
    first_stage_localization_loss_weight: 2.0
    first_stage_objectness_loss_weight: 1.0
    initial_crop_size: 2
    maxpool_kernel_size: 1
    maxpool_stride: 1
    second_stage_batch_size: 8
    second_stage_box_predictor {
      mask_rcnn_box_predictor {
        fc_hyperparams {
          op: FC
          regularizer { l2_regularizer { weight: 0.0001 } }
          initializer { variance_scaling_initializer { factor: 1.0 uniform: true mode: FAN_AVG } }
        }
      }
    }
    second_stage_post_processing {
      batch_non_max_suppression {
        score_threshold: 0.0
        iou_threshold: 1.0
        max_detections_per_class: 32
        max_total_detections: 32
      }
      score_converter: SOFTMAX
    }
    second_stage_localization_loss_weight: 2.0
    second_stage_classification_loss_weight: 1.0
  }
}
"""


def write_faster_rcnn(folder: Path, label_map: LabelMap) -> Path:
    """A zoo entry of a Faster R-CNN ResNet-50 for 64 px, with random weights."""
    from google.protobuf import text_format

    from classlift.detectors.od_api.api import pipeline_pb2
    from classlift.detectors.od_api.branching import Branched
    from classlift.detectors.od_api.faster_rcnn import FasterRcnnDetector

    text = FASTER_RCNN % label_map.last_id
    config = text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())
    detector = Branched(FasterRcnnDetector(config, label_map))
    for name, variable in detector.variables().items():
        if "gamma" in name:  # statistics that nobody trained let the answers grow to hundreds
            variable.assign(0.3 * variable)
    detector.save(folder)
    return folder


EFFICIENTDET = """
model {
  ssd {
    num_classes: %d
    add_background_class: false
    box_coder {
      faster_rcnn_box_coder { y_scale: 10.0 x_scale: 10.0 height_scale: 5.0 width_scale: 5.0 }
    }
    matcher {
      argmax_matcher {
        matched_threshold: 0.5
        unmatched_threshold: 0.5
        negatives_lower_than_unmatched: true
        force_match_for_each_row: true
      }
    }
    similarity_calculator { iou_similarity { } }
    encode_background_as_zeros: true
    anchor_generator {
      multiscale_anchor_generator {
        min_level: 3
        max_level: 7
        anchor_scale: 4.0
        aspect_ratios: [1.0]
        scales_per_octave: 1
      }
    }
    image_resizer {
      keep_aspect_ratio_resizer {
        min_dimension: 256
        max_dimension: 256
        pad_to_max_dimension: true
      }
    }
    box_predictor {
      weight_shared_convolutional_box_predictor {
        depth: 16
        class_prediction_bias_init: -4.6
        conv_hyperparams {
          force_use_bias: true
          activation: SWISH
          regularizer { l2_regularizer { weight: 0.00004 } }
          initializer { random_normal_initializer { stddev: 0.3 } }
          batch_norm { scale: true decay: 0.99 epsilon: 0.001 }
        }
        num_layers_before_predictor: 1
        kernel_size: 3
        use_depthwise: true
      }
    }
    feature_extractor {
      type: 'ssd_efficientnet-b0_bifpn_keras'
      bifpn { min_level: 3 max_level: 7 num_iterations: 1 num_filters: 16 }
      conv_hyperparams {
        force_use_bias: true
        activation: SWISH
        regularizer { l2_regularizer { weight: 0.00004 } }
        initializer { truncated_normal_initializer { stddev: 0.3 } }
        batch_norm { scale: true, decay: 0.99, epsilon: 0.001 }
      }
    }
    loss {
      classification_loss { weighted_sigmoid_focal { alpha: 0.25 gamma: 1.5 } }
      localization_loss { weighted_smooth_l1 { } }
      classification_weight: 1.0
      localization_weight: 1.0
    }
    normalize_loss_by_num_matches: true
    normalize_loc_loss_by_codesize: true
    post_processing {
      batch_non_max_suppression {
        score_threshold: 1e-8
        iou_threshold: 0.5
        max_detections_per_class: 30
        max_total_detections: 120
      }
      score_converter: SIGMOID
    }
  }
}
"""


def write_efficientdet(folder: Path, label_map: LabelMap) -> Path:
    """A zoo entry of an EfficientDet-D0 for 256 px with a thin neck and head, random weights."""
    from google.protobuf import text_format

    from classlift.detectors.od_api.api import pipeline_pb2
    from classlift.detectors.od_api.branching import Branched
    from classlift.detectors.od_api.ssd import SsdDetector

    text = EFFICIENTDET % label_map.last_id
    config = text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())
    Branched(SsdDetector(config, label_map)).save(folder)
    return folder


CENTER_NET = """
model {
  center_net {
    num_classes: %d
    feature_extractor {
      type: "%s"
      channel_means: [127.0, 127.0, 127.0]
      channel_stds: [64.0, 64.0, 64.0]
    }
    image_resizer {
      keep_aspect_ratio_resizer {
        min_dimension: 64
        max_dimension: 64
        pad_to_max_dimension: true
      }
    }
    object_detection_task {
      task_loss_weight: 1.0
      offset_loss_weight: 1.0
      scale_loss_weight: 0.1
      localization_loss { l1_localization_loss { } }
    }
    object_center_params {
      object_center_loss_weight: 1.0
      min_box_overlap_iou: 0.7
      max_box_predictions: 40
      classification_loss { penalty_reduced_logistic_focal_loss { alpha: 2.0 beta: 4.0 } }
    }
  }
}
"""


def center_net_config(label_map: LabelMap, extractor: str, more: str = "") -> Any:
    """The config of a CenterNet for 64 px; more: what else its model has."""
    from google.protobuf import text_format

    from classlift.detectors.od_api.api import pipeline_pb2

    text = CENTER_NET % (label_map.last_id, extractor)
    config = text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())
    text_format.Merge(more, config.model.center_net)
    return config


def write_center_net(folder: Path, label_map: LabelMap) -> Path:
    """A zoo entry of a CenterNet Hourglass-10 for 64 px, with random weights."""
    from classlift.detectors.od_api.branching import Branched
    from classlift.detectors.od_api.center_net import CenterNetDetector

    config = center_net_config(label_map, "hourglass_10")
    detector = Branched(CenterNetDetector(config, label_map))
    for name, variable in detector.variables().items():
        if name.startswith("class-head") and "kernel" in name:
            variable.assign(0.01 * variable)  # or random weights are sure of one class everywhere
    detector.save(folder)
    return folder


def write_retinanet(folder: Path, label_map: LabelMap) -> Path:
    """A RetinaNet of KerasHub for 64 px with two levels, with random weights; needs Keras 3."""
    from classlift.detectors.keras_hub.new_model import small_retinanet
    from classlift.detectors.keras_hub.retinanet import RetinaNetDetector

    model = small_retinanet(len(label_map), 64, widths=(64, 16, 16), depth=1)
    RetinaNetDetector(model, label_map).save(folder)
    return folder


def write_d_fine(folder: Path, label_map: LabelMap) -> Path:
    """A D-FINE of KerasHub for 64 px with eight queries, with random weights; needs Keras 3."""
    from classlift.detectors.keras_hub.d_fine import DFineDetector
    from classlift.detectors.keras_hub.new_model import small_d_fine

    model = small_d_fine(len(label_map), 64, width=16, queries=8, layers=2)
    DFineDetector(model, label_map).save(folder)
    return folder
