"""Detectors: one interface, a folder a backend. Imports TensorFlow, never TFX."""
