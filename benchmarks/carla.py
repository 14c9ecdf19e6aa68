"""The default recipe on real data that it was not tuned on: street scenes with few bikes.

    make bench-carla DATA=../shared/data/carla

See `real_data`. Takes an hour and a half on two cores.
"""

from benchmarks.real_data import RealData, run, setting

DATA = RealData(
    name="carla",
    parts=(("", "images"),),
    classes=("vehicle", "traffic_light", "bike", "traffic_sign", "motobike"),
    weak=("bike",),
    known=12,
    others=1.0,
    height=256,
    width=384,
    anchor_scale=1.0,
    steps=2500,
    flip=True,
)
COMMON = {"batch_size": 16, "steps": 600, "flip": True}
SETTING = setting(DATA, COMMON)

if __name__ == "__main__":
    run(DATA, SETTING)
