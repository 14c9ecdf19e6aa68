"""How deep a branch the default chooses, of champions that were trained on less and less old data.

    make bench-old-data DATA=../shared/data/cards

On the demo's digits and, with DATA, on the photographs of `cards`. A champion is trained as theirs
is, for as many steps, on 5% and on 20% of the old images; that of all is theirs. The run's own data
stay whole. Takes two hours of a core; what has run is kept in `build/bench-old-data`.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import cards, recipes
from benchmarks.comparison import ROOT, Setting, measure
from benchmarks.real_data import RealData
from classlift.detectors import od_api
from classlift.environment import restart_with

SHARES = (0.05, 0.2, 1.0)
WORK = ROOT / "build" / "bench-old-data"
SEED, RESULT = 0, "result.json"
HEAD = (
    "| champion of | its AP50 | depth | AP50, eval: a head, deeper | AP50, test | recall at equal "
    "precision | lift (gate) | verdict |\n|---|---|---|---|---|---|---|---|"
)


def digits(share: float) -> Path:
    """Where the demo's champion of a share of its scenes is."""
    return recipes.SETTING.model if share == 1 else WORK / f"digits-{share:g}" / "model"


def train_digits(share: float) -> None:
    """Trains it as the demo's."""
    from demo.pretrain import load_scenes, train, untrained

    detector = untrained(recipes.SETTING.model)
    images, boxes, labels = load_scenes()
    count = round(share * len(images))
    train(detector, images[:count], boxes[:count], labels[:count])
    detector.save(digits(share))


def photographs(share: float) -> Path:
    """Where the champion of a share of the photographs of `cards` is."""
    return _of(share).model


def _of(share: float) -> RealData:
    less = replace(cards.DATA, name=f"old-data/cards-{share:g}")
    return cards.DATA if share == 1 else less


def train_photographs(share: float) -> None:
    """Trains it as that of all."""
    less = _of(share)
    cards.DATA.prepare()
    if share == 1:
        return
    whole = cards.DATA.work / "data"
    shutil.rmtree(less.work / "data", ignore_errors=True)
    shutil.copytree(whole, less.work / "data")
    old = less.work / "data" / "old"
    names = sorted(path.stem for path in (old / "Annotations").iterdir())
    kept = random.Random(0).sample(names, round(share * len(names)))
    for name in set(names).difference(kept):
        (old / "Annotations" / f"{name}.xml").unlink()
        (old / "images" / f"{name}.jpg").unlink()
    less.train_champion()


@dataclass(frozen=True)
class Kind:
    """Images, and champions of a share of them.

    Attributes:
        whole: what the default trains, of the champion of all.
        champion: where the champion of a share is.
        train: makes it.

    """

    whole: Setting
    champion: Callable[[float], Path]
    train: Callable[[float], None]

    def setting(self, name: str, share: float) -> Setting:
        """What the default trains, of another champion."""
        work = WORK / f"{name}-{share:g}" / "work"
        return replace(self.whole, work=work, model=self.champion(share))


KINDS = {
    "digits": Kind(recipes.SETTING, digits, train_digits),
    "cards": Kind(cards.SETTING, photographs, train_photographs),
}


def main() -> None:
    """Prints a row a champion as they end; a process for each training."""
    restart_with({**od_api.ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "3"})
    if sys.argv[1:]:
        one(*sys.argv[1:])
        return
    print(HEAD, flush=True)
    has_cards = cards.DATA.is_in(Path(os.environ.get("DATA", "")))
    for name in KINDS if has_cards else ["digits"]:
        for share in SHARES:
            kind = KINDS[name]
            setting = kind.setting(name, share)
            if not setting.model.exists():
                _apart("champion", name, share)
            if not (setting.work / RESULT).exists():
                _apart(RESULT, name, share)
            print(row(name, share, json.loads((setting.work / RESULT).read_text())), flush=True)


def _apart(what: str, name: str, share: float) -> None:
    words = [sys.executable, "-m", "benchmarks.old_data", what, name, str(share)]
    subprocess.run(words, cwd=ROOT, check=True, stdout=sys.stderr)


def one(what: str, name: str, share: str) -> None:
    """Trains a champion, or what the default makes of it."""
    kind = KINDS[name]
    if what != RESULT:
        kind.train(float(share))
        return
    setting = kind.setting(name, float(share))
    setting.work.mkdir(parents=True, exist_ok=True)
    found = measure(setting, setting.entries[0], SEED)
    (setting.work / RESULT).write_text(json.dumps(found))


def row(name: str, share: float, found: dict[str, Any]) -> str:
    """A line of the table."""
    depths = found["depths"]
    (chosen,) = depths["chosen"].values()
    on_eval = [f"{ap50:.3f}" for depth in depths["trained"] for ap50 in depth["ap50"].values()]
    return (
        f"| {name}, {share:.0%} | {found['ap50_before']:.3f} | {chosen} "
        f"| {', '.join(on_eval)} | {found['ap50']:.3f} "
        f"| {' → '.join(f'{recall:.3f}' for recall in found['equal_recall'])} "
        f"| {found['lift']:+.3f} (≥ {found['lift_lower']:+.3f}) | {found['verdict']} |"
    )


if __name__ == "__main__":
    main()
