"""Connected components: what belongs together where some pairs do."""

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def components(count: int, left: Indices, right: Indices) -> Indices:
    """A number for each of some things: the same for those that pairs join.

    Args:
        count: of the things.
        left: [pairs], of each pair one thing, from 0 to below `count`.
        right: [pairs], the other one.

    Returns:
        [count], numbers from 0, in no order.

    >>> components(4, np.array([0]), np.array([2])).tolist()
    [0, 1, 0, 2]

    """
    from scipy.sparse import coo_matrix  # which takes as long to import as all tables
    from scipy.sparse.csgraph import connected_components

    edges = coo_matrix((np.ones(len(left), bool), (left, right)), (count, count))
    return np.asarray(connected_components(edges, directed=False)[1], np.int64)
