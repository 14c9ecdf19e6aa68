"""Two runs side by side, from their verdicts: what each found of each class, and what differed."""

from dataclasses import dataclass, fields

from classlift.colour import PLAIN, Line
from classlift.gate.terminal import STYLES, table
from classlift.gate.verdict import Row, Verdict
from classlift.records import Json
from classlift.text import shown


@dataclass(frozen=True)
class TwoRuns:
    """The verdicts of two runs.

    Attributes:
        names: the ids of the runs.
        old: of the first run, as `new`.
        new: of the second.

    """

    names: tuple[str, str]
    old: Verdict
    new: Verdict

    def differences(self) -> tuple[str, ...]:
        """What else than the models differs between the runs, in words."""
        words = []
        if self.old.target != self.new.target:
            words.append(f"target: {shown(self.old.target)}, then {shown(self.new.target)}")
        if self.old.snapshot != self.new.snapshot:
            words.append(
                f"data: {self.old.snapshot[:12]}, then {self.new.snapshot[:12]}; where the test "
                "images differ, so do recalls of the same model"
            )
        if self.old.champion != self.new.champion:
            words.append(f"champion: {self.old.champion}, then {self.new.champion}")
        for field in fields(self.old.settings):
            values = [getattr(verdict.settings, field.name) for verdict in (self.old, self.new)]
            if values[0] != values[1]:
                words.append(f"{field.name}: {values[0]}, then {values[1]}")
        return tuple(words)

    def rows(self) -> tuple[tuple[str, Row | None, Row | None], ...]:
        """Each class with its row in either run; None where a run did not know it."""
        old, new = ({row.label: row for row in v.rows()} for v in (self.old, self.new))
        labels = sorted({**old, **new}, key=lambda name: name not in self._targets())
        return tuple((label, old.get(label), new.get(label)) for label in labels)

    def _targets(self) -> tuple[str, str]:
        return self.old.target, self.new.target

    def to_json(self) -> dict[str, Json]:
        """Both verdicts as in verdict.json, and what differs."""
        return {
            "runs": list(self.names),
            "old": self.old.to_json(),
            "new": self.new.to_json(),
            "differences": list(self.differences()),
        }


def render(runs: TwoRuns) -> list[Line]:
    """Both runs in lines for a terminal."""
    verdicts = zip(runs.names, (runs.old, runs.new), strict=True)
    lines = [Line(f"{name}: {v.sentence}", STYLES[v.verdict]) for name, v in verdicts]
    if differences := runs.differences():
        lines += [Line(""), *(Line(f"Differs: {words}.") for words in differences)]
    styles = []
    cells: list[tuple[str, ...]] = [
        ("challenger on test", "recall", "", "change", "precision", "", "status")
    ]
    for label, old, new in runs.rows():
        recalls = [row.recall[1] if row else None for row in (old, new)]
        precisions = [row.precision if row else None for row in (old, new)]
        known = [recall for recall in recalls if recall is not None]
        change = f"{known[1] - known[0]:+.3f}" if len(known) == 2 else "-"
        states = [row.status if row else "no such class" for row in (old, new)]
        status = states[0] if states[0] == states[1] else ", then ".join(states)
        styles.append(STYLES.get(states[1], PLAIN))
        cells.append(
            (
                shown(label),
                *map(_figure, recalls),
                change,
                *map(_figure, precisions),
                status + (" <" if label in (runs.old.target, runs.new.target) else ""),
            )
        )
    return [*lines, Line(""), *table(cells, styles)]


def _figure(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.3f}"
