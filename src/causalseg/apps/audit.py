"""A record of what was asked when: a line for each request, without any patient data."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from causalseg.errors import InputError


class Audit:
    """An append-only file of JSON lines, readable by its owner alone.

    A line has `time` (UTC), `request_sha256` (of the body as received, so that whoever kept the
    request can prove that it was this one), `model_sha256` and `status`.

    Raises:
        InputError: the file cannot be written.

    """

    def __init__(self, path: Path, model_sha256: str) -> None:
        self._model = model_sha256
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise InputError(f"--audit {path} cannot be written ({error.strerror}).") from None
        self._file = os.fdopen(descriptor, "a", encoding="utf-8")

    def write(self, request_sha256: str, status: int) -> None:
        """Add a line; it is written at once."""
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request_sha256": request_sha256,
            "model_sha256": self._model,
            "status": status,
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
