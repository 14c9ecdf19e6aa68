"""The pipeline: config, compilation to TFX's IR, one process a node, the local runner, the CLI."""
