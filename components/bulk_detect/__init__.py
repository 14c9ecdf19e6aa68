"""BulkDetect: a model's predictions on eval and test, once, for all who judge it."""
