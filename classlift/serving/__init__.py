"""What is served: the model bundle, the folder of versions, the check of an export, the push."""
