"""How often the gate is wrong, on simulated models whose true recalls are known.

    make bench-gate

Ten classes; each image shows two objects of each, and has its own luck, which both models share.
The score of an object is the sum of the image's luck, its own difficulty, and noise of the model;
so is that of an invention, a detection of nothing. A fine-tuned challenger shares most of its noise
with the champion, one trained on its own none, and of one with a branch nine classes are the
champion's to the bit. A lift or a loss is a shift of all scores of the objects of a class, of the
size that changes recall at matched precision by so much on 100,000 images.

The verdicts are those of the product's own functions, from operating points to reasons. Beside
them, on the same samples: to compare recalls at matched precision and push when the target's is
higher; and the rule by which TFX's Evaluator blesses, change thresholds on point estimates: push
when the target's recall is higher by `min_lift` and no other's lower by more than `max_drop`.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd
from scipy import optimize, stats

from components.metrics.curves import average_precision, recall_at
from components.metrics.matching import Matches
from components.recall_gate.evidence import ModelMatches, weigh
from components.recall_gate.rules import PUSH, judge
from components.recall_gate.settings import GateSettings

LABELS = tuple("abcdefghij")
TARGET, LOSER = LABELS[0], LABELS[1]
OBJECTS_AN_IMAGE, INVENTIONS_AN_IMAGE = 2, 3.0
SHARED = {"fine-tuned": 0.95, "independent": 0.0, "branch": 0.95}
"""Share of the model's noise, in variance, that champion and challenger have in common."""

OBJECT_SCORE, INVENTION_SCORE = 1.0, -1.0  # logits
LUCK, DIFFICULTY, NOISE = 0.5, 1.0, 0.7  # standard deviations of the parts of a logit
POPULATION = 100_000
SETTINGS = GateSettings()


@dataclass(frozen=True)
class Scenario:
    """objects: of each class on test, and as many on eval; lift, loss: true changes of recall.

    shout: added to every score of the target, of objects and inventions alike.
    """

    kind: str
    objects: int
    lift: float = 0.0
    loss: float = 0.0
    shout: float = 0.0

    def __str__(self) -> str:
        what = [f"{self.lift:+.2f} for the target"] if self.lift else []
        what += [f"{-self.loss:+.2f} for another class"] if self.loss else []
        what += ["shouts"] if self.shout else []
        return f"{', '.join(what) or 'equal'}; {self.kind}; {self.objects} objects a class"


SCENARIOS = (
    *(
        Scenario(kind, objects)
        for kind in ("branch", "fine-tuned", "independent")
        for objects in (50, 300, 1000)
    ),
    *(Scenario("branch", objects, shout=2.0) for objects in (50, 300, 1000)),
    *(Scenario(kind, 300, lift=0.08) for kind in ("branch", "fine-tuned", "independent")),
    *(Scenario(kind, 300, lift=0.08, loss=0.10) for kind in ("fine-tuned", "independent")),
)


def draw(rng: np.random.Generator, images: int, scenario: Scenario) -> tuple[Matches, Matches]:
    """Champion and challenger on one sample of images."""
    luck = rng.normal(size=images) * LUCK
    tables: list[tuple[list[pd.DataFrame], list[pd.DataFrame]]] = [([], []), ([], [])]
    for label in LABELS:
        same = scenario.kind == "branch" and label != TARGET
        shift = _shift({TARGET: scenario.lift, LOSER: -scenario.loss}.get(label, 0.0))
        shout = scenario.shout if label == TARGET else 0.0
        inventions = rng.poisson(INVENTIONS_AN_IMAGE, images)
        for centre, counts, moved, which in (
            (OBJECT_SCORE, np.full(images, OBJECTS_AN_IMAGE), shift + shout, 0),
            (INVENTION_SCORE, inventions, shout, 1),
        ):
            of_image = np.repeat(np.arange(images), counts)
            logits = _logits(rng, centre + luck[of_image], 1.0 if same else SHARED[scenario.kind])
            for model, logit in enumerate(logits):
                score = stats.logistic.cdf(logit + moved * model)
                table = pd.DataFrame({"image_id": of_image, "label": label, "score": score})
                tables[model][which].append(table)
    champion, challenger = (_matches(images, *parts) for parts in tables)
    return champion, challenger


def _logits(
    rng: np.random.Generator, centre: np.ndarray, shared: float
) -> tuple[np.ndarray, np.ndarray]:
    """The same things as two models see them."""
    common = centre + rng.normal(size=len(centre)) * DIFFICULTY
    noise = rng.normal(size=len(centre)) * NOISE * np.sqrt(shared)
    first, second = rng.normal(size=(2, len(centre))) * NOISE * np.sqrt(1 - shared)
    return common + noise + first, common + noise + second


def _matches(
    images: int, found: Sequence[pd.DataFrame], invented: Sequence[pd.DataFrame]
) -> Matches:
    objects = pd.concat(found, ignore_index=True)
    detections = pd.concat(
        [objects.assign(is_match=True), pd.concat(invented).assign(is_match=False)],
        ignore_index=True,
    )
    ap50 = {}
    for label in LABELS:
        of_label = detections[detections["label"] == label].sort_values("score", ascending=False)
        count = int((objects["label"] == label).sum())
        ap50[label] = average_precision(of_label["is_match"].to_numpy(bool), count)
    return Matches(tuple(range(images)), LABELS, objects, detections, ap50)  # type: ignore[arg-type]


@cache
def _population() -> tuple[np.ndarray, np.ndarray]:
    """Logits of the objects and the inventions of one class."""
    rng = np.random.default_rng(0)
    spread = np.sqrt(LUCK**2 + DIFFICULTY**2 + NOISE**2)
    counts = (OBJECTS_AN_IMAGE * POPULATION, int(INVENTIONS_AN_IMAGE * POPULATION))
    objects, inventions = (rng.normal(size=count) * spread for count in counts)
    return objects + OBJECT_SCORE, inventions + INVENTION_SCORE


def true_recall(shift: float) -> float:
    """Recall at matched precision of a class whose objects' logits are shifted."""
    objects, inventions = _population()
    order = np.argsort(-np.concatenate([objects + shift, inventions]))
    found = np.cumsum(order < len(objects))
    precise = np.flatnonzero(found / np.arange(1, len(order) + 1) >= SETTINGS.precision)
    return float(found[precise[-1]] / len(objects)) if len(precise) else 0.0


@cache
def _shift(change: float) -> float:
    """The shift of the objects' logits that changes recall at matched precision by so much."""
    if not change:
        return 0.0
    wanted = true_recall(0.0) + change
    return float(optimize.brentq(lambda shift: true_recall(shift) - wanted, -1, 1, xtol=1e-4))


def trial(seed: int, scenario: Scenario) -> tuple[str, str, bool, bool]:
    """Verdict, status of the target, and what the two plain rules would do."""
    rng = np.random.default_rng(seed)
    images = scenario.objects // OBJECTS_AN_IMAGE
    splits = [draw(rng, images, scenario) for _ in range(2)]
    champion, challenger = (ModelMatches(*models) for models in zip(*splits, strict=True))
    same = set(LABELS) - {TARGET} if scenario.kind == "branch" else set()
    deployed = dict.fromkeys(LABELS, 0.5)
    comparison = weigh(champion, challenger, LABELS, TARGET, SETTINGS, deployed, same)
    found = judge(comparison.evidence, TARGET, SETTINGS)
    before = recall_at(champion.test, comparison.champion_points)
    after = recall_at(challenger.test, comparison.challenger_points)
    return (
        found.verdict,
        found.statuses[TARGET],
        after[TARGET] > before[TARGET],
        evaluator_blesses(before, after),
    )


def evaluator_blesses(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    """Whether TFX's Evaluator would bless a model with these recalls.

    Its config has a change threshold for each class: at least `min_lift` for the target, at least
    `-max_drop` for the others. What decides there is `validate_metrics` of TFMA, which takes
    seconds to import; `tests/benchmarks/test_gate.py` proves that it says the same.
    """
    return all(
        after[label] - before[label]
        >= (SETTINGS.min_lift if label == TARGET else -SETTINGS.max_drop)
        for label in before
    )


def share(count: int, total: int) -> str:
    """A share with its exact 95% interval (Clopper and Pearson, Biometrika 26, 1934)."""
    low = stats.beta.ppf(0.025, count, total - count + 1) if count else 0.0
    high = stats.beta.ppf(0.975, count + 1, total - count) if count < total else 1.0
    return f"{count / total:.1%} ({low:.1%} to {high:.1%})"


def main() -> int:
    """Prints a row a scenario."""
    parser = argparse.ArgumentParser(description="Simulate the gate.")
    parser.add_argument("--trials", type=int, default=400)
    trials = parser.parse_args().trials
    print(f"Recall at precision {SETTINGS.precision} of the champion: {true_recall(0.0):.2f}\n")
    print(
        "| challenger | pushed by the gate (95% interval) | refused | inconclusive | target called "
        "lifted | compare recalls | TFX Evaluator's rule |\n|---|---|---|---|---|---|---|"
    )
    with ProcessPoolExecutor() as pool:
        for scenario in SCENARIOS:
            found = list(pool.map(partial(trial, scenario=scenario), range(trials), chunksize=10))
            verdicts = [verdict for verdict, *_ in found]
            counts = [verdicts.count(v) for v in ("refuse", "inconclusive")]
            lifted = sum(status == "lifted" for _, status, *_ in found)
            plain = [sum(rule) for rule in list(zip(*found, strict=True))[2:]]
            columns = [
                share(verdicts.count(PUSH), trials),
                *(f"{count / trials:.1%}" for count in (*counts, lifted, *plain)),
            ]
            print(f"| {scenario} | {' | '.join(columns)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
