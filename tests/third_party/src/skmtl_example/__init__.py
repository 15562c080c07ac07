"""Plugins for skmtl, one of each kind."""
