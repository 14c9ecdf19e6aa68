"""A D-FINE of KerasHub as a `Detector`."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_hub
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.detections import Detections
from classlift.detectors.detector import Batch, ChampionOutputs
from classlift.detectors.keras_hub import d_fine_loss
from classlift.detectors.keras_hub.d_fine_branch import DFineBranch
from classlift.detectors.keras_hub.model_folder import KerasHubDetector, Owners
from classlift.errors import ModelError


class DFineDetector(KerasHubDetector):
    """Parts: HGNetV2 is the backbone, the hybrid encoder the neck, the decoder the head. What
    scores the classes, of the encoder's proposals and after each layer of the decoder, is the class
    head.

    Raises ModelError for a model built with labels for denoising, and for one with more queries
    than its images have places for.
    """

    kind = keras_hub.models.DFineObjectDetector
    branch = DFineBranch

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
        backbone = self.model.backbone
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
        self._gamma = self.model.matcher_gamma if gamma is None else gamma
        self._alpha = self.model.matcher_alpha if alpha is None else alpha

    @property
    def costs(self) -> d_fine_loss.Costs:
        """What makes a query and a box a bad pair, as the model has it."""
        model = self.model
        return d_fine_loss.Costs(
            model.matcher_class_cost,
            model.matcher_bbox_cost,
            model.matcher_ciou_cost,
            model.matcher_alpha,
            model.matcher_gamma,
            model.use_focal_loss,
        )

    @property
    def focal(self) -> tuple[float, float]:
        """Alpha and gamma of the varifocal loss."""
        return self._alpha, self._gamma

    def queries(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """What the last layer of the decoder says of images [batch, height, width, 3].

        Returns:
            Queries [batch, queries, depth], scores before the sigmoid [batch, queries, columns],
            and boxes [batch, queries, 4], centre x, y, width, height in 0..1.

        """
        found = self.model.backbone(self._preprocessed(images), training=False)
        names = (
            "intermediate_hidden_states",
            "intermediate_logits",
            "intermediate_reference_points",
        )
        queries, logits, boxes = (tf.cast(found[name][:, -1], tf.float32) for name in names)
        return queries, logits, boxes

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
        model = self.model
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
        assigned = d_fine_loss.assign(stages, batch, self.costs)
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

    def detect_with(
        self, images: tf.Tensor, branches: Sequence[DFineBranch]
    ) -> tuple[Detections, list[Detections], tuple[()]]:
        """The best of all queries and classes, without suppression; and those of each branch."""
        features = self.queries(images)
        _, logits, boxes = features
        ids = tf.constant(self.label_map.ids)
        common = self.best(tf.sigmoid(self._of_named(logits)), boxes, ids)
        return common, [branch.detections(features) for branch in branches], ()

    def best(self, scores: tf.Tensor, boxes: tf.Tensor, numbers: tf.Tensor) -> Detections:
        """The best of queries and classes, as many as the model answers with.

        Args:
            scores: [batch, queries, classes].
            boxes: [batch, queries, 4], centre x, y, width, height in 0..1.
            numbers: [classes], their ids.

        Returns:
            The detections, by falling score.

        """
        queries, classes = scores.shape[1:]
        count = min(self.model.prediction_decoder.max_detections, queries * classes)
        best, places = tf.math.top_k(tf.reshape(scores, [-1, queries * classes]), count)
        corners = d_fine_loss.corners_of(tf.gather(boxes, places // classes, batch_dims=1))
        corners = tf.clip_by_value(tf.gather(corners, [1, 0, 3, 2], axis=-1), 0.0, 1.0)
        found = tf.cast(tf.gather(numbers, places % classes), tf.float32)
        return Detections(corners, found, best, tf.fill([tf.shape(best)[0]], float(count)))


def _flat(layers: list[Any]) -> list[keras.layers.Layer]:
    """Layers that stand alone or in lists, in one list."""
    return [part for item in layers for part in (item if isinstance(item, list) else [item])]
