"""What the benchmarks share of torch: the start of skmtl and scikit-learn, Adam, and batches."""

import torch
from torch import nn


def start(n_in, n_out, *tensors):
    """Fill weights and biases of a layer uniformly within the bound of Glorot."""
    bound = (6 / (n_in + n_out)) ** 0.5
    for tensor in tensors:
        nn.init.uniform_(tensor, -bound, bound)


def linear(n_in, n_out):
    """A dense layer with that start."""
    layer = nn.Linear(n_in, n_out)
    start(n_in, n_out, layer.weight, layer.bias)
    return layer


def trunk(n_in, widths):
    """Dense layers, each followed by relu."""
    layers = []
    for width in widths:
        layers += [linear(n_in, width), nn.ReLU()]
        n_in = width
    return nn.Sequential(*layers)


def adam(parameters, rate, lam):
    """Fused Adam on ``loss + lam / 2 ||W||^2``: decay of all matrices is its exact gradient."""
    parameters = list(parameters)
    return torch.optim.Adam(
        [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": lam},
            {"params": [p for p in parameters if p.dim() == 1]},
        ],
        lr=rate,
        fused=True,
    )


def one_pass(batch_size, *tensors):
    """Batches of all rows, in a new order; their sizes differ by one at most."""
    n_rows = len(tensors[0])
    order, n_batches = torch.randperm(n_rows), -(-n_rows // batch_size)
    return zip(*(tensor[order].tensor_split(n_batches) for tensor in tensors))


def arrays(layer):
    """Weight (n_in, n_out) and bias of a dense layer, for NumPy."""
    return layer.weight.detach().numpy().T, layer.bias.detach().numpy()
