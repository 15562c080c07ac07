"""What the benchmarks share of torch: the start of skmtl and scikit-learn, Adam, and batches."""

import os
import shutil
import sys
import time

import torch
from torch import nn

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


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


def perceptron(widths):
    """Dense layers with relu between them; widths are those of input to output."""
    return nn.Sequential(*trunk(widths[0], widths[1:-1]), linear(*widths[-2:]))


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


def adamw(parameters, rate, decay):
    """Fused AdamW, which decays all parameters."""
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)


def one_pass(batch_size, *tensors):
    """Batches of all rows, in a new order; their sizes differ by one at most."""
    n_rows = len(tensors[0])
    order, n_batches = torch.randperm(n_rows), -(-n_rows // batch_size)
    return zip(*(tensor[order].tensor_split(n_batches) for tensor in tensors))


def arrays(layer):
    """Weight (n_in, n_out) and bias of a dense layer, for NumPy."""
    return layer.weight.detach().numpy().T, layer.bias.detach().numpy()


def can_compile():
    """Whether there is the C++ compiler that ``torch.compile`` would call."""
    default = "clang++" if sys.platform == "darwin" else "g++"
    return shutil.which(os.environ.get("CXX", default)) is not None


def with_torch(X, y, widths, rate, batch_size, n_epochs):
    """Fits of a dense net with fused Adam, as ``timing.measure`` wants them."""
    X, y = torch.from_numpy(X), torch.from_numpy(y).long()

    def fit(seed):
        torch.manual_seed(seed)
        net = perceptron(widths).to(X.dtype)
        optimizer = adam(net.parameters(), rate, 0.0)
        begin = time.perf_counter()
        for _ in range(n_epochs):
            for X_batch, y_batch in one_pass(batch_size, X, y):
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(X_batch), y_batch).backward()
                optimizer.step()
        seconds = time.perf_counter() - begin
        return list(map(arrays, net[::2])), seconds

    return fit


def with_compiled_torch(X, y, widths, rate, batch_size, n_epochs):
    """The same, with gradient and Adam as one compiled function.

    On the digits net a step takes a quarter of what it takes with the loss alone compiled, which
    is slower than none.
    """
    X, y = torch.from_numpy(X), torch.from_numpy(y).long()

    def loss_of(layers, X_batch, y_batch):
        *hidden, (weight, bias) = layers
        for w, b in hidden:
            X_batch = torch.relu(torch.addmm(b, X_batch, w))
        return nn.functional.cross_entropy(torch.addmm(bias, X_batch, weight), y_batch)

    @torch.compile
    def step(layers, means, squares, length, X_batch, y_batch):
        grads = torch.func.grad(loss_of)(layers, X_batch, y_batch)
        for of_layer in zip(layers, means, squares, grads):
            for p, m, v, g in zip(*of_layer):
                m.mul_(BETA_1).add_(g, alpha=1 - BETA_1)
                v.mul_(BETA_2).addcmul_(g, g, value=1 - BETA_2)
                p.sub_(length * m / (v.sqrt() + EPSILON))

    @torch.no_grad()
    def fit(seed):
        torch.manual_seed(seed)
        layers = []
        for shape in zip(widths[:-1], widths[1:]):
            layer = torch.empty(shape, dtype=X.dtype), torch.empty(shape[1], dtype=X.dtype)
            start(*shape, *layer)
            layers.append(layer)
        means, squares = ([tuple(map(torch.zeros_like, layer)) for layer in layers] for _ in "mv")
        begin, t = time.perf_counter(), 0
        for _ in range(n_epochs):
            for batch in one_pass(batch_size, X, y):
                t += 1
                length = rate * (1 - BETA_2**t) ** 0.5 / (1 - BETA_1**t)
                step(layers, means, squares, torch.tensor(length, dtype=X.dtype), *batch)
        seconds = time.perf_counter() - begin
        return [tuple(part.numpy() for part in layer) for layer in layers], seconds

    return fit
