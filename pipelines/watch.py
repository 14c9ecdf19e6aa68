"""What is served is scored on freshly labelled data, and the series is kept in `WORK/watch`."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from classlift import own_folders
from classlift.data.snapshot import Snapshot, take_snapshot
from classlift.errors import ConfigError
from classlift.locks import alone
from classlift.progress import without_stderr
from classlift.quality.validate import REPORT, require_no_critical, validate
from classlift.serving.bundle import Bundle
from classlift.serving.folder import served_versions, whole_folder
from classlift.text import did_you_mean
from classlift.watch import series
from classlift.watch.report import write_report
from classlift.watch.score import Figures, Promise, judged, score
from pipelines.config import Config
from pipelines.places import serving_of

logger = logging.getLogger(__name__)

SERIES, PAGE, VALIDATION = "series.jsonl", "watch.html", "validation"


@dataclass(frozen=True)
class Look:
    """What came of a look at what is served.

    Attributes:
        scoring: by the floors of today.
        is_new: whether it is new to the series.
        page: the page of the series.
        promises: what thresholds of the version were chosen for.

    """

    scoring: series.Scoring
    is_new: bool
    page: Path
    promises: tuple[Promise, ...]


def watch(config: Config) -> Look:
    """Scores the newest version on the watched data, and adds a scoring to the series.

    What was scored already, this version on this snapshot, is not scored again: its figures are
    judged by the floors of today. Where an error is raised, nothing is added.

    Args:
        config: that has a `watch`.

    Returns:
        The scoring, and where its page is.

    Raises:
        ConfigError: nothing is watched or served, or a floor is of a class that the version does
            not have.
        DataError: labels or images are wrong.
        ModelError: the version is damaged.

    """
    if config.watch is None:
        raise ConfigError(
            f"{config.path}: it has no `watch`; name there the `source` of freshly labelled data "
            "and the `floors` of classes."
        )
    versions = served_versions(config.serving)
    if not versions:
        raise ConfigError(f"{serving_of(config)}: nothing is served yet; run the pipeline first.")
    bundle = Bundle(whole_folder(config.serving, versions[-1]))
    points = bundle.operating_points()
    strange = [label for label in config.watch.floors if label not in points]
    if strange:
        raise ConfigError(
            f"{config.path}: watch.floors: version {versions[-1]} has no class {strange[0]!r}"
            f"{did_you_mean(strange[0], points)}; it has: {', '.join(points)}."
        )
    folder = config.work / "watch"
    own_folders.make(folder, own_folders.WATCH)
    with alone(folder / ".lock", f"the watch of {config.name}", wait=True):
        scorings = series.read(folder / SERIES)
        config.mirror.fetch(config.watch.source.paths())
        snapshot = take_snapshot(
            [config.watch.source],
            folder / "memory",
            beam_options=config.beam,
            renamed=config.label_map.renamed,
            droppable=config.droppable,
        )
        known = series.find(scorings, versions[-1], snapshot.content_hash)
        if known:
            logger.info("this version was scored on these labels already")
            scoring = replace(known, classes=judged(known.classes, config.watch.floors))
        else:
            _require_sound(snapshot, list(points), folder / VALIDATION)
            scoring = series.Scoring(
                time=datetime.now(UTC).isoformat(timespec="seconds"),
                version=versions[-1],
                snapshot=snapshot.content_hash,
                images=snapshot.images.num_rows,
                classes=_score(bundle, snapshot, points, config.watch.floors),
            )
            scorings = series.append(folder / SERIES, scoring)
        page = folder / PAGE
        promises = Promise.all_of(bundle.provenance())
        write_report(page, config.name, scorings, scoring, folder / VALIDATION / REPORT, promises)
    return Look(scoring, not known, page, promises)


def _require_sound(snapshot: Snapshot, labels: list[str], folder: Path) -> None:
    own_folders.make(folder, own_folders.VALIDATION)
    require_no_critical(validate(snapshot, labels, (), 0, folder), folder)


def _score(
    bundle: Bundle,
    snapshot: Snapshot,
    points: dict[str, float],
    floors: Mapping[str, float],
) -> dict[str, Figures]:
    with without_stderr():  # what TensorFlow says before its log level counts
        from classlift.detectors.predict import load_signature, predict_images

    logger.info("predicting all images with the model")
    serve = load_signature(bundle.saved_model)
    detections = predict_images(serve, snapshot.images, bundle.label_map())
    image_ids = snapshot.images["image_id"].to_pylist()
    return score(snapshot.boxes, detections, image_ids, points, floors)
