"""Readers and writers of the formats in which medical images are kept."""

from causalseg.inference.formats.detect import kind_of, read_study, short_path
from causalseg.inference.formats.study import Display, Study

__all__ = ["Display", "Study", "kind_of", "read_study", "short_path"]
