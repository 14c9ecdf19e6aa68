"""The OD API's private members, under names of ours.

The one module that touches them: what another version of the API renames is renamed here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from classlift.detectors.od_api.api import (
    FreezableBatchNorm,
    WeightSharedConvolutionalBoxPredictor,
    center_net_meta_arch,
    losses,
    mobilenet_v2,
)

CLASS_SCORES = "class_predictions_with_background"
"""The key of a box predictor's scores before the sigmoid."""

BATCH_NORMS = (
    tf.keras.layers.BatchNormalization,
    tf.compat.v1.keras.layers.BatchNormalization,  # of which the OD API's own is
    tf.keras.layers.experimental.SyncBatchNormalization,  # of an hourglass
)

ScoreConversion = Callable[[tf.Tensor], tf.Tensor]


class SsdParts:
    """The parts of an `SSDMetaArch`.

    Args:
        model: as the API builds it.
        extractor: its feature extractor.
        predictor: its box predictor.
        convert_scores: what makes scores of the predictor's answers.

    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.extractor = model._feature_extractor
        self.predictor = model._box_predictor
        self.convert_scores: ScoreConversion = model._score_conversion_fn
        self._class_loss = model._classification_loss

    def set_score_conversion(self, convert: ScoreConversion) -> None:
        """Replaces what the model's own post-processing makes scores with."""
        self.model._score_conversion_fn = convert

    def set_focal_loss(self, gamma: float, alpha: float) -> None:
        """Takes a focal loss of the classes with these parameters."""
        self.model._classification_loss = losses.SigmoidFocalClassificationLoss(
            gamma=gamma, alpha=alpha
        )

    def reset_class_loss(self) -> None:
        """Takes the config's own loss of the classes again."""
        self.model._classification_loss = self._class_loss

    def class_loss(self, scores: tf.Tensor, classes: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The weighted sum of the loss of the classes, before it is normalised."""
        found = self.model._classification_loss(scores, classes, weights=weights)
        return tf.reduce_sum(found) * self.model._classification_loss_weight

    def box_loss(self, boxes: tf.Tensor, wanted: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The weighted sum of the loss of the boxes, before it is normalised."""
        model = self.model
        found = model._localization_loss(boxes, wanted, weights=weights, ignore_nan_targets=True)
        return tf.reduce_sum(found) * model._localization_loss_weight

    @property
    def normalizes_by_matches(self) -> bool:
        """Whether losses are divided by the number of matched anchors."""
        return bool(self.model._normalize_loss_by_num_matches)

    @property
    def box_normalizer(self) -> float:
        """What the loss of the boxes is divided by, beside the number of matches."""
        by_code_size = self.model._normalize_loc_loss_by_codesize
        return float(self.model._box_coder.code_size) if by_code_size else 1.0

    def decode(self, encodings: tf.Tensor) -> tf.Tensor:
        """Boxes [batch, anchors, 4] in 0..1 of their encodings of that shape."""
        boxes, _ = self.model._batch_decode(encodings, self.model.anchors.get())
        return boxes


class FasterRcnnParts:
    """The parts of a `FasterRCNNMetaArch`.

    Args:
        model: as the API builds it.
        extractor: its feature extractor.

    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.extractor = model._feature_extractor
        self.convert_scores: ScoreConversion = model._second_stage_score_conversion_fn

    def set_score_conversion(self, convert: ScoreConversion) -> None:
        """Replaces what the model's own post-processing makes scores with."""
        self.model._second_stage_score_conversion_fn = convert

    def owners(self) -> dict[str, tuple[Any, ...]]:
        """The layers by part, in the order in which an image passes them."""
        model, predictor = self.model, self.model._mask_rcnn_box_predictor
        return {
            "backbone": (model._feature_extractor_for_proposal_features,),
            "neck": (
                model._first_stage_box_predictor_first_conv,
                model._first_stage_box_predictor,
            ),
            "head": (
                model._feature_extractor_for_box_classifier_features,
                predictor._box_prediction_head,
                predictor._class_prediction_head,
            ),
        }

    def take_first_stage(self, other: "FasterRcnnParts") -> None:
        """Proposes by the layers of another model of the same config from now on."""
        for name in (
            "_feature_extractor_for_proposal_features",
            "_first_stage_box_predictor_first_conv",
            "_first_stage_box_predictor",
        ):
            setattr(self.model, name, getattr(other.model, name))

    def second_stage(
        self, answers: Mapping[str, tf.Tensor], shapes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What the second stage says of the proposals that a model has answered with.

        Args:
            answers: of the model's `predict`.
            shapes: int32[batch, 3], of the images.

        Returns:
            Box encodings [batch, proposals, classes or 1, 4], and scores before the softmax [batch,
            proposals, 1 + classes].

        """
        model = self.model
        features, proposals = answers["rpn_features_to_crop"], answers["proposal_boxes_normalized"]
        found = model._box_prediction(features, proposals, answers["image_shape"], shapes)
        encodings, scores = found["refined_box_encodings"], found[CLASS_SCORES]
        return (
            tf.reshape(encodings, [-1, model.max_num_proposals, *encodings.shape[1:]]),
            tf.reshape(scores, [-1, model.max_num_proposals, scores.shape[-1]]),
        )

    def decode(self, encodings: tf.Tensor, proposals: tf.Tensor) -> tf.Tensor:
        """Boxes [batch, proposals, classes or 1, 4] in pixels, of encodings of that shape."""
        return self.model._batch_decode_boxes(encodings, proposals)

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Within the block, proposals are not sampled by the labels, as in training."""
        self.model._is_training = False
        try:
            yield
        finally:
            self.model._is_training = True


class CenterNetParts:
    """The parts of a `CenterNetMetaArch`.

    Args:
        model: as the API builds it.
        extractor: its feature extractor.
        stride: pixels of an image a cell of its maps.
        budget: how many objects are looked for in an image.
        min_overlap: as `centers.find_centers` takes it.

    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.extractor = model._feature_extractor
        self.stride = int(model._stride)
        self._params = model._center_params
        self.budget = int(self._params.max_box_predictions)
        self.min_overlap = float(self._params.min_box_overlap_iou)

    @property
    def backbone(self) -> Any:
        """The layers before the neck; an hourglass is all backbone."""
        return getattr(self.extractor, "_base_model", self.extractor)

    def heads(self) -> dict[str, Any]:
        """The heads by what they answer, each of one map."""
        return {
            f"{name.replace('/', '_')}_{number}": head
            for name, of_maps in self.model.prediction_head_dict.items()
            for number, head in enumerate(of_maps)
        }

    def answers(self, maps: Sequence[tf.Tensor], name: str) -> list[tf.Tensor]:
        """What the heads of a name say of the maps that they are fed with."""
        heads = self.model.prediction_head_dict[name]
        return [head(feature_map) for feature_map, head in zip(maps, heads, strict=True)]

    def center_head(self, classes: int, depth: int) -> Any:
        """A head of the model's kind with random weights, for maps of a depth."""
        head = center_net_meta_arch.make_prediction_net(
            classes,
            kernel_sizes=self._params.center_head_kernel_sizes,
            num_filters=self._params.center_head_num_filters,
            use_depthwise=self.model._use_depthwise,
            unit_height_conv=False,
        )
        head(tf.zeros([1, 1, 1, depth]))
        return head

    def class_loss(self, scores: tf.Tensor, heat: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The weighted sum of the loss of heat maps, before it is normalised.

        Args:
            scores: [batch, rows, columns, classes], before the sigmoid.
            heat: as `scores`, what they should be.
            weights: as `scores`.

        Returns:
            A scalar.

        """
        flat = [tf.reshape(x, [tf.shape(x)[0], -1, x.shape[-1]]) for x in (scores, heat, weights)]
        found = self._params.classification_loss(flat[0], flat[1], weights=flat[2])
        return tf.reduce_sum(found) * self._params.object_center_loss_weight

    def box_loss(self, found: tf.Tensor, wanted: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The sum of the loss of sizes or offsets [batch, boxes, 2], before it is normalised."""
        params = self.model._od_params
        losses_ = params.localization_loss(found, wanted, weights=weights[..., None])
        return tf.reduce_sum(losses_) * params.task_loss_weight

    @property
    def box_weights(self) -> tuple[tuple[str, float], ...]:
        """The heads of boxes, sizes and offsets, with the weights of their losses."""
        params = self.model._od_params
        return ((SIZE, params.scale_loss_weight), (OFFSET, params.offset_loss_weight))

    def peaks(
        self, heat: tf.Tensor, budget: int
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """The highest peaks of heat maps [batch, rows, columns, classes].

        Returns:
            Scores, rows, columns and classes from 0, [batch, budget] each; fewer where the maps
            have fewer cells.

        """
        found: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
        found = center_net_meta_arch.top_k_feature_map_locations(
            heat, max_pool_kernel_size=self._params.peak_max_pool_kernel_size, k=budget
        )
        return found

    def boxes_at(
        self, rows: tf.Tensor, columns: tf.Tensor, sizes: tf.Tensor, offsets: tf.Tensor
    ) -> tf.Tensor:
        """Boxes [batch, n, 4] in cells around places [batch, n], of maps of sizes and offsets."""
        return center_net_meta_arch.prediction_tensors_to_boxes(rows, columns, sizes, offsets)


CENTER = center_net_meta_arch.OBJECT_CENTER
SIZE = center_net_meta_arch.BOX_SCALE
OFFSET = center_net_meta_arch.BOX_OFFSET
"""The names of a CenterNet's heads."""


@contextmanager
def without_downloads() -> Iterator[None]:
    """Within the block, a CenterNet's MobileNet is built with random weights; the API would fetch
    those of ImageNet for it, whatever checkpoint is to come.
    """
    build = mobilenet_v2.mobilenet_v2

    def build_random(*args: Any, **options: Any) -> Any:
        return build(*args, **{**options, "weights": None})

    mobilenet_v2.mobilenet_v2 = build_random
    try:
        yield
    finally:
        mobilenet_v2.mobilenet_v2 = build


def scoring_layers(predictor: Any) -> list[list[Any]]:
    """The layers of a box predictor that score the classes, in their order, for each map."""
    head = predictor._prediction_heads[CLASS_SCORES]
    if not isinstance(predictor, WeightSharedConvolutionalBoxPredictor):
        nets = zip(predictor._shared_nets, head, strict=True)
        return [[*net, last] for net, last in nets]
    tower = "box_encodings" if predictor._share_prediction_tower else CLASS_SCORES
    towers = predictor._base_tower_layers_for_heads[tower]
    projections = predictor._additional_projection_layers
    return [[*first, *then, head] for first, then in zip(projections, towers, strict=True)]


@contextmanager
def in_place_of_backbone(extractor: Any, function: Callable[[tf.Tensor], Any]) -> Iterator[None]:
    """Within the block, an SSD's extractor calls a function instead of its backbone."""
    # Through __dict__, past Keras: it would track the change, and reorder the variables.
    name, backbone = _backbone_name(extractor), backbone_of(extractor)
    vars(extractor)[name] = function
    try:
        yield
    finally:
        vars(extractor)[name] = backbone


def backbone_of(extractor: Any) -> Any:
    """The backbone of an SSD's extractor, which every one of them calls once."""
    return getattr(extractor, _backbone_name(extractor))


def tapped(backbone: Any, places: Sequence[int]) -> Any:
    """A backbone that also answers with what some of its layers answer.

    Args:
        backbone: of Keras's functional kind.
        places: of these layers among its own.

    Returns:
        A model of the same layers; their answers come after those of the backbone.

    """
    if not places:
        return backbone
    answers = [backbone.layers[place].output for place in places]
    return tf.keras.Model(backbone.inputs, [*backbone.outputs, *answers])


def split(backbone: Any, own: set[Any]) -> tuple[int, Any, list[bool]] | None:
    """Cuts a backbone before the first of some layers.

    Args:
        backbone: of Keras's functional kind.
        own: the variables (`ref()`) of all layers from the cut on.

    Returns:
        The place among its layers of the last one before the cut; a model of what comes after it;
        and for each answer of the backbone whether it does. None where more than one layer before
        the cut is read after it.

    """
    layers = backbone.layers
    owned = [any(v.ref() in own for v in layer.variables) for layer in layers]
    places = {id(layer.output): place for place, layer in enumerate(layers)}
    parents = [
        [] if isinstance(layer, tf.keras.layers.InputLayer) else _places(layer.input, places)
        for layer in layers
    ]
    ends = _places(backbone.outputs, places)

    def passed(end: int, cut: int) -> set[int]:
        found, left = set[int](), [end]
        while left:
            place = left.pop()
            if place not in found and place != cut:
                found.add(place)
                left += parents[place]
        return found

    cut = owned.index(True)
    while len(parents[cut]) == 1:  # what has no variables may stand on either side
        cut = parents[cut][0]
        behind = [passed(end, cut) for end in ends]
        is_after = [any(owned[place] for place in found) for found in behind]
        if all(
            all(owned[place] or not layers[place].variables for place in found)
            and all(parents[place] for place in found)
            for found, after in zip(behind, is_after, strict=True)
            if after
        ):
            answers = [o for o, after in zip(backbone.outputs, is_after, strict=True) if after]
            return cut, tf.keras.Model(layers[cut].output, answers), is_after
        if layers[cut].variables:
            break
    return None


def _places(tensors: Any, places: Mapping[int, int]) -> list[int]:
    """The places of the layers that answer with some tensors."""
    return sorted({places[id(tensor)] for tensor in tf.nest.flatten(tensors)})


def _backbone_name(extractor: Any) -> str:
    """The attribute that holds the backbone.

    EfficientDet's holds as `classification_backbone`, as all do, the whole classifier of ImageNet's
    classes, and calls the layers of it that find features.

    Returns:
        The attribute's name.

    """
    return "_efficientnet" if hasattr(extractor, "_efficientnet") else "classification_backbone"


def fix_batch_norms(owners: Iterable[Any], frozen: set[Any]) -> None:
    """Fixes the statistics of the batch norms whose variables (`ref()`) are frozen, and lets those
    of the others learn.
    """
    for layer in (layer for owner in owners for layer in owner.submodules):
        if not isinstance(layer, BATCH_NORMS) or not layer.built:
            continue  # of a shared tower, some are not built
        is_frozen = layer.moving_mean.ref() in frozen
        if isinstance(layer, FreezableBatchNorm):
            layer._training = False if is_frozen else None
        else:  # Keras's own, as in EfficientNet, has no other switch
            layer.trainable = not is_frozen
            # Of TensorFlow 1, a frozen one would normalise by the batch all the same.
            layer._USE_V2_BEHAVIOR = True


def mask_scores(named: Sequence[bool], convert: ScoreConversion) -> ScoreConversion:
    """A conversion of scores that leaves out columns without a name.

    NMS keeps what is above its threshold, which is 0 or more.

    Args:
        named: of each column, whether it has a name.
        convert: the model's own conversion.

    Returns:
        The conversion with 0 for the columns that have none.

    """

    def converted(scores: tf.Tensor) -> tf.Tensor:
        found = convert(scores)
        return found * tf.constant(named, found.dtype)

    return converted
