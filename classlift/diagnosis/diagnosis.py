"""`diagnosis.json`: why a class is weak, and the recipe that follows."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from classlift.diagnosis.causes import Cause, read_cause
from classlift.diagnosis.weakness import Weakness
from classlift.errors import ClassLiftError, DataError
from classlift.examples.rebalanced import Rebalanced
from classlift.quality.suspicions import Suspicion
from classlift.records import Json, Record
from classlift.settings.recipe import Recipe

FILE = "diagnosis.json"


@dataclass(frozen=True)
class Diagnosis:
    """Why the target class is weak, and what training will do about it.

    Attributes:
        weakness: recalls of the champion on eval, and the causes.
        reasons: why the recipe is as it is.
        advice: what the recipe can't do, and the team can.
        stop: why training is not likely to help; None where it is. Kept on disk outside a pipeline
            alone: in one, nothing is written then.
        recipe: what training will do.
        overridden: names of the parts of the recipe that the user set.
        rebalanced: what rebalancing did to the train split; None outside a pipeline.
        doubts: labels of eval that the champion contradicts, the most confident first.
        beside: the diagnoses of the other targets of the run, which are trained by the same recipe.

    """

    weakness: Weakness
    reasons: tuple[str, ...]
    advice: str
    stop: str | None
    recipe: Recipe
    overridden: tuple[str, ...]
    rebalanced: Rebalanced | None
    doubts: tuple[Suspicion, ...]
    beside: tuple["Diagnosis", ...] = ()

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The causes of the weakness, the likeliest first."""
        return self.weakness.causes

    def sentences(self) -> list[str]:
        """All of it in words, for a terminal."""
        return [*self.weakness.sentences(), *self.reasons, self.advice]

    def to_json(self) -> dict[str, Json]:
        """The document that `read` reads."""
        figures = asdict(self.weakness)
        if not self.weakness.is_new:
            del figures["is_new"]
        document: dict[str, Json] = {
            **figures,
            "causes": [cause.to_json() for cause in self.causes],
            "sentences": self.weakness.sentences(),
            "reasons": self.reasons,
            "advice": self.advice,
        }
        if self.rebalanced is None:
            return {**document, "stop": self.stop, "recipe": self.recipe.to_dict()}
        return {
            **document,
            "overridden": self.overridden,
            "recipe": self.recipe.to_dict(),
            "rebalancing": asdict(self.rebalanced),
            "relabel": [asdict(doubt) for doubt in self.doubts],
            **({"beside": [one.to_json() for one in self.beside]} if self.beside else {}),
        }

    def write(self, folder: Path) -> None:
        """Writes `diagnosis.json`."""
        (folder / FILE).write_text(json.dumps(self.to_json(), indent=1))

    @classmethod
    def read(cls, folder: Path) -> "Diagnosis":
        """Reads `diagnosis.json`.

        Args:
            folder: of the file.

        Returns:
            The diagnosis.

        Raises:
            DataError: it is missing or damaged.

        """  # noqa: DOC501 - `fault` makes the DataError
        path = folder / FILE
        advice = "put it back, or run the diagnosis again."

        def fault(name: str) -> ClassLiftError:
            what = f"`{name}` is missing or of the wrong type" if name else "no JSON object"
            return DataError(f"{path}: it is damaged ({what}); {advice}")

        try:
            document = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise DataError(f"{path}: it can't be read ({error.strerror}); {advice}") from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: it is damaged ({error}); {advice}") from None
        if not isinstance(document, dict):
            raise fault("")
        return cls._of(Record(document, fault))

    @classmethod
    def _of(cls, record: Record) -> "Diagnosis":
        in_pipeline = record.has("rebalancing")
        return cls(
            Weakness(
                target=record.text("target"),
                precision=record.figure("precision"),
                deployed=record.figure("deployed"),
                recalibrated=record.figure("recalibrated"),
                others=record.figure("others"),
                ap50=record.figure("ap50"),
                causes=tuple(read_cause(cause) for cause in record.items("causes")),
                is_new=record.has("is_new") and record.flag("is_new"),
            ),
            reasons=record.texts("reasons"),
            advice=record.text("advice"),
            stop=record.text("stop") if record.has("stop") else None,
            recipe=Recipe.from_json(json.dumps(record.part("recipe").content)),
            overridden=record.texts("overridden") if in_pipeline else (),
            rebalanced=Rebalanced.of(record.part("rebalancing")) if in_pipeline else None,
            doubts=tuple(map(_doubt, record.items("relabel"))) if in_pipeline else (),
            beside=tuple(map(cls._of, record.items("beside"))) if record.has("beside") else (),
        )


def _doubt(record: Record) -> Suspicion:
    box = record.value("box")
    if not isinstance(box, list) or len(box) != 4:
        raise record.error("box")
    xmin, ymin, xmax, ymax = map(float, box)
    return Suspicion(
        kind=record.text("kind"),
        image_id=record.text("image_id"),
        label=record.text("label"),
        detected=record.text("detected"),
        score=record.figure("score"),
        box=(xmin, ymin, xmax, ymax),
        source=record.text("source"),
    )
