"""How often the gate is wrong, on simulated models whose true recalls are known.

    make bench-gate

Ten classes; each image shows two objects of each, and has its own luck, which both models share.
The score of an object is the sum of the image's luck, its own difficulty, and noise of the model;
so is that of an invention, a detection of nothing. A fine-tuned challenger shares most of its noise
with the champion, one trained on its own none, and of one with a branch nine classes are the
champion's to the bit. A lift or a loss is a shift of all scores of the objects of a class, of the
size that changes recall at matched precision by so much on 100,000 images.

In rows with scenes, the images are frames: each scene shows the same things in all of its frames,
with a little noise of each frame, and the scene is the gate's unit. In rows with uses, a trial is a
test set on which so many challengers are judged, one after the other, each look charged as
`classlift.gate.uses` does; it counts as pushed when at least one was.

The verdicts are those of the product's own functions, from operating points to reasons. Beside
them, on the same samples: to compare recalls at matched precision and push when the target's is
higher; the rule by which TFX's Evaluator blesses, change thresholds on point estimates: push when
the target's recall is higher by `min_lift` and no other's lower by more than `max_drop`; and an
acceptance rule in use elsewhere, an unpaired z-test on the overall share of objects found, which
pushes whatever is not significantly worse.

Trials that are done are kept below `build/bench-gate`, by the code that made them: a run that was
stopped goes on where it was.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import optimize, stats

from classlift.gate.evidence import weigh
from classlift.gate.reading import ModelMatches
from classlift.gate.rules import judge
from classlift.gate.uses import confidence_of_use
from classlift.gate.verdict import NOT_LIFTED, PUSH, REFUSE
from classlift.metrics.curves import average_precision, operating_points, recall_at
from classlift.metrics.matching import Matches
from classlift.settings.gate import GateSettings

LABELS = tuple("abcdefghij")
TARGET, LOSER = LABELS[0], LABELS[1]
OBJECTS_AN_IMAGE, INVENTIONS_AN_IMAGE = 2, 3.0
SHARED = {"fine-tuned": 0.95, "independent": 0.0, "branch": 0.95}
"""Share of the model's noise, in variance, that champion and challenger have in common."""

OBJECT_SCORE, INVENTION_SCORE = 1.0, -1.0  # logits
LUCK, DIFFICULTY, NOISE = 0.5, 1.0, 0.7  # standard deviations of the parts of a logit
FRAME_NOISE = 0.3  # of each model in each frame of a scene
WORSE = 0.05  # alpha of the unpaired z-test
RESULTS = Path("build/bench-gate")
POPULATION = 100_000
SETTINGS = GateSettings()


@dataclass(frozen=True)
class Scenario:
    """objects: of each class on test, and as many on eval; in scenes, each is counted once.

    lift, loss: true changes of recall. shout: added to every score of the target, of objects and
    inventions alike. frames: images of each scene. shared: of the model's noise, where it is not
    that of the kind. uses: challengers that are judged on one test set; earlier: looks at it before
    them. classes: how many there are.
    """

    kind: str
    objects: int
    lift: float = 0.0
    loss: float = 0.0
    shout: float = 0.0
    frames: int = 1
    shared: float | None = None
    uses: int = 1
    earlier: int = 0
    classes: int = len(LABELS)

    def __str__(self) -> str:
        what = [f"{self.lift:+.2f} for the target"] if self.lift else []
        what += [f"{-self.loss:+.2f} for another class"] if self.loss else []
        what += ["shouts"] if self.shout else []
        size = f"{self.objects} objects a class"
        if self.frames > 1:
            size = f"{self.scenes} scenes of {self.frames} frames"
        if self.shared is not None:
            size = f"{size}, noise shared {self.shared:g}"
        how = [f"at least one of {self.uses} on a test set"] if self.uses > 1 else []
        how += [f"use {1 + self.earlier} of the test set"] if self.earlier else []
        return f"{', '.join(what) or 'equal'}; {'; '.join([self.kind, size, *how])}"

    @property
    def scenes(self) -> int:
        """How many, of as many images as `frames`."""
        return self.objects // OBJECTS_AN_IMAGE

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of its classes, the target first."""
        return LABELS[: self.classes]


SCENARIOS = (
    *(
        Scenario(kind, objects)
        for kind in ("branch", "fine-tuned", "independent")
        for objects in (50, 300, 1000)
    ),
    *(Scenario("branch", objects, shout=2.0) for objects in (50, 300, 1000)),
    *(
        Scenario("branch", 50, frames=20, shared=shared, classes=1)
        for shared in (0.0, 0.5, 0.8, 0.95)
    ),
    *(Scenario("branch", 300, shared=0.0, uses=uses, classes=1) for uses in (1, 40)),
    *(Scenario("branch", 100, shared=0.0, uses=uses, classes=1) for uses in (1, 40)),
    *(Scenario(kind, 300, lift=0.08) for kind in ("branch", "fine-tuned", "independent")),
    *(Scenario("branch", 300, lift=0.08, earlier=earlier) for earlier in (4, 19)),
    *(Scenario(kind, 300, lift=0.08, loss=0.10) for kind in ("fine-tuned", "independent")),
)


def draw(rng: np.random.Generator, scenario: Scenario) -> list[Matches]:
    """The champion, and the scenario's challengers, on one sample of scenes."""
    models, frames = 1 + scenario.uses, scenario.frames
    luck = rng.normal(size=scenario.scenes) * LUCK
    share = SHARED[scenario.kind] if scenario.shared is None else scenario.shared
    columns: list[list[tuple[int, np.ndarray, list[np.ndarray]]]] = [[], []]
    for number, label in enumerate(scenario.labels):
        same = scenario.kind == "branch" and label != TARGET
        moved = _shift({TARGET: scenario.lift, LOSER: -scenario.loss}.get(label, 0.0))
        shout = scenario.shout if label == TARGET else 0.0
        inventions = rng.poisson(INVENTIONS_AN_IMAGE, scenario.scenes)
        for centre, counts, by, which in (
            (OBJECT_SCORE, np.full(scenario.scenes, OBJECTS_AN_IMAGE), moved + shout, 0),
            (INVENTION_SCORE, inventions, shout, 1),
        ):
            of_scene = np.repeat(np.arange(scenario.scenes), counts)
            logits = _logits(rng, centre + luck[of_scene], 1.0 if same else share, models)
            images = of_scene
            if frames > 1:
                images = (of_scene[:, None] * frames + np.arange(frames)).ravel()
                own = rng.normal(size=(models, len(images))) * FRAME_NOISE
                own = own[:1].repeat(models, axis=0) if same else own
                logits = [logit.repeat(frames) + o for logit, o in zip(logits, own, strict=True)]
            scores = [stats.logistic.cdf(logit + by * (m > 0)) for m, logit in enumerate(logits)]
            columns[which].append((number, images, scores))
    return [_matches(scenario, model, *columns) for model in range(models)]


def _logits(
    rng: np.random.Generator, centre: np.ndarray, shared: float, models: int
) -> list[np.ndarray]:
    """The same things as some models see them."""
    common = centre + rng.normal(size=len(centre)) * DIFFICULTY
    noise = rng.normal(size=len(centre)) * NOISE * np.sqrt(shared)
    own = rng.normal(size=(models, len(centre))) * NOISE * np.sqrt(1 - shared)
    return [common + noise + of_model for of_model in own]


def _matches(
    scenario: Scenario,
    model: int,
    found: Sequence[tuple[int, np.ndarray, list[np.ndarray]]],
    invented: Sequence[tuple[int, np.ndarray, list[np.ndarray]]],
) -> Matches:
    def table(parts: Sequence[tuple[int, np.ndarray, list[np.ndarray]]]) -> pd.DataFrame:
        names = np.array(scenario.labels, object)
        return pd.DataFrame(
            {
                "image_id": np.concatenate([images for _, images, _ in parts]),
                "label": names[np.repeat([n for n, *_ in parts], [len(i) for _, i, _ in parts])],
                "score": np.concatenate([scores[model] for *_, scores in parts]),
            }
        )

    objects = table(found)
    detections = pd.concat(
        [objects.assign(is_match=True), table(invented).assign(is_match=False)],
        ignore_index=True,
    )
    ap50 = {}
    for (_, _, right), (_, _, wrong), label in zip(found, invented, scenario.labels, strict=True):
        order = np.argsort(-np.concatenate([right[model], wrong[model]]))
        ap50[label] = average_precision(order < len(right[model]), len(right[model]))
    images = range(scenario.scenes * scenario.frames)
    units = tuple(str(image // scenario.frames) for image in images)
    names = tuple(images)
    return Matches(names, scenario.labels, objects, detections, ap50, units)  # type: ignore[arg-type]


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


@dataclass(frozen=True)
class Trial:
    """Verdict, status of the target, and whether each of the plain rules would push."""

    verdict: str
    status: str
    compare_recalls: bool
    evaluator: bool
    z_test: bool


def trial(seed: int, scenario: Scenario) -> Trial:
    """One pair of models; of a scenario with uses, the first challenger pushed, or the last."""
    rng = np.random.default_rng(seed)
    splits = [draw(rng, scenario) for _ in range(2)]
    champion, *challengers = (ModelMatches(*models) for models in zip(*splits, strict=True))
    points = operating_points(champion.eval, SETTINGS.precision)
    before = recall_at(champion.test, points)
    results = [
        _judged(champion, challenger, scenario, confidence_of_use(use), before)
        for use, challenger in enumerate(challengers, 1 + scenario.earlier)
    ]
    return Trial(
        *next((r for r in results if r[0] == PUSH), results[-1])[:2],
        *(any(of_rule) for of_rule in list(zip(*results, strict=True))[2:]),
    )


def _judged(
    champion: ModelMatches,
    challenger: ModelMatches,
    scenario: Scenario,
    confidence: float,
    before: Mapping[str, float],
) -> tuple[str, str, bool, bool, bool]:
    """The fields of a `Trial`, of one look. before: the champion's recalls."""
    after = recall_at(challenger.test, operating_points(challenger.eval, SETTINGS.precision))
    counts = [len(champion.test.objects) * np.mean(list(r.values())) for r in (before, after)]
    rules = (
        after[TARGET] > before[TARGET],
        evaluator_blesses(before, after),
        not_significantly_worse(*counts, len(champion.test.objects)),
    )
    if after[TARGET] - before[TARGET] < SETTINGS.min_lift:
        return REFUSE, NOT_LIFTED, *rules  # whatever the bounds, which take nearly all the time
    return *gate_says(champion, challenger, scenario, confidence), *rules


def gate_says(
    champion: ModelMatches, challenger: ModelMatches, scenario: Scenario, confidence: float
) -> tuple[str, str]:
    """The verdict, and the status of the target."""
    labels = scenario.labels
    same = set(labels) - {TARGET} if scenario.kind == "branch" else set()
    deployed = dict.fromkeys(labels, 0.5)
    comparison = weigh(
        champion, challenger, labels, TARGET, SETTINGS, deployed, same, confidence=confidence
    )
    found = judge(comparison.evidence, TARGET, SETTINGS)
    return found.verdict, found.statuses[TARGET]


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


def not_significantly_worse(before: float, after: float, objects: int) -> bool:
    """Whether an unpaired one-sided z-test of two shares, pooled, leaves the second standing.

    before, after: objects found, of as many `objects` each.
    """
    pooled = (before + after) / (2 * objects)
    error = np.sqrt(2 * pooled * (1 - pooled) / objects)
    return bool(after - before >= stats.norm.ppf(WORSE) * error * objects)


def share(count: int, total: int) -> str:
    """A share with its exact 95% interval (Clopper and Pearson, Biometrika 26, 1934)."""
    low = stats.beta.ppf(0.025, count, total - count + 1) if count else 0.0
    high = stats.beta.ppf(0.975, count + 1, total - count) if count < total else 1.0
    return f"{count / total:.1%} ({low:.1%} to {high:.1%})"


def code_version() -> str:
    """A hash of the code that the figures depend on."""
    root = Path(__file__).parents[1]
    folders = (root / "classlift/metrics", root / "classlift/gate")
    files = [Path(__file__), *(path for folder in folders for path in folder.glob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()[:12]


def results_of(scenario: Scenario, trials: int, processes: int, folder: Path) -> list[Trial]:
    """The trials of one scenario, of which those in `folder` are done."""
    path = folder / f"{hashlib.sha256(repr(scenario).encode()).hexdigest()[:12]}.jsonl"
    known = path.read_text().splitlines() if path.exists() else []
    done = [Trial(**json.loads(line)) for line in known[:trials]]
    with path.open("a") as out, ProcessPoolExecutor(processes) as pool:
        left = range(len(done), trials)
        for found in pool.map(partial(trial, scenario=scenario), left, chunksize=5):
            out.write(json.dumps(vars(found)) + "\n")
            out.flush()
            done.append(found)
    return done


def main() -> int:
    """Prints a row a scenario."""
    parser = argparse.ArgumentParser(description="Simulate the gate.")
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    folder = RESULTS / code_version()
    folder.mkdir(parents=True, exist_ok=True)
    print(f"Recall at precision {SETTINGS.precision} of the champion: {true_recall(0.0):.2f}\n")
    print(
        "| challenger | pushed by the gate (95% interval) | refused | inconclusive | target called "
        "lifted | compare recalls | TFX Evaluator's rule | unpaired z-test |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for scenario in SCENARIOS:
        found = results_of(scenario, arguments.trials, arguments.processes, folder)
        verdicts = [result.verdict for result in found]
        others = [verdicts.count(v) for v in ("refuse", "inconclusive")]
        others.append(sum(result.status == "lifted" for result in found))
        others += [
            sum(getattr(result, rule) for result in found)
            for rule in ("compare_recalls", "evaluator", "z_test")
        ]
        columns = [
            share(verdicts.count(PUSH), len(found)),
            *(f"{count / len(found):.1%}" for count in others),
        ]
        print(f"| {scenario} | {' | '.join(columns)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
