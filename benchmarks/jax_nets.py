"""A dense net in JAX, and in Keras on JAX, each on one thread, as ``timing.measure`` wants it."""

import os
import time

# Read when each is imported.
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import numpy as np

try:
    import keras
except ImportError:
    keras = None

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


def start(widths, dtype, rng):
    """Weights and biases of all layers, uniform within the bound of Glorot."""
    layers = []
    for n_in, n_out in zip(widths[:-1], widths[1:]):
        bound = (6 / (n_in + n_out)) ** 0.5
        shapes = (n_in, n_out), (n_out,)
        layers.append(tuple(rng.uniform(-bound, bound, shape).astype(dtype) for shape in shapes))
    return layers


def _loss(layers, X, y):
    """Mean of -log p."""
    *hidden, (weight, bias) = layers
    for w, b in hidden:
        X = jax.nn.relu(X @ w + b)
    log_p = jax.nn.log_softmax(X @ weight + bias)
    return -jnp.mean(jnp.take_along_axis(log_p, y[:, None], axis=1))


def _epoch(batch_size, rate):
    """One compiled function for a whole epoch: shuffle, and scan over the batches."""

    def step(carry, batch):
        layers, means, squares, t = carry
        loss, grad = jax.value_and_grad(_loss)(layers, *batch)
        t = t + 1
        means = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, means, grad)
        squares = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, squares, grad)
        length = rate * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        layers = jax.tree.map(
            lambda p, m, v: p - length * m / (jnp.sqrt(v) + EPSILON), layers, means, squares
        )
        return (layers, means, squares, t), loss

    @jax.jit
    def epoch(carry, key, X, y):
        order = jax.random.permutation(key, len(X)).reshape(-1, batch_size)
        return jax.lax.scan(step, carry, (X[order], y[order]))

    return epoch


def with_jax(X, y, widths, rate, batch_size, n_epochs):
    """Adam, an epoch by call; batch_size divides the number of rows."""
    epoch = _epoch(batch_size, rate)

    def fit(seed):
        jax.config.update("jax_enable_x64", X.dtype == np.float64)
        layers = jax.device_put(start(widths, X.dtype, np.random.default_rng(seed)))
        zeros = jax.tree.map(jnp.zeros_like, layers)
        rows, labels = jax.device_put((X, y.astype(np.int32)))
        carry, keys = (layers, zeros, zeros, X.dtype.type(0)), jax.random.key(seed)
        begin = time.perf_counter()
        for key in jax.random.split(keys, n_epochs):
            carry, losses = epoch(carry, key, rows, labels)
        losses.block_until_ready()
        seconds = time.perf_counter() - begin
        return [tuple(map(np.asarray, layer)) for layer in carry[0]], seconds

    return fit


def with_keras(X, y, widths, rate, batch_size, n_epochs):
    """``Model.fit``; a later fit begins anew with the compiled model of the first."""
    jax.config.update("jax_enable_x64", X.dtype == np.float64)
    n_in, *hidden, n_out = widths
    dtype = X.dtype.name
    model = keras.Sequential(
        [
            keras.Input((n_in,), dtype=dtype),
            *(keras.layers.Dense(width, "relu", dtype=dtype) for width in hidden),
            keras.layers.Dense(n_out, dtype=dtype),
        ]
    )
    optimizer = keras.optimizers.Adam(rate, epsilon=EPSILON)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=dtype)
    model.compile(optimizer, loss)
    optimizer.build(model.trainable_variables)
    at_start = [np.array(variable) for variable in optimizer.variables]

    def fit(seed):
        jax.config.update("jax_enable_x64", X.dtype == np.float64)
        keras.utils.set_random_seed(seed)
        layers = start(widths, X.dtype, np.random.default_rng(seed))
        model.set_weights([part for layer in layers for part in layer])
        for variable, value in zip(optimizer.variables, at_start):
            variable.assign(value)
        begin = time.perf_counter()
        model.fit(X, y, batch_size=batch_size, epochs=n_epochs, verbose=0)
        seconds = time.perf_counter() - begin
        weights = model.get_weights()
        return list(zip(weights[::2], weights[1::2])), seconds

    return fit
