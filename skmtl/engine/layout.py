"""Where every parameter lives: one flat vector ``theta`` and integer tables that cut it up.

Order of ``theta``: trunk layers by depth (so that frozen layers are a prefix), at each depth the
weights of all experts and then their biases; gates, hidden layers of the heads, the output weights
of all heads as one matrix, their biases, feature maps, parameters of alignments, matrices of the
penalty's own.
"""

import functools
import itertools
from dataclasses import dataclass

import numpy as np

from skmtl.engine import memory
from skmtl.engine.blocks import HEAD, OUTPUT, OWN, TRUNK, block_table

# Kinds of gate: a fixed one reads its mask, the others have parameters.
FIXED, CONSTANT, LINEAR = range(3)


@dataclass(frozen=True)
class Architecture:
    """What a network is made of, in numbers.

    Parameters
    ----------
    n_inputs : int
        Columns that the trunk reads.
    hidden : tuple of int
        Widths of the trunk's layers; empty for a linear model.
    activation : str
        Activation of every hidden layer, but for the trunk's last one with ``linear_last``.
    head_hidden : tuple of int
        Widths of the hidden layers of each head.
    n_outputs : tuple of int
        Outputs of each head.
    task_heads : tuple of int
        The head that each task reads; tasks may share one.
    gate_mask : tuple of tuple of bool
        For each task the experts it may read.
    gate : {"fixed", "constant", "linear"}
        How a task mixes its experts: equal parts, a learned softmax, or a softmax linear in x.
    map_sizes : tuple of int
        Parameters of each domain's feature map, 0 for none.
    alignment_sizes : tuple of int
        Parameters of each alignment.
    own_shapes : tuple of (int, int)
        Rows and columns of the matrices that the penalty learns of its own.
    linear_last : bool
        Whether the trunk's last layer has neither bias nor activation.
    """

    n_inputs: int
    hidden: tuple
    activation: str
    head_hidden: tuple
    n_outputs: tuple
    task_heads: tuple
    gate_mask: tuple
    gate: str = "fixed"
    map_sizes: tuple = (0,)
    alignment_sizes: tuple = ()
    own_shapes: tuple = ()
    linear_last: bool = False

    @property
    def n_experts(self):
        """Columns of the gate mask."""
        return len(self.gate_mask[0])

    @property
    def n_shared(self):
        """Width of the representation that the heads read."""
        return self.hidden[-1] if self.hidden else self.n_inputs


class Layout:
    """The tables of an architecture, and views of ``theta`` by name.

    Attributes
    ----------
    layers : ndarray of shape (n_layers, 4), int64
        Offsets of weight and bias, n_in, n_out of each dense layer: trunk layers expert
        by expert, hidden layers of the heads head by head, output layers. A layer whose bias is
        at -1 has none, and no activation.
    gates : ndarray of shape (n_tasks, 2), int64
        Kind, and offset or -1.
    blocks : ndarray of shape (n_blocks, 6), int64
        The weight matrices of trunk and heads, and the penalty's own, see ``engine.blocks``.
    output_columns : list of slice
        Where the outputs of each head are among those of ``all_outputs``.
    map_offsets : ndarray of shape (n_domains + 1,), int64
    alignment_offsets : ndarray of shape (n_alignments + 1,), int64
    depth_offsets : ndarray of shape (n_trunk + 1,), int64
        ``theta[:depth_offsets[l]]`` holds the first l trunk layers of every expert.
    size : int
        Length of ``theta``.
    """

    def __init__(self, architecture):
        self.architecture = a = architecture
        self._n_allocated = 0
        n_heads, n_tasks = len(a.n_outputs), len(a.task_heads)

        trunk = np.zeros((a.n_experts, len(a.hidden), 4), np.int64)
        depth_offsets = [0]
        for depth, (n_in, n_out) in enumerate(_chain(a.n_inputs, a.hidden)):
            weights = [self._allocate(n_in * n_out) for _ in range(a.n_experts)]
            biases = [-1] * a.n_experts
            if not (a.linear_last and depth == len(a.hidden) - 1):
                biases = [self._allocate(n_out) for _ in range(a.n_experts)]
            for expert, (weight, bias) in enumerate(zip(weights, biases)):
                trunk[expert, depth] = weight, bias, n_in, n_out
            depth_offsets.append(self._n_allocated)
        self.depth_offsets = np.array(depth_offsets, np.int64)

        self.gates = np.zeros((n_tasks, 2), np.int64)
        for t in range(n_tasks):
            self.gates[t] = self._gate(a)

        heads = np.zeros((n_heads, len(a.head_hidden), 4), np.int64)
        for h in range(n_heads):
            for depth, (n_in, n_out) in enumerate(_chain(a.n_shared, a.head_hidden)):
                heads[h, depth] = self._dense(n_in, n_out)

        n_last = a.head_hidden[-1] if a.head_hidden else a.n_shared
        first_row = np.concatenate([[0], np.cumsum(a.n_outputs)])
        weight = self._allocate(first_row[-1] * n_last)
        bias = self._allocate(first_row[-1])
        self.outputs = np.array(
            [
                (weight + row * n_last, bias + row, n_last, n_out)
                for row, n_out in zip(first_row[:-1], a.n_outputs, strict=True)
            ],
            np.int64,
        ).reshape(n_heads, 4)

        self.output_columns = [
            slice(*of_head) for of_head in itertools.pairwise(first_row.tolist())
        ]

        self.map_offsets = self._allocate_each(a.map_sizes)
        self.alignment_offsets = self._allocate_each(a.alignment_sizes)
        own_offsets = self._allocate_each([rows * columns for rows, columns in a.own_shapes])
        self.size = self._n_allocated

        self.trunk, self.heads = trunk, heads
        self.layers = np.ascontiguousarray(
            np.concatenate([trunk.reshape(-1, 4), heads.reshape(-1, 4), self.outputs])
        )
        n_trunk, n_head = len(a.hidden), len(a.head_hidden)
        self.blocks = block_table(
            [(w, i, o, b, TRUNK, k) for chain in trunk for k, (w, b, i, o) in enumerate(chain)]
            + [
                (w, i, o, b, HEAD, n_trunk + k)
                for chain in heads
                for k, (w, b, i, o) in enumerate(chain)
            ]
            + [(w, o, i, b, OUTPUT, n_trunk + n_head) for w, b, i, o in self.outputs]
            + [(at, *shape, -1, OWN, 0) for at, shape in zip(own_offsets[:-1], a.own_shapes)]
        )
        self.blocks.flags.writeable = False  # plugins see it

    def _allocate(self, n):
        start = self._n_allocated
        self._n_allocated += int(n)
        return start

    def _allocate_each(self, sizes):
        """Bounds of consecutive slices of theta."""
        starts = [self._allocate(size) for size in sizes]
        return np.array([*starts, self._n_allocated], np.int64)

    def _dense(self, n_in, n_out):
        weight = self._allocate(n_in * n_out)
        return weight, self._allocate(n_out), n_in, n_out

    def _gate(self, a):
        if a.gate == "fixed":
            return FIXED, -1
        if a.gate == "constant":
            return CONSTANT, self._allocate(a.n_experts)
        return LINEAR, self._allocate((a.n_inputs + 1) * a.n_experts)

    def weight_bias(self, theta, layer):
        """Views (weight of shape (n_in, n_out), bias) of a trunk or hidden head layer.

        The bias is of length 0 where there is none.
        """
        w, b, n_in, n_out = layer
        bias = theta[b : b + n_out] if b >= 0 else theta[:0]
        return theta[w : w + n_in * n_out].reshape(n_in, n_out), bias

    def matrix(self, theta, block):
        """View of a row of ``blocks``."""
        start, n_rows, n_columns = block[:3]
        return theta[start : start + n_rows * n_columns].reshape(n_rows, n_columns)

    def gate_offsets(self, theta):
        """View (n_tasks, n_experts) of what gates add up to before x; None where they are fixed."""
        a = self.architecture
        if a.gate == "fixed":
            return None
        start, n_tasks = self.gates[0, 1], len(self.gates)
        size = a.n_experts * (1 if a.gate == "constant" else 1 + a.n_inputs)
        return theta[start : start + n_tasks * size].reshape(n_tasks, size)[:, : a.n_experts]

    def output_weight_bias(self, theta, head):
        """Views (weight of shape (n_in, n_out), bias) of a head's output layer."""
        w, b, n_in, n_out = self.outputs[head].tolist()
        return theta[w : w + n_in * n_out].reshape(n_out, n_in).T, theta[b : b + n_out]

    def all_outputs(self, theta):
        """Views (weight of shape (n_in, n_all_out), bias) of all output layers side by side."""
        w, b, n_in = self.outputs[0, :3].tolist()
        n_out = sum(self.architecture.n_outputs)
        return theta[w : w + n_in * n_out].reshape(n_out, n_in).T, theta[b : b + n_out]

    def dense_layers(self, theta):
        """Every (weight, bias) pair: trunk by expert, hidden head layers by head, outputs."""
        for chain in (*self.trunk.tolist(), *self.heads.tolist()):
            for layer in chain:
                yield self.weight_bias(theta, layer)
        for head in range(len(self.outputs)):
            yield self.output_weight_bias(theta, head)

    def initial(self, rng, dtype):
        """Random start: Glorot-uniform weights and biases, zero for all else.

        As in scikit-learn's MLP [1]_: the bound is ``sqrt(6 / (n_in + n_out))``, with 2 in
        place of 6 for the logistic activation.

        References
        ----------
        .. [1] Glorot and Bengio (2010). Understanding the difficulty of training deep
           feedforward neural networks. AISTATS, equation 16.
        """
        factor = 2.0 if self.architecture.activation == "logistic" else 6.0
        theta = memory.zeros(self.size, dtype)
        for weight, bias in self.dense_layers(theta):
            bound = np.sqrt(factor / sum(weight.shape))
            weight[...] = rng.uniform(-bound, bound, weight.shape)
            bias[...] = rng.uniform(-bound, bound, bias.shape)
        return theta


@functools.lru_cache(maxsize=64)
def layout_of(architecture):
    """The layout of an architecture, which all fits and predictions with it share."""
    return Layout(architecture)


def _chain(n_in, widths):
    """Pairs (n_in, n_out) of consecutive layers."""
    return zip((n_in, *widths[:-1]), widths, strict=True) if widths else ()
