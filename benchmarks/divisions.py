"""The default against full fine-tuning on the photographs of `cards`, divided anew several times.

    make bench-divisions DATA=../shared/data/cards

With 30 objects of the target on test, which recipe finds more is largely luck; the mean over
divisions, each with a champion of its own, is less so. Takes ten minutes of a core for each; what
has run is kept in `build/bench-divisions`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks import cards
from benchmarks.comparison import REFERENCE, ROOT, Setting, measure, on_cores
from benchmarks.real_data import RealData, setting
from classlift.detectors import od_api
from classlift.environment import restart_with

DIVISIONS = (0, 1, 2, 6, 7)
"""The seeds by which images are divided; 0 is that of `cards`."""
RECIPES = ("default", REFERENCE)
CHAMPION = "champion"
FIGURES: dict[str, Callable[[dict[str, Any]], float]] = {
    "AP50": lambda found: found["ap50"],
    "recall at equal precision": lambda found: found["equal_recall"][1],
    "lift (gate)": lambda found: found["lift"],
    "CPU s": lambda found: found["cpu_seconds"],
}


def divided(division: int) -> tuple[RealData, Setting]:
    """The data of a division, and what is trained of them."""
    data = replace(cards.DATA, name=f"divisions/{division}", division=division)
    return data, setting(data, cards.COMMON)


def main() -> None:
    """Prints the table when all have run; a process for each training, on a core of its own."""
    restart_with({**od_api.ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "3"})
    if sys.argv[1:]:
        one(*sys.argv[1:])
        return

    def trainings(division: int, core: int) -> None:
        for what in (CHAMPION, *RECIPES):
            print(f"division {division}: {what}", flush=True)
            words = [sys.executable, "-m", "benchmarks.divisions", str(division), what, str(core)]
            subprocess.run(words, cwd=ROOT, check=True, stdout=sys.stderr)

    on_cores(trainings, DIVISIONS)
    print(table())


def one(number: str, what: str, core: str) -> None:
    """Trains the champion of a division, or by a recipe."""
    os.sched_setaffinity(0, {int(core)})
    division = int(number)
    data, recipes = divided(division)
    if what == CHAMPION:
        data.prepare()
        return
    path = _result(recipes, what)
    if not path.exists():
        entry = next(entry for entry in recipes.entries if entry.name == what)
        path.write_text(json.dumps(measure(recipes, entry, division)))


def _result(recipes: Setting, what: str) -> Path:
    return recipes.work / f"{what}.json"


def table() -> str:
    """A row a division, then the mean of the differences and its standard error."""
    names = " | ".join(f"{name}: default, full" for name in FIGURES)
    lines = [f"| division | the champion's AP50 | {names} |", f"|---|---{len(FIGURES) * '|---'}|"]
    pairs: dict[str, list[Sequence[float]]] = {name: [] for name in FIGURES}
    for division in DIVISIONS:
        _, recipes = divided(division)
        found = [json.loads(_result(recipes, what).read_text()) for what in RECIPES]
        cells = []
        for name, figure in FIGURES.items():
            pair = [figure(one) for one in found]
            pairs[name].append(pair)
            cells.append(", ".join(_shown(value) for value in pair))
        lines.append(f"| {division} | {found[0]['ap50_before']:.3f} | {' | '.join(cells)} |")
    means = []
    for both in pairs.values():
        differences = [ours - full for ours, full in both]
        error = stdev(differences) / len(differences) ** 0.5
        middle = ", ".join(_shown(mean(side)) for side in zip(*both, strict=True))
        means.append(f"{middle} ({_shown(mean(differences))} ± {_shown(error)})")
    lines.append(f"| mean | | {' | '.join(means)} |")
    return "\n".join(lines)


def _shown(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 3 else f"{value:.0f}"


if __name__ == "__main__":
    main()
