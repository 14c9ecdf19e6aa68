"""Which model is the champion."""

import shutil
from collections.abc import Callable
from pathlib import Path

from components.detectors.backends import load_detector
from components.detectors.bundle import import_entry
from components.errors import ModelError
from components.serving_folder import champion_name, served_versions


def resolve_champion(
    serving_dir: Path,
    pretrained: Path,
    backend: str,
    saved_model: Path,
    report: Callable[[str], None] = print,
) -> str:
    """Writes the champion's bundle to `saved_model`; returns its name for the report.

    The champion is what is served: the newest version in the serving folder; before the first
    push, the pre-trained model, exported here so that both models of a comparison went through
    the same export.
    """
    versions = served_versions(serving_dir)
    if versions:
        report(f"the champion is version {versions[-1]}, which is served now")
        shutil.copytree(serving_dir / str(versions[-1]), saved_model)
        return champion_name(versions, pretrained)
    if not pretrained.is_dir():
        raise ModelError(f"{pretrained}: there is no such folder; check `model.path`.")
    report("nothing is served yet: the champion is the pre-trained model; exporting it")
    import_entry(load_detector(backend, pretrained, report), pretrained, saved_model)
    return champion_name(versions, pretrained)
