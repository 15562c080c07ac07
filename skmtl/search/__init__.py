"""What the estimators with CV in their name share: the race of candidates, and its verdict."""
