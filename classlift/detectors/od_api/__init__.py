"""The TF Object Detection API as a detector backend: entries of its model zoo, SSD family.

The OD API runs on TensorFlow 2.21 with Keras 2, which must be chosen before TensorFlow is first
imported; `pipelines.run_node` does so for the nodes that need it, and for those alone.
"""

import os
import sys
import types

ENVIRONMENT = {"TF_USE_LEGACY_KERAS": "1"}


def prepare() -> None:
    """Makes the OD API importable. Raises RuntimeError when this process was started wrongly."""
    wrong = [name for name, value in ENVIRONMENT.items() if os.environ.get(name) != value]
    if wrong:
        raise RuntimeError(f"The OD API needs {', '.join(wrong)} set before Python starts.")
    from classlift.detectors.od_api import messages

    messages.install()
    # A model architecture that nobody here uses (deepmac) imports tensorflow_io for nothing,
    # and there is no build of it for this TensorFlow.
    sys.modules.setdefault("tensorflow_io", types.ModuleType("tensorflow_io"))
