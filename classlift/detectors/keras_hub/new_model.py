"""Makes a folder with a KerasHub model: from a preset, a `.keras` file, or fresh and small."""

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_hub

from classlift.data.label_map import LabelMap, coco_label_map
from classlift.detectors.keras_hub.detectors import kind_of
from classlift.detectors.keras_hub.model_folder import read_model
from classlift.errors import ConfigError, ModelError

logger = logging.getLogger(__name__)

PRIOR = 0.01
"""The score that a fresh class head of a RetinaNet gives everything; Lin et al. (2017), 4.1."""

ANCHOR = 2.0
"""Side of the smallest anchor of a level in a small RetinaNet, in cells of its feature map: half of
KerasHub's, for in small images objects are small."""

STRIDE = 32
"""Sides of images are multiples of it, so that feature maps of all levels fit each other."""


def write_new(
    folder: Path,
    label_map: LabelMap | None,
    *,
    preset: str | None = None,
    file: Path | None = None,
    small: str | None = None,
    size: int | None = None,
) -> None:
    """Writes a model for the classes of a label map, from exactly one of three sources.

    What scores the classes is made anew where the source has another number of them.

    Args:
        folder: to write.
        label_map: None for the classes of a model trained on COCO.
        preset: the name of a preset of KerasHub, downloaded when it is not there yet, or its
            folder.
        file: a `.keras` file.
        small: one of `SMALL`, with random weights.
        size: height and width of its images in pixels; by default those of the source, or 128.

    Raises:
        ModelError: the source can't be read.
        ConfigError: the size is bad, or there is no label map where the classes are not COCO's.

    """
    if size is not None and (size < STRIDE or size % STRIDE):
        raise ConfigError(f"--size is {size}; it must be a multiple of {STRIDE}.")
    if small is not None:
        if label_map is None:
            raise ConfigError("--small has no classes yet: name them by --labels.")
        model = SMALL[small](label_map.last_id, size or 128)
    else:
        if preset is not None:
            logger.info(f"getting the preset {preset}")
            model = _from_preset(preset)
        elif file is not None:
            model = read_model(file)
        kind_of(model, preset or file)
        label_map = label_map or coco_label_map(model.num_classes)
        if label_map is None:
            raise ConfigError(
                f"{preset or file}: it has {model.num_classes} classes, and which are not "
                "COCO's: name them by --labels."
            )
        if label_map.last_id != model.num_classes:
            logger.info(
                f"what scores the classes is made anew, for {label_map.last_id} classes instead of "
                f"{model.num_classes}"
            )
        model = fitted(model, label_map.last_id, size)
    detector = kind_of(model, folder)(model, label_map)
    detector.save(folder)
    height, width = detector.frame.size
    logger.info(f"{model.count_params():,} parameters, images of {width} x {height} pixels")


def _from_preset(name: str) -> keras.Model:
    try:
        return keras_hub.models.ObjectDetector.from_preset(name)
    except (OSError, ValueError, TypeError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(
            f"The preset {name!r} of KerasHub could not be had ({first}); check its name, and that "
            "this machine reaches where presets are kept, or bring a `.keras` file."
        ) from error


def fitted(model: keras.Model, classes: int, size: int | None = None) -> keras.Model:
    """A model with the same weights for another number of classes, or another size of images.

    Args:
        model: a detector of KerasHub.
        classes: how many it is to score. Where the number is another one, the weights of what
            scores them are random.
        size: height and width of its images in pixels; None leaves them.

    Returns:
        The same model where nothing changes, else a new one.

    """
    if classes == model.num_classes and size is None:
        return model
    config = model.get_config()
    config["num_classes"] = classes
    if size is not None:
        _set_size(config, size)
    found = type(model).from_config(config)
    for new, old in zip(found.weights, model.weights, strict=True):
        if new.shape == old.shape:
            new.assign(old)
    if classes != model.num_classes and isinstance(found, keras_hub.models.RetinaNetObjectDetector):
        _expect_nothing(found)
    return found


def _set_size(config: dict[str, Any], size: int) -> None:
    """Sets the size of images wherever a detector's config has one."""
    backbone = config["backbone"]["config"]
    encoder = backbone["image_encoder" if "image_encoder" in backbone else "backbone"]["config"]
    for part in (backbone, encoder):
        part["image_shape"] = (size, size, 3)
    if "anchor_image_size" in backbone:
        backbone["anchor_image_size"] = (size, size)
    if config["preprocessor"] is not None:
        config["preprocessor"]["config"]["image_converter"]["config"]["image_size"] = (size, size)


def _expect_nothing(model: keras.Model) -> None:
    """Sets a fresh RetinaNet to score everything with `PRIOR`: KerasHub does it to the boxes."""
    bias = model.classification_head.prediction_layer.bias
    bias.assign(keras.ops.full(bias.shape, -math.log((1 - PRIOR) / PRIOR)))


def small_retinanet(
    classes: int, size: int, *, widths: tuple[int, ...] = (64, 64, 128, 256), depth: int = 2
) -> keras.Model:
    """A RetinaNet on a thin ResNet of a block a stage, with random weights.

    Args:
        classes: how many it scores.
        size: height and width of its images in pixels.
        widths: channels of the stages, with strides 4, 8, 16, ...; the first is 64. The last is the
            coarsest level of the pyramid. Heads and pyramid always have 256 channels.
        depth: convolutions in each head.

    Returns:
        The model.

    """
    models, layers = keras_hub.models, keras_hub.layers
    shape, stages = (size, size, 3), len(widths)
    encoder = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=list(widths),
        stackwise_num_blocks=[1] * stages,
        stackwise_num_strides=[1] + [2] * (stages - 1),
        block_type="basic_block",
        image_shape=shape,
    )
    backbone = models.RetinaNetBackbone(
        image_encoder=encoder,
        min_level=3,
        max_level=stages + 1,
        use_p5=False,
        image_shape=shape,
    )
    converter = layers.RetinaNetImageConverter(
        image_size=shape[:2], scale=1 / 255, crop_to_aspect_ratio=False
    )
    anchors = layers.AnchorGenerator(
        "yxyx",
        min_level=3,
        max_level=stages + 1,
        num_scales=3,
        aspect_ratios=[0.5, 1.0, 2.0],
        anchor_size=ANCHOR,
    )
    model = models.RetinaNetObjectDetector(
        backbone=backbone,
        num_classes=classes,
        anchor_generator=anchors,
        pre_logits_num_conv_layers=depth,
        preprocessor=models.RetinaNetObjectDetectorPreprocessor(image_converter=converter),
    )
    _expect_nothing(model)
    bias = model.box_head.prediction_layer.bias
    bias.assign(keras.ops.zeros(bias.shape))
    return model


def small_d_fine(
    classes: int, size: int, *, width: int = 64, queries: int = 100, layers: int = 3
) -> keras.Model:
    """A D-FINE on a thin HGNetV2 with two levels of features, with random weights.

    Args:
        classes: how many it scores.
        size: height and width of its images in pixels.
        width: channels of encoder and decoder; a multiple of 16.
        queries: fewer where an image has fewer places.
        layers: of its decoder.

    Returns:
        The model.

    """
    models, shape, strides = keras_hub.models, (size, size, 3), [16, 32]
    stages = [width // 2, width, 2 * width, 4 * width]
    backbone = models.HGNetV2Backbone(
        stem_channels=[3, width // 4, width // 4],
        stackwise_stage_filters=[
            [width // 4, width // 4, stages[0], 1, 1, 3],
            [stages[0], width // 4, stages[1], 1, 1, 3],
            [stages[1], width // 2, stages[2], 1, 1, 3],
            [stages[2], width, stages[3], 1, 1, 3],
        ],
        apply_downsample=[False, True, True, True],
        use_lightweight_conv_block=[False, False, True, True],
        depths=[1] * 4,
        hidden_sizes=stages,
        embedding_size=width // 4,
        use_learnable_affine_block=True,
        hidden_act="relu",
        image_shape=shape,
        out_features=["stage3", "stage4"],
    )
    transformer = models.DFineBackbone(
        backbone=backbone,
        encoder_in_channels=stages[2:],
        encoder_hidden_dim=width,
        encode_proj_layers=[1],
        encoder_ffn_dim=4 * width,
        num_encoder_layers=1,
        num_attention_heads=4,
        hidden_expansion=0.5,
        depth_multiplier=0.34,
        decoder_in_channels=[width] * 2,
        hidden_dim=width,
        num_decoder_layers=layers,
        decoder_attention_heads=4,
        decoder_ffn_dim=4 * width,
        decoder_n_points=[4, 4],
        eval_idx=-1,
        num_queries=min(queries, sum((size // stride) ** 2 for stride in strides)),
        learn_initial_query=False,
        num_denoising=0,
        num_feature_levels=2,
        feat_strides=strides,
        anchor_image_size=shape[:2],
        lqe_hidden_dim=width,
        num_lqe_layers=2,
        num_labels=classes,
        image_shape=shape,
        out_features=["stage3", "stage4"],
    )
    converter = keras_hub.layers.DFineImageConverter(
        image_size=shape[:2], scale=1 / 255, crop_to_aspect_ratio=False
    )
    return models.DFineObjectDetector(
        backbone=transformer,
        num_classes=classes,
        preprocessor=models.DFineObjectDetectorPreprocessor(image_converter=converter),
    )


SMALL: Mapping[str, Callable[[int, int], keras.Model]] = {
    "retinanet": small_retinanet,
    "d_fine": small_d_fine,
}
"""Fresh models by name, for a number of classes and a size of images."""
