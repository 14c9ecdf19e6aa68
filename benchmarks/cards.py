"""The default recipe on photographs of playing cards, of which the champion saw few tens and jacks.

    make bench-cards DATA=../shared/data/cards

See `real_data`. Takes an hour and a half on two cores.
"""

from benchmarks.real_data import RealData, run, setting

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
COMMON = {"batch_size": 16, "steps": 600}
SETTING = setting(DATA, COMMON)

if __name__ == "__main__":
    run(DATA, SETTING)
