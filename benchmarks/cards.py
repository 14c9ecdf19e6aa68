"""The default recipe on photographs of playing cards, of which the champion saw few tens and jacks.

    make bench-cards DATA=../shared/data/cards

See `real_data`. Takes an hour and a half on two cores.
"""

from benchmarks.comparison import Entry
from benchmarks.real_data import RealData, run, setting
from classlift.settings.recipe import Recipe

DATA = RealData(
    name="cards",
    parts=(("train", "JPEGImages"), ("test", "JPEGImages")),
    classes=("ace", "jack", "king", "nine", "queen", "ten"),
    weak=("ten", "jack"),
    known=12,
    others=0.3,
    height=256,
    width=192,
    anchor_scale=2.0,
    steps=1200,
    flip=False,
)
REFERENCE = "full, balanced replay"
BATCH = {"batch_size": 16}
FULL = {**BATCH, "freeze_policy": "none", "learning_rate": 1e-3, "steps": 600}
BRANCH = {**BATCH, "freeze_policy": "target-branch", "learning_rate": 0.008}
BLOCK = {**BRANCH, "freeze_policy": "target-branch+block:9"}
AT_DEFAULT = {"learning_rate": Recipe.learning_rate}
SETTING = setting(
    DATA,
    (
        Entry("default (target-branch)", BRANCH),
        Entry("target-branch+neck", {**BRANCH, "freeze_policy": "target-branch+neck"}),
        Entry("target-branch+block:9", BLOCK),
        Entry("target-branch+image", {**BRANCH, "freeze_policy": "target-branch+image"}),
        Entry("target-branch at 0.002", {**BRANCH, **AT_DEFAULT}),
        Entry("target-branch+block:9 at 0.002", {**BLOCK, **AT_DEFAULT}),
        Entry(REFERENCE, FULL),
        Entry("full, new data only", FULL, {"replay_share": 0.0, "method": "none"}),
    ),
    REFERENCE,
)

if __name__ == "__main__":
    run(DATA, SETTING)
