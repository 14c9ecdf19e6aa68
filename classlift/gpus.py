"""How many GPUs there are, seen without TensorFlow, whose import takes seconds."""

import ctypes

DRIVER = "libcuda.so.1"
"""NVIDIA's driver; where TensorFlow sees a GPU, it is there."""

ADVICE = (
    "this machine shows no GPU: its driver, nvidia-smi and CUDA_VISIBLE_DEVICES say why; or set "
    "`device` to auto, and training takes the CPU"
)


def count() -> int:
    """The GPUs that CUDA's driver lets this process see."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return 0
    found = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(found)):
        return 0
    return found.value
