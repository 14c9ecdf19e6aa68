"""A D-FINE of KerasHub as a `Detector`."""

from collections.abc import Mapping
from typing import Any

import keras
import keras_hub
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.detector import Batch, ChampionOutputs, WithoutBranches
from classlift.detectors.keras_hub import d_fine_loss
from classlift.detectors.keras_hub.model_folder import KerasHubDetector, Owners
from classlift.errors import ModelError


class DFineDetector(WithoutBranches, KerasHubDetector):
    """Parts: HGNetV2 is the backbone, the hybrid encoder the neck, the decoder the head. What
    scores the classes, of the encoder's proposals and after each layer of the decoder, is the class
    head.

    Raises ModelError for a model built with labels for denoising, and for one with more queries
    than its images have places for.
    """

    kind = keras_hub.models.DFineObjectDetector

    def __init__(self, model: keras.Model, label_map: LabelMap) -> None:
        if model.backbone.labels is not None:
            raise ModelError(
                "The model was built with `labels` for denoising, which go into every answer; "
                "build it without."
            )
        backbone = model.backbone
        places = sum(height * width for height, width in backbone.spatial_shapes)
        if places < backbone.num_queries:
            height, width = backbone.anchor_image_size
            raise ModelError(
                f"The model has {backbone.num_queries} queries, and images of {width} x {height} "
                f"pixels have {places} places for them: make them larger, or take fewer queries."
            )
        super().__init__(model, label_map)
        self.set_focal(None, None)

    def _owners(self) -> Owners:
        backbone = self._model.backbone
        decoder = backbone.decoder
        return {
            "backbone": (backbone.backbone,),
            "neck": (*_flat(backbone.encoder_input_proj_layers), backbone.encoder),
            "head": (
                *_flat(backbone.decoder_input_proj_layers),
                *backbone.enc_output_layers,
                backbone.enc_bbox_head,
                backbone.initial_query_reference_generator,
                decoder,
            ),
            "class-head": (backbone.enc_score_head, *decoder.class_embed),
        }

    def set_focal(self, gamma: float | None, alpha: float | None) -> None:
        """Sets the parameters of the varifocal loss; the assignment keeps the model's own."""
        self._gamma = self._model.matcher_gamma if gamma is None else gamma
        self._alpha = self._model.matcher_alpha if alpha is None else alpha

    def losses(
        self,
        batch: Batch,
        features: tuple[tf.Tensor, ...] | None = None,
        champion_outputs: ChampionOutputs | None = None,
    ) -> Mapping[str, tf.Tensor]:
        """The losses of `d_fine_loss`, weighted as in the model, and regularization.

        Args:
            batch: images of the frame with their boxes.
            features: None, for none are kept.
            champion_outputs: None, for there is no distillation.

        Returns:
            Scalars: `class`; `box`, which is all that moves boxes towards labels; `refinement`,
                what the
            layers of the decoder learn from the last one; and `regularization`.

        """
        model = self._model
        found = self._answers(batch.images, training=True)
        stages = d_fine_loss.Stages(
            logits=tf.concat(
                [found["intermediate_logits"], found["enc_topk_logits"][:, None]], axis=1
            ),
            boxes=tf.clip_by_value(
                tf.concat(
                    [found["intermediate_reference_points"], found["enc_topk_bboxes"][:, None]],
                    axis=1,
                ),
                0.0,
                1.0,
            ),
            corners=found["intermediate_predicted_corners"],
            points=found["initial_reference_points"],
        )
        costs = d_fine_loss.Costs(
            model.matcher_class_cost,
            model.matcher_bbox_cost,
            model.matcher_ciou_cost,
            model.matcher_alpha,
            model.matcher_gamma,
            model.use_focal_loss,
        )
        assigned = d_fine_loss.assign(stages, batch, costs)
        losses = d_fine_loss.losses(
            stages,
            batch,
            assigned,
            d_fine_loss.Bins.of(model.backbone.decoder),
            alpha=self._alpha,
            gamma=self._gamma,
            temperature=model.ddf_temperature,
        )
        weights = model.weight_dict
        return {
            "class": weights["loss_vfl"] * losses["vfl"],
            "box": tf.add_n(
                [weights[f"loss_{name}"] * losses[name] for name in ("bbox", "ciou", "fgl")]
            ),
            "refinement": weights["loss_ddf"] * losses["ddf"],
            "regularization": self._regularization(),
        }

    def detect(self, images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """The best of all queries and classes, without suppression."""
        found = self._answers(images, training=False)
        scores = tf.sigmoid(self._of_named(found["logits"]))
        queries, classes = scores.shape[1:]
        count = min(self._model.prediction_decoder.max_detections, queries * classes)
        best, numbers = tf.math.top_k(tf.reshape(scores, [-1, queries * classes]), count)
        boxes = tf.gather(found["pred_boxes"], numbers // classes, batch_dims=1)
        xmin, ymin, xmax, ymax = tf.unstack(d_fine_loss.corners_of(boxes), axis=-1)
        boxes = tf.stack([ymin, xmin, ymax, xmax], axis=-1)
        return {
            "detection_boxes": tf.clip_by_value(boxes, 0.0, 1.0),
            "detection_classes": self._ids(numbers % classes),
            "detection_scores": best,
            "num_detections": tf.fill([tf.shape(best)[0]], count),
        }


def _flat(layers: list[Any]) -> list[keras.layers.Layer]:
    """Layers that stand alone or in lists, in one list."""
    return [part for item in layers for part in (item if isinstance(item, list) else [item])]
