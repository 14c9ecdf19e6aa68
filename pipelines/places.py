"""Where runs leave what, in the `work` folder of a config."""

import re
from pathlib import Path
from typing import Protocol

from classlift.data.mirror import Mirror
from classlift.errors import ConfigError
from classlift.serving.places import ServingFolder, serving_place

PIPELINE_ROOT = "pipeline"
"""The folder in `work` where TFX puts what nodes make."""

MIRROR = "mirror"
"""The folder in `work` that has what is fetched of data in object storage."""

RUNS = "runs"
"""The folder in `work` that has a folder a run: its records and logs."""

EVALUATION = "evaluation"
"""The folder of a run that has its verdict and report."""

CURVES = Path("training", "curves.json")
"""The file of a run that has the curves of its training."""

LONGEST_RUN_ID = 200
"""Characters, all of one byte: file systems and ML Metadata take names of 255, and before a run id
Airflow puts words of its own in some."""


class Place(Protocol):
    """Where a config keeps what it has: a config itself, or what was compiled of it."""

    @property
    def name(self) -> str:
        """The name of the config, and of its pipeline in ML Metadata."""

    @property
    def work(self) -> Path:
        """The folder of everything but what is served."""

    @property
    def serving(self) -> Path:
        """The folder of the versions; in the mirror, where they are served from a bucket."""

    @property
    def model(self) -> Path:
        """The pre-trained model, which is the champion while nothing is served."""


def serving_of(config: Place) -> ServingFolder:
    """Where the versions of a config are served from."""
    return serving_place(config.serving, Mirror(config.work / MIRROR))


def run_folder(work: Path, run_id: str) -> Path:
    """Where a run leaves its records. Raises ConfigError for an id that is no name of a folder."""
    if not re.fullmatch(r"[\w:+~-][\w.:+~-]*", run_id, re.ASCII):
        raise ConfigError(
            f"The run id {run_id[:80]!r} can't name a folder: use letters, digits and _ . : + ~ -, "
            "and no dot at the beginning."
        )
    if len(run_id) > LONGEST_RUN_ID:
        raise ConfigError(
            f"The run id {run_id[:80]!r}... has {len(run_id)} characters, and names folders and "
            f"records that hold at most {LONGEST_RUN_ID}: start the run with a shorter one."
        )
    return work / RUNS / run_id
