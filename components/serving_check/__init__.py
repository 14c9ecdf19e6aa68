"""ServingCheck: the export answers in a process that has nothing but TensorFlow."""
