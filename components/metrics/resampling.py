"""Recall at matched precision when both splits are drawn again: what a change is uncertain by.

The operating points are chosen on eval, and eval is a sample too. Bounds that take them as given
are too narrow: in simulations of equal models with 50 to 300 objects a class, 10 to 25% would be
called lifted instead of 5% (`benchmarks/gate.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.metrics.matching import Matches

RESAMPLES = 2000
_AT_ONCE = 250  # resamples; bounds the memory

Weights = npt.NDArray[np.float32]
"""[resamples, images]: how often each image was drawn."""


@dataclass(frozen=True)
class _Ranked:
    """Rows of one class by falling score. images: their numbers; ends: where a score ends."""

    scores: npt.NDArray[np.float64]
    images: npt.NDArray[np.int64]
    is_match: npt.NDArray[np.float32]
    ends: npt.NDArray[np.int64]


def resampled_recalls(
    models: Sequence[tuple[Matches, Matches]], precision: float, seed: int = 0
) -> npt.NDArray[np.float64]:
    """[models, RESAMPLES, classes]: each model's recall on test at its own operating points.

    models: each one's matches on eval and on test. In each resample the images of both splits are
    drawn with replacement, the same ones for all models; on those of eval the operating points are
    chosen anew (`curves.operating_points`), on those of test the recalls are read. NaN where a
    resample has no object of a class.
    """
    ranked = [
        [
            (_ranked(on_eval.detections, on_eval, label), _ranked(on_test.objects, on_test, label))
            for label in on_test.labels
        ]
        for on_eval, on_test in models
    ]
    counts = [len(matches.image_ids) for matches in models[0]]
    rng = np.random.default_rng(seed)
    chunks = []
    for start in range(0, RESAMPLES, _AT_ONCE):
        size = min(_AT_ONCE, RESAMPLES - start)
        on_eval, on_test = (
            rng.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float32)
            for count in counts
        )
        chunks.append(
            [
                [_recall(o, on_test, _thresholds(d, on_eval, precision)) for d, o in classes]
                for classes in ranked
            ]
        )
    return np.concatenate(chunks, axis=2).swapaxes(1, 2)


def _ranked(rows: pd.DataFrame, matches: Matches, label: str) -> _Ranked:
    """Objects that nothing found come last."""
    numbers = {image_id: number for number, image_id in enumerate(matches.image_ids)}
    of_label = rows[rows["label"] == label].sort_values("score", ascending=False, kind="stable")
    scores = of_label["score"].to_numpy(np.float64)
    found = of_label["is_match"] if "is_match" in of_label else of_label["score"].notna()
    return _Ranked(
        scores=np.where(np.isnan(scores), -np.inf, scores),
        images=np.asarray(of_label["image_id"].map(numbers), np.int64),
        is_match=np.asarray(found, np.float32),
        ends=np.flatnonzero(np.append(np.diff(scores) != 0, True)[: len(scores)]),
    )


def _thresholds(ranked: _Ranked, weights: Weights, precision: float) -> npt.NDArray[np.float64]:
    """The lowest score of each resample with the precision; infinite where there is none."""
    if not len(ranked.ends):
        return np.full(len(weights), np.inf)
    drawn = weights[:, ranked.images]
    found = np.cumsum(drawn * ranked.is_match, axis=1)[:, ranked.ends]
    count = np.cumsum(drawn, axis=1)[:, ranked.ends]
    with np.errstate(invalid="ignore"):
        enough = np.divide(found, count, dtype=np.float64) >= precision
    enough &= np.diff(count, axis=1, prepend=0) > 0  # a point is at a score that was drawn
    last = enough.shape[1] - 1 - enough[:, ::-1].argmax(axis=1)
    return np.where(enough.any(axis=1), ranked.scores[ranked.ends][last], np.inf)


def _recall(
    ranked: _Ranked, weights: Weights, thresholds: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The recall of each resample at its threshold."""
    drawn = np.cumsum(weights[:, ranked.images], axis=1, dtype=np.float64)
    drawn = np.hstack([np.zeros((len(weights), 1)), drawn])
    above = np.searchsorted(-ranked.scores, -thresholds, side="right")
    with np.errstate(invalid="ignore"):
        found: npt.NDArray[np.float64] = drawn[np.arange(len(drawn)), above] / drawn[:, -1]
    return found
