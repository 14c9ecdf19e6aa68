"""The frame: the size of image that a model takes, and how images of any size get into it."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class Frame:
    """height, width: in pixels.

    short_side: None where images are stretched to the frame. Otherwise they keep their aspect: they
    are scaled until their longer side fills the frame or their shorter side has so many pixels,
    whichever comes first, and are padded with black below and to the right.
    pixel_centres: whether the bilinear interpolation takes pixels at their centres, as TensorFlow 2
    does, or at their upper left corners, as the OD API does to this day.
    """

    height: int
    width: int
    short_side: int | None = None
    pixel_centres: bool = True

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def fit(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Puts images [..., height, width, 3], all of one size, into the frame.

        Returns them as float32, and the share of the frame's height and width that they take up,
        float32[4] in the order of a box: boxes in 0..1 of the image times it are boxes in 0..1 of
        the frame.
        """
        images = tf.cast(images, tf.float32)
        if self.short_side is None or tuple(images.shape[-3:-1]) == self.size:
            return self._resize(images, self.size), tf.ones([4])
        shape = tf.shape(images)
        height, width = shape[-3], shape[-2]
        upright = tf.stack([self.height, self.short_side])
        box = tf.where(height < width, tf.stack([self.short_side, self.width]), upright)
        resized = self._resize(images, box, preserve_aspect_ratio=True)
        taken = tf.shape(resized)[-3:-1]
        padded = tf.image.pad_to_bounding_box(resized, 0, 0, *self.size)
        return padded, tf.tile(tf.cast(taken, tf.float32) / tf.constant(self.size, tf.float32), [2])

    def _resize(self, images: tf.Tensor, size: Any, **options: Any) -> tf.Tensor:
        resize = tf.image.resize if self.pixel_centres else tf.compat.v1.image.resize
        return resize(images, size, **options)
