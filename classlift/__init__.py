"""ClassLift as a library: diagnose, rebalance, train, gate and serve. No TFX, no Airflow.

    import classlift

    data = classlift.snapshot("annotations.json")
    findings = classlift.validate(data, "validation")

What is public is listed in docs/reference/python-api.md, and loaded when it is first asked for.
"""

import os
from typing import TYPE_CHECKING, Any

# Arrow's own pool keeps what is freed, which makes the peak grow with the data; it is chosen when
# pyarrow is imported.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

__version__ = "0.2.0"
__all__ = [
    "Comparison",
    "Diagnosis",
    "Finding",
    "GateSettings",
    "ModelPredictions",
    "Predictions",
    "Snapshot",
    "Verdict",
    "compare",
    "diagnose",
    "gate_models",
    "gate_targets",
    "read_coco_results",
    "snapshot",
    "validate",
]

if TYPE_CHECKING:
    from classlift.api import (
        Comparison,
        Diagnosis,
        Finding,
        GateSettings,
        ModelPredictions,
        Predictions,
        Snapshot,
        Verdict,
        compare,
        diagnose,
        gate_models,
        gate_targets,
        read_coco_results,
        snapshot,
        validate,
    )


def __getattr__(name: str) -> Any:
    """Loads what is public when it is first asked for: `import classlift` alone is quick."""
    if name not in __all__:
        raise AttributeError(f"module 'classlift' has no attribute {name!r}")
    from classlift import api

    return getattr(api, name)
