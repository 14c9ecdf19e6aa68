"""A RetinaNet of KerasHub as a `Detector`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_hub
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.detections import Detections, Suppression
from classlift.detectors.detector import Batch, ChampionOutputs, over_replicas
from classlift.detectors.keras_hub.model_folder import KerasHubDetector, Owners
from classlift.detectors.keras_hub.retinanet_branch import CANDIDATES, RetinaNetBranch


class RetinaNetDetector(KerasHubDetector):
    """Parts: the image encoder is the backbone, the feature pyramid the neck, both prediction heads
    the head; the last layer of the one for classes is the class head.
    """

    kind = keras_hub.models.RetinaNetObjectDetector
    branch = RetinaNetBranch
    can_verify = True

    def __init__(self, model: keras.Model, label_map: LabelMap) -> None:
        super().__init__(model, label_map)
        decoder = model.prediction_decoder
        self.nms = Suppression(decoder.max_detections, decoder.iou_threshold)
        self.set_focal(None, None)

    def _owners(self) -> Owners:
        model = self.model
        classes = model.classification_head
        return {
            "backbone": (model.backbone.get_layer("backbone"),),
            "neck": (model.backbone.feature_pyramid,),
            "head": (model.box_head, *classes.conv_layers, *classes.group_norm_layers),
            "class-head": (classes.prediction_layer,),
        }

    def set_focal(self, gamma: float | None, alpha: float | None) -> None:
        """Sets the parameters of the focal loss; by default gamma is 2, and there is no alpha, as
        in KerasHub.
        """
        self.class_loss = keras.losses.BinaryFocalCrossentropy(
            from_logits=True,
            gamma=2.0 if gamma is None else gamma,
            alpha=0.25 if alpha is None else alpha,
            apply_class_balancing=alpha is not None,
            reduction=None,
        )

    def pyramid(self, images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The maps of the feature pyramid, finest first, of images [batch, height, width, 3]."""
        maps = self.model.backbone(self._preprocessed(images), training=False)
        return tuple(maps.values())

    def scores(self, head: Any, maps: Sequence[tf.Tensor], columns: int) -> tf.Tensor:
        """What a head says of the anchors: float32[batch, anchors, columns]."""
        found = [head(m) for m in maps]
        found = [tf.reshape(x, [-1, math.prod(x.shape[1:]) // columns, columns]) for x in found]
        return tf.cast(tf.concat(found, axis=1), tf.float32)

    def losses(
        self,
        batch: Batch,
        features: tuple[tf.Tensor, ...] | None = None,
        champion_outputs: ChampionOutputs | None = None,
    ) -> Mapping[str, tf.Tensor]:
        """The training losses of classes, boxes, and regularization.

        With all weights 1 they are what KerasHub's `compute_loss` gives: Huber's loss and the focal
        loss of each anchor, averaged over coordinates and classes, summed over anchors and divided
        by the number of those that belong to a box. An anchor weighs as much as its box; background
        weighs 1. A batch in which no anchor belongs to a box has no loss.

        Args:
            batch: images of the frame with their boxes.
            features: None, for none are kept.
            champion_outputs: None, for there is no distillation.

        Returns:
            Scalars: `class`, `box`, `regularization`.

        """
        model = self.model
        found = self._answers(batch.images, training=True)
        deltas, owner = self.assign(batch)
        positive = owner >= 0
        box = tf.cast(tf.maximum(owner, 0.0), tf.int32)
        labels = tf.where(positive, tf.gather(batch.labels, box, batch_dims=1), 0)
        classes = self._of_named(tf.one_hot(labels - 1, model.num_classes))
        weights = tf.where(positive, tf.gather(batch.weights, box, batch_dims=1), 0.0)
        background = tf.cast(owner == model.label_encoder.background_class, tf.float32)
        count = over_replicas(tf.reduce_sum(tf.cast(positive, tf.float32)))
        class_losses = self.class_loss(classes, self._of_named(found["cls_logits"]))
        box_losses = keras.losses.Huber(reduction=None)(deltas, found["bbox_regression"])
        return {
            "class": tf.math.divide_no_nan(
                tf.reduce_sum(class_losses * (weights + background)), count
            ),
            "box": tf.math.divide_no_nan(tf.reduce_sum(box_losses * weights), count),
            "regularization": self._regularization(),
        }

    def assign(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """What each anchor should answer, by the model's own label encoder.

        Returns:
            Box deltas [batch, anchors, 4], and the number of the anchor's box [batch, anchors];
            below 0 for background and for what is ignored.

        """
        encoder = self.model.label_encoder
        height, width = self.frame.size
        boxes = keras.utils.bounding_boxes.convert_format(
            batch.boxes,
            source="rel_yxyx",
            target=encoder.bounding_box_format,
            height=height,
            width=width,
        )
        # The encoder hands on what it is given as classes: here, the numbers of the boxes.
        shape = tf.shape(batch.labels)
        numbers = tf.broadcast_to(tf.range(tf.cast(shape[1], tf.float32)), shape)
        found: tuple[tf.Tensor, tf.Tensor] = encoder(batch.images, boxes, numbers)
        return found

    def decode(self, images: tf.Tensor, deltas: tf.Tensor) -> tf.Tensor:
        """Boxes in 0..1 of box deltas [batch, anchors, 4]: the inverse of `assign`."""
        generator, encoder = self.model.anchor_generator, self.model.label_encoder
        found: tf.Tensor = keras.utils.bounding_boxes.decode_deltas_to_boxes(
            anchors=tf.concat(list(generator(images).values()), axis=0),
            boxes_delta=deltas,
            anchor_format=generator.bounding_box_format,
            box_format="rel_yxyx",
            encoded_format=encoder.encoding_format,
            variance=encoder.box_variance,
            image_shape=(*self.frame.size, 3),
        )
        return found

    def detect_with(
        self, images: tf.Tensor, branches: Sequence[RetinaNetBranch]
    ) -> tuple[Detections, list[Detections], tuple[tf.Tensor, ...]]:
        """The detections in images; boxes of different classes do not suppress each other.

        IoU threshold and number of detections are those of the model's own decoder.

        Args:
            images: [batch, height, width, 3], of the frame.
            branches: beside the model.

        Returns:
            Its own, each branch's, and the maps of the feature pyramid.

        """
        model, maps = self.model, self.pyramid(images)
        logits = self.scores(model.classification_head, maps, model.num_classes)
        deltas = self.scores(model.box_head, maps, 4)
        boxes = tf.clip_by_value(self.decode(images, deltas), 0.0, 1.0)
        scores = tf.sigmoid(self._of_named(logits))
        count = min(CANDIDATES, scores.shape[1])
        _, candidates = tf.math.top_k(tf.reduce_max(scores, axis=-1), count)
        kept, kept_scores, kept_classes, number = tf.image.combined_non_max_suppression(
            tf.gather(boxes, candidates, batch_dims=1)[:, :, None],
            tf.gather(scores, candidates, batch_dims=1),
            max_output_size_per_class=self.nms.max_detections_per_class,
            max_total_size=self.nms.max_detections_per_class,
            iou_threshold=self.nms.iou_threshold,
            score_threshold=self.nms.score_threshold,
        )
        classes = tf.cast(self._ids(kept_classes), tf.float32)
        own = [branch.detections(maps, boxes) for branch in branches]
        common = Detections(kept, classes, kept_scores, tf.cast(number, tf.float32))
        return common, own, tuple(tf.cast(m, tf.float32) for m in maps)
