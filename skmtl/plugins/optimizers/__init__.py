"""Optimizers."""

from skmtl.plugins.optimizers.adam import Adam, AdamW, NAdam
from skmtl.plugins.optimizers.adaptive import Adagrad, RMSprop
from skmtl.plugins.optimizers.lion import Lion
from skmtl.plugins.optimizers.sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Lion", "NAdam", "RMSprop"]
