"""The objective, its gradient and epochs of training: slow, plain, from the formula.

    J = sum_k c_k L_k( f_k( trunk( g_d(k)(x) ) ), y_k ) + sum_r rho_r R_r

Every task runs the whole network on its own rows, dense, with NumPy. Nothing here calls the engine:
it reads the same descriptions (Architecture, Domain, Task) and cuts theta by the documented order.
"""

import numpy as np
from scipy.sparse import issparse
from scipy.special import expit, log_softmax
from scipy.stats import norm

ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "tanh": np.tanh,
    "logistic": expit,
    "gelu": lambda z: z * norm.cdf(z),
    "silu": lambda z: z * expit(z),
}
SLOPES = {
    "identity": np.ones_like,
    "relu": lambda z: (z > 0).astype(float),
    "tanh": lambda z: 1 / np.cosh(z) ** 2,
    "logistic": lambda z: expit(z) * expit(-z),
    "gelu": lambda z: norm.cdf(z) + z * norm.pdf(z),
    "silu": lambda z: expit(z) + z * expit(z) * expit(-z),
}


class Cut:
    """Views of a parameter vector by name, in the order that ``Layout`` documents."""

    def __init__(self, theta, a):
        self.theta, self._at = theta, 0
        n_experts = len(a.gate_mask[0])
        widths = (a.n_inputs, *a.hidden)
        self.trunk = [[] for _ in range(n_experts)]  # trunk[e][l] = (weight, bias)
        self.depth = [0]
        for l, (n_in, n_out) in enumerate(zip(widths[:-1], widths[1:]), start=1):
            weights = [self._take(n_in, n_out) for _ in self.trunk]
            linear = a.linear_last and l == len(a.hidden)
            for expert, weight in zip(self.trunk, weights):
                expert.append((weight, self._take(0 if linear else n_out)))
            self.depth.append(self._at)
        self.gates = []  # gates[t] = (offset, weight or None)
        for _ in a.task_heads:
            offset = self._take(n_experts) if a.gate != "fixed" else None
            weight = self._take(a.n_inputs, n_experts) if a.gate == "linear" else None
            self.gates.append((offset, weight))
        widths = (widths[-1], *a.head_hidden)
        self.heads = [
            [(self._take(i, o), self._take(o)) for i, o in zip(widths[:-1], widths[1:])]
            for _ in a.n_outputs
        ]
        weight = self._take(sum(a.n_outputs), widths[-1])
        bias = self._take(sum(a.n_outputs))
        ends = np.cumsum(a.n_outputs)
        self.output_weights = weight
        self.outputs = [(weight[e - n : e].T, bias[e - n : e]) for n, e in zip(a.n_outputs, ends)]
        self.maps = [self._take(n) for n in a.map_sizes]
        self.alignments = [self._take(n) for n in a.alignment_sizes]
        assert self._at == theta.size

    def _take(self, *shape):
        n = int(np.prod(shape))
        self._at += n
        return self.theta[self._at - n : self._at].reshape(shape)


def softmax(logits):
    return np.exp(log_softmax(logits, axis=1))


class Model:
    """J and its gradient for one architecture.

    ``penalties`` holds (name, strength, part): name "l1", "l2", a float (elastic net of that
    l1_ratio) or "identity", part "trunk", "heads" (with their outputs) or the number of a domain,
    whose feature map it is.
    """

    def __init__(self, architecture, domains, tasks, penalties=(), n_frozen_layers=0):
        self.a, self.tasks, self.penalties = architecture, tasks, penalties
        self.X = [d.X.toarray() if issparse(d.X) else np.asarray(d.X) for d in domains]
        self.maps = [type(d.map).__name__ if d.map is not None else "Identity" for d in domains]
        self.n_frozen_layers = n_frozen_layers
        self.margin = np.inf  # least distance of a pre-activation from 0, seen so far

    def __call__(self, theta, batches=None, scales=None):
        """J, its gradient, and each task's loss.

        ``batches`` gives each domain's rows in the batch, ``scales`` its number of batches.
        """
        grad = np.zeros_like(theta)
        p, g = Cut(theta, self.a), Cut(grad, self.a)
        value, losses = 0.0, np.zeros(len(self.tasks))
        for t, task in enumerate(self.tasks):
            d, here = task.domain, np.ones(len(task.rows), bool)
            scale = 1.0
            if batches is not None:
                here, scale = np.isin(task.rows, batches[d]), scales[d]
            if here.any():
                share = scale * task.weight[here] / task.weight.sum()
                losses[t] = self._task(p, g, t, task.rows[here], task.y[here], share)
            value += task.coefficient * losses[t]
        for name, strength, part in self.penalties:
            value += self._penalty(p, g, name, strength, part)
        grad[: p.depth[self.n_frozen_layers]] = 0
        return value, grad, losses

    # --- one task, forth and back ---------------------------------------------------------------

    def _task(self, p, g, t, rows, y, share):
        task, d = self.tasks[t], self.tasks[t].domain
        x = self.X[d][rows]
        z = self._map(p, d, x)
        allowed = np.flatnonzero(self.a.gate_mask[t])
        chains = {e: self._forward(p.trunk[e], z) for e in allowed}
        gate = self._gate(p, t, allowed, z)
        mixture = sum(gate[:, [j]] * chains[e][-1][1] for j, e in enumerate(allowed))
        head = [*p.heads[task.head]]
        steps = self._forward(head, mixture)
        weight, bias = p.outputs[task.head]
        value, delta = self._log_loss(steps[-1][1] @ weight + bias, y, share)
        delta = task.coefficient * delta

        dweight, dbias = g.outputs[task.head]
        dweight += steps[-1][1].T @ delta
        dbias += delta.sum(axis=0)
        dmixture = self._backward(head, g.heads[task.head], steps, delta @ weight.T)
        dgate = np.stack([(dmixture * chains[e][-1][1]).sum(axis=1) for e in allowed], axis=1)
        dz = self._gate_backward(p, g, t, allowed, z, gate, dgate)
        for j, e in enumerate(allowed):
            dz = dz + self._backward(p.trunk[e], g.trunk[e], chains[e], gate[:, [j]] * dmixture)
        self._map_backward(g, d, x, dz)
        return value

    def _forward(self, layers, h):
        """Pairs (pre-activation, activation) from the input on; a layer without bias is linear."""
        steps = [(None, h)]
        for weight, bias in layers:
            pre = steps[-1][1] @ weight
            if not bias.size:
                steps.append((pre, pre))
                continue
            pre = pre + bias
            self.margin = min(self.margin, np.abs(pre).min())
            steps.append((pre, ACTIVATIONS[self.a.activation](pre)))
        return steps

    def _backward(self, layers, dlayers, steps, delta):
        """Add to dlayers; gives the gradient at the input."""
        for k in reversed(range(len(layers))):
            if layers[k][1].size:
                delta = delta * SLOPES[self.a.activation](steps[k + 1][0])
                dlayers[k][1][...] += delta.sum(axis=0)
            dlayers[k][0][...] += steps[k][1].T @ delta
            delta = delta @ layers[k][0].T
        return delta

    def _gate(self, p, t, allowed, z):
        offset, weight = p.gates[t]
        if offset is None:
            return np.full((len(z), len(allowed)), 1 / len(allowed))
        logits = np.tile(offset[allowed], (len(z), 1))
        if weight is not None:
            logits += z @ weight[:, allowed]
        return softmax(logits)

    def _gate_backward(self, p, g, t, allowed, z, gate, dgate):
        offset, weight = p.gates[t]
        if offset is None:
            return np.zeros_like(z)
        dlogits = gate * (dgate - (gate * dgate).sum(axis=1, keepdims=True))
        doffset, dweight = g.gates[t]
        doffset[allowed] += dlogits.sum(axis=0)
        if weight is None:
            return np.zeros_like(z)
        dweight[:, allowed] += z.T @ dlogits
        return dlogits @ weight[:, allowed].T

    def _map(self, p, d, x):
        if self.maps[d] == "Identity":
            return x
        n = x.shape[1] * self.a.n_inputs
        offset = p.maps[d][n:] if self.maps[d] == "Affine" else 0
        return x @ p.maps[d][:n].reshape(x.shape[1], -1) + offset

    def _map_backward(self, g, d, x, dz):
        if self.maps[d] == "Identity":
            return
        n = x.shape[1] * self.a.n_inputs
        g.maps[d][:n] += (x.T @ dz).ravel()
        if self.maps[d] == "Affine":
            g.maps[d][n:] += dz.sum(axis=0)

    def _log_loss(self, out, y, share):
        """sum_i share_i l_i and its derivative; y holds class codes."""
        if out.shape[1] == 1:
            out = np.hstack([np.zeros_like(out), out])
            value, delta = self._log_loss(out, y, share)
            return value, delta[:, 1:]
        y = np.asarray(y, int)
        log_p = log_softmax(out, axis=1)
        picked = np.arange(len(y)), y
        delta = np.exp(log_p)
        delta[picked] -= 1
        return -(share * log_p[picked]).sum(), share[:, None] * delta

    # --- penalties ------------------------------------------------------------------------------

    def _penalty(self, p, g, name, strength, part):
        if part == "trunk":
            k = self.n_frozen_layers
            pairs = self._weights([e[k:] for e in p.trunk], [e[k:] for e in g.trunk])
        elif part == "heads":
            outputs = p.output_weights, g.output_weights
            pairs = [*self._weights(p.heads, g.heads), outputs]
        else:
            n_in = self.X[part].shape[1]
            n = n_in * self.a.n_inputs
            shape = n_in, self.a.n_inputs
            pairs = [(p.maps[part][:n].reshape(shape), g.maps[part][:n].reshape(shape))]
            if name == "identity":
                offset = p.maps[part][n:]
                g.maps[part][n:] += 2 * strength * offset
                return strength * (offset**2).sum() + strength * self._anchor(*pairs[0], strength)
        return strength * sum(self._norm(name, w, dw, strength) for w, dw in pairs)

    @staticmethod
    def _weights(chains, dchains):
        return [(w, dw) for c, dc in zip(chains, dchains) for (w, _), (dw, _) in zip(c, dc)]

    @staticmethod
    def _norm(name, w, dw, strength):
        ratio = {"l1": 1.0, "l2": 0.0}.get(name, name)
        dw += strength * (ratio * np.sign(w) + (1 - ratio) * w)
        return ratio * np.abs(w).sum() + (1 - ratio) * (w**2).sum() / 2

    @staticmethod
    def _anchor(a, da, strength):
        n_in, n_out = a.shape
        if n_in == n_out:
            da += 2 * strength * (a - np.eye(n_in))
            return ((a - np.eye(n_in)) ** 2).sum()
        if n_in > n_out:
            gap = a.T @ a - np.eye(n_out)
            da += strength * a @ gap
        else:
            gap = a @ a.T - np.eye(n_in)
            da += strength * gap @ a
        return (gap**2).sum() / 4


# --- training ------------------------------------------------------------------------------------


class Batches:
    """The batches of one domain.

    Rows lie in groups by the rarest task that they carry (fewest labels over all domains). A pass
    shuffles each group and deals the rows to the batches in turn, from a random first batch on.
    ``has_order`` says whether a group is shuffled in place; if there is just one, it need not be.
    """

    def __init__(self, tasks, d, batch_size, has_order):
        ranks = np.argsort(np.argsort([len(task.rows) for task in tasks], kind="stable"))
        rarest = {}
        for t, task in enumerate(tasks):
            if task.domain == d:
                for row in task.rows.tolist():
                    rarest[row] = min(rarest.get(row, len(tasks)), ranks[t])
        ranks = sorted(set(rarest.values()))
        self.groups = [[row for row in sorted(rarest) if rarest[row] == rank] for rank in ranks]
        self.n = max(1, -(-len(rarest) // batch_size))
        self.has_order = has_order or len(self.groups) > 1

    def shuffle(self, rng):
        if self.n == 1:
            self.dealt = [sum(self.groups, [])]
            return
        first = int(rng.random() * self.n)
        if self.has_order:
            for group in self.groups:
                for i in range(len(group) - 1, 0, -1):
                    j = int(rng.random() * (i + 1))
                    group[i], group[j] = group[j], group[i]
            rows = sum(self.groups, [])
        else:
            (group,) = self.groups
            rows = [group[i] for i in order_on_a_square(len(group), rng)]
        self.dealt = [rows[(first + b) % self.n :: self.n] for b in range(self.n)]


def order_on_a_square(n, rng):
    """Row i starts in line i // side; columns and lines are turned, and no row ends beyond n.

    Turning moves what stands in a column down, and what stands in a line to the right, and in each
    of three rounds all columns are turned before all lines.
    """
    side = int(np.ceil(np.sqrt(n)))
    square, every = np.arange(side**2).reshape(side, side), np.arange(side)
    for _ in range(3):
        down, right = [[int(rng.random() * side) for _ in every] for _ in range(2)]
        square = np.column_stack([np.roll(square[:, c], down[c]) for c in every])
        square = np.vstack([np.roll(square[r], right[r]) for r in every])
    ends = np.argsort(square.ravel())  # where each row has come to
    order = ends[:n]
    while (order >= n).any():
        order = np.where(order >= n, ends[order], order)
    return order


class Trainer:
    """Epochs of minibatch steps; ``step_rule`` is one of the optimizers below.

    ``layer_rates`` are parts of the learning rate, for the layers of the trunk; ``has_order`` as in
    ``Batches``.
    """

    def __init__(self, model, theta, step_rule, batch_size, rng, layer_rates=None, has_order=True):
        self.model, self.theta, self.step_rule, self.rng = model, theta.copy(), step_rule, rng
        n_domains = len(model.X)
        self.domains = [Batches(model.tasks, d, batch_size, has_order) for d in range(n_domains)]
        depth = Cut(theta, model.a).depth
        self.n_frozen = depth[model.n_frozen_layers]
        self.rates = np.ones(theta.size)
        for rate, start, stop in zip(layer_rates or (), depth, depth[1:]):
            self.rates[start:stop] = rate

    def epoch(self, lr):
        """Mean over the steps of J and of each task's loss."""
        n_steps = max(domain.n for domain in self.domains)
        values, losses = [], []
        for s in range(n_steps):
            for domain in self.domains:
                if s % domain.n == 0:
                    domain.shuffle(self.rng)
            batches = [domain.dealt[s % domain.n] for domain in self.domains]
            scales = [domain.n for domain in self.domains]
            value, grad, loss = self.model(self.theta, batches, scales)
            values.append(value)
            losses.append(loss)
            free = slice(self.n_frozen, None)
            rates = lr * self.rates[free]
            self.theta[free] = self.step_rule(self.theta[free], grad[free], rates)
        return np.mean(values), np.mean(losses, axis=0)


def dropped(shape, rate, rng):
    """Which units to drop: their bits are a hash of their number and two keys, in uint32.

    Wellons' lowbias32, https://nullprogram.com/blog/2018/07/31/, with a key added before each of
    its rounds, the second by exclusive or; numbers go in steps of the golden ratio.
    """
    keys = [np.uint32(rng.random() * 2**32) for _ in range(2)]
    x = np.arange(np.prod(shape), dtype=np.uint32) * np.uint32(0x9E3779B9) + keys[0]
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D) ^ keys[1]
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    x = x ^ (x >> np.uint32(16))
    return (x < int(rate * 2**32)).reshape(shape)


class Adam:
    """Kingma and Ba (2015), in the form that ends section 2; AdamW decays the parameters first."""

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0.0):
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.weight_decay, self.t, self.m, self.v = weight_decay, 0, 0.0, 0.0

    def __call__(self, theta, grad, lr):
        self.t += 1
        self.m = self.beta_1 * self.m + (1 - self.beta_1) * grad
        self.v = self.beta_2 * self.v + (1 - self.beta_2) * grad**2
        alpha = lr * np.sqrt(1 - self.beta_2**self.t) / (1 - self.beta_1**self.t)
        theta = theta - lr * self.weight_decay * theta
        return theta - alpha * self.m / (np.sqrt(self.v) + self.epsilon)


class SGD:
    """Sutskever et al. (2013), as scikit-learn writes it."""

    def __init__(self, momentum=0.9, nesterov=True):
        self.momentum, self.nesterov, self.v = momentum, nesterov, 0.0

    def __call__(self, theta, grad, lr):
        self.v = self.momentum * self.v - lr * grad
        return theta + (self.momentum * self.v - lr * grad if self.nesterov else self.v)
