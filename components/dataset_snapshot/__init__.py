"""DatasetSnapshot: labels and images become immutable, content-hashed tables."""
