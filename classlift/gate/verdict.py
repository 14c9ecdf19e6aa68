"""`verdict.json`: what the gate found, and what became of it; without the imports of the gate."""

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TypeVar

from classlift.errors import EvaluationError
from classlift.metrics.change import Change, Measure, Pair
from classlift.paths import replacing
from classlift.records import Json, Record, without_nan
from classlift.serving.provenance import Override, Signature, override_of, signature_of
from classlift.settings.field import read as read_settings
from classlift.settings.gate import GateSettings
from classlift.settings.targets import classes_in_words

VERDICT, REPORT = "verdict.json", "report.html"
"""The files of an evaluation."""

VERSION = 2
PUSH, REFUSE, INCONCLUSIVE = "push", "refuse", "inconclusive"

LIFTED, NOT_LIFTED, UNCHANGED = "lifted", "not lifted", "unchanged"
NOT_WORSE, CANT_TELL, REGRESSED = "not worse", "can't tell", "regressed"
NOT_READ = "not read"
"""The status of a class: of the target `LIFTED`, `NOT_LIFTED` or `CANT_TELL`."""

NOTE, DOUBT, REFUSAL = "note", "doubt", "refuse"
"""Levels of a finding, the worst last."""

ABOUT = {
    "lift": "the target's lift",
    "boxes_of_target": "the target's boxes",
    "recall_of_new_class": "the recall of a new class",
    "regressed": "classes that regressed",
    "not_read": "classes that can't be read",
    "in_doubt": "classes of which a drop can't be ruled out",
    "precision_on_test": "precision on test",
    "recall_floor": "floors of recall",
    "": "notes",
}
"""What the findings of each rule are about, in words; `""` for what no rule says."""

DECIDING = {PUSH: NOTE, REFUSE: REFUSAL, INCONCLUSIVE: DOUBT}
"""Level of the findings that decide, by verdict."""

STEPS = 3
"""Needs that the next steps name; the reasons have all."""

DECIDED = {PUSH: "Push", REFUSE: "Refused", INCONCLUSIVE: "Inconclusive"}


@dataclass(frozen=True)
class Finding:
    """What a rule of the gate has to say.

    Attributes:
        level: `NOTE`, `DOUBT` or `REFUSAL`.
        label: the class; None for what concerns several.
        sentence: what was found, in words.
        settles: what would settle it, in words; None where nothing has to be.
        rule: name of the rule, of `ABOUT`.

    """

    level: str
    label: str | None
    sentence: str
    settles: str | None = None
    rule: str = ""


@dataclass(frozen=True)
class Served:
    """A class on test as production sees it before and after a push.

    Attributes:
        threshold: score threshold that is served.
        recall: at that threshold; NaN without objects.
        false_alarms: detections at the threshold that match no object.

    """

    threshold: Pair
    recall: Pair
    false_alarms: Pair


@dataclass(frozen=True)
class ClassResult:
    """What the gate measured of one class on test.

    Shares are from 0 to 1, NaN where there is nothing to take a share of. Bounds are one-sided, at
    the verdict's `confidence` where nothing else is said.

    Attributes:
        objects: labelled objects; boxes of crowds are none.
        status: `LIFTED` and its like.
        not_read: why the class can't be read, in words; None where it can.
        read_at: score thresholds at which the models are read; NaN where one has none with the
            precision asked for.
        served: what production sees.
        champion_recall: at `read_at`, as `challenger_recall`.
        challenger_recall: of the challenger.
        challenger_recall_upper: its upper bound.
        lift: change of the recall.
        lower_bound: of the lift, one-sided, as `upper_bound`.
        upper_bound: of the lift.
        minimum_detectable_drop: of the recall, that this test set would show with 80% power.
        objects_needed: how many more labelled objects would likely settle what is in doubt; None
            where no number would, or nothing is in doubt.
        units_gained: units (images or scenes) in which the challenger finds more objects.
        units_lost: units in which it finds fewer.
        served_recall_change: at the thresholds that are served; None where they are `read_at`.
        champion_precision: at `read_at`, as `precision`.
        precision: of the challenger.
        precision_lower: its 90% lower bound, against which a precision that is asked for must hold.
        precision_change: None where it is not compared with the champion's.
        champion_ap50: COCO's average precision at IoU 0.5.
        challenger_ap50: of the challenger.
        ap50_change: of the uninterpolated one; NaN for an unchanged class.
        mean_iou: of the objects that both models find; None for an unchanged class, and where they
            find none in common.

    """

    objects: int
    status: str
    not_read: str | None
    read_at: Pair
    served: Served
    champion_recall: float
    challenger_recall: float
    challenger_recall_upper: float
    lift: float
    lower_bound: float
    upper_bound: float
    minimum_detectable_drop: float
    objects_needed: int | None
    units_gained: int
    units_lost: int
    served_recall_change: Change | None
    champion_precision: float
    precision: float
    precision_lower: float
    precision_change: Change | None
    champion_ap50: float
    challenger_ap50: float
    ap50_change: Change
    mean_iou: Measure | None


@dataclass(frozen=True)
class TargetRecall:
    """Recall of the target on test.

    Attributes:
        as_deployed: of the champion at its threshold in production.
        recalibrated: after a move of the threshold alone.
        trained: of the challenger; None where nothing was trained.

    """

    as_deployed: float
    recalibrated: float
    trained: float | None


@dataclass(frozen=True)
class EqualPrecision:
    """Recall of the target where both models have the precision asked for on test itself.

    Attributes:
        champion: its recall.
        challenger: its recall.
        change: the challenger's less the champion's.
        lower_bound: of the change, one-sided.

    """

    champion: float
    challenger: float
    change: float
    lower_bound: float


@dataclass(frozen=True)
class UnitWords:
    """What the unit of the bounds was on each split, in words."""

    eval: str
    test: str


@dataclass(frozen=True)
class Outcome:
    """What became of a verdict.

    Attributes:
        pushed: folder of the version that the model was pushed to; None where it was not.
        pushed_by_run: id of the run that pushed it: an earlier one where all came from the cache.
        approval: who approved of the push that the gate blessed; None where nobody was asked.
        override: who pushed against the verdict.
        served: which version is served now, and who had it served, in words; None until a run has
            ended.

    """

    pushed: str | None = None
    pushed_by_run: str | None = None
    approval: Signature | None = None
    override: Override | None = None
    served: str | None = None


IF_OPEN, IF_PUSHED = "if-open", "if-pushed"
"""When a step makes sense: before a push, or after it."""


@dataclass(frozen=True)
class Step:
    """What somebody may do next.

    Attributes:
        words: what and why.
        command: that does it; None where there is none.
        when: `IF_OPEN` for before a push alone, `IF_PUSHED` for after it alone.

    """

    words: str
    command: str | None = None
    when: str = ""


@dataclass(frozen=True)
class Row:
    """One class as every rendering shows it; None where nothing is to be shown.

    Attributes:
        label: the class.
        is_target: whether it was to be raised.
        objects: labelled objects on test.
        status: `LIFTED` and its like.
        recall: of champion and challenger, where the gate read them.
        change: of the recall.
        lower_bound: of the change, as `upper_bound`; None for an unchanged class too, whose change
            is nothing by itself.
        upper_bound: of the change.
        champion_precision: at the same thresholds, as `precision`.
        precision: of the challenger.
        precision_lower: its lower bound.
        precision_change: where it is compared, as `precision_change_lower`.
        precision_change_lower: its lower bound.
        ap50: of champion and challenger.
        mean_iou: of the objects that both find, in champion and challenger.
        detectable_drop: drop of the recall that this test set would show with 80% power; None
            where it would show none.
        threshold: score threshold that is served before and after a push.
        served_recall: at that threshold.
        false_alarms: at that threshold.

    """

    label: str
    is_target: bool
    objects: int
    status: str
    recall: tuple[float | None, float | None]
    change: float | None
    lower_bound: float | None
    upper_bound: float | None
    champion_precision: float | None
    precision: float | None
    precision_lower: float | None
    precision_change: float | None
    precision_change_lower: float | None
    ap50: tuple[float | None, float | None]
    mean_iou: tuple[float | None, float | None]
    detectable_drop: float | None
    threshold: Pair
    served_recall: tuple[float | None, float | None]
    false_alarms: Pair


@dataclass(frozen=True)
class Verdict:
    """The verdict of one run of the gate.

    Attributes:
        verdict: `PUSH`, `REFUSE` or `INCONCLUSIVE`: the worst level of the findings.
        target: the class that was to be raised; of several, the first that is pushed, if any is.
        findings: what the rules found.
        classes: by class of the label map, as the model has them that a push would serve.
        settings: what the gate asked.
        units: what the unit of the bounds was, in words.
        recalibrated: whether nothing was trained, and the target's threshold alone moves.
        recall: of the target.
        at_equal_precision: recall of the target at the same precision on test.
        thresholds_known: whether the champion brings its thresholds in production; else
            `DEFAULT_THRESHOLD` is assumed.
        champion: name of the champion, such as `version 7`.
        snapshot: content hash of the snapshot; empty where there was none.
        code_version: of the ClassLift that judged.
        run: id of the run; None outside one.
        test_uses: how often the gate has used this test set, with this time.
        confidence: of the bounds of changes, one-sided.
        outcome: what became of it; None where nobody has looked yet.
        beside: the verdicts on the other targets, each judged as if it alone were pushed.

    """

    verdict: str
    target: str
    findings: tuple[Finding, ...]
    classes: Mapping[str, ClassResult]
    settings: GateSettings
    units: UnitWords
    recalibrated: bool
    recall: TargetRecall
    at_equal_precision: EqualPrecision
    thresholds_known: bool
    champion: str
    snapshot: str
    code_version: str
    run: str | None
    test_uses: int
    confidence: float
    outcome: Outcome | None = None
    beside: tuple["Verdict", ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """All classes that were to be raised."""
        return (self.target, *(other.target for other in self.beside))

    @property
    def left_out(self) -> tuple[str, ...]:
        """The targets of a push that are not part of it: what they learned is not served."""
        if self.verdict != PUSH:
            return ()
        return tuple(other.target for other in self.beside if other.verdict != PUSH)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The sentences of the findings, each once."""
        found = [finding.sentence for finding in self.findings]
        return tuple(dict.fromkeys([*found, *(r for other in self.beside for r in other.reasons)]))

    @property
    def deciding(self) -> tuple[Finding, ...]:
        """The findings that made the verdict; of a push, what was found of the target.

        Those of the target and of several classes come first, then those of the class that lost
        most: a sentence names one.
        """
        level = DECIDING[self.verdict]
        found = (
            finding
            for finding in self.findings
            if finding.level == level and (level != NOTE or finding.label == self.target)
        )
        return tuple(sorted(found, key=self._lost_by))

    def _lost_by(self, finding: Finding) -> float:
        """What a sort puts first: no number for the target, and for the others what they lost."""
        other = self.classes.get(finding.label or "")
        if other is None or finding.label == self.target:
            return -math.inf
        return math.inf if math.isnan(other.lift) else other.lift

    @property
    def sentence(self) -> str:
        """The verdict and the first finding that made it, in one sentence for each target."""
        said = [self.sentence_of_target, *(other.sentence for other in self.beside)]
        return " ".join(filter(None, [*said, self.sentence_of_left_out]))

    @property
    def sentence_of_left_out(self) -> str:
        """Which targets a push does without; empty where there are none."""
        out = self.left_out
        return f"Left out of what is pushed: {classes_in_words(out)}." if out else ""

    @property
    def sentence_of_target(self) -> str:
        """The sentence on `target` alone."""
        decided, deciding = DECIDED[self.verdict], self.deciding
        if not deciding:
            return f"{decided}: class {self.target}."
        first = deciding[0].sentence
        words = f"{decided}: {first[:1].lower()}{first[1:]}"
        if self.verdict == PUSH or len(deciding) == 1:
            return words
        return f"{words.removesuffix('.')} (the first of {len(deciding)} reasons)."

    @property
    def further(self) -> tuple[Finding, ...]:
        """The findings that `sentence` does not say: those that decide first."""
        first = self.deciding[:1]
        rest = tuple(finding for finding in self.findings if finding not in first)
        return tuple(sorted(rest, key=lambda finding: finding not in self.deciding))

    def next_steps(self) -> tuple[Step, ...]:
        """What to do next; `CONFIG`, `NAME` and `TEXT` of a command are for the reader to fill."""
        needs = dict.fromkeys(f.settles for f in self.deciding if f.settles is not None)
        steps = [Step(f"{need[:1].upper()}{need[1:]}.") for need in list(needs)[:STEPS]]
        if len(needs) > STEPS:
            steps.append(Step(f"{len(needs) - STEPS} more such needs stand with the findings."))
        if self.run is None:
            return tuple(steps)
        gain = self.recall.recalibrated - self.recall.as_deployed
        if (
            self.verdict != PUSH
            and not self.recalibrated
            and self.settings.score_threshold is None
            and gain >= self.settings.min_lift
        ):
            steps.append(
                Step(
                    "Recalibrate alone, without training: recall of class "
                    f"{self.target} on test goes from {self.recall.as_deployed:.3f} to "
                    f"{self.recall.recalibrated:.3f}.",
                    "classlift run --config CONFIG --set recalibrate=true",
                    IF_OPEN,
                )
            )
        return (*steps, *_steps_of_push(self.verdict, self.run))

    def became(self, run: str | None) -> str:
        """Whether and where the model of a run was pushed, by which run and by whom, in words."""
        outcome = self.outcome or Outcome()
        if outcome.pushed is None:
            return "nothing; the version served stays"
        words = outcome.pushed
        if outcome.pushed_by_run != run:
            version = Path(words).name
            words = f"nothing; run {outcome.pushed_by_run} pushed this model, as version {version}"
        if outcome.override:
            by = outcome.override
            words += f", by {by.by} against the verdict: {by.reason}"
        if outcome.approval:
            words += f", approved by {outcome.approval.by}: {outcome.approval.reason}"
        return words

    def rows(self) -> tuple[Row, ...]:
        """The classes as terminal, report and approval show them, in the label map's order."""
        return tuple(_row(self, label) for label in self.classes)

    def with_outcome(self, outcome: Outcome) -> "Verdict":
        """The same verdict with what became of it."""
        return replace(self, outcome=outcome)

    @classmethod
    def read(cls, folder: Path) -> "Verdict":
        """Reads the verdict in a folder.

        Returns:
            The verdict.

        Raises:
            EvaluationError: it is missing, damaged, or of another version than this code reads.

        """
        path = folder / VERDICT
        advice = "put the whole evaluation back, or change data or recipe and run again."

        def fault(name: str) -> EvaluationError:
            return EvaluationError(f"{path}: `{name}` is missing or of the wrong type; {advice}")

        try:
            document = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise EvaluationError(
                f"{path}: it can't be read ({error.strerror}); {advice}"
            ) from None
        except (ValueError, RecursionError) as error:
            raise EvaluationError(f"{path}: it is damaged ({error}); {advice}") from None
        if not isinstance(document, dict) or document.get("version") != VERSION:
            raise EvaluationError(f"{path}: it is no verdict of version {VERSION}; {advice}")
        if document.get("verdict") not in (PUSH, REFUSE, INCONCLUSIVE):
            raise EvaluationError(f"{path}: `verdict` is {document.get('verdict')!r:.80}; {advice}")
        return _verdict(Record(document, fault))

    def write(self, folder: Path) -> None:
        """Writes `verdict.json` into a folder, whole or not at all."""
        with replacing(folder / VERDICT) as draft:
            draft.write_text(json.dumps(self.to_json(), indent=1))

    def to_json(self) -> dict[str, Json]:
        """The document of docs/reference/verdict.schema.json, version 2; NaN becomes null."""
        outcome = self.outcome
        became: dict[str, object] = {}
        if outcome is not None:
            became["pushed_by_run"] = outcome.pushed_by_run
            for name, person in (("approval", outcome.approval), ("override", outcome.override)):
                if person is not None:
                    became[name] = person.record()
            if outcome.served is not None:
                became["served"] = outcome.served
        document = {
            "version": VERSION,
            "verdict": self.verdict,
            "target": self.target,
            "sentence": self.sentence,
            "reasons": self.reasons,
            "findings": [
                {
                    "level": finding.level,
                    "class": finding.label,
                    "sentence": finding.sentence,
                    "settles": finding.settles,
                    "rule": finding.rule,
                }
                for finding in self.findings
            ],
            "classes": {label: _class_to_json(found) for label, found in self.classes.items()},
            "pushed": outcome and outcome.pushed,
            "settings": {f.name: getattr(self.settings, f.name) for f in fields(self.settings)},
            "units": vars(self.units),
            "recalibrated": self.recalibrated,
            "recall": vars(self.recall),
            "at_equal_precision": vars(self.at_equal_precision),
            "thresholds_known": self.thresholds_known,
            "champion": self.champion,
            "snapshot": self.snapshot,
            "code_version": self.code_version,
            "run": self.run,
            "test_uses": self.test_uses,
            "confidence": self.confidence,
            **became,
        }
        if self.beside:
            document["left_out"] = self.left_out
            document["beside"] = [other.to_json() for other in self.beside]
        return {name: without_nan(value) for name, value in document.items()}


def _steps_of_push(verdict: str, run: str) -> tuple[Step, Step]:
    """What leads to a push, and what takes it back."""
    sign = "--by NAME --reason TEXT"
    undo = f"classlift rollback --config CONFIG {sign}"
    back = Step("Serve the version before again, should this one disappoint.", undo, IF_PUSHED)
    if verdict == PUSH:
        words = "Nothing: the run pushes it itself, once whoever is asked has approved."
        return Step(words, when=IF_OPEN), back
    command = f"classlift push --config CONFIG --run {shlex.quote(run)} {sign}"
    words = "Push it all the same; who did and why is recorded for good."
    return Step(words, command, IF_OPEN), back


def read_evaluation(folder: Path) -> Verdict:
    """The verdict of an evaluation that is whole: its report lies beside it.

    Returns:
        The verdict.

    Raises:
        EvaluationError: as `Verdict.read`, and when the report is missing.

    """
    verdict = Verdict.read(folder)
    if not (folder / REPORT).exists():
        raise EvaluationError(
            f"{folder / REPORT}: it is missing; put the whole evaluation back, or change data or "
            "recipe and run again."
        )
    return verdict


Found = TypeVar("Found")


def storable(value: Found) -> Found:
    """A figure, or a record of figures, as it is when it was written and read: NaN for infinite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else math.nan  # type: ignore[return-value]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(storable, value))
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: storable(getattr(value, f.name)) for f in fields(value)}
        return replace(value, **parts)
    return value


def _row(verdict: Verdict, label: str) -> Row:
    found = verdict.classes[label]
    same = found.status == UNCHANGED
    compared = found.precision_change
    return Row(
        label=label,
        is_target=label in verdict.targets,
        objects=found.objects,
        status=found.status,
        recall=(_shown(found.champion_recall), _shown(found.challenger_recall)),
        change=_shown(found.lift),
        lower_bound=None if same else _shown(found.lower_bound),
        upper_bound=None if same else _shown(found.upper_bound),
        champion_precision=_shown(found.champion_precision),
        precision=_shown(found.precision),
        precision_lower=_shown(found.precision_lower),
        precision_change=None if compared is None else _shown(compared.change),
        precision_change_lower=None if compared is None else _shown(compared.lower_bound),
        ap50=(_shown(found.champion_ap50), _shown(found.challenger_ap50)),
        mean_iou=(None, None)
        if found.mean_iou is None
        else (_shown(found.mean_iou.before), _shown(found.mean_iou.after)),
        detectable_drop=_shown(found.minimum_detectable_drop)
        if found.minimum_detectable_drop <= 1
        else None,
        threshold=found.served.threshold,
        served_recall=(_shown(found.served.recall.before), _shown(found.served.recall.after)),
        false_alarms=found.served.false_alarms,
    )


def _shown(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None


def _class_to_json(found: ClassResult) -> dict[str, object]:
    return {
        "objects": found.objects,
        "status": found.status,
        "not_read": found.not_read,
        "read_at": found.read_at._asdict(),
        "served": {
            "threshold": found.served.threshold._asdict(),
            "recall": found.served.recall._asdict(),
            "false_alarms": found.served.false_alarms._asdict(),
        },
        "champion_recall": found.champion_recall,
        "challenger_recall": found.challenger_recall,
        "challenger_recall_upper": found.challenger_recall_upper,
        "lift": found.lift,
        "lower_bound": found.lower_bound,
        "upper_bound": found.upper_bound,
        "minimum_detectable_drop": found.minimum_detectable_drop,
        "objects_needed": found.objects_needed,
        "units_gained": found.units_gained,
        "units_lost": found.units_lost,
        "served_recall_change": found.served_recall_change and vars(found.served_recall_change),
        "champion_precision": found.champion_precision,
        "precision": found.precision,
        "precision_lower": found.precision_lower,
        "precision_change": found.precision_change and vars(found.precision_change),
        "champion_ap50": found.champion_ap50,
        "challenger_ap50": found.challenger_ap50,
        "ap50_change": vars(found.ap50_change),
        "mean_iou": found.mean_iou
        and {
            "before": found.mean_iou.before,
            "after": found.mean_iou.after,
            **vars(found.mean_iou.change),
        },
    }


def _verdict(record: Record) -> Verdict:
    record.texts("reasons")  # the findings say them too, and files of our own have both
    units, recall, equal = (record.part(n) for n in ("units", "recall", "at_equal_precision"))
    return Verdict(
        verdict=record.text("verdict"),
        target=record.text("target"),
        champion=record.text("champion"),
        findings=tuple(_finding(finding) for finding in record.items("findings")),
        classes={label: _class(found) for label, found in record.parts("classes").items()},
        settings=_settings(record.part("settings")),
        units=UnitWords(units.text("eval"), units.text("test")),
        recalibrated=record.flag("recalibrated"),
        recall=TargetRecall(
            recall.figure("as_deployed"),
            recall.figure("recalibrated"),
            recall.figure("trained") if recall.has("trained") else None,
        ),
        at_equal_precision=EqualPrecision(
            *(equal.figure(n) for n in ("champion", "challenger", "change", "lower_bound"))
        ),
        thresholds_known=record.flag("thresholds_known"),
        snapshot=record.text("snapshot"),
        code_version=record.text("code_version"),
        run=_text_or_none(record, "run"),
        test_uses=record.count("test_uses"),
        confidence=record.figure("confidence"),
        outcome=_outcome(record) if "pushed_by_run" in record.content else None,
        beside=tuple(map(_verdict, record.items("beside"))) if record.has("beside") else (),
    )


def _text_or_none(record: Record, name: str) -> str | None:
    return record.text(name) if record.has(name) else None


def _outcome(record: Record) -> Outcome:
    return Outcome(
        pushed=_text_or_none(record, "pushed"),
        pushed_by_run=_text_or_none(record, "pushed_by_run"),
        approval=signature_of(record.part("approval")) if record.has("approval") else None,
        override=override_of(record.part("override")) if record.has("override") else None,
        served=_text_or_none(record, "served"),
    )


def _settings(record: Record) -> GateSettings:
    return read_settings(GateSettings, record.content)


def _finding(record: Record) -> Finding:
    return Finding(
        record.text("level"),
        _text_or_none(record, "class"),
        record.text("sentence"),
        _text_or_none(record, "settles"),
        _text_or_none(record, "rule") or "",  # files of version 0.2 don't say
    )


def _class(record: Record) -> ClassResult:
    served = record.part("served")
    return ClassResult(
        objects=record.count("objects"),
        status=record.text("status"),
        not_read=_text_or_none(record, "not_read"),
        read_at=_pair(record, "read_at"),
        served=Served(*(_pair(served, n) for n in ("threshold", "recall", "false_alarms"))),
        champion_recall=record.figure("champion_recall"),
        challenger_recall=record.figure("challenger_recall"),
        challenger_recall_upper=record.figure("challenger_recall_upper"),
        lift=record.figure("lift"),
        lower_bound=record.figure("lower_bound"),
        upper_bound=record.figure("upper_bound"),
        minimum_detectable_drop=record.figure("minimum_detectable_drop"),
        objects_needed=record.count("objects_needed") if record.has("objects_needed") else None,
        units_gained=record.count("units_gained"),
        units_lost=record.count("units_lost"),
        served_recall_change=_change_or_none(record, "served_recall_change"),
        champion_precision=record.figure("champion_precision"),
        precision=record.figure("precision"),
        precision_lower=record.figure("precision_lower"),
        precision_change=_change_or_none(record, "precision_change"),
        champion_ap50=record.figure("champion_ap50"),
        challenger_ap50=record.figure("challenger_ap50"),
        ap50_change=_change(record.part("ap50_change")),
        mean_iou=_measure(record.part("mean_iou")) if record.has("mean_iou") else None,
    )


def _pair(record: Record, name: str) -> Pair:
    pair = record.part(name)
    return Pair(pair.figure("before"), pair.figure("after"))


def _change(record: Record) -> Change:
    return Change(**{f.name: record.figure(f.name) for f in fields(Change)})


def _change_or_none(record: Record, name: str) -> Change | None:
    return _change(record.part(name)) if record.has(name) else None


def _measure(record: Record) -> Measure:
    return Measure(record.figure("before"), record.figure("after"), _change(record))
