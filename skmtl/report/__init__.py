"""What a fit, a transfer or sharing between tasks is worth: reports, scores and pictures."""

from skmtl.report.transferability import h_score, leep, log_me, proxy_a_distance

__all__ = ["h_score", "leep", "log_me", "proxy_a_distance"]
