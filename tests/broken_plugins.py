"""Plugins that are broken on purpose, each in one way.

``BROKEN`` has a row for each: an instance, the check that it fails, and a part of the message.
"""

import itertools
import math

import numpy as np

from skmtl.plugins.base import (
    Alignment,
    Optimizer,
    Penalty,
    RegressionLoss,
    Sharing,
    SourceWeighting,
    Weighting,
)
from skmtl.plugins.feature_maps import Linear
from skmtl.plugins.losses import LogLoss
from skmtl.plugins.optimizers import SGD
from skmtl.plugins.penalties import L1, L2
from skmtl.plugins.sharings import Hard, LearnedGroups
from skmtl.plugins.source_weightings import TrAdaBoost
from skmtl.plugins.source_weightings import Uniform as Ones
from skmtl.plugins.weightings import Uniform

log_loss, l1, l2, sgd, uniform = (
    LogLoss.value_grad,
    L1.value_grad,
    L2.value_grad,
    SGD.step,
    Uniform.update,
)
linear_forward, linear_backward = Linear.forward, Linear.backward
linear_forward_csr, linear_backward_csr = Linear.forward_csr, Linear.backward_csr
counter = itertools.count()
memory = np.zeros(7)
BROKEN = []


def breaks(check, message, *arguments):
    """Add a row to BROKEN, of an instance with some arguments."""

    def add(cls):
        BROKEN.append((cls(*arguments), check, message))
        return cls

    return add


# --- of any kind ---------------------------------------------------------------------------------


@breaks("check_constructor", "does not store the parameter 'l1_ratio' as it is")
class ConvertsInTheConstructor(L2):
    def __init__(self, l1_ratio=0.5):
        self.l1_ratio = str(l1_ratio)


@breaks("check_constructor", "raises TypeError for a value that it should only store")
class ValidatesInTheConstructor(L2):
    def __init__(self, number=0.5):
        self.number = number
        if number < 0:
            raise ValueError("number must be >= 0")


@breaks("check_constructor", "also sets helper")
class SetsMore(L2):
    def __init__(self, number=0.5):
        self.number = number
        self.helper = 1


@breaks("check_parameters", "cannot be made without arguments.* give each a default", 1.0)
class NeedsAnArgument(L2):
    def __init__(self, number):
        self.number = number


@breaks("check_parameters", r"clone gives Squares\(\) for Squares\(number=4.0\)", 4.0)
class Squares(L2):
    def __init__(self, number=2.0):
        self.number = number

    def __sklearn_clone__(self):
        return type(self)()


@breaks("check_pickle", "cannot be pickled: .*Define the class at the top level of a module")
class HoldsALambda(L2):
    def __getstate__(self):
        return {"function": lambda: 1}


@breaks("check_hyper", "hyper gives 'squared', a str. Let hyper return a flat list of finite")
class StringInHyper(L2):
    def hyper(self):
        return ["squared"]


@breaks("check_hyper", "hyper gives None, a NoneType")
class NoneInHyper(L2):
    def hyper(self):
        return [None]


@breaks("check_hyper", "hyper gives nan")
class NanInHyper(L2):
    def hyper(self):
        return [float("nan")]


@breaks("check_hyper", "which is no flat list of numbers")
class NestedHyper(L2):
    def hyper(self):
        return [[1.0], [2.0]]


@breaks("check_hyper", "Compute its numbers from the constructor's parameters alone")
class RestlessHyper(L2):
    def hyper(self):
        return [float(next(counter))]


def scaled_by(factor):
    """A function that is a closure."""

    def value_grad(theta, layout, strength, hp, constants, work, grad):
        return factor * l2(theta, layout, strength, hp, constants, work, grad)

    return value_grad


@breaks("check_functions", "value_grad is a closure over factor. Define it in the class")
class Closed(L2):
    value_grad = staticmethod(scaled_by(1.0))


@breaks("check_functions", "value_grad is no static method. Put @staticmethod above it")
class WithSelf(L2):
    def value_grad(self, theta, layout, strength, hp, constants, work, grad):
        return 0.0


@breaks("check_functions", r"takes \(theta, blocks, .*its contract says \(theta, layout, strength")
class Renamed(L2):
    @staticmethod
    def value_grad(theta, blocks, strength, hp, constants, work, grad):
        return l2(theta, blocks, strength, hp, constants, work, grad)


@breaks("check_functions", "Give it these arguments, by these names, in this order")
class ArgumentMissing(SGD):
    @staticmethod
    def step(theta, grad, state, lr, hp):
        sgd(theta, grad, state, lr, 0, hp)


@breaks("check_functions", "is a builtin_function_or_method and no plain function")
class NotPython(L2):
    value_grad = staticmethod(math.hypot)


@breaks("check_repeatable", "Keep nothing between calls")
class Restless(L2):
    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        return float(next(counter))


@breaks("check_compiled", "does not compile for float32: .*no Python objects")
class NeedsObjects(L2):
    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        return 0.0 if object() else 1.0


@breaks("check_compiled", "gives another value compiled")
class OverflowsCompiled(L2):
    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        count = 4611686018427387904
        for _ in range(layout.shape[0]):
            count += 4611686018427387904
        return float(count)


# --- losses --------------------------------------------------------------------------------------


@breaks("check_loss_gradient", "differs from central differences .* weight\\[i\\] / sum")
class WrongGradient(LogLoss):
    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        value = log_loss(out, y, weight, hp, grad)
        grad[0, 0] *= 1.001
        return value


@breaks("check_loss_gradient", "that value_grad.* gives is not finite")
class NanGradient(LogLoss):
    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        value = log_loss(out, y, weight, hp, grad)
        grad[0, 0] = np.nan
        return value


@breaks("check_buffers", "grad is overwritten: assign every entry with =, do not add")
class AddsToGrad(LogLoss):
    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        first = grad[0, 0]
        value = log_loss(out, y, weight, hp, grad)
        grad[0, 0] += first
        return value


@breaks("check_read_only", "writes to an input, which is read-only. value_grad may write to grad")
class WritesItsInput(LogLoss):
    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        weight[0] = 1.0
        return log_loss(out, y, weight, hp, grad)


@breaks("check_bounds", "reads or writes out of bounds: .*Compiled code does not notice")
class WritesBeyond(LogLoss):
    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        value = log_loss(out, y, weight, hp, grad)
        grad[grad.shape[0], 0] = 0.0
        return value


@breaks("check_loss_mean", "is not the weighted mean .* Divide by the sum of weight")
class ForgetsWeights(LogLoss):
    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        value = log_loss(out, y, weight, hp, grad)
        total = 0.0
        for i in range(weight.size):
            total += weight[i]
        for i in range(grad.shape[0]):
            for j in range(grad.shape[1]):
                grad[i, j] *= total
        return value * total


@breaks("check_loss_extremes", r"outputs of \+-100 in float32.* subtract the largest")
class Overflows(LogLoss):
    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        value = log_loss(out, y, weight, hp, grad)
        for i in range(out.shape[0]):
            e = np.exp(float(abs(out[i, 0])))
            value += 1e-300 * (e / (1.0 + e))
        return value


@breaks("check_loss_nan", r"where out\[2, 0\] is NaN. Let NaN through")
class SwallowsNan(LogLoss):
    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        value = log_loss(out, y, weight, hp, grad)
        return value if value > 0 else 0.0


@breaks("check_loss_proba", "sum to .* Normalise each row")
class ProbaNotNormalised(LogLoss):
    def proba(self, out):
        return np.clip(super().proba(out) + out.dtype.type(0.1), 0, 1)


@breaks("check_loss_proba", r"has shape \(6, 1\).* two columns even where the head has one output")
class ProbaOfOneColumn(LogLoss):
    def proba(self, out):
        return super().proba(out)[:, -out.shape[1] :]


@breaks("check_loss_proba", "is float64. Keep the dtype of out")
class ProbaInDouble(LogLoss):
    def proba(self, out):
        return super().proba(out).astype(float)


class Distance(RegressionLoss):
    """A right one: half the squared distance."""

    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        total = value = 0.0
        for i in range(weight.size):
            total += weight[i]
        for i in range(weight.size):
            gap = float(out[i, 0]) - y[i, 0]
            value += 0.5 * weight[i] / total * gap * gap
            grad[i, 0] = weight[i] / total * gap
        return value


distance = Distance.value_grad


@breaks("check_loss_predict", "Give finite predictions of the shape and dtype of out")
class PredictsAnotherShape(Distance):
    def predict(self, out):
        return out.ravel()


@breaks("check_loss_fit", "A small fit does not learn: its objective goes from .* to ")
class Climbs(Distance):
    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        value = distance(out, y, weight, hp, grad)
        for i in range(weight.size):
            grad[i, 0] = -grad[i, 0]
        return value


@breaks("check_loss_gradient", "refuses real numbers, numbers above zero, counts and shares alike")
class RefusesAllTargets(Distance):
    def check_targets(self, y):
        raise ValueError("no")


# --- penalties -----------------------------------------------------------------------------------


@breaks("check_penalty_gradient", "for layers gives differs from central differences")
class PenaltyWithWrongGradient(L2):
    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        return 2 * l2(theta, layout, strength, hp, constants, work, grad)


@breaks("check_buffers", r"overwrites grad, .*: add to it with \+= alone")
class OverwritesGrad(L2):
    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        for j in range(grad.size):
            grad[j] = 0.0
        return l2(theta, layout, strength, hp, constants, work, grad)


@breaks("check_buffers", "Set scratch before you read it")
class TrustsScratch(L2):
    def n_work(self, layout):
        return 1

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        work[0] += l2(theta, layout, strength, hp, constants, work, grad)
        return work[0]


@breaks("check_bounds", "out of bounds.* ask for room by n_work")
class ForgetsToAskForScratch(L2):
    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        work[0] = 0.0
        return l2(theta, layout, strength, hp, constants, work, grad)


@breaks("check_bounds", "writes outside of work. Keep the indices of work within its shape; ask")
class WritesBeforeScratch(L2):
    def n_work(self, layout):
        return 0

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        if layout.shape[0] > 0:
            reach = np.lib.stride_tricks.as_strided(work, (2,), (8,))
            reach[1] = 0.0
        return l2(theta, layout, strength, hp, constants, work, grad)


@breaks("check_penalty_strength", "Multiply both the value and what is added to grad by strength")
class IgnoresStrength(L2):
    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        return l2(theta, layout, 1.0, hp, constants, work, grad)


@breaks("check_penalty_place", "touches parameters outside of its matrices. Go over the rows")
class ActsOnEverything(L2):
    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        value = 0.0
        for j in range(theta.size):
            value += 0.5 * strength * theta[j] * theta[j]
            grad[j] += strength * theta[j]
        return value


@breaks("check_penalty_finite", "zero weights give .* guard divisions by norms")
class DividesByTheNorm(Penalty):
    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        total = 0.0
        start, end = layout[0, 0], layout[0, 0] + layout[0, 1] * layout[0, 2]
        for j in range(start, end):
            total += theta[j] * theta[j]
        norm = math.sqrt(total)
        for j in range(start, end):
            grad[j] += strength * theta[j] / norm
        return strength * norm


@breaks("check_penalty_prox", "is not the argmin: its objective is .* nearby")
class ProxTooLong(L1):
    @staticmethod
    def prox(theta, layout, step, hp, constants, work):
        for b in range(layout.shape[0]):
            start = layout[b, 0]
            for j in range(start, start + layout[b, 1] * layout[b, 2]):
                size = abs(theta[j]) - 1.1 * step
                theta[j] = np.sign(theta[j]) * size if size > 0 else 0.0


@breaks("check_penalty_prox", "a step of 0 changes theta")
class ProxNeverRests(L1):
    @staticmethod
    def prox(theta, layout, step, hp, constants, work):
        theta[layout[0, 0]] = 0.0


@breaks("check_penalty_gradient", "refuses every layout")
class RefusesAllLayouts(L2):
    def constants(self, start):
        raise ValueError("no")


# --- feature maps --------------------------------------------------------------------------------


@breaks("check_map_gradient", "backward.* differs from central differences .* Add, for each")
class MapWithWrongGradient(Linear):
    @staticmethod
    def backward(theta, x, hp, work, dout, grad):
        linear_backward(theta, x, hp, work, dout, grad)
        grad[0] += 0.001


@breaks("check_map_transform", "transform of dense rows differs from forward by up to 1")
class TransformDiffers(Linear):
    def transform(self, theta, X, n_out):
        return super().transform(theta, X, n_out) + X.dtype.type(1)


@breaks("check_map_csr", r"forward_csr differs from forward .* rows may repeat")
class CsrForwardDiffers(Linear):
    @staticmethod
    def forward_csr(theta, values, indices, indptr, rows, hp, work, out):
        linear_forward_csr(theta, values, indices, indptr, rows, hp, work, out)
        out[0, 0] += 1.0


@breaks("check_map_csr", "backward_csr differs from backward")
class CsrBackwardDiffers(Linear):
    @staticmethod
    def backward_csr(theta, values, indices, indptr, rows, hp, work, dout, grad):
        linear_backward_csr(theta, values, indices, indptr, rows, hp, work, dout, grad)
        grad[0] += 1.0


@breaks("check_map_start", r"gives an array of shape \(15,\) .* where n_params says 16")
class AllocatesWrongly(Linear):
    def n_params(self, n_in, n_out):
        return n_in * n_out + (n_in != n_out)


@breaks("check_map_start", "Draw from the argument rng alone")
class StartsAnywhere(Linear):
    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        return super().init(X_source, X_target, rng) + next(counter)


@breaks("check_map_blocks", r"The block \(1, 4, 4, -1\) .* reaches beyond the 16 parameters")
class BlocksBeyond(Linear):
    def blocks(self, n_in, n_out):
        return [(1, n_in, n_out, -1)]


@breaks("check_map_scratch", "Set scratch in forward before backward reads it")
class MapTrustsScratch(Linear):
    @staticmethod
    def backward(theta, x, hp, work, dout, grad):
        grad[0] += work[0]
        linear_backward(theta, x, hp, work, dout, grad)


@breaks("check_buffers", "out is overwritten")
class ForwardAdds(Linear):
    @staticmethod
    def forward(theta, x, hp, work, out):
        first = out[0, 0]
        linear_forward(theta, x, hp, work, out)
        out[0, 0] += first


# --- alignments ----------------------------------------------------------------------------------


class MeanGap(Alignment):
    """A right one: the squared distance of the means."""

    def __init__(self, where="shared"):
        self.where = where

    def hyper(self):
        return []

    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        value, n_s, n_t = 0.0, hs.shape[0], ht.shape[0]
        for j in range(hs.shape[1]):
            gap = 0.0
            for i in range(n_s):
                gap += hs[i, j] / n_s
            for i in range(n_t):
                gap -= ht[i, j] / n_t
            value += gap * gap
            for i in range(n_s):
                dhs[i, j] += 2 * strength * gap / n_s
            for i in range(n_t):
                dht[i, j] -= 2 * strength * gap / n_t
        return strength * value


gap = MeanGap.value_grad


@breaks("check_alignment_gradient", "The gradient by ht .* differs from central differences")
class OneSided(MeanGap):
    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        value = gap(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad)
        dht[0, 0] += 0.01
        return value


@breaks("check_alignment_distance", "Identical samples give the value .* which the network desc")
class DrivesApart(MeanGap):
    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        value = gap(theta, hs, ht, ys, yt, -strength, hp, work, rng, dhs, dht, grad)
        return value


@breaks("check_alignment_order", "when the rows of hs change their order")
class Paired(MeanGap):
    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        return strength * (hs[0, 0] - ht[0, 0]) ** 2


@breaks("check_alignment_sizes", r"For \(1, 7\) in float32 the value is .* by n - 1")
class DividesByNMinusOne(MeanGap):
    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        value = gap(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad)
        return value / (hs.shape[0] - 1)


@breaks("check_buffers", "overwrites dhs")
class OverwritesDhs(MeanGap):
    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        dhs[0, 0] = 0.0
        return gap(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad)


@breaks("check_alignment_strength", "Multiply the value, dhs and dht by strength")
class AlignsAtFullStrength(MeanGap):
    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        return gap(theta, hs, ht, ys, yt, 1.0, hp, work, rng, dhs, dht, grad)


@breaks("check_alignment_where", "Give its constructor where='shared'")
class Nowhere(MeanGap):
    def __init__(self):
        pass


@breaks("check_alignment_gradient", "not in proportion to the gradient of the value by theta")
class PlayerAstray(MeanGap):
    needs_minibatches = True

    def n_params(self, n_features):
        return 2

    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        value = gap(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad)
        grad[0] -= theta[0]
        grad[1] -= 2 * theta[1]
        return value + theta[0] * theta[0] / 2 + theta[1] * theta[1] / 2


# --- weightings ----------------------------------------------------------------------------------


@breaks("check_weighting_finite", "tasks with losses of size 0. Write every weight")
class InverseLoss(Weighting):
    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        for t in range(losses.size):
            weights[t] = 1.0 / losses[t]


@breaks("check_weighting_finite", "Write every weight")
class ForgetsTheLast(Weighting):
    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        for t in range(max(losses.size - 1, 1)):
            weights[t] = 1.0


@breaks("check_weighting_order", "Treat all tasks alike, whatever their place")
class FirstTaskFirst(Weighting):
    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        for t in range(weights.size):
            weights[t] = 1.0 / (t + 1.0)


@breaks("check_weighting_order", "Treat all tasks alike, whatever their place")
class LastTaskLast(FirstTaskFirst):
    has_main_task = True


@breaks("check_weighting_absent", r"Leave tasks with n_labels\[t\] == 0 out of sums")
class CountsTheAbsent(Weighting):
    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        for t in range(weights.size):
            weights[t] = 1.0 / weights.size


@breaks("check_weighting_resume", "Keep all that it remembers in state")
class RemembersElsewhere(Weighting):
    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        memory[0] += 1.0
        for t in range(weights.size):
            weights[t] = memory[0]


@breaks("check_weighting_equal", "Tasks with equal losses and gradients weigh")
class WinnerTakesAll(Weighting):
    needs_gram = True

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        best = 0
        for t in range(weights.size):
            weights[t] = 0.0
            if gram[t, t] > gram[best, best]:
                best = t
        weights[best] = 1.0


@breaks("check_bounds", "out of bounds.* n_state")
class StateNotAskedFor(Uniform):
    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        state[0] += 1.0
        uniform(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights)


# --- source weightings ---------------------------------------------------------------------------


def nearness(X_source, X_target):
    gap = X_source - X_target.mean(axis=0)
    return 1 / (0.1 + np.asarray(gap * gap).sum(axis=1))


@breaks("check_source_weights", r"shape \(40, 1\) for 40 rows.* Give a flat array")
class WeighsInAColumn(SourceWeighting):
    reads_rows = False

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        return np.ones((len(y_source), 1))


@breaks("check_source_weights", r"weights from nan to nan .*\(no labels of the target\)")
class DividesByNoLabels(SourceWeighting):
    reads_rows = False

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        if y_target is None:
            return np.ones(len(y_source))
        n_labels = np.float64((y_target >= 0).sum())
        return np.array([(y_target == c).sum() / n_labels + 0.1 for c in y_source])


@breaks("check_source_weights", "writes to its inputs. Copy an array")
class WritesToTheSource(SourceWeighting):
    def weigh(self, X_source, y_source, X_target, y_target, rng):
        X_source -= X_target.mean(axis=0)
        return np.ones(len(y_source))


@breaks("check_source_weights_repeatable", "draw from the argument rng alone")
class DrawsElsewhere(SourceWeighting):
    reads_rows = False

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        return np.full(len(y_source), 1.0 + next(counter))


@breaks("check_source_weights_order", "Treat all rows alike")
class LaterRowsMore(SourceWeighting):
    reads_rows = False

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        return 1.0 + np.arange(len(y_source))


@breaks("check_source_weights_rows", "Is the ratio upside down")
class UpsideDown(SourceWeighting):
    def weigh(self, X_source, y_source, X_target, y_target, rng):
        return 1 / nearness(X_source, X_target)


@breaks("check_source_weights_rows", "Set reads_rows = True in the class")
class ReadsUnannounced(SourceWeighting):
    reads_rows = False

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        return 1.0 + np.asarray(X_source[:, [0]].mean(axis=1)).ravel() ** 2


class InRounds(SourceWeighting):
    """Weighs no row before the fit, for those below to weigh them in rounds."""

    reads_rows = False

    def __init__(self, n_rounds=2, every=3):
        self.n_rounds, self.every = n_rounds, every

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        return np.ones(X_source.shape[0])


@breaks("check_source_weights_rounds", "n_rounds=2, and no reweigh. Define reweigh")
class RoundsOfNothing(InRounds):
    pass


@breaks("check_source_weights_rounds", "has a reweigh, and n_rounds=0")
class ReweighsInNoRound(Ones):
    def reweigh(self, weights, y_source, predicted, round):
        return weights


@breaks("check_source_weights_rounds", "neither classes nor numbers: not today; not today")
class RefusesAll(InRounds):
    def reweigh(self, weights, y_source, predicted, round):
        raise ValueError("not today")


@breaks("check_source_weights_rounds", "In round 0 reweigh gives array.* finite numbers >= 0")
class LeavesNothing(InRounds):
    def reweigh(self, weights, y_source, predicted, round):
        return 0 * weights


@breaks("check_source_weights_rounds", "reweigh writes to its inputs")
class WritesToTheWeights(InRounds):
    def reweigh(self, weights, y_source, predicted, round):
        weights *= 0.5
        return weights


@breaks("check_source_weights_rounds", "other weights for the same arguments. Keep nothing")
class CountsItself(InRounds):
    def reweigh(self, weights, y_source, predicted, round):
        return weights + next(counter)


@breaks("check_source_weights_rounds", "Treat all rows alike")
class EarlierRowsMore(InRounds):
    def reweigh(self, weights, y_source, predicted, round):
        return weights / (1.0 + np.arange(weights.size))


@breaks("check_source_weights_wrong_rows", "Is the sign of an exponent wrong")
class BoostsWhatIsWrong(InRounds):
    def reweigh(self, weights, y_source, predicted, round):
        return 1 / TrAdaBoost().reweigh(1 / weights, y_source, predicted, round)


# --- sharings ------------------------------------------------------------------------------------


@breaks("check_sharing_experts", r"experts\(1\) gives array\(\[\[1\]\]\)")
class CountsExperts(Sharing):
    def experts(self, n_tasks):
        return np.ones((n_tasks, 1), int)


@breaks("check_sharing_experts", r"With 2 tasks, task \[1\] reads no expert")
class FirstTaskAlone(Sharing):
    def experts(self, n_tasks):
        return np.arange(n_tasks)[:, np.newaxis] == [0]


@breaks("check_sharing_experts", r"With 1 tasks, nobody reads expert \[1\]")
class OneExpertTooMany(Sharing):
    def experts(self, n_tasks):
        return np.tile([True, False], (n_tasks, 1))


@breaks("check_sharing_experts", "gives another mask each time")
class RestlessExperts(Sharing):
    def experts(self, n_tasks):
        return np.ones((n_tasks, 1 + next(counter)), bool)


@breaks("check_sharing_gate", "gate is 'softmax'. Let it be one of 'fixed', 'constant', 'linear'")
class AnotherGate(Hard):
    gate = "softmax"


@breaks("check_sharing_gate", "shares_heads is 'yes'")
class SharesHeadsMaybe(Hard):
    shares_heads = "yes"


@breaks("check_sharing_init", r"of the shape of experts\(1\), \(1, 2\)")
class StartsFromOneNumber(LearnedGroups):
    def init(self, n_tasks, rng):
        return np.zeros(n_tasks)


@breaks("check_sharing_init", "Draw from rng alone")
class StartsFromElsewhere(LearnedGroups):
    def init(self, n_tasks, rng):
        return np.full((n_tasks, self.n_groups), float(next(counter)))


@breaks("check_sharing_fit", r"Expert \[1\] does not move in a small fit")
class StartsWithAClosedGate(LearnedGroups):
    def init(self, n_tasks, rng):
        return np.tile([900.0, -900.0], (n_tasks, 1))


# --- optimizers ----------------------------------------------------------------------------------


@breaks("check_optimizer_descent", "Move theta against the gradient")
class Uphill(Optimizer):
    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        for j in range(theta.size):
            theta[j] += lr * grad[j]


@breaks("check_optimizer_rest", "A zero gradient from zero state moves theta by")
class Restive(Optimizer):
    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        for j in range(theta.size):
            theta[j] -= lr * (1.0 if grad[j] >= 0 else -1.0)


@breaks("check_optimizer_resume", "Keep all that it remembers in state, of n_slots arrays")
class StateElsewhere(Optimizer):
    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        for j in range(theta.size):
            memory[j] = 0.9 * memory[j] - lr * grad[j]
            theta[j] += memory[j]


@breaks("check_optimizer_numbering", r"Steps from number 0 on .*beta \*\* \(step \+ 1\)")
class CountsFromOne(Optimizer):
    n_slots = 1

    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        unbias = 1.0 - 0.9 ** float(step)
        for j in range(theta.size):
            state[0, j] = 0.9 * state[0, j] + 0.1 * grad[j]
            theta[j] -= lr * state[0, j] / unbias


@breaks("check_optimizer_float32", "Avoid differences of nearly equal numbers")
class LostInSinglePrecision(Optimizer):
    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        tiny = theta.dtype.type(1e-30)
        for j in range(theta.size):
            small = tiny * grad[j]
            theta[j] -= lr * small / np.sqrt(small * small)


@breaks("check_optimizer_nan", "Let NaN through")
class SkipsNan(SGD):
    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        for j in range(theta.size):
            if grad[j] == grad[j]:
                theta[j] -= lr * grad[j]


@breaks("check_optimizer_catch_up", "catch_up of 2 steps with a decay of 0.0 leaves theta at")
class ForgetsTheMomentum(Optimizer):
    """Its rows rest where they have no gradient."""

    n_slots = 1

    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        for j in range(theta.size):
            state[0, j] = 0.9 * state[0, j] - lr * grad[j]
            theta[j] += state[0, j]

    @staticmethod
    def catch_up(theta, grad, state, rows, since, width, first, step, decay, lr, hp, work):
        squares = 0.0
        for i in range(rows.size):
            for j in range(rows[i] * width, (rows[i] + 1) * width):
                squares += theta[j] ** 2
                state[0, j] = 0.9 * state[0, j] - lr * (grad[j] + decay * theta[j])
                theta[j] += state[0, j]
                grad[j] = 0
        return squares
