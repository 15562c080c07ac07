"""Penalties on groups of weights."""

import math

from skmtl.plugins.base import COLUMNS, DEPTH, OFFSET, OUTPUT, ROLE, ROWS, Penalty


class GroupLasso(Penalty):
    r"""Choose the inputs that all tasks use: the L2,1 norm, :math:`\sum_i \|w_i\|_2`.

    :math:`w_i` holds all weights that read input column i: a row of the first layer, of every
    expert if there are several; in a network without hidden layer the weights of all outputs.
    A column leaves the model as a whole, for all tasks at once. Deeper layers and biases are free.

    References
    ----------
    .. [1] Obozinski, Taskar and Jordan (2010). Joint covariate selection and joint subspace
       selection for multiple classification problems. Statistics and Computing 20, equation 3.
    .. [2] Argyriou, Evgeniou and Pontil (2008). Convex multi-task feature learning. Machine
       Learning 73(3), equation 5.
    .. [3] Scardapane, Comminiello, Hussain and Uncini (2017). Group sparse regularization for
       deep neural networks. Neurocomputing 241, section 3: the groups of a network's inputs.

    Examples
    --------
    >>> from skmtl.plugins.penalties import GroupLasso
    >>> GroupLasso()
    GroupLasso()
    """

    def n_work(self, layout):
        """Give the number of groups: one for each input."""
        return max((n_inputs(block) for block in layout if block[DEPTH] == 0), default=0)

    def constants(self, start):
        """Give none; raise ValueError unless there are inputs, the same for all matrices."""
        sizes = {int(n_inputs(block)) for block in start.blocks if block[DEPTH] == 0}
        if not sizes:
            raise ValueError(
                "GroupLasso acts on the matrices that read the input columns, and none of them is "
                "trained: freeze no layer, or take another penalty."
            )
        if len(sizes) > 1:
            raise ValueError(
                "GroupLasso has a group for each input column, and these matrices read "
                f"{' and '.join(map(str, sorted(sizes)))} of them: use it as penalty= of the "
                "network, or for a feature map of one matrix."
            )
        return super().constants(start)

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """strength sum_i ||w_i||; adds strength w_i / ||w_i||, 0 where w_i is 0."""
        group_norms(theta, layout, work)
        total = 0.0
        for i in range(work.size):
            total += work[i]
            work[i] = 0.0 if work[i] == 0 else strength / work[i]
        for b in range(layout.shape[0]):
            if layout[b, DEPTH] == 0:
                start, n_columns = layout[b, OFFSET], layout[b, COLUMNS]
                across = layout[b, ROLE] == OUTPUT
                for r in range(layout[b, ROWS]):
                    for c in range(n_columns):
                        j = start + r * n_columns + c
                        grad[j] += work[c if across else r] * theta[j]
        return strength * total

    @staticmethod
    def prox(theta, layout, step, hp, constants, work):
        """w_i = max(1 - step / ||w_i||, 0) w_i."""
        group_norms(theta, layout, work)
        for i in range(work.size):
            work[i] = 0.0 if work[i] <= step else 1.0 - step / work[i]  # NaN stays NaN
        for b in range(layout.shape[0]):
            if layout[b, DEPTH] == 0:
                start, n_columns = layout[b, OFFSET], layout[b, COLUMNS]
                across = layout[b, ROLE] == OUTPUT
                for r in range(layout[b, ROWS]):
                    for c in range(n_columns):
                        theta[start + r * n_columns + c] *= work[c if across else r]


def n_inputs(block):
    """How many inputs a weight matrix reads."""
    return block[COLUMNS] if block[ROLE] == OUTPUT else block[ROWS]


def group_norms(theta, layout, norms):
    """norms_i = ||w_i||, over all matrices that read the network's inputs."""
    for i in range(norms.size):
        norms[i] = 0.0
    for b in range(layout.shape[0]):
        if layout[b, DEPTH] == 0:
            start, n_columns = layout[b, OFFSET], layout[b, COLUMNS]
            across = layout[b, ROLE] == OUTPUT
            for r in range(layout[b, ROWS]):
                for c in range(n_columns):
                    weight = float(theta[start + r * n_columns + c])
                    norms[c if across else r] += weight * weight
    for i in range(norms.size):
        norms[i] = math.sqrt(norms[i])
