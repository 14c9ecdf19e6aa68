"""How often a test set has been used: each look of the gate wears it out a little.

Of many challengers that are no better, one looks better by luck in the end. So each look is
charged: the k-th is judged at bounds whose one-sided error is 0.05 / k instead of 0.05. Of 40 equal
challengers on one test set at least one is pushed on 3 to 4% of the test sets, where it were 25 to
28% without (`benchmarks/gate.py`); sharper charges would cost power and gain little.

The looks are the evaluations in ML Metadata, each of which carries its test set as properties. An
answer from the cache is no look, and leaves no new evaluation there. An earlier look counts by the
share of today's test images that it saw, so that another split of the same images does not begin
anew, and new test images make room again. An image is known by the hash of its file.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from classlift.metrics.statistics import CONFIDENCE

_SKETCH = 512
"""Hashes kept of a test set: of up to so many images the overlap is exact, beyond within 4%."""


@dataclass(frozen=True)
class TestImages:
    """What is kept of the images of a test set: how many, and the smallest of their hashes.

    As in Broder, On the resemblance and containment of documents, 1997.

    Attributes:
        hashes: of eight hexadecimal digits, in their order.

    """

    __test__ = False  # pytest: the name is no test's

    count: int
    hashes: tuple[str, ...]

    @classmethod
    def of(cls, contents: Sequence[str]) -> "TestImages":
        """From the SHA-256 of each image."""
        hashes = sorted({content[:8] for content in contents})
        return cls(len(hashes), tuple(hashes[:_SKETCH]))

    @classmethod
    def parse(cls, text: str) -> "TestImages":
        """From what `str` gave; of no images from an empty text."""
        count, _, hashes = text.partition(":")
        return cls(int(count or 0), tuple(hashes.split()))

    def __str__(self) -> str:
        return f"{self.count}:{' '.join(self.hashes)}"

    def share_seen_by(self, earlier: "TestImages") -> float:
        """The share of these images that are among the earlier ones too."""
        smallest = sorted({*self.hashes, *earlier.hashes})[:_SKETCH]
        common = set(self.hashes) & set(earlier.hashes)
        alike = sum(found in common for found in smallest) / max(len(smallest), 1)
        shared = alike * (self.count + earlier.count) / (1 + alike)
        return min(shared / max(self.count, 1), 1.0)


@dataclass(frozen=True)
class TestSet:
    """A test set: the images that the gate judges by.

    Attributes:
        id: SHA-256 of the image ids, in hex, whatever their order.
        images: what is kept of the images.

    """

    __test__ = False  # pytest: the name is no test's

    id: str
    images: TestImages

    @classmethod
    def of(cls, images: pa.Table) -> "TestSet":
        """The test set of a snapshot; `images` is its `schema.IMAGES`, of all splits."""
        of_test = images.filter(pc.equal(images["split"], "test"))
        return cls(
            id_of_test_set(of_test["image_id"].to_pylist()),
            TestImages.of(of_test["sha256"].to_pylist()),
        )

    def uses(self, earlier: Iterable["TestSet"]) -> int:
        """How many earlier looks there were at this test set.

        A look at this very set counts whole, also one of an older version, which kept no images;
        another one by the share of this set's images that it saw.

        Args:
            earlier: the test set of each earlier look.

        Returns:
            The number, whole or not.

        """
        looks = (
            1.0 if look.id == self.id else self.images.share_seen_by(look.images)
            for look in earlier
        )
        return round(sum(looks))


def id_of_test_set(image_ids: Sequence[str]) -> str:
    """SHA-256 of the ids, in hex, whatever their order."""
    return hashlib.sha256("\n".join(sorted(image_ids)).encode()).hexdigest()


def confidence_of_use(use: int) -> float:
    """Confidence of the bounds, one-sided, at the `use`-th look at a test set.

    Args:
        use: from 1.

    Returns:
        The confidence, above 0, below 1.

    >>> [round(confidence_of_use(use), 4) for use in (1, 5, 20)]
    [0.95, 0.99, 0.9975]

    """
    return 1 - (1 - CONFIDENCE) / use
