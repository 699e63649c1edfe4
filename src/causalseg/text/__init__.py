"""Captions: CLIP's tokens, and the grammars in which the field's data sets are written."""
