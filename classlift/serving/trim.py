"""Makes a challenger without some of its branches; a process of its own, asked by `shipment`.

python -m classlift.serving.trim < shipment.json
"""

import base64
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from classlift.data import kept_splits
from classlift.detectors.backends import load_detector
from classlift.detectors.export import Serving
from classlift.detectors.predict import load_signature
from classlift.errors import ModelError
from classlift.serving.bundle import Bundle
from classlift.serving.shipment import Shipment
from classlift.serving.write import write_bundle


def main() -> None:
    """Reads a `Shipment` from standard input; ends with a sentence where it can't be made."""
    shipment = Shipment(**json.load(sys.stdin))
    try:
        require_same_answers(shipment, trim(shipment))
    except ModelError as error:
        sys.exit(str(error))


def trim(shipment: Shipment) -> Bundle:
    """Writes the model: the champion, and the challenger's branches of the targets.

    Args:
        shipment: says what is made of what.

    Returns:
        Its bundle, with the thresholds and with the challenger's provenance.

    """
    champion, challenger = Bundle(Path(shipment.champion)), Bundle(Path(shipment.challenger))
    provenance = challenger.provenance()
    if provenance.recalibrated:
        shutil.copytree(champion.saved_model, shipment.folder)
        bundle = Bundle(Path(shipment.folder))
    else:
        learned, detector = (
            load_detector(shipment.backend, model.entry) for model in (challenger, champion)
        )
        for label in shipment.targets:
            detector.take_branch(label, learned)
        bundle = write_bundle(detector, Serving(detector), Path(shipment.folder))
    bundle.write_notes(shipment.points, replace(provenance, targets=tuple(shipment.targets)))
    kept_splits.hand_on(challenger.entry, bundle.entry)
    return bundle


def require_same_answers(shipment: Shipment, bundle: Bundle) -> None:
    """Requires that each class is answered as by the model that is to answer for it, to the bit.

    Args:
        shipment: has the images, and the two models.
        bundle: the model that was made of them.

    Raises:
        ModelError: on an image, a class is answered otherwise.

    """
    images = [base64.b64decode(image) for image in shipment.images]
    labels = bundle.label_map()
    answers, before, after = (
        _answers(folder, images)
        for folder in (bundle.saved_model, Path(shipment.champion), Path(shipment.challenger))
    )
    for label in labels:
        number = labels.id_of(label)
        expected = after if label in shipment.targets else before
        for own, other in zip(answers, expected, strict=True):
            if not np.array_equal(_of_class(own, number), _of_class(other, number)):
                raise ModelError(
                    f"class {label} is answered otherwise than by the model that was judged."
                )


def _of_class(found: npt.NDArray[np.float32], number: int) -> npt.NDArray[np.float32]:
    """The rows of a class in one order, for those of one score may stand in any."""
    rows = found[found[:, 0] == number]
    return np.take(rows, np.lexsort(rows.T), axis=0)


def _answers(saved_model: Path, images: Sequence[bytes]) -> list[npt.NDArray[np.float32]]:
    """The detections in each image, [detections, 6]: class id, score and box."""
    import tensorflow as tf

    signature = load_signature(saved_model)
    found = []
    for image in images:
        answer: Mapping[str, npt.NDArray[np.float32]] = {
            name: value.numpy()[0] for name, value in signature(tf.constant([image])).items()
        }
        count = int(answer["num_detections"])
        columns = (
            answer["detection_classes"][:count, None],
            answer["detection_scores"][:count, None],
            answer["detection_boxes"][:count],
        )
        found.append(np.concatenate(columns, axis=1))
    return found


if __name__ == "__main__":
    main()
