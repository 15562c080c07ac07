"""The README's snippets run, one after the other, as a reader would run them."""

import re
from pathlib import Path

import numpy as np
import pytest
import sklearn
from sklearn.utils.validation import check_is_fitted

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def snippets():
    return re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_snippets_run_and_help(snippets):
    names = {}
    with sklearn.config_context():
        for snippet in snippets:
            exec(compile(snippet, README.name, "exec"), names)
        X, digit, search = names["X"], names["digit"], names["search"]
        with_source = search.score(X[1260:], digit[1260:])
        alone = search.best_estimator_.set_params(transferclassifier__strategy="target_only")
        alone.fit(X[1200:1260], digit[1200:1260])
        assert with_source > alone.score(X[1260:], digit[1260:])
    clf, y = names["clf"], names["y"]
    assert clf.predict(X[1200:]).shape == (597, 3)
    assert clf.score(X[1200:], y[1200:]) > 0.9
    check_is_fitted(names["transfer"])
    np.testing.assert_array_equal(names["tuned"].coefs_[0], names["both"].coefs_[0])
    assert not np.array_equal(names["tuned"].coefs_[1], names["both"].coefs_[1])
