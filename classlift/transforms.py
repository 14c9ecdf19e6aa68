"""One function over many shards, as an Apache Beam pipeline.

The same code runs on one machine and on a Beam runner: Beam's pipeline options decide alone. A
shard, not a record, is Beam's element, so that its cost per element is small. Shards write files;
the runner's workers must see the same file system.
"""

import gc
import json
import logging
import pickle
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from classlift.errors import ClassLiftError, DataError
from classlift.progress import Countdown

logger = logging.getLogger(__name__)

LOCAL_OPTIONS = ("--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",)
"""In memory, in this process. Beam's own default delegates to Prism, a binary to download."""

LOOK_SECONDS = 1.0
"""Between two looks at how far the workers are."""

_counting = threading.local()
"""Its `path` is the file in which this worker counts the images of its shard."""


def for_tfx(options: Sequence[str]) -> list[str]:
    """Beam's options for TFX's own components.

    For workers elsewhere TFX packs itself each time, 52 MB that stay in the temporary folder. Those
    of the local runner have it: an image, which none of them reads, tells TFX so.

    Args:
        options: of a config.

    Returns:
        They, and that image where all work is done on this machine.

    """
    own = ["--sdk_container_image=none"] if LOCAL_OPTIONS[0] in options else []
    return [*options, *own]


def map_shards(
    function: Callable[..., None],
    shards: Iterable[Any],
    folder: Path,
    options: Sequence[str] = LOCAL_OPTIONS,
    images: int | None = None,
    **context: Any,
) -> None:
    """Calls `function(shard, folder, **context)` once for each shard, in no order.

    Args:
        function: of a module, so that workers can import it; it must bear to be called again for a
            shard, as Beam does when a worker is lost.
        shards: that can be pickled.
        folder: that all workers see.
        options: Beam's, as on its command line.
        images: how many images there are in all shards, where the function counts those that are
            done (`count_images`); by default shards are counted.
        **context: further arguments, the same for all.

    Raises:
        DataError: some raised a ClassLiftError; it has the first shard's sentence.

    """
    with _no_garbage():
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions

    work = folder / ".shards"  # Beam's own elements are numbers: it would compress larger ones
    shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
    work.mkdir(parents=True, mode=0o755)  # what is unpickled, nobody else may write
    call = _Call(function, str(folder))
    try:
        count = 0
        for shard in shards:
            order = _order(work, count)
            order.touch(mode=0o644)
            order.write_bytes(pickle.dumps((shard, context)))
            count += 1
        with (
            _progress(work, count, images),
            beam.Pipeline(options=PipelineOptions(list(options))) as pipeline,
        ):
            _ = (
                pipeline
                | "Shards" >> beam.Create(list(range(count)), reshuffle=True)  # type: ignore[no-untyped-call]
                | "Work" >> beam.Map(call)  # type: ignore[no-untyped-call]
            )
        errors = [file for file in sorted(work.glob("*.done")) if file.stat().st_size]
        if errors:
            raise DataError(json.loads(errors[0].read_text()))
    finally:
        shutil.rmtree(work)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """What is made within stays: the collector looks through it neither now nor later."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()


def _order(work: Path, number: int) -> Path:
    return work / f"{number:08d}.pickle"


class _Call:
    """What travels to the workers; a file says that a shard is done, or why it can't be.

    Beam turns exceptions into text with a trace, so the sentences take this way instead.
    """

    def __init__(self, function: Callable[..., None], folder: str) -> None:
        self.function, self.folder = function, folder

    def __call__(self, number: int) -> int:
        folder = Path(self.folder)
        order = _order(folder / ".shards", number)
        shard, context = pickle.loads(order.read_bytes())  # noqa: S301, written above
        sentence = ""
        _counting.path = order.with_suffix(".images")
        _counting.path.unlink(missing_ok=True)  # of a worker that was lost
        try:
            self.function(shard, folder, **context)
        except ClassLiftError as error:
            sentence = json.dumps(str(error))
        order.with_suffix(".done").write_text(sentence)
        return number


def count_images(count: int) -> None:
    """Says from within a shard, to `map_shards`, how many more of its images are done."""
    with _counting.path.open("a") as file:
        file.write(f"{count}\n")


@contextmanager
def _progress(work: Path, shards: int, images: int | None) -> Iterator[None]:
    """Says every few seconds how far the workers are."""
    finished = threading.Event()
    countdown = Countdown(logger, images or shards, "images" if images else "shards")

    def done() -> int:
        if images is None:
            return len(list(work.glob("*.done")))
        return sum(sum(map(int, path.read_text().split())) for path in work.glob("*.images"))

    def watch() -> None:
        while not finished.wait(LOOK_SECONDS):
            countdown.reach(done())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
