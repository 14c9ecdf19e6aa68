"""Recipes side by side on the demo, three seeds each: the table and the picture of docs/benchmarks.

    make bench-recipes

Takes one to two hours on two cores; results are kept in `build/bench-recipes`, see `comparison`.
"""

import sys
from collections.abc import Sequence

from benchmarks.comparison import REFERENCE, ROOT, Entry, Setting, main
from classlift.data.snapshot import Source

FULL = {"freeze_policy": "none", "learning_rate": 1e-3, "steps": 800}
NEW_ONLY = {"replay_share": 0.0, "method": "none"}
RATE = {"learning_rate": 0.008}
BRANCH = {**RATE, "freeze_policy": "target-branch"}
ENTRIES = (
    Entry("default", RATE),
    Entry("default at 0.002", {}),
    Entry("target-branch", BRANCH),
    Entry("target-branch+neck", {**BRANCH, "freeze_policy": "target-branch+neck"}),
    Entry("target-branch+block:8", {**BRANCH, "freeze_policy": "target-branch+block:8"}),
    Entry("target-branch+image", {**BRANCH, "freeze_policy": "target-branch+image"}),
    Entry("full, new data only", FULL, NEW_ONLY),
    Entry("full, new data only, class weight 3", {**FULL, "class_weight": 3.0}, NEW_ONLY),
    Entry(REFERENCE, FULL),
    Entry("full, balanced replay, interpolation", {**FULL, "interpolation": True}),
    Entry("full, balanced replay, distillation", {**FULL, "distillation": 1.0}),
    Entry("backbone frozen, balanced replay", {**FULL, "freeze_policy": "backbone"}),
    Entry("class head alone", {**FULL, "freeze_policy": "all-but-class-head"}),
    Entry("target-branch with class weight 3", {**BRANCH, "class_weight": 3.0}),
    Entry("target-branch without rebalancing", BRANCH, {"method": "none"}),
    Entry("target-branch without replay", BRANCH, {"replay_share": 0.0}),
    Entry("target-branch without rivalry", {**BRANCH, "rivalry": False}),
    Entry("target-branch with auxiliary loss", {**BRANCH, "auxiliary": 1.0}),
)


def sources() -> Sequence[Source]:
    """The demo's data."""
    from demo.scenes import write_demo_data
    from pipelines.config import load_config

    config = load_config(ROOT / "configs" / "digits.yaml")
    write_demo_data(config.data_root)
    return config.sources


SETTING = Setting(
    module="benchmarks.recipes",
    work=ROOT / "build" / "bench-recipes",
    model=ROOT / "demo" / "model",
    target="8",
    sources=sources,
    entries=ENTRIES,
)

if __name__ == "__main__":
    sys.exit(main(SETTING, ROOT / "benchmarks" / "recipes.svg"))
