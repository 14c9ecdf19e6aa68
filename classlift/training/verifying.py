"""Fits the verifiers of branches to what these find on train."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.detector import Detector
from classlift.detectors.export import OUTPUTS, Evidence, evidence
from classlift.detectors.predict import predict
from classlift.detectors.verifier import Verifier
from classlift.metrics.matching import match
from classlift.settings.targets import classes_in_words

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

COLUMNS = tuple(name for name in OUTPUTS if name != "num_detections")

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
    several = classes_in_words(targets)
    logger.info(f"fitting a verifier of {several} to about {IMAGES} images of train")
    verifiers = {}
    for label, (known, is_right) in _found(evidence(detector), targets, files, label_map).items():
        if min(is_right.sum(), (~is_right).sum()) < FEWEST:
            logger.info(f"too little of class {label} is found there for a verifier")
        else:
            verifiers[label] = _fitted(known, is_right)
    return verifiers


def _found(
    ask: Evidence, targets: Sequence[str], files: Sequence[str], label_map: LabelMap
) -> dict[str, tuple[Floats, npt.NDArray[np.bool_]]]:
    """What is known of detections, [detections, inputs], and which of them are right, by class.

    The model is asked about each image once for all classes.

    Returns:
        Both of each class.

    """
    memory = _Memory(ask, {label: [] for label in targets})
    found = predict(memory, files, label_map, IMAGES)
    judged = {}
    for label, of_images in memory.known.items():
        detections = found.detections.filter(pc.equal(found.detections["label"], label))
        # Of images that are not labelled for it, nobody knows what is right: they are not there.
        labelled = set(detections["image_id"].to_pylist())
        known = np.concatenate(
            [own for i, own in zip(found.image_ids, of_images, strict=True) if i in labelled]
            or [np.empty((0, 0), np.float32)]
        )
        detections = detections.append_column("row", pa.array(range(len(known))))
        matched = match(found.boxes, detections, found.image_ids, label_map.names).detections
        rows = matched["row"].to_numpy(np.int64)
        judged[label] = (known[rows], matched["is_match"].to_numpy(bool))
    return judged


@dataclass
class _Memory:
    """The surest detections of some classes, for `predict`; what is known of them is kept.

    Attributes:
        ask: of `export.evidence`.
        known: by class, for each image, [detections, inputs].

    """

    ask: Evidence
    known: dict[str, list[Floats]]

    def __call__(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        """The detections in a batch, by falling score."""
        answers = self.ask(encoded)
        surest = [_surest(answers[label], known) for label, known in self.known.items()]
        joined = {name: np.concatenate([own[name] for own in surest], axis=1) for name in COLUMNS}
        scores = joined["detection_scores"]
        found = _ordered(joined, np.argsort(-scores, axis=1, kind="stable"))
        found["num_detections"] = (scores > LEAST_SCORE).sum(axis=1)
        return {name: tf.constant(found[name]) for name in OUTPUTS}


def _surest(answer: Mapping[str, tf.Tensor], known: list[Floats]) -> dict[str, Floats]:
    """The surest detections of a class in a batch; what is known of them is added to `known`."""
    found = {key: value.numpy() for key, value in answer.items()}
    scores = found["detection_scores"]
    slots = np.arange(scores.shape[1])
    found["detection_scores"] = np.where(slots < found["num_detections"][:, None], scores, 0.0)
    order = np.argsort(-found["detection_scores"], axis=1, kind="stable")[:, :MOST]
    surest = _ordered(found, order)
    counts = (surest["detection_scores"] > LEAST_SCORE).sum(axis=1)
    rows = zip(order, found["evidence"], counts, strict=True)
    known += [own[places[:count]] for places, own, count in rows]
    return surest


def _ordered(found: Mapping[str, Floats], order: npt.NDArray[np.int64]) -> dict[str, Floats]:
    """Boxes, classes and scores of each image, by their numbers in it."""
    axes = {name: (..., None) if found[name].ndim == 3 else ... for name in COLUMNS}
    return {name: np.take_along_axis(found[name], order[axes[name]], axis=1) for name in COLUMNS}


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
