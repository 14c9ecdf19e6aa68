"""Labelled data: formats, the snapshot's tables, splits, label maps. No TFX, no TensorFlow."""
