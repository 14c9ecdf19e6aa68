"""The commands that need the pipeline of a config, a file a command; see `classlift.cli`."""
