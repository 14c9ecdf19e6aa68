"""The frame: the size of image that a model takes, and how images of any size get into it."""

from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf


@dataclass(frozen=True)
class Frame:
    """The frame that a detector takes images in, and how they get there.

    Attributes:
        height: in pixels.
        width: in pixels.
        short_side: in pixels; None where images are stretched to the frame. Otherwise they keep
            their aspect: they are scaled until their longer side fills the frame or their shorter
            side has so many pixels, whichever comes first, and are padded with black below and to
            the right; as the OD API does.
        centred: where it is set, images keep their aspect as in Keras: with "pad" black is added on
            both sides until they have the frame's aspect, with "crop" both sides are cut off; then
            they are resized. None otherwise.
        pixel_centres: whether the interpolation takes pixels at their centres, as TensorFlow 2
            does, or at their upper left corners, as the OD API does to this day.
        interpolation: as `tf.image.resize` has it.
        antialias: as `tf.image.resize` has it.

    """

    height: int
    width: int
    short_side: int | None = None
    pixel_centres: bool = True
    centred: Literal["pad", "crop"] | None = None
    interpolation: str = "bilinear"
    antialias: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def keeps_aspect(self) -> bool:
        """Whether images are not stretched."""
        return self.short_side is not None or self.centred is not None

    def fit(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Puts images into the frame.

        Args:
            images: [..., height, width, 3], all of one size.

        Returns:
            Them as float32 in the size of the frame, and the share of the frame's height and width
            that they take up, above 1 where they are cropped: float32[4] in the order of a box, for
            `to_frame` and `to_image`.

        """
        images = tf.cast(images, tf.float32)
        if not self.keeps_aspect or tuple(images.shape[-3:-1]) == self.size:
            return self._resize(images, self.size), tf.ones([4])
        if self.centred is not None:
            return self._fit_centred(images)
        shape = tf.shape(images)
        height, width = shape[-3], shape[-2]
        upright = tf.stack([self.height, self.short_side])
        box = tf.where(height < width, tf.stack([self.short_side, self.width]), upright)
        resized = self._resize(images, box, preserve_aspect_ratio=True)
        taken = tf.shape(resized)[-3:-1]
        padded = tf.image.pad_to_bounding_box(resized, 0, 0, *self.size)
        return padded, tf.tile(tf.cast(taken, tf.float32) / tf.constant(self.size, tf.float32), [2])

    def _fit_centred(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """As keras.ops.image.resize, whose whole numbers of pixels these are."""
        size = tf.shape(images)[-3:-1]
        # The other side, where one is as it is and the image has the frame's aspect.
        sides = tf.constant(self.size)
        wanted = tf.cast(size[::-1] * sides, tf.float32) / tf.cast(sides[::-1], tf.float32)
        wanted = tf.cast(wanted, tf.int32)
        if self.centred == "crop":
            wanted = tf.maximum(tf.minimum(size, wanted), 1)
            start = (size - wanted) // 2
            begin = tf.concat([tf.zeros([images.shape.ndims - 3], tf.int32), start, [0]], axis=0)
            full = tf.fill([images.shape.ndims - 3], -1)
            kept = tf.slice(images, begin, tf.concat([full, wanted, [-1]], axis=0))
        else:
            start = (tf.maximum(size, wanted) - size) // 2
            wanted = size + 2 * start
            added = tf.tile(tf.concat([start, [0]], axis=0)[:, None], [1, 2])
            none = tf.zeros([images.shape.ndims - 3, 2], tf.int32)
            kept = tf.pad(images, tf.concat([none, added], axis=0))
        taken = tf.cast(size, tf.float32) / tf.cast(wanted, tf.float32)
        return self._resize(kept, self.size), tf.tile(taken, [2])

    def to_frame(self, boxes: tf.Tensor, taken: tf.Tensor) -> tf.Tensor:
        """The boxes of an image as boxes of the frame that it was put into.

        Args:
            boxes: [..., 4], in 0..1 of the image.
            taken: [..., 4], the share of the frame that the image takes up, as `fit` says.

        Returns:
            [..., 4], in 0..1 of the frame; what is cropped away lies outside.

        """
        return boxes * taken + self._before(taken)

    def to_image(self, boxes: tf.Tensor, taken: tf.Tensor) -> tf.Tensor:
        """The inverse of `to_frame`, within the image."""
        if not self.keeps_aspect:
            return boxes
        return tf.clip_by_value((boxes - self._before(taken)) / taken, 0.0, 1.0)

    def _before(self, taken: tf.Tensor) -> tf.Tensor:
        """What lies above and to the left of the image, as a share of the frame."""
        return (1.0 - taken) / 2.0 if self.centred is not None else tf.zeros_like(taken)

    def _resize(self, images: tf.Tensor, size: Any, **options: Any) -> tf.Tensor:
        if self.pixel_centres:
            return tf.image.resize(
                images, size, self.interpolation, antialias=self.antialias, **options
            )
        return tf.compat.v1.image.resize(images, size, **options)
