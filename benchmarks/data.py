"""How fast labels and images become records, and in how much memory.

    make bench DATA=../shared/data/carla

Copies a Pascal VOC data set ten times, each image with bytes of its own, and measures whole
processes in turn on the same images:

- ours: the snapshot (labels parsed, every image decoded whole, hashed) and the Examples
- stock: TFX's ImportExampleGen, fed with ready-made records of the same images
- bare: a loop that reads the bytes of the images and writes them as TFRecords, and no more

and ours again where nothing, one label, or one image in a hundred has changed. Memory is the
largest sum over the process and its children, in one process and with two workers of Beam's.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

ROUNDS = 3
SCALES = (1, 10, 40)
COPIES = 10


def multiply(source: Path, copies: int, folder: Path) -> int:
    """Writes `copies` of each image, each with a JPEG comment: no two have the same bytes."""
    (folder / "Annotations").mkdir(parents=True)
    (folder / "images").mkdir()
    for xml in sorted((source / "Annotations").glob("*.xml")):
        text = xml.read_text()
        found = re.search("<filename>(.*?)</filename>", text)
        assert found
        name = Path(found.group(1))
        data = (source / "images" / name).read_bytes()
        for copy in range(copies):
            comment = f"copy {copy}".encode()
            segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
            new = f"{name.stem}_{copy:02d}{name.suffix}"
            (folder / "images" / new).write_bytes(data[:2] + segment + data[2:])
            (folder / "Annotations" / f"{name.stem}_{copy:02d}.xml").write_text(
                text.replace(found.group(), f"<filename>{new}</filename>")
            )
    return len(list((folder / "images").iterdir()))


def ours(data: Path, out: Path, options: Sequence[str] = ()) -> float:
    """Seconds of snapshot and Examples; what is in `out/memory` is known from before."""
    from classlift.data.label_map import LabelMap
    from classlift.data.snapshot import Source, take_snapshot
    from classlift.examples.write import write_examples
    from classlift.settings.rebalancing import Rebalancing
    from classlift.transforms import LOCAL_OPTIONS

    options = [*LOCAL_OPTIONS, *options]
    started = time.perf_counter()
    snapshot = take_snapshot([Source(data)], out / "memory", options)
    taken = time.perf_counter()
    labels = LabelMap(tuple(sorted(snapshot.boxes["label"].unique().to_pylist())))
    plan = Rebalancing("none", replay_share=0.0)
    write_examples(snapshot, labels, plan, out / "records", options)
    ended = time.perf_counter()
    (out / "parts.json").write_text(json.dumps([taken - started, ended - taken]))
    return ended - started


def with_workers(data: Path, out: Path) -> float:
    """The same in two processes of Beam's."""
    return ours(data, out, ["--direct_running_mode=multi_processing", "--direct_num_workers=2"])


def stock(data: Path, out: Path) -> float:
    """Seconds of ImportExampleGen on the records in `out/ready`."""
    from tfx import v1 as tfx

    from classlift.transforms import LOCAL_OPTIONS

    started = time.perf_counter()
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="stock",
        pipeline_root=str(out / "pipeline"),
        components=[tfx.components.ImportExampleGen(input_base=str(out / "ready"))],
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(out / "metadata.db")
        ),
        beam_pipeline_args=list(LOCAL_OPTIONS),
    )
    tfx.orchestration.LocalDagRunner().run(pipeline)
    return time.perf_counter() - started


def bare(data: Path, out: Path) -> float:
    """Seconds of reading the bytes and writing them as TFRecords."""
    import tensorflow as tf

    started = time.perf_counter()
    with tf.io.TFRecordWriter(str(out / "bare.tfrecord")) as writer:
        for path in sorted((data / "images").iterdir()):
            writer.write(path.read_bytes())
    return time.perf_counter() - started


WORK: dict[str, Callable[[Path, Path], float]] = {
    "ours": ours,
    "workers": with_workers,
    "stock": stock,
    "bare": bare,
}


def measure(name: str, data: Path, out: Path) -> tuple[float, float, float]:
    """(seconds of the work, seconds of the process, peak MB) of one way in a process of its own."""
    os.sync()
    words = [sys.executable, "-m", "benchmarks.data", str(data), "--work", name, "--out", str(out)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    started = time.perf_counter()
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        peak, root = 0, psutil.Process(process.pid)
        while process.poll() is None:
            try:
                family = [root, *root.children(recursive=True)]
                peak = max(peak, sum(p.memory_info().rss for p in family))
            except psutil.NoSuchProcess:
                pass
            time.sleep(0.05)
        whole = time.perf_counter() - started
        said = process.stdout.read() if process.stdout else ""
        if process.returncode:
            raise SystemExit(process.stderr.read() if process.stderr else name)
    return float(said.splitlines()[-1]), whole, peak / 1e6


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a Pascal VOC folder")
    parser.add_argument("--only", choices=["throughput", "memory"])
    parser.add_argument("--work", choices=list(WORK), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        print(WORK[arguments.work](arguments.data, arguments.out))
        return
    with tempfile.TemporaryDirectory() as temporary:
        for part in (throughput, memory):
            if arguments.only in (None, part.__name__):
                part(arguments.data, Path(temporary))


def throughput(source: Path, folder: Path) -> None:
    """Images/s of each way, and ours when little has changed."""
    data, out = folder / "data", folder / "out"
    images = multiply(source, COPIES, data)
    (out / "ready").mkdir(parents=True)
    measure("ours", data, out)  # a first time: records for the stock way, files in the page cache
    for number, path in enumerate(sorted((out / "records").rglob("data_tfrecord*"))):
        shutil.copy(path, out / "ready" / f"{number:03d}.tfrecord")
    figures: dict[str, list[tuple[float, float, float]]] = {}

    def run(label: str, name: str, *stale: str) -> None:
        for old in ("records", "pipeline", "metadata.db", "bare.tfrecord", *stale):
            path = out / old
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        figures.setdefault(label, []).append(measure(name, data, out))
        if name == "ours":
            parts = json.loads((out / "parts.json").read_text())
            figures.setdefault(f"{label}: snapshot alone", []).append((parts[0], parts[0], 0))

    xmls = sorted((data / "Annotations").iterdir())
    for turn in range(ROUNDS):
        run("ours", "ours", "memory")
        run("ours, nothing changed", "ours")
        text = xmls[turn].read_text()
        xmls[turn].write_text(text + "\n")
        run("ours, one label file changed", "ours")
        for path in sorted((data / "images").iterdir())[turn::100]:
            path.write_bytes(path.read_bytes() + bytes([turn]))
        run("ours, 1% of the images changed", "ours")
        run("stock ImportExampleGen", "stock")
        run("bare loop", "bare")
    print(f"{images} images, median of {ROUNDS} rounds (smallest to largest)")
    for label, found in figures.items():
        work, whole, _ = (sorted(column) for column in zip(*found, strict=True))
        middle = statistics.median(work)
        print(
            f"{label:45s} {images / middle:8.0f} images/s ({images / work[-1]:.0f} to "
            f"{images / work[0]:.0f}); {middle:.1f} s, process {statistics.median(whole):.1f} s"
        )
    medians = {k: [statistics.median(c) for c in zip(*v, strict=True)] for k, v in figures.items()}
    for other in ("stock ImportExampleGen", "bare loop"):
        for label in ("ours", "ours, nothing changed"):
            work, whole = (medians[other][i] / medians[label][i] for i in (0, 1))
            print(
                f"{label} against {other}: {work:.2f} times; as whole processes {whole:.2f} times"
            )
    first, second = (medians[f"{k}: snapshot alone"][0] for k in ("ours", "ours, nothing changed"))
    print(f"a second snapshot of unchanged data takes {second / first:.3f} of the first")
    shutil.rmtree(data)
    shutil.rmtree(out)


def memory(source: Path, folder: Path) -> None:
    """Peak memory of snapshot and Examples at several sizes."""
    peaks: dict[str, list[float]] = {"ours": [], "workers": []}
    for copies in SCALES:
        data = folder / f"data{copies}"
        images = multiply(source, copies, data)
        for name, found in peaks.items():
            out = folder / "out"
            out.mkdir()
            work, _, peak = measure(name, data, out)
            found.append(peak)
            rate = images / work
            print(f"x {copies}: {name}: {images} images, {rate:.0f} images/s, {peak:.0f} MB")
            shutil.rmtree(out)
        shutil.rmtree(data)
    for name, found in peaks.items():
        print(f"{name}: largest / smallest peak {max(found) / min(found):.2f}")


if __name__ == "__main__":
    main()
