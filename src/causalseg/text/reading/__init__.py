"""Reading what people write: from a sentence or a report passage to a typed finding."""

from causalseg.text.reading.reader import read
from causalseg.text.reading.reading import Reading, Sides

__all__ = ["Reading", "Sides", "read"]
