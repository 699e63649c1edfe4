"""Data sets on disk: reading, checking, transforming. Knows nothing of models."""
