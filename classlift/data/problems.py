"""What the image files of a snapshot themselves showed."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import pyarrow as pa

CRITICAL, WARNING, INFO = "critical", "warning", "info"
"""How much a problem matters."""

IMAGE_PROBLEMS = pa.schema(
    [(name, pa.string()) for name in ("image_id", "source", "problem", "severity")]
)


@dataclass(frozen=True)
class ImageProblem:
    """One thing to be said of an image file; the validator judges it.

    Attributes:
        image_id: of the image.
        source: the file and record that list it.
        problem: the rule that is broken, then `: ` and what was found.
        severity: one of the above.

    """

    image_id: str
    source: str
    problem: str
    severity: str

    @property
    def rule(self) -> str:
        """The rule that is broken."""
        return self.problem.partition(": ")[0]

    @property
    def value(self) -> str:
        """What was found."""
        return self.problem.partition(": ")[2]

    @property
    def where(self) -> str:
        """What was found, and in which record and image."""
        return f"{self.value} in {self.source} ({self.image_id})"

    @property
    def is_critical(self) -> bool:
        """Whether the image can't be used as it is."""
        return self.severity == CRITICAL


def to_table(problems: Sequence[ImageProblem]) -> pa.Table:
    """The problems as a table of the schema `IMAGE_PROBLEMS`."""
    columns = zip(*map(astuple, problems), strict=True) if problems else [()] * len(IMAGE_PROBLEMS)
    return pa.Table.from_arrays(
        [pa.array(column, pa.string()) for column in columns], schema=IMAGE_PROBLEMS
    )


def from_table(table: pa.Table) -> list[ImageProblem]:
    """The problems in a table of the schema `IMAGE_PROBLEMS`."""
    return [ImageProblem(**row) for row in table.to_pylist()]
