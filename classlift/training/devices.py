"""Where training runs: one CPU or GPU, all GPUs of a machine, or those of several machines."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from classlift.errors import ConfigError


def strategy_for(device: str) -> tf.distribute.Strategy:
    """The distribution strategy of a run; to be asked before TensorFlow does anything.

    Several machines are named by `TF_CONFIG`, as TensorFlow has it.

    Args:
        device: `Recipe.device`.

    Returns:
        That of one device, of several on this machine, or of several machines.

    Raises:
        ConfigError: it is `gpu` on a machine without one: on CPUs it would take days.

    """
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise ConfigError(
            "device is gpu, and TensorFlow sees none on this machine: install its CUDA libraries "
            "(pip install tensorflow[and-cuda]), or set device to auto."
        )
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
        gpus = []
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    cluster = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {})
    if len(cluster.get("worker", [])) > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def make_reproducible(seed: int) -> None:
    """Makes the same seed give the same weights on CPUs of the same kind; to be asked before
    TensorFlow does anything. On GPUs, the same batches alone.

    On CPUs one kernel runs at a time, on all cores: of several at once, gradients of the filters
    that the feature levels share came out different in their last bits, deterministic kernels or
    not. On GPUs, TensorFlow has no deterministic kernel for the gradients of batch norms with fixed
    statistics, which a branch trains through; asked for one, it refuses to train
    (tensorflow/tensorflow#50505).
    """
    tf.keras.utils.set_random_seed(seed)
    if not tf.config.get_visible_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
        tf.config.threading.set_inter_op_parallelism_threads(1)


@contextmanager
def compute_in_half(wanted: bool) -> Iterator[None]:
    """Within the block, layers that are built compute in bfloat16; weights stay in float32.

    Half precision without loss scaling: bfloat16 has the range of float32.
    """
    if not wanted:
        yield
        return
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)
