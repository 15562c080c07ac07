"""Weightings against their definitions."""

import numpy as np
import pytest

from skmtl.plugins.weightings import Uniform

pytestmark = pytest.mark.nojit


def test_uniform_weights():
    weights = np.full(3, np.nan)
    none, labels = np.zeros(0), np.ones(3, int)
    Uniform.update(np.ones(3), labels, np.zeros((3, 3)), 0, 1, none, none, None, weights)
    assert weights.tolist() == [1, 1, 1]
