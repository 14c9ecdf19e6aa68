"""Small detectors of every backend, for tests: with random weights where none are trained."""

from pathlib import Path

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
    first_stage_max_proposals: 64
    first_stage_localization_loss_weight: 2.0
    first_stage_objectness_loss_weight: 1.0
    initial_crop_size: 7
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
        max_detections_per_class: 64
        max_total_detections: 64
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

    text = FASTER_RCNN % len(label_map)
    config = text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())
    detector = Branched(FasterRcnnDetector(config, label_map))
    for name, variable in detector.variables().items():
        if "gamma" in name:  # statistics that nobody trained let the answers grow to hundreds
            variable.assign(0.3 * variable)
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
