"""A whole verdict for tests that look at parts of it."""

from collections.abc import Sequence
from dataclasses import replace

from classlift.gate.class_evidence import ClassEvidence
from classlift.gate.predictions import class_results
from classlift.gate.rules import Judgement, judge
from classlift.gate.verdict import EqualPrecision, TargetRecall, UnitWords, Verdict
from classlift.settings.gate import GateSettings

VERDICT = Verdict(
    verdict="refuse",
    target="target",
    findings=(),
    classes={},
    settings=GateSettings(),
    units=UnitWords("200 images, each its own", "500 images in 25 scenes, by `group`"),
    recalibrated=False,
    recall=TargetRecall(as_deployed=0.1, recalibrated=0.2, trained=0.3),
    at_equal_precision=EqualPrecision(champion=0.4, challenger=0.8, change=0.4, lower_bound=0.31),
    thresholds_known=True,
    champion="version 1",
    snapshot="abc",
    code_version="def",
    run="run 7",
    test_uses=1,
    confidence=0.975,
)


def verdict_on(
    evidence: Sequence[ClassEvidence],
    target: str = "target",
    settings: GateSettings | None = None,
    judgement: Judgement | None = None,
    **parts: object,
) -> Verdict:
    """What the rules say of the evidence, with the other parts of `VERDICT`."""
    asked = settings or GateSettings()
    found = judgement or judge(evidence, target, asked)
    return replace(
        VERDICT,
        verdict=found.verdict,
        target=target,
        findings=tuple(found.findings),
        classes=class_results(evidence, found),
        settings=asked,
        **parts,
    )
