"""Tests of the TFX shells."""
