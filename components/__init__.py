"""The TFX components of ClassLift, a folder each, and the domain that they share."""
