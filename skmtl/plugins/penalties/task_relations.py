"""Penalties that compare the heads of the tasks. The trunk and all biases are free."""

import numpy as np
from scipy.sparse import issparse

from skmtl.plugins.base import COLUMNS, HEAD, OFFSET, OUTPUT, ROLE, ROWS, Penalty
from skmtl.plugins.linalg import scale_spectrum, spectral_size, spectral_views, spectrum


class HeadPenalty(Penalty):
    """A penalty on how the heads of the tasks differ, matrix by matrix: all must be alike."""

    def constants(self, start):
        """Give none; raise ValueError unless there are heads, all of the same shapes."""
        check_heads(self, start.blocks)
        return super().constants(start)


class MeanAnchored(HeadPenalty):
    r"""Keep each task's head near the mean of all heads.

    .. math:: \frac12 \sum_t \|w_t - \bar w\|^2 + \frac{m T}{2} \|\bar w\|^2

    :math:`w_t` holds the weights of the head of task t, and m is ``mean_strength``. Infinite
    strength gives all tasks one head. All heads must have the same number of outputs.

    Parameters
    ----------
    mean_strength : float, default=0.0
        What it costs to lie far from zero together, against far from each other: from 0, where
        the mean is free, to 1, where the penalty is l2 and the tasks are independent. In [1]_ it
        is :math:`\lambda_2 / (\lambda_1 + \lambda_2)`.

    References
    ----------
    .. [1] Evgeniou and Pontil (2004). Regularized multi-task learning. KDD, lemmas 2.1 and 2.2.

    Examples
    --------
    >>> from skmtl.plugins.penalties import MeanAnchored
    >>> MeanAnchored(mean_strength=0.1).hyper()
    [0.1]
    """

    def __init__(self, mean_strength=0.0):
        self.mean_strength = mean_strength

    def hyper(self):
        """Give [mean_strength]."""
        self._check_number("mean_strength", high=1, closed="both")
        return [float(self.mean_strength)]

    def n_work(self, layout):
        """Give room for the mean."""
        return head_size(layout)

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """The formula; adds strength (w_t - (1 - m) mean)."""
        heads = find_heads(layout)
        n_heads, n_pieces = heads[0], heads[1]
        mean_of_heads(theta, layout, work)
        apart, together, column = 0.0, 0.0, 0
        for k in range(n_pieces):
            size = piece_size(layout, heads, k)
            for t in range(n_heads):
                at = piece_start(layout, heads, t, k)
                for j in range(size):
                    mean = work[column + j]
                    gap = theta[at + j] - mean
                    apart += gap * gap
                    together += mean * mean
                    grad[at + j] += strength * (gap + hp[0] * mean)
            column += size
        return 0.5 * strength * (apart + hp[0] * together)


class TaskGraph(HeadPenalty):
    r"""Keep the heads of neighbours in a graph of tasks near each other.

    .. math:: \frac12 \sum_{s<t} A_{st} \|w_s - w_t\|^2

    :math:`w_t` holds the weights of the head of task t. All heads must have the same number of
    outputs.

    Parameters
    ----------
    graph : array-like or sparse matrix of shape (n_tasks, n_tasks), default=None
        The symmetric matrix A of weights >= 0; its diagonal does not matter. None joins all pairs
        by the weight 1 / n_tasks, which is :class:`MeanAnchored`.

    References
    ----------
    .. [1] Evgeniou, Micchelli and Pontil (2005). Learning multiple tasks with kernel methods. JMLR
       6, section 3.1.3.

    Examples
    --------
    Three tasks in a row.

    >>> from skmtl.plugins.penalties import TaskGraph
    >>> TaskGraph([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    TaskGraph(graph=[[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    """

    def __init__(self, graph=None):
        self.graph = graph

    def hyper(self):
        """Give no number: the graph needs the number of tasks to be checked."""
        return []

    def constants(self, start):
        """Give the graph, row by row."""
        n_heads = check_heads(self, start.blocks)
        if self.graph is None:
            return np.full(n_heads * n_heads, 1 / n_heads)
        graph = self.graph.toarray() if issparse(self.graph) else self.graph
        graph = np.asarray(graph, np.float64)
        if graph.shape != (n_heads, n_heads):
            raise ValueError(
                f"The 'graph' parameter of TaskGraph must have shape {(n_heads, n_heads)}, a row "
                f"for each of the tasks' heads. Got shape {graph.shape} instead."
            )
        if not (np.isfinite(graph).all() and (graph >= 0).all() and np.allclose(graph, graph.T)):
            raise ValueError(
                "The 'graph' parameter of TaskGraph must be symmetric, of finite weights >= 0. "
                f"Got {self.graph!r} instead."
            )
        return graph.ravel()

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """The formula; adds strength sum_s A_st (w_t - w_s)."""
        heads = find_heads(layout)
        n_heads, n_pieces = heads[0], heads[1]
        total = 0.0
        for s in range(n_heads):
            for t in range(s + 1, n_heads):
                weight = constants[s * n_heads + t]
                if weight == 0:
                    continue
                for k in range(n_pieces):
                    at_s, at_t = piece_start(layout, heads, s, k), piece_start(layout, heads, t, k)
                    for j in range(piece_size(layout, heads, k)):
                        gap = theta[at_s + j] - theta[at_t + j]
                        total += weight * gap * gap
                        grad[at_s + j] += strength * weight * gap
                        grad[at_t + j] -= strength * weight * gap
        return 0.5 * strength * total


class ClusteredTasks(HeadPenalty):
    r"""Group the tasks: half the scatter of their heads within the best soft clusters.

    .. math:: \frac12 \Big(\operatorname{tr}(H W W^\top H)
              - \sum_{k=1}^{K-1} \lambda_k(H W W^\top H)\Big)

    Row t of W holds the weights of the head of task t, H takes the mean over tasks away, and
    :math:`\lambda_1 \ge \lambda_2 \ge \dots` are eigenvalues. That is the relaxation of k-means
    in which the assignment of tasks to K clusters may be any orthonormal matrix whose span holds
    the constant vector: never more than the scatter within any K clusters, zero where there are K
    different heads. Which task belongs where is learned. One cluster is :class:`MeanAnchored`.

    The penalty is not convex: it draws the tasks to the clusters that it sees, so that the start
    matters at high strength. It costs an eigendecomposition of the Gram matrix of W on its smaller
    side a step. All heads must have the same number of outputs.

    Parameters
    ----------
    n_clusters : int, default=2
        K, from 1 to the number of tasks.

    References
    ----------
    .. [1] Zhou, Chen and Ye (2011). Clustered multi-task learning via alternating structure
       optimization. NeurIPS, equation 4: this penalty without H, and with K eigenvalues.
    .. [2] Jacob, Bach and Vert (2008). Clustered multi-task learning: a convex formulation.
       NeurIPS.
    .. [3] Ding and He (2004). K-means clustering via principal component analysis. ICML, theorem
       3.1: the relaxation with H, which is the tighter one.

    Examples
    --------
    >>> from skmtl.plugins.penalties import ClusteredTasks
    >>> ClusteredTasks(n_clusters=3).hyper()
    [3.0]
    """

    def __init__(self, n_clusters=2):
        self.n_clusters = n_clusters

    def hyper(self):
        """Give [n_clusters]."""
        self._check_number("n_clusters", low=1)
        if self.n_clusters != int(self.n_clusters):
            raise ValueError(
                "The 'n_clusters' parameter of ClusteredTasks must be a whole number. "
                f"Got {self.n_clusters!r} instead."
            )
        return [float(self.n_clusters)]

    def n_work(self, layout):
        """Give room for the mean, W, its Gram matrix and its singular vectors."""
        size = head_size(layout)
        return size + spectral_size(find_heads(layout)[0], size)

    def constants(self, start):
        """Give none; raise ValueError if there are fewer tasks than clusters."""
        n_heads = check_heads(self, start.blocks)
        if self.n_clusters > n_heads:
            raise ValueError(
                f"The 'n_clusters' parameter of ClusteredTasks must be at most {n_heads}, the "
                f"number of tasks with a head. Got {self.n_clusters!r} instead."
            )
        return super().constants(start)

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """The formula; adds strength (I - F F^T) H W, F the leading K - 1 eigenvectors."""
        heads = find_heads(layout)
        n_heads, n_pieces = heads[0], heads[1]
        size = head_size(layout)
        a, out, gram, scaled, vectors, values = spectral_views(work[size:], n_heads, size)
        mean_of_heads(theta, layout, work)
        column = 0
        for k in range(n_pieces):
            n = piece_size(layout, heads, k)
            for t in range(n_heads):
                at = piece_start(layout, heads, t, k)
                for j in range(n):
                    a[t, column + j] = theta[at + j] - work[column + j]
            column += n
        spectrum(a, gram, values, vectors)
        total = keep_smallest(values, int(hp[0]) - 1)
        scale_spectrum(a, values, vectors, scaled, gram, out)
        column = 0
        for k in range(n_pieces):
            n = piece_size(layout, heads, k)
            for t in range(n_heads):
                at = piece_start(layout, heads, t, k)
                for j in range(n):
                    grad[at + j] += strength * out[t, column + j]
            column += n
        return 0.5 * strength * total


def keep_smallest(values, n_leading):
    """Sum of all but the leading values; overwrites these with 0, the others with 1."""
    whole = 0.0
    for k in range(values.size):
        whole += values[k]
    if np.isnan(whole):  # no order to speak of
        return whole
    for _ in range(min(n_leading, values.size)):
        leading = 0
        for k in range(values.size):
            if values[k] > values[leading]:
                leading = k
        values[leading] = -1.0  # taken: what is left is not negative
    total = 0.0
    for k in range(values.size):
        if values[k] == -1.0:
            values[k] = 0.0
        else:
            total += values[k]
            values[k] = 1.0
    return total


# --- heads: the pieces of each are its hidden layers, then its output layer ----------------------


def find_heads(layout):
    """How many heads there are, how many matrices each has, and where the two kinds begin."""
    n_heads, n_hidden, first_hidden, first_output = 0, 0, 0, 0
    for b in range(layout.shape[0] - 1, -1, -1):
        if layout[b, ROLE] == OUTPUT:
            n_heads += 1
            first_output = b
        elif layout[b, ROLE] == HEAD:
            n_hidden += 1
            first_hidden = b
    n_pieces = 0 if n_heads == 0 else n_hidden // n_heads + 1
    return n_heads, n_pieces, first_hidden, first_output


def piece_row(heads, t, k):
    """The row of the table that holds the k-th matrix of head t."""
    _, n_pieces, first_hidden, first_output = heads
    return first_hidden + t * (n_pieces - 1) + k if k < n_pieces - 1 else first_output + t


def piece_start(layout, heads, t, k):
    """Where the k-th matrix of head t lies."""
    return layout[piece_row(heads, t, k), OFFSET]


def piece_size(layout, heads, k):
    """How many weights the k-th matrix of each head has."""
    b = piece_row(heads, 0, k)
    return layout[b, ROWS] * layout[b, COLUMNS]


def head_size(layout):
    """How many weights each head has."""
    heads, size = find_heads(layout), 0
    for k in range(heads[1]):
        size += piece_size(layout, heads, k)
    return size


def mean_of_heads(theta, layout, mean):
    """Writes the mean over heads to the first head_size numbers."""
    heads = find_heads(layout)
    n_heads, n_pieces = heads[0], heads[1]
    column = 0
    for k in range(n_pieces):
        size = piece_size(layout, heads, k)
        for j in range(column, column + size):
            mean[j] = 0.0
        for t in range(n_heads):
            at = piece_start(layout, heads, t, k)
            for j in range(size):
                mean[column + j] += theta[at + j]
        for j in range(column, column + size):
            mean[j] /= n_heads
        column += size


def check_heads(penalty, blocks):
    """The number of heads; ValueError if there is none, or they are of different shapes."""
    name, outputs = type(penalty).__name__, blocks[blocks[:, ROLE] == OUTPUT]
    if not len(outputs):
        raise ValueError(
            f"{name} compares the heads of the tasks, and there is none: use it as penalty= of "
            "the network, not as map_penalty=."
        )
    sizes = outputs[:, ROWS]
    if (sizes != sizes[0]).any():
        raise ValueError(
            f"{name} compares the heads of the tasks weight by weight, and they have "
            f"{', '.join(map(str, sizes))} outputs: give it tasks of the same number of classes, "
            "or take 'trace_norm' or 'group_lasso', which do not."
        )
    return len(outputs)
