"""What validation finds: broken rules, each with its places."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

CRITICAL, WARNING, INFO = SEVERITIES = ("critical", "warning", "info")
"""A critical finding stops a run, a warning is reported, and what is of interest is counted."""

EXAMPLES_SHOWN = 20
"""Places that a finding names."""

FILE = "findings.json"


@dataclass(frozen=True)
class Finding:
    """A broken rule: how often, and where, with file, record and value.

    Attributes:
        rule: what should be, as a phrase: the name of the rule.
        fault: what is wrong, as a phrase, such as "2 boxes have no area".
        severity: one of `SEVERITIES`.
        count: how often it is broken.
        where: the first places, in words.
        fix: what `classlift validate --fix` does about it, as the end of a phrase, such as
            "leaves them out"; empty where only a person can do something.
        box_ids: of the boxes that are shown, as the snapshot numbers them.

    """

    rule: str
    fault: str
    severity: str
    count: int
    where: list[str]
    fix: str = ""
    box_ids: list[int] = field(default_factory=list)

    def sentence(self) -> str:
        """One sentence: the fault, the first place, how many more there are, and what mends it."""
        more = f" (and {self.count - 1} more)" if self.count > 1 and self.where else ""
        place = f": {self.where[0]}" if self.where else ""
        mend = f"; `classlift validate --fix` {self.fix}" if self.fix else ""
        return f"{self.fault}{place}{more}{mend}"


def write_findings(folder: Path, findings: Sequence[Finding]) -> None:
    """Writes `findings.json`."""
    text = json.dumps([asdict(finding) for finding in findings], indent=1)
    (folder / FILE).write_text(text)
