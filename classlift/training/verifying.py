"""Fits the verifiers of branches to what these find on train."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.detector import Detector
from classlift.detectors.export import OUTPUTS, Evidence, evidence
from classlift.detectors.predict import predict
from classlift.detectors.verifier import Verifier
from classlift.metrics.matching import match

logger = logging.getLogger(__name__)

IMAGES = 1000
"""Of train, to which lines are fitted; of more they hardly learn more, see
docs/benchmarks/recipes.md."""

LEAST_SCORE, MOST = 0.02, 20
"""Of the detections to which they are fitted, the surest of each image: with five or ten of them
they are as good, and memory has a bound."""

FEWEST = 10
"""Right detections, and wrong ones, to which a line can be fitted."""

PENALTY = 0.003
"""The `C` of the logistic regression: there are more features than right detections."""

Floats = npt.NDArray[np.float32]


def fit_verifiers(
    detector: Detector, files: Sequence[str], label_map: LabelMap, targets: Sequence[str]
) -> dict[str, Verifier]:
    """Fits a line for each of some classes, to what their branches find on train.

    Args:
        detector: with trained branches of the classes.
        files: the records of train.
        label_map: of the detector.
        targets: the classes.

    Returns:
        The verifiers, by class; none for a class of which too little is found.

    """
    ask = evidence(detector)
    verifiers = {}
    for label in targets:
        logger.info(f"fitting a verifier of class {label} to about {IMAGES} images of train")
        known, is_right = _found(ask, label, files, label_map)
        if min(is_right.sum(), (~is_right).sum()) < FEWEST:
            logger.info(f"too little of class {label} is found there for a verifier")
        else:
            verifiers[label] = _fitted(known, is_right)
    return verifiers


def _found(
    ask: Evidence, label: str, files: Sequence[str], label_map: LabelMap
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """What is known of a class's detections, [detections, inputs], and which of them are right."""
    memory = _Memory(ask, label)
    found = predict(memory, files, label_map, IMAGES)
    # Of images that are not labelled for the class, nobody knows what is right: they are not there.
    judged = set(found.detections["image_id"].to_pylist())
    known = np.concatenate(
        [own for i, own in zip(found.image_ids, memory.known, strict=True) if i in judged]
        or [np.empty((0, 0), np.float32)]
    )
    rows = pa.array(range(len(known)))
    detections = found.detections.append_column("row", rows)
    matched = match(found.boxes, detections, found.image_ids, label_map.names).detections
    return known[matched["row"].to_numpy(np.int64)], matched["is_match"].to_numpy(bool)


@dataclass
class _Memory:
    """The surest detections of a class, for `predict`; what is known of them is kept.

    Attributes:
        ask: of `export.evidence`.
        label: the class.
        known: for each image, [detections, inputs].

    """

    ask: Evidence
    label: str
    known: list[Floats] = field(default_factory=list)

    def __call__(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        """The detections in a batch, by falling score."""
        found = {key: value.numpy() for key, value in self.ask(encoded)[self.label].items()}
        scores, known = found["detection_scores"], found.pop("evidence")
        slots = np.arange(scores.shape[1])
        scores = np.where(slots < found["num_detections"][:, None], scores, 0.0)
        order = np.argsort(-scores, axis=1, kind="stable")
        for name in ("detection_boxes", "detection_classes", "detection_scores"):
            axes = (..., None) if found[name].ndim == 3 else ...
            found[name] = np.take_along_axis(found[name], order[axes], axis=1)
        found["num_detections"] = np.minimum((scores > LEAST_SCORE).sum(axis=1), MOST)
        for rows, own, count in zip(order, known, found["num_detections"], strict=True):
            self.known.append(own[rows[:count]])
        return {name: tf.constant(found[name]) for name in OUTPUTS}


def _fitted(known: Floats, is_right: npt.NDArray[np.bool_]) -> Verifier:
    """A logistic regression of standardised columns, as one line."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    scaler = StandardScaler()
    with threadpool_limits(1):  # more threads change last digits
        line = LogisticRegression(C=PENALTY, solver="newton-cg", max_iter=500).fit(
            scaler.fit_transform(known), is_right
        )
    weights = line.coef_[0] / scaler.scale_
    verifier = Verifier(len(weights))
    verifier.line.assign(np.append(weights, line.intercept_ - weights @ scaler.mean_))
    return verifier
