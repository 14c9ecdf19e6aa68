"""Run alone, in a process that imports TensorFlow and nothing of this project.

    python -I probe.py SAVED_MODEL REQUESTS.json

REQUESTS.json holds base64 image files. Prints one JSON object: what a batch and single requests
answered, and how long a request took.
"""

import base64
import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
if __name__ == "__main__":  # a server has no Keras, and importing it takes seconds
    sys.modules["keras"] = None  # type: ignore[assignment]

import numpy as np
import tensorflow as tf


def main(saved_model: str, requests: str) -> None:
    """Asks both signatures, together and one by one, and prints what they answered."""
    with open(requests) as file:
        encoded = [base64.b64decode(item) for item in json.load(file)]
    model = tf.saved_model.load(saved_model)
    by_bytes, by_pixels = (
        model.signatures[name] for name in ("serving_encoded", "serving_default")
    )
    batch = {k: v.numpy() for k, v in by_bytes(tf.constant(encoded)).items()}
    differences, seconds = [], []
    for index, data in enumerate(encoded):
        image = tf.io.decode_image(data, channels=3, expand_animations=False)[None]
        for answer in (by_bytes(tf.constant([data])), by_pixels(image)):
            single = {key: value.numpy()[0] for key, value in answer.items()}
            differences.append(difference(single, {k: v[index] for k, v in batch.items()}))
        started = time.perf_counter()
        by_bytes(tf.constant([data]))
        seconds.append(time.perf_counter() - started)
    unwanted = {"object_detection", "tf_keras", "tfx", "classlift", "components"} & set(sys.modules)
    print(
        json.dumps(
            {
                "shapes": {key: list(value.shape) for key, value in batch.items()},
                "finite": bool(all(np.isfinite(value).all() for value in batch.values())),
                "largest_difference": float(np.max(differences)),
                "milliseconds": 1000 * sorted(seconds)[len(seconds) // 2],
                "unwanted_modules": sorted(unwanted),
            }
        )
    )


def difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """The largest difference of two answers for one image, of scores and 0..1 coordinates.

    A detection is held against the nearest of its class, wherever it stands: scores that are all
    but equal may stand in another order. One without a counterpart counts by how far its score is
    above the other answer's last one, for it may have lost the last place.

    Args:
        one: `detection_scores` [n], `detection_boxes` [n, 4], `detection_classes` [n] and
            `num_detections` of one image.
        other: as `one`.

    Returns:
        0 or more.

    """
    apart = np.maximum(
        np.abs(one["detection_scores"][:, None] - other["detection_scores"]),
        np.abs(one["detection_boxes"][:, None] - other["detection_boxes"]).max(axis=-1),
    )
    apart[one["detection_classes"][:, None] != other["detection_classes"]] = np.inf
    sides = ((one, other, apart.min(axis=1)), (other, one, apart.min(axis=0)))
    missing = [
        np.minimum(nearest, mine["detection_scores"] - theirs["detection_scores"].min()).max()
        for mine, theirs, nearest in sides
    ]
    return float(np.max([abs(one["num_detections"] - other["num_detections"]), *missing]))


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # without TensorFlow's teardown, a second or more
