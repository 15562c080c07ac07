"""What the benchmarks share of torch: the start of skmtl and scikit-learn, Adam, and batches."""

import os
import time

os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # what compiles is timed

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


def can_compile():
    """Whether ``torch.compile`` finds a C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return bool(get_cpp_compiler())
    except InvalidCxxCompiler:
        return False


def with_torch(X, y, widths, rate, batch_size, n_epochs, compiles=False):
    """Fits of a dense net, as ``timing.measure`` wants them; compiles says if its loss is."""
    net = nn.Sequential(trunk(widths[0], widths[1:-1]), linear(*widths[-2:]))
    X, y = torch.from_numpy(X), torch.from_numpy(y).long()
    net.to(X.dtype)
    layers = [module for module in net.modules() if isinstance(module, nn.Linear)]

    def loss_of(X_batch, y_batch):
        return nn.functional.cross_entropy(net(X_batch), y_batch)

    if compiles:
        loss_of = torch.compile(loss_of)

    def fit(seed):
        torch.manual_seed(seed)
        for layer in layers:
            start(layer.in_features, layer.out_features, layer.weight, layer.bias)
        optimizer = adam(net.parameters(), rate, 0.0)
        begin = time.perf_counter()
        for _ in range(n_epochs):
            for X_batch, y_batch in one_pass(batch_size, X, y):
                optimizer.zero_grad()
                loss_of(X_batch, y_batch).backward()
                optimizer.step()
        seconds = time.perf_counter() - begin
        return [tuple(part.copy() for part in arrays(layer)) for layer in layers], seconds

    return fit
