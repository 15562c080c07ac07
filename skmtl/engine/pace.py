"""Layers of the trunk that go a part of each step, or none of it.

The optimizer takes its step on all that is trained; then each layer goes back to that part of it.
For an optimizer whose step is in proportion to the learning rate, as all of ours are, that is a
learning rate of its own for each layer. Proximal steps are scaled likewise.

Entered by address: a fit in which all layers keep pace does not compile this.
"""

from skmtl.engine.pointers import floats, layer_at, vector


def pace_layers(net, theta, after):
    """Before a step: before = theta. After it: theta = before + rate_l (theta - before)."""
    rates = floats(theta, net.layer_rates, 0, net.n_trunk)
    for l in range(net.n_trunk):
        start = layer_at(net.layers, l).weight
        stop = layer_at(net.layers, l + 1).weight if l + 1 < net.n_trunk else net.trunk_size
        part = vector(theta, start, stop - start)
        before = floats(theta, net.before_step, start, stop - start)
        if after == 0:
            for j in range(part.size):
                before[j] = part[j]
        else:
            for j in range(part.size):
                part[j] = before[j] + rates[l] * (part[j] - before[j])
