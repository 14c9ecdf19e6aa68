"""Training: the loop, the step, the input, cached features, checkpoints."""
