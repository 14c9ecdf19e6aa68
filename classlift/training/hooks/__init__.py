"""What happens around the steps of a training: a file a hook, each with its own state and clock."""
