"""Which model is the champion."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from classlift.data.label_map import LabelMap
from classlift.detectors.backends import label_map_of, load_detector
from classlift.errors import ModelError
from classlift.serving.bundle import (
    DEFAULT_THRESHOLD,
    ENTRY,
    LABEL_MAP,
    OPERATING_POINTS,
    THRESHOLDS_UNKNOWN,
    Bundle,
    read_operating_points,
)
from classlift.serving.folder import champion_name, served_versions, whole_folder
from classlift.serving.write import import_entry, write_entry

logger = logging.getLogger(__name__)


def resolve_champion(
    serving_dir: Path,
    pretrained: Path,
    backend: str,
    new_classes: Mapping[str, int],
    saved_model: Path,
) -> str:
    """Writes the champion's bundle.

    The champion is what is served: the newest version in the serving folder; before the first
    push, the pre-trained model, exported here so that both models of a comparison went through
    the same export. Its score thresholds in production are read here, before any work rests on
    them, and where it brings none that is reported.

    Args:
        serving_dir: of the versions; it need not be there.
        pretrained: folder of the pre-trained model.
        backend: of the pre-trained model.
        new_classes: the ids of classes that the pre-trained model lacks, by name. Those that the
            champion lacks too get a place in its label map, and it never answers with them.
        saved_model: folder to write.

    Returns:
        The champion's name for the report.

    Raises:
        ModelError: the pre-trained model is missing, the version is damaged, with the way out, its
            classes are not those of the pre-trained model, or its thresholds are wrong.

    """
    versions = served_versions(serving_dir)
    if versions:
        logger.info(f"the champion is version {versions[-1]}, which is served now")
        folder = whole_folder(serving_dir, versions[-1])
        missing = _require_same_classes(folder, pretrained, backend, new_classes)
        _require_thresholds(Bundle(folder))
        shutil.copytree(folder, saved_model)
        if missing:
            _give_a_place(Bundle(saved_model), backend, missing)
        return champion_name(versions, pretrained)
    if not pretrained.is_dir():
        raise ModelError(f"{pretrained}: there is no such folder; check `model.path`.")
    if (pretrained / OPERATING_POINTS).exists():  # before a minute goes into the export
        labels = LabelMap.read(label_map_of(backend, pretrained))
        read_operating_points(pretrained / OPERATING_POINTS, labels)
    logger.info("nothing is served yet: the champion is the pre-trained model; exporting it")
    detector = load_detector(backend, pretrained)
    for label, number in new_classes.items():
        detector.add_class(label, number)
    _require_thresholds(import_entry(detector, pretrained, saved_model))
    return champion_name(versions, pretrained)


def _give_a_place(champion: Bundle, backend: str, new_classes: Mapping[str, int]) -> None:
    """Adds classes to the label map of a bundle, which goes on to answer as it did."""
    points = champion.operating_points() if champion.brings_operating_points() else None
    detector = load_detector(backend, champion.entry)
    for label, number in new_classes.items():
        detector.add_class(label, number)
    write_entry(detector, champion)
    if points is not None:
        champion.write_operating_points({**dict.fromkeys(new_classes, DEFAULT_THRESHOLD), **points})


def _require_thresholds(champion: Bundle) -> None:
    """Reads a champion's score thresholds; says so where they have to be assumed."""
    if champion.brings_operating_points():
        champion.operating_points()
    else:
        logger.warning(THRESHOLDS_UNKNOWN)


def _require_same_classes(
    served: Path, pretrained: Path, backend: str, new_classes: Mapping[str, int]
) -> dict[str, int]:
    """Requires that the served version has the classes of the config's model with the new ones.

    Examples are written with the ids of the latter.

    Returns:
        The new classes that the version does not have yet, with their ids.

    Raises:
        ModelError: it has other classes, or other ids for them.

    """
    if not (served / ENTRY / LABEL_MAP).is_file() or not pretrained.is_dir():
        if new_classes:
            raise ModelError(
                f"{served}: this version brings no model to train, so no class can be added to it; "
                "let model.path be the model that it was exported from, and serve from a folder of "
                "its own."
            )
        return {}  # a version that somebody else exported brings none
    path = label_map_of(backend, pretrained)
    theirs = Bundle(served).label_map()
    missing = {label: number for label, number in new_classes.items() if label not in theirs}
    known = {label: number for label, number in new_classes.items() if label in theirs}
    ours = LabelMap.read(path).with_classes(known)
    if (ours.names, ours.ids) != (theirs.names, theirs.ids):
        found = ours.difference(theirs, "model.path", f"version {served.name}")
        raise ModelError(
            f"{path}: {found}, which is served: classes would be trained on the boxes of others. "
            "Give model.path the label map that is served, or let another model be served from a "
            "folder of its own."
        )
    return missing
