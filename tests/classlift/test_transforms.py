"""One Beam pipeline on several runners: the same files, byte for byte."""

import os
import re
import tempfile
import time
from pathlib import Path

import pytest

from classlift import progress, transforms
from classlift.data.label_map import LabelMap
from classlift.data.snapshot import Source, take_snapshot
from classlift.errors import DataError
from classlift.examples.write import write_examples
from classlift.settings.rebalancing import Rebalancing
from classlift.transforms import LOCAL_OPTIONS, count_images, for_tfx, map_shards
from demo import scenes

pytestmark = pytest.mark.pipeline
LABELS = LabelMap(scenes.CLASSES)
PROCESSES = (*LOCAL_OPTIONS, "--direct_running_mode=multi_processing", "--direct_num_workers=2")


def refuse_odd(shard: int, folder: Path) -> None:
    if shard % 2:
        raise DataError(f"shard {shard} is odd.")
    (folder / str(shard)).touch()


def note_process(shard: int, folder: Path) -> None:
    (folder / str(shard)).write_text(str(os.getpid()))


def test_sentences_travel_and_the_first_one_counts(tmp_path):
    with pytest.raises(DataError, match="shard 3 is odd"):
        map_shards(refuse_odd, [0, 2, 3, 5], tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "2"]


def test_what_a_killed_run_left_does_not_matter(tmp_path):
    (tmp_path / ".shards").mkdir()
    (tmp_path / ".shards" / "00000000.done").write_text('"a sentence of long ago"')
    map_shards(refuse_odd, [0, 2], tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "2"]


def test_shards_that_cannot_be_made_leave_nothing(tmp_path):
    def shards():
        yield 0
        raise DataError("the plan is wrong")

    with pytest.raises(DataError, match="the plan is wrong"):
        map_shards(refuse_odd, shards(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_shards_is_no_work(tmp_path):
    map_shards(refuse_odd, [], tmp_path)
    assert list(tmp_path.iterdir()) == []


def count_slowly(shard: int, folder: Path) -> None:
    for _ in range(shard):
        time.sleep(0.3)
        count_images(10)


def test_images_are_counted_as_the_workers_do_them(tmp_path, monkeypatch, caplog):
    """Also within a shard, so that one that takes long is no silence."""
    monkeypatch.setattr(progress, "SECONDS", 0.5)
    monkeypatch.setattr(transforms, "LOOK_SECONDS", 0.1)
    map_shards(count_slowly, [4, 3], tmp_path, images=70)
    counts = [int(line.split()[0]) for line in caplog.messages]
    assert len(counts) >= 2
    assert counts == sorted(set(counts))
    assert all(re.fullmatch(r"\d0 of 70 images, \d s left", line) for line in caplog.messages)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Enough scenes for several shards and record files."""
    folder = tmp_path_factory.mktemp("scenes")
    scenes.write_split(scenes.NEW, folder / "data", 600)
    return folder / "data" / "annotations.json"


def files(data: Path, folder: Path, options: tuple[str, ...]) -> dict[str, bytes]:
    """All records of a run with copy-paste, by name."""
    snapshot = take_snapshot([Source(data)], beam_options=options)
    plan = Rebalancing(targets=("8",), copy_paste=0.3, max_growth=5.0)
    write_examples(snapshot, LABELS, plan, folder, options)
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def expected(data, tmp_path_factory) -> dict[str, bytes]:
    return files(data, tmp_path_factory.mktemp("local"), LOCAL_OPTIONS)


def test_processes_give_the_same_records(data, expected, tmp_path):
    assert files(data, tmp_path, PROCESSES) == expected


def test_a_distributed_runner_gives_the_same_records(data, expected, tmp_path, monkeypatch):
    """Beam's DaskRunner on a cluster of two worker processes."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    runner = "--runner=apache_beam.runners.dask.dask_runner.DaskRunner"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        options = (runner, f"--dask_client_address={cluster.scheduler_address}")
        options = (*options, "--dask_partition_size=1")
        assert files(data, tmp_path / "records", options) == expected
        map_shards(note_process, range(20), tmp_path / "pids", options)
        distributed.default_client().close()
    workers = {path.read_text() for path in (tmp_path / "pids").iterdir()}
    assert len(workers) == 2
    assert str(os.getpid()) not in workers


@pytest.mark.parametrize("options", [LOCAL_OPTIONS, PROCESSES])
def test_tfx_packs_itself_only_for_workers_elsewhere(options, tmp_path, monkeypatch):
    from tfx.utils import dependency_utils

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    asked = for_tfx(options)
    assert dependency_utils.make_beam_dependency_flags(asked) == asked
    assert not list(tmp_path.iterdir())
    elsewhere = ["--runner=FlinkRunner", "--flink_master=flink:8081"]
    assert for_tfx(elsewhere) == elsewhere
