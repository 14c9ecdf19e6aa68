"""Splitting by content: an image's split follows from its bytes, never from its place in a list."""

EVAL_SHARE = 0.15
TEST_SHARE = 0.15


def assign_split(sha256: str) -> str:
    """The split of an image, from the SHA-256 of its file; adding data never moves an image.

    >>> assign_split("00" * 32), assign_split("40" * 32), assign_split("ff" * 32)
    ('eval', 'train', 'test')
    """
    position = int(sha256[:8] or "80000000", 16) / 2**32
    if position < EVAL_SHARE:
        return "eval"
    return "test" if position >= 1 - TEST_SHARE else "train"
