"""How often operating points hold the precision that they were chosen for, and what that costs.

    make bench-points

Detectors are simulated as in `gate`: each object and each invention (a detection of nothing) has a
score of the luck of its image, its own difficulty and noise. An eval split of some images is drawn
200 times; on each, a score threshold is chosen, and the precision and the recall that it has are
read on 100,000 other images. Where a draw guarantees no threshold, none is missed and none serves:
it holds, and its recall is 0.

    .venv/ml/bin/python -m benchmarks.operating_points --predictions FOLDER

does it on what a model detected in real images: a folder with `eval` and `test`, as the nodes that
predict write it. The images of both are put together; eval splits are drawn of them, and each
threshold is read on the images that were not drawn, class by class.

Beside the product's two ways, the same sequence of tests with other p-values: the exact binomial
test, as if detections were independent of those beside them in an image, and a betting test
(Waudby-Smith and Ramdas, JRSS B 86, 2024), which holds for any units that have no more detections
than the fullest of eval.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy import stats

from benchmarks.gate import share
from classlift.data.predictions import Predictions
from classlift.metrics.curves import NEVER, operating_point, precision_at, recall_at
from classlift.metrics.guarantee import (
    CONFIDENCE,
    START,
    Ladder,
    guaranteed_point,
    ladder,
)
from classlift.metrics.matching import Matches, match

PRECISION = 0.80
IMAGES = (30, 100, 500)
POPULATION = 100_000
LABEL = "a"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Detector:
    """A simulated detector and its images.

    Attributes:
        name: in the table.
        objects: in an image, on average; `scattered` says whether they vary.
        inventions: in an image, on average.
        luck: standard deviation of what the detections of an image share.
        noise: of what each has for itself.
        bursts: variance of how many inventions an image invites, over the square of their mean.
        scattered: whether images have Poisson many objects, and not all as many.
        frames: images of one scene, which share luck, objects and inventions.

    """

    name: str
    objects: float = 2.0
    inventions: float = 3.0
    luck: float = 0.5
    noise: float = 1.22
    bursts: float = 0.0
    scattered: bool = False
    frames: int = 1

    def draw(self, rng: np.random.Generator, images: int) -> "Drawn":
        """Images with their detections, the frames of a scene one after the other."""
        scenes = images // self.frames
        luck = rng.normal(size=scenes) * self.luck
        objects = np.full(scenes, round(self.objects))
        if self.scattered:
            objects = rng.poisson(self.objects, scenes)
        invited = np.full(scenes, self.inventions)
        if self.bursts:
            invited = self.inventions * rng.gamma(1 / self.bursts, self.bursts, scenes)
        parts = []
        for centre, counts, right in ((1.0, objects, True), (-1.0, rng.poisson(invited), False)):
            scene = np.repeat(np.arange(scenes), counts)
            logits = centre + luck[scene] + rng.normal(size=len(scene)) * self.noise
            shown = (scene[:, None] * self.frames + np.arange(self.frames)).ravel()
            seen = logits.repeat(self.frames)
            if self.frames > 1:
                seen = seen + rng.normal(size=len(seen)) * 0.3
            parts.append((shown, seen, np.full(len(seen), right)))
        image, logit, right = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(-logit, kind="stable")
        return Drawn(image[order], stats.logistic.cdf(logit[order]), right[order])


@dataclass(frozen=True)
class Drawn:
    """Detections by falling score: their images, scores, and whether they are right."""

    image: npt.NDArray[np.int64]
    score: Floats
    right: npt.NDArray[np.bool_]

    def matches(self, images: int, frames: int) -> Matches:
        """The same for the product's functions; every object is detected at some score."""
        table = pd.DataFrame(
            {"image_id": self.image, "label": LABEL, "score": self.score, "is_match": self.right}
        )
        objects = table[self.right].drop(columns="is_match").reset_index(drop=True)
        units = tuple(str(image // frames) for image in range(images))
        return Matches(tuple(range(images)), (LABEL,), objects, table, {LABEL: 0.0}, units)  # type: ignore[arg-type]


DETECTORS = (
    Detector("typical: 2 objects an image"),
    Detector("strong", inventions=1.0, noise=0.8),
    Detector("rare: an object in every other image", 0.7, 1.0, scattered=True),
    Detector("crowds: inventions come in bursts", luck=1.0, bursts=2.0, scattered=True),
    Detector("scenes of 5 frames", frames=5),
)


def by_binomial(right: Floats, wrong: Floats) -> float:
    """The p-value as if detections were independent (Clopper and Pearson)."""
    found, missed = right.sum(), wrong.sum()
    return float(stats.beta.cdf(PRECISION, found, missed + 1)) if found else 1.0


def by_betting(right: Floats, wrong: Floats) -> float:
    """The p-value of a betting test on each unit's right detections beyond the precision.

    The wealth after all units; each stake is by the units before it, and small enough that a unit
    of wrong detections, as many as the fullest has, does not ruin.
    """
    gains = right - PRECISION * (right + wrong)
    count = np.arange(1, len(gains) + 1)
    past, squares = (np.cumsum(x) - x for x in (gains, gains**2))
    variance = (PRECISION * (1 - PRECISION) + squares) / count
    largest = PRECISION * max((right + wrong).max(initial=0.0), 1.0)
    stakes = np.clip(past / count / variance, 0, 0.9 / largest)
    return float(np.exp(-np.log1p(stakes * gains).cumsum().max(initial=0.0)))


def in_sequence(steps: Ladder, test: Callable[[Floats, Floats], float]) -> float:
    """The operating point by another test, in the product's sequence."""
    point, has_begun = NEVER, False
    nothing = np.zeros(steps.detections.shape[1])
    for score, detections, right in zip(steps.scores, steps.detections, steps.right, strict=True):
        if detections.sum() < steps.objects * START:
            continue
        has_begun |= test(detections, nothing) <= 1 - CONFIDENCE
        if not has_begun:
            continue
        if test(right, detections - right) > 1 - CONFIDENCE:
            break
        point = float(score)
    return point


WAYS: dict[str, Callable[[Matches], float]] = {
    "measured": lambda found: operating_point(found, LABEL, PRECISION),
    "guaranteed": lambda found: guaranteed_point(found, LABEL, PRECISION),
    "binomial": lambda found: in_sequence(ladder(found, LABEL), by_binomial),
    "betting": lambda found: in_sequence(ladder(found, LABEL), by_betting),
}


@dataclass(frozen=True)
class Result:
    """What one threshold does on other images; no threshold holds, with a recall of 0."""

    holds: bool
    recall: float
    is_there: bool


def results(detector: Detector, images: int, draws: int) -> dict[str, list[Result]]:
    """By way, what became of each draw."""
    population = detector.draw(np.random.default_rng(0), POPULATION)
    right = np.cumsum(population.right)
    found: dict[str, list[Result]] = {way: [] for way in WAYS}
    for seed in range(1, draws + 1):
        drawn = detector.draw(np.random.default_rng(seed), images)
        matches = drawn.matches(images, detector.frames)
        for way, choose in WAYS.items():
            point = choose(matches)
            above = int(np.searchsorted(-population.score, -point, side="right"))
            if point == NEVER or not above:
                found[way].append(Result(True, 0.0, False))
                continue
            precision, recall = right[above - 1] / above, right[above - 1] / right[-1]
            found[way].append(Result(bool(precision >= PRECISION), float(recall), True))
    return found


def best(detector: Detector) -> float:
    """The recall at the lowest threshold with the precision, of whoever knows all images."""
    population = detector.draw(np.random.default_rng(0), POPULATION)
    right = np.cumsum(population.right)
    enough = np.flatnonzero(right / np.arange(1, len(right) + 1) >= PRECISION)
    return float(right[enough[-1]] / right[-1])


def simulate(draws: int) -> None:
    """Prints a row a detector and size of eval."""
    print(
        "| detector (recall of whoever knows) | eval images | measured: holds | recall "
        "| guaranteed: holds (95% interval) | recall | none | binomial: holds | recall "
        "| betting: holds | recall |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    for detector in DETECTORS:
        for images in IMAGES:
            found = results(detector, images, draws)
            columns = [f"{detector.name} ({best(detector):.2f})", str(images)]
            for way, of_way in found.items():
                held = sum(result.holds for result in of_way)
                recall = np.mean([result.recall for result in of_way])
                if way == "guaranteed":
                    none = np.mean([not result.is_there for result in of_way])
                    columns += [share(held, draws), f"{recall:.2f}", f"{none:.0%}"]
                else:
                    columns += [f"{held / draws:.1%}", f"{recall:.2f}"]
            print(f"| {' | '.join(columns)} |", flush=True)


def on_predictions(folder: Path, draws: int) -> None:
    """Prints a row a size of eval: means over draws and classes of real detections."""
    splits = [Predictions.read(folder / split) for split in ("eval", "test")]
    boxes, detections = (
        pa.concat_tables(getattr(split, name) for split in splits)
        for name in ("boxes", "detections")
    )
    image_ids = [image_id for split in splits for image_id in split.image_ids]
    labels = sorted(set(boxes["label"].to_pylist()))
    print(
        f"{len(image_ids)} images, {len(labels)} classes\n\n"
        "| eval images | measured: holds | recall | guaranteed: holds | recall | none |\n"
        "|---|---|---|---|---|---|"
    )
    whole = match(boxes, detections, image_ids, labels)
    for images in IMAGES:
        found: dict[str, list[Result]] = {"measured": [], "guaranteed": []}
        for seed in range(draws):
            order = np.random.default_rng(seed).permutation(len(image_ids))
            chosen_on, read_on = (
                _of_images(whole, {image_ids[place] for place in places})
                for places in (order[:images], order[images:])
            )
            for way, choose in (("measured", operating_point), ("guaranteed", guaranteed_point)):
                for label in labels:
                    point = choose(chosen_on, label, PRECISION)
                    precision = precision_at(read_on, label, point)  # NaN where nothing is there
                    recall = recall_at(read_on, dict.fromkeys(labels, point))[label]
                    found[way].append(Result(not precision < PRECISION, recall, point != NEVER))
        columns = [str(images)]
        for of_way in found.values():
            columns.append(f"{np.mean([result.holds for result in of_way]):.1%}")
            columns.append(f"{np.mean([result.recall for result in of_way]):.2f}")
        none = np.mean([not result.is_there for result in found["guaranteed"]])
        print(f"| {' | '.join([*columns, f'{none:.0%}'])} |", flush=True)


def _of_images(matches: Matches, image_ids: set[str]) -> Matches:
    """The same matches of some images."""
    objects, detections = (
        table[table["image_id"].isin(image_ids)].reset_index(drop=True)
        for table in (matches.objects, matches.detections)
    )
    return replace(
        matches,
        image_ids=tuple(sorted(image_ids)),
        objects=objects,
        detections=detections,
    )


def main() -> int:
    """Simulates detectors, or draws from the predictions of a real one."""
    parser = argparse.ArgumentParser(description="Simulate operating points.")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--predictions", type=Path, help="a folder with eval and test")
    arguments = parser.parse_args()
    if arguments.predictions is None:
        simulate(arguments.draws)
    else:
        on_predictions(arguments.predictions, arguments.draws)
    return 0


if __name__ == "__main__":
    sys.exit(main())
