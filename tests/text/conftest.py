"""Hypothesis for this folder: the first call of many loads a vocabulary, so no time limit a case."""

from hypothesis import settings

settings.register_profile("text", deadline=None)
settings.load_profile("text")
