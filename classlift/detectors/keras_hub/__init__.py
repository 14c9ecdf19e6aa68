"""KerasHub as a detector backend: RetinaNet and D-FINE.

A model on disk is a folder with `model.keras`, as Keras saves it, and `label_map.pbtxt`.
"""

ENVIRONMENT = {
    # KerasHub is written for Keras 3, on TensorFlow whatever the user's keras.json says.
    "TF_USE_LEGACY_KERAS": "0",
    "KERAS_BACKEND": "tensorflow",
}
"""What must hold before TensorFlow is first imported."""
