"""The compiled engine: one objective over domains, experts, gates, tasks and penalties.

Nothing here knows scikit-learn, and nothing outside this folder knows numba.
"""
