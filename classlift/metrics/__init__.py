"""Matching, curves and the gate's statistics. No TFX, no TensorFlow."""
