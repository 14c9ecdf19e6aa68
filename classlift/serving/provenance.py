"""`provenance.json`: where a served version comes from, as it says itself; without any import.

It lies in the version's `assets.extra`, so that a version can be told without ML Metadata.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from classlift.errors import ModelError
from classlift.records import Json, JsonObject, Record
from classlift.settings.targets import as_value

FILE = "provenance.json"
TARGET = "target"


@dataclass(frozen=True)
class Signature:
    """Who decided something by hand, and why."""

    by: str
    reason: str

    def record(self) -> dict[str, str]:
        """The names and values that JSON and ML Metadata keep."""
        return dict(vars(self))


@dataclass(frozen=True)
class Override(Signature):
    """A push against the verdict.

    Attributes:
        verdict: what the gate had said.
        run: the id of the run whose model was pushed.

    """

    verdict: str
    run: str


@dataclass(frozen=True)
class Rollback(Signature):
    """An older version that is served again, as a copy.

    Attributes:
        version: the number of the version that is served again.
        replaced: the number of the version that was served until then.

    """

    version: str
    replaced: str


@dataclass(frozen=True)
class Provenance:
    """What a version says of itself; a model that ClassLift did not make says nothing.

    Attributes:
        recipe: the recipe it was trained by, in the words of the ClassLift that trained it.
        targets: the classes that were to be raised; a file has a single one as `target: NAME`.
        code_version: of the ClassLift that trained it.
        champion: the provenance of the champion that it was made from.
        rebalancing: what was asked of the rebalancing of its training data.
        snapshot: `content_hash` of the snapshot, and how many `images` and `boxes` it has.
        trained_on: labelled boxes by class in the data that it was trained on.
        profile: of the snapshot, as `data.profile` describes it.
        training: what the trainer measured.
        thresholds: what its score thresholds were chosen for: the settings of the gate that say it,
            such as `precision` and `operating_points`.
        override: who pushed it against the verdict.
        approval: who approved of the push that the gate blessed.
        rollback_of: who had it served again, where it is a copy of an older version.
        other: facts that another version of ClassLift wrote; they are handed on.

    """

    recipe: JsonObject | None = None
    targets: tuple[str, ...] = ()
    code_version: str | None = None
    champion: "Provenance | None" = None
    rebalancing: JsonObject | None = None
    snapshot: JsonObject | None = None
    trained_on: Mapping[str, int] | None = None
    profile: JsonObject | None = None
    training: JsonObject | None = None
    thresholds: JsonObject | None = None
    override: Override | None = None
    approval: Signature | None = None
    rollback_of: Rollback | None = None
    other: JsonObject = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "Provenance":
        """Reads it from a folder of extra assets.

        Args:
            folder: of the assets.

        Returns:
            The provenance; `Provenance()` where there is no file.

        Raises:
            ModelError: the file is damaged.

        """
        path = folder / FILE

        def fault(name: str) -> ModelError:
            return ModelError(
                f"{path}: it is damaged (`{name}` is missing or of the wrong type); put it back."
            )

        try:
            document = json.loads(path.read_text("utf-8")) if path.exists() else {}
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{path}: it is damaged ({error}); put it back.") from None
        if not isinstance(document, dict):
            raise ModelError(f"{path}: it is damaged (no JSON object); put it back.")
        return cls._of(Record(document, fault))

    @classmethod
    def _of(cls, record: Record) -> "Provenance":
        known = {name.name for name in fields(cls)} - {"other", "targets"} | {TARGET}
        given = {name for name in known if record.has(name)}

        def content(name: str) -> JsonObject | None:
            return record.part(name).content if name in given else None

        return cls(
            recipe=content("recipe"),
            targets=record.names(TARGET) if TARGET in given else (),
            code_version=record.text("code_version") if "code_version" in given else None,
            champion=cls._of(record.part("champion")) if "champion" in given else None,
            rebalancing=content("rebalancing"),
            snapshot=content("snapshot"),
            trained_on=record.counts("trained_on") if "trained_on" in given else None,
            profile=content("profile"),
            training=content("training"),
            thresholds=content("thresholds"),
            override=override_of(record.part("override")) if "override" in given else None,
            approval=signature_of(record.part("approval")) if "approval" in given else None,
            rollback_of=rollback_of(record.part("rollback_of")) if "rollback_of" in given else None,
            other={name: value for name, value in record.content.items() if name not in known},
        )

    def write(self, folder: Path) -> None:
        """Writes it into a folder of extra assets."""
        (folder / FILE).write_text(json.dumps(self.to_json(), indent=1, sort_keys=True))

    def to_json(self) -> dict[str, Json]:
        """The document that `read` reads; what is None is left out."""
        facts: dict[str, Json] = {
            name: value
            for name, value in vars(self).items()
            if value is not None and not isinstance(value, Provenance | Signature)
        }
        del facts["other"], facts["targets"]
        if self.targets:
            facts[TARGET] = as_value(self.targets)
        facts |= self.other
        for name, person in (
            ("override", self.override),
            ("approval", self.approval),
            ("rollback_of", self.rollback_of),
        ):
            if person is not None:
                facts[name] = person.record()
        if self.champion is not None:
            facts["champion"] = self.champion.to_json()
        return facts

    @property
    def is_known(self) -> bool:
        """Whether the model says anything; False for one that ClassLift did not make."""
        return self != Provenance()

    @property
    def recalibrated(self) -> bool:
        """Whether the model is its champion with other thresholds, and nothing was trained."""
        return bool((self.recipe or {}).get("recalibrate", False))

    @property
    def freeze_policy(self) -> str | None:
        """The freeze policy of its recipe."""
        policy = (self.recipe or {}).get("freeze_policy")
        return policy if isinstance(policy, str) else None

    @property
    def of_last_training(self) -> "Provenance":
        """The provenance of the version that was trained: its own, or an earlier champion's."""
        trained = self
        while trained.recalibrated and trained.champion is not None:
            trained = trained.champion
        return trained

    def without_rollback(self) -> "Provenance":
        """The provenance of the version that a rollback copied."""
        return replace(self, rollback_of=None)


def signature_of(record: Record) -> Signature:
    """Reads who approved."""
    return Signature(record.text("by"), record.text("reason"))


def override_of(record: Record) -> Override:
    """Reads who pushed against the verdict."""
    return Override(*(record.text(name) for name in ("by", "reason", "verdict", "run")))


def rollback_of(record: Record) -> Rollback:
    """Reads who had an older version served again."""
    return Rollback(*(record.text(name) for name in ("by", "reason", "version", "replaced")))
