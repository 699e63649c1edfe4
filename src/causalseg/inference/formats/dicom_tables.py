"""Lookup tables of DICOM: modality, VOI and palette (PS3.3 C.11.1, C.11.2, C.7.6.3.1.5)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """A lookup table as given by its descriptor and data."""

    entries: Values
    first: int
    """The value that the first entry is for."""
    bits: int
    """Bits of an entry, as declared."""

    @property
    def bits_used(self) -> int:
        """Bits of an entry, as declared unless the entries say otherwise.

        Tables that declare 16 bits and hold 8 or 12 are common, and would look black as declared;
        there are also tables with entries beyond what they declare.
        """
        return bits_used(int(self.entries.max()), self.bits)

    def look_up(self, values: npt.NDArray[Any]) -> Values:
        """The entries for values of any shape; those before the first and after the last clip."""
        index = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        found: Values = self.entries[index.astype(np.int64)]
        return found

    def placed(self, low: float, high: float) -> "Table":
        """The table with its first value read as signed or unsigned, to suit the values low..high.

        The descriptor has one value representation for three numbers, so writers that mean -1024
        write 64512, and the other way round.
        """

        def overlap(first: int) -> float:
            return min(high, first + len(self.entries) - 1) - max(low, first)

        other = self.first - 65536 if self.first > 32767 else self.first + 65536
        if overlap(self.first) < 0 <= overlap(other):
            return Table(self.entries, other, self.bits)
        return self


def is_little(dataset: Any) -> bool:
    """Whether the words of a data set are little endian, as in all syntaxes but one retired."""
    return str(dataset.file_meta.TransferSyntaxUID) != "1.2.840.10008.1.2.2"


def bits_used(largest: int, declared: int) -> int:
    """Bits in which values are meant, from the largest of them and what is declared."""
    needed = largest.bit_length()
    return max(needed, 1) if needed > declared or needed <= declared - 2 else declared


def read_lookup_table(
    dataset: Any, descriptor: str, data: str, *, little: bool = True
) -> Table | None:
    """A table of a data set; None where it is missing, empty or contradicts its descriptor.

    Args:
        dataset: with the two elements.
        descriptor: keyword: number of entries (0 means 65536), first value, bits of an entry.
        data: keyword: bytes, or numbers where the value representation is US.
        little: byte order of the file.

    """
    try:
        count, first, bits = (int(part) for part in dataset.get(descriptor))
        content = dataset.get(data)
        entries = _entries(content, count % 65536 or 65536, bits, "<" if little else ">")
    except (TypeError, ValueError):
        return None
    if entries is None or len(entries) < (count % 65536 or 65536) or not 1 <= bits <= 16:
        return None
    return Table(entries.astype(np.float64), first, bits)


def _entries(content: Any, count: int, bits: int, order: str) -> npt.NDArray[Any] | None:
    if isinstance(content, (bytes, bytearray)):
        if len(content) in (count, count + count % 2):  # a byte per entry, padded to even
            return np.frombuffer(content, np.uint8)[:count]
        return np.frombuffer(content[: len(content) // 2 * 2], f"{order}u2")[:count]
    if content is None:
        return None
    numbers = np.atleast_1d(np.asarray(content, dtype=np.int64)) & 0xFFFF
    if bits <= 8 and len(numbers) == (count + 1) // 2 < count:  # two entries per word
        return numbers.astype("<u2").view(np.uint8)[:count]
    return numbers[:count]
