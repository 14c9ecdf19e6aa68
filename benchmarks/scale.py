"""What data cost at the size of COCO's train2017, and at fractions of it.

    python -m benchmarks.scale --images 1000 16000 118287

Writes COCO JSON as that of train2017 is (7.3 boxes an image, 80 classes, polygons, crowds), with
pictures of 640 x 480, a thousand of them in many files that differ by a comment, and measures each
piece of work in a process of its own: CPU seconds, and peak memory as the kernel has it. What reads
pictures runs where `--pictures` asks for it. The plain ways, which are kept as what fast ones are
tested against, run beside them; those that take all pairs run up to `--plain` images.
"""

import argparse
import io
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import skimage.data
from PIL import Image

from classlift.data import duplicates
from classlift.data.formats.coco import coco_shards, load, shards_of
from classlift.data.geometry import SIDES
from classlift.data.image_files import ImageFiles
from classlift.data.label_map import LabelMap
from classlift.data.places import Place
from classlift.data.snapshot import Snapshot, Source, take_snapshot
from classlift.examples.write import write_examples
from classlift.quality.measures import repeated_iou
from classlift.quality.validate import validate
from classlift.settings.rebalancing import Rebalancing
from classlift.settings.sources import SPREAD

BOXES_AN_IMAGE = 860_001 / 118_287
CLASSES = 80
LABELS = "instances_train2017.json"
PICTURES = 1000  # that differ


def pictures(count: int) -> list[bytes]:
    """JPEGs of four parts of photographs each, which differ in more than near duplicates do."""
    photographs = [getattr(skimage.data, name)() for name in ("astronaut", "coffee", "chelsea")]
    rng = np.random.default_rng(0)
    result = []
    for _ in range(count):
        whole = Image.new("RGB", (640, 480))
        for corner in ((0, 0), (320, 0), (0, 240), (320, 240)):
            pixels = photographs[rng.integers(len(photographs))]
            y, x = (
                rng.integers(side - size)
                for side, size in zip(pixels.shape[:2], (240, 300), strict=True)
            )
            part = Image.fromarray(pixels[y : y + 240, x : x + 300]).resize((320, 240))
            whole.paste(part.transpose(Image.Transpose(int(rng.integers(7)))), corner)
        file = io.BytesIO()
        whole.save(file, "JPEG", quality=85)
        result.append(file.getvalue())
    return result


def write_pictures(images: int, folder: Path) -> None:
    """Writes the files of all images, each with a comment: no two have the same bytes."""
    some = pictures(min(images, PICTURES))
    for number in range(images):
        data, comment = some[number % len(some)], str(number).encode()
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        (folder / f"{number:012d}.jpg").write_bytes(data[:2] + segment + data[2:])


def write_labels(images: int, folder: Path) -> None:
    """Writes labels of so many images, line by line, and an empty file where one is missing."""
    rng = random.Random(0)
    with (folder / LABELS).open("w") as file:
        file.write('{"info": {"description": "synthetic"}, "images": [')
        for number in range(images):
            name = f"{number:012d}.jpg"
            (folder / name).touch()
            record = {"license": 3, "file_name": name, "height": 480, "width": 640, "id": number}
            record["flickr_url"] = "http://farm9.example.com/8186/8119368305_4e622c8349_z.jpg"
            file.write(", " * bool(number) + json.dumps(record))
        file.write('], "annotations": [')
        for number in range(round(images * BOXES_AN_IMAGE)):
            is_crowd = number % 85 == 0
            x, y, width, height = (round(rng.random() * side, 2) for side in (400, 300, 240, 180))
            points = [round(rng.random() * 600, 2) for _ in range(2 * rng.randrange(6, 50))]
            runs = {"counts": [rng.randrange(400) for _ in range(150)], "size": [480, 640]}
            record = {
                "segmentation": runs if is_crowd else [points],
                "area": round(width * height, 4),
                "iscrowd": int(is_crowd),
                "image_id": rng.randrange(images),
                "bbox": [x, y, width, height],
                "category_id": rng.randrange(CLASSES) + 1,
                "id": number,
            }
            file.write(", " * bool(number) + json.dumps(record))
        categories = [{"id": number + 1, "name": f"class {number}"} for number in range(CLASSES)]
        file.write(f'], "categories": {json.dumps(categories)}}}')


def coco_whole(folder: Path, images: int) -> None:
    """The JSON read at once."""
    path = folder / LABELS
    _ = [shard.key for shard in shards_of(load(path), path, ImageFiles(folder))]


def coco_in_a_stream(folder: Path, images: int) -> None:
    """The JSON read in a stream; the second time, what was kept of it."""
    kept = folder / "kept"
    kept.mkdir(exist_ok=True)
    _ = [shard.key for shard in coco_shards(Place("coco", folder / LABELS, folder, kept=kept))]


def near_duplicates(folder: Path, images: int) -> None:
    """Near duplicates among random hashes."""
    duplicates.near_components(
        np.frombuffer(np.random.default_rng(0).bytes(32 * images), np.uint64).reshape(-1, 4)
    )


def all_pairs(folder: Path, images: int) -> None:
    """The same by all pairs of hashes."""
    duplicates._FEW = images**2
    near_duplicates(folder, images)


def repeated_boxes(folder: Path, images: int) -> None:
    """The largest IoU of each box with an earlier one of its class and image."""
    rng = np.random.default_rng(0)
    count = round(images * BOXES_AN_IMAGE)
    boxes = pd.DataFrame(rng.random((count, 4)), columns=SIDES)
    boxes["image_id"] = rng.integers(0, images, count).astype(str)
    boxes["label"] = pd.Categorical(rng.integers(0, CLASSES, count).astype(str))
    repeated_iou(boxes)


def snapshot_of_all(folder: Path, images: int) -> None:
    """A snapshot, with splits found; the second time, of what has not changed."""
    source = Source(folder / LABELS, split_from=SPREAD)
    take_snapshot([source], folder / "memory").write(folder / "snapshot")


def validation(folder: Path, images: int) -> None:
    """Its validation: rules, copies of train, report."""
    snapshot = Snapshot.read(folder / "snapshot")
    labels = sorted(snapshot.boxes["label"].unique().to_pylist())
    validate(snapshot, labels, labels[:1], 1, folder / "validation")


def examples(folder: Path, images: int) -> None:
    """Its records of tf.Examples, not rebalanced."""
    snapshot = Snapshot.read(folder / "snapshot")
    labels = LabelMap(tuple(sorted(snapshot.boxes["label"].unique().to_pylist())))
    plan = Rebalancing("none", replay_share=0.0)
    write_examples(snapshot, labels, plan, folder / "records")


def nothing(folder: Path, images: int) -> None:
    """The imports alone, which all of these have."""


WORK: dict[str, tuple[Callable[[Path, int], None], bool]] = {
    "imports alone": (nothing, False),
    "COCO JSON, whole": (coco_whole, False),
    "COCO JSON, in a stream": (coco_in_a_stream, False),
    "COCO JSON, unchanged": (coco_in_a_stream, False),
    "near duplicates, all pairs": (all_pairs, True),
    "near duplicates": (near_duplicates, False),
    "repeated boxes": (repeated_boxes, False),
}
OF_PICTURES: dict[str, Callable[[Path, int], None]] = {
    "snapshot": snapshot_of_all,
    "snapshot, unchanged": snapshot_of_all,
    "examples": examples,
    "validation": validation,
}
"""What is measured, in this order, and whether it is only up to `--plain` images."""


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 16_000, 118_287])
    parser.add_argument("--plain", type=int, default=16_000, help="the most images of all pairs")
    parser.add_argument("--pictures", action="store_true", help="measure what reads pictures")
    parser.add_argument("--work", choices=[*WORK, *OF_PICTURES], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        started = time.process_time()
        measured = OF_PICTURES.get(arguments.work) or WORK[arguments.work][0]
        measured(arguments.folder, arguments.images[0])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(json.dumps([time.process_time() - started, peak]))
        return
    print("| images | work | CPU s | peak MB |\n|---|---|---|---|")
    for images in arguments.images:
        with tempfile.TemporaryDirectory() as folder:
            if arguments.pictures:
                write_pictures(images, Path(folder))
            write_labels(images, Path(folder))
            slow = {name for name, (_, is_plain) in WORK.items() if is_plain}
            for work in OF_PICTURES if arguments.pictures else WORK:
                if work in slow and images > arguments.plain:
                    continue
                words = ["--work", work, "--images", str(images), "--folder", folder]
                command = [sys.executable, "-m", "benchmarks.scale", *words]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                seconds, peak = json.loads(done.stdout.splitlines()[-1])
                print(f"| {images:,} | {work} | {seconds:.2f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
