"""Names what lies where a model should, and can't be fine-tuned, with what to do instead."""

import os
from pathlib import Path

from classlift.detectors.od_api.outline import INSTEAD, require_no_tensorflow_1
from classlift.errors import ModelError
from classlift.paths import ARCHIVES, did_you_mean_path
from classlift.text import printable

KERAS = ".keras"
PRESET = ("config.json", "model.weights.h5")
"""The files that a preset of KerasHub has."""

OTHERS = {
    ".onnx": "an ONNX model",
    ".pt": "a PyTorch model",
    ".pth": "a PyTorch model",
    ".torchscript": "a PyTorch model",
    ".safetensors": "a model of PyTorch or Hugging Face",
    ".tflite": "a TF Lite model",
    ".h5": "a file of Keras' weights",
    ".hdf5": "a file of Keras' weights",
    ".weights": "a Darknet model",
    ".engine": "a TensorRT engine",
    ".plan": "a TensorRT engine",
    ".mlmodel": "a Core ML model",
    ".mlpackage": "a Core ML model",
    ".caffemodel": "a Caffe model",
    ".pdparams": "a PaddlePaddle model",
    ".params": "an MXNet model",
    ".xmodel": "a Vitis AI model",
}
"""What the end of a file's name says."""

SAVED_MODEL = "saved_model.pb"
LOOKED_AT = 200
"""Entries of a folder: a model has few."""


def no_model(path: Path, files: tuple[str, ...]) -> ModelError:
    """The error of a path where no model is that can be fine-tuned.

    Args:
        path: that is said to be a model's.
        files: which of them a model's folder would have.

    Returns:
        What is there, and what to do.

    """
    if not os.path.lexists(path):
        return ModelError(f"{path}: there is no such folder{did_you_mean_path(path)}.")
    if not path.is_dir():
        return ModelError(f"{path}: {_file(path, files)}.")
    require_no_tensorflow_1(path)
    inner = {found.parent for file in files for found in path.glob(f"*/{file}")}
    if inner:
        return ModelError(
            f"{path}: {_missing(files)}; give the folder of a model, such as {min(inner)}."
        )
    if all((path / name).is_file() for name in PRESET):
        return ModelError(
            f"{path}: this is a preset of KerasHub: make a model of it by `classlift new-model "
            f"--preset {path} FOLDER`."
        )
    for found in sorted(path.iterdir())[:LOOKED_AT]:
        if found.name.lower().endswith((KERAS, *ARCHIVES, *OTHERS)):
            return ModelError(f"{found}: {_file(found, files)}.")
    return ModelError(f"{path}: {_missing(files)}; give the folder of a model.")


def saved_model_alone(folder: Path) -> ModelError:
    """The error of a SavedModel where a model to fine-tune is asked for."""
    return ModelError(
        f"{folder}: this is a SavedModel alone, which answers and can't be fine-tuned: give the "
        "folder with the pipeline.config and checkpoint that it was exported from, as the archives "
        "of the model zoo have them."
    )


def _missing(files: tuple[str, ...]) -> str:
    *first, last = files
    return f"there is no {', no '.join(first)} and no {last}" if first else f"there is no {last}"


def _file(path: Path, files: tuple[str, ...]) -> str:
    """What a file is, with what to do."""
    name = path.name.lower()
    if name in files:
        return f"give its folder, {path.parent}"
    if name.endswith(ARCHIVES):
        return "this is an archive: unpack it, and give the folder in it that has pipeline.config"
    if name.endswith(KERAS):
        return (
            "this is one file of Keras: make a model of it by `classlift new-model --keras "
            f"{printable(str(path))} FOLDER`"
        )
    for suffix, kind in OTHERS.items():
        if name.endswith(suffix):
            return f"this is {kind}, which can't be fine-tuned here; {INSTEAD}"
    return "this is a file; give the folder of a model"
