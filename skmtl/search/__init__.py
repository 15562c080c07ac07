"""What the estimators with CV in their name share: the race of candidates, and its verdict."""

from skmtl.search.scores import log_score, tempered_log_score

__all__ = ["log_score", "tempered_log_score"]
