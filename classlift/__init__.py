"""ClassLift as a library: diagnose, rebalance, train, gate and serve. No TFX, no Airflow."""

import os

# Arrow's own pool keeps what is freed, which makes the peak grow with the data; it is chosen when
# pyarrow is imported.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

__version__ = "0.2.0"
