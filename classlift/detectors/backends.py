"""The detector backends by name.

A new one is a folder, two lines here, and its name in `classlift.settings.model`.

This module imports neither TensorFlow nor protobuf: the environment must be right before that is
done.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from classlift.detectors import keras_hub, od_api
from classlift.errors import ConfigError, ModelError
from classlift.settings.model import BACKENDS

if TYPE_CHECKING:
    from classlift.data.label_map import LabelMap
    from classlift.detectors.detector import Detector

ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    "od_api": od_api.ENVIRONMENT,
    "keras_hub": keras_hub.ENVIRONMENT,
}
"""What a process needs in its environment before it imports TensorFlow, by backend."""


_FILES = {"pipeline.config": "od_api", "model.keras": "keras_hub", "saved_model.pb": None}
"""What a file in the folder of a model says of its backend, the first that is there."""


def backend_of(model: Path) -> str | None:
    """The backend of a model on disk, told from its files.

    Args:
        model: the folder of a model to train, or of a SavedModel.

    Returns:
        One of `BACKENDS`; None for a SavedModel.

    Raises:
        ModelError: the folder is none of them.

    """  # noqa: DOC501 - `no_model` makes one of them
    for file, backend in _FILES.items():
        if (model / file).is_file():
            return backend
    from classlift.detectors.unread import no_model

    raise no_model(model, tuple(_FILES))


def label_map_of(backend: str, folder: Path) -> Path:
    """The label map of a model on disk, which may be COCO's for a model of the OD API's zoo.

    Args:
        backend: one of `BACKENDS`.
        folder: of the model.

    Returns:
        The file; for a model of KerasHub, where it is to be.

    Raises:
        DataError: a zoo entry has none.

    """
    from classlift.detectors.od_api import outline

    return outline.label_map_file(folder) if backend == "od_api" else folder / outline.LABEL_MAP


def columns_of(backend: str, folder: Path, label_map: "LabelMap") -> int:
    """The highest class id that a model on disk can have: the label map need not name it."""
    if backend == "od_api" and (folder / "pipeline.config").exists():
        from classlift.detectors.od_api.outline import read_outline

        return read_outline(folder).classes
    return label_map.last_id


def trainable_backend_of(folder: Path) -> str:
    """The backend of a model that can be fine-tuned.

    Args:
        folder: of the model.

    Returns:
        One of `BACKENDS`.

    Raises:
        ModelError: it has no model, or one that only answers; says what is there instead.

    """  # noqa: DOC501 - `saved_model_alone` makes one of them
    from classlift.detectors.unread import SAVED_MODEL, no_model, saved_model_alone

    trained = {file: backend for file, backend in _FILES.items() if backend}
    for file, backend in trained.items():
        if (folder / file).is_file():
            return backend
    answers = any((place / SAVED_MODEL).is_file() for place in (folder, folder / "saved_model"))
    if answers and not any(any(folder.glob(f"*/{file}")) for file in trained):
        raise saved_model_alone(folder)
    raise no_model(folder, tuple(trained))


def require_model(backend: str, folder: Path) -> None:
    """Looks at a model on disk without loading it.

    Args:
        backend: one of `BACKENDS`.
        folder: of the model.

    Raises:
        ModelError: it is none that can be fine-tuned, one of another backend, or a part of it is
            missing.
        DataError: its label map is missing, or none.

    """
    found = trainable_backend_of(folder)
    if found != backend:
        raise ModelError(f"{folder}: this is a model of {found}: set `model.backend` to that.")
    if backend == "od_api":
        from classlift.data.label_map import LabelMap
        from classlift.detectors.branch_note import Note
        from classlift.detectors.od_api import outline

        classes = outline.read_outline(folder).classes
        label_map = LabelMap.read(outline.label_map_file(folder))
        new = Note.read(folder, label_map).new
        outline.require_fit(label_map.without(set(new)), classes, folder)
        outline.checkpoints(folder)


def load_detector(backend: str, folder: Path) -> "Detector":
    """Loads a model on disk with the backend that the config names.

    Args:
        backend: one of `BACKENDS`.
        folder: of the model.

    Returns:
        The detector with its weights.

    Raises:
        ConfigError: there is no such backend.
        ModelError: the folder is not a model of this backend.

    """
    if backend == "od_api":
        require_model(backend, folder)
        from classlift.detectors.od_api.architectures import ARCHITECTURES
        from classlift.detectors.od_api.branching import Branched
        from classlift.detectors.od_api.outline import read_outline

        return Branched.load(ARCHITECTURES[read_outline(folder).meta_architecture], folder)
    if backend == "keras_hub":
        from classlift.detectors.keras_hub.detectors import load

        return load(folder)
    raise ConfigError(
        f"There is no detector backend {backend!r}; there are: {', '.join(BACKENDS)}."
    )
