"""No time limit a Hypothesis case: the first one may load the vocabulary."""

from hypothesis import settings

settings.register_profile("text", deadline=None)
settings.load_profile("text")
