"""Trainer: TFX's own, with ClassLift's run function."""
