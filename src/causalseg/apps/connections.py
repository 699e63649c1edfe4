"""Time-outs that uvicorn lacks, for clients that send or read slowly. uvicorn waits forever for the
end of a request's headers, for a body that nobody wants any more, and for a client to read its
answer. Here each of these has a limit.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE_S = 10.0
"""Time for a connection to send all headers of a request, and to read `LEAST_READ` of an answer."""
LEAST_READ = 64 * 1024
"""Bytes of an answer that a client must read within `PATIENCE_S`, or all that is left of it."""
MOST_IDLE = 256
"""Connections without a request. One more closes the one that has been idle longest."""


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with these time-outs."""

    idle_since: float | None = None
    """When the wait for headers began; None while a request is being answered."""
    _timer: asyncio.TimerHandle | None = None
    _unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for headers."""
        super().connection_made(transport)
        self._start_idle()
        idle = [
            one
            for one in self.connections
            if isinstance(one, TimedProtocol) and one.idle_since is not None
        ]
        if len(idle) > MOST_IDLE:
            min(idle, key=lambda one: one.idle_since or 0.0).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Stop waiting once the headers are complete; a part of them gains no time."""
        super().data_received(data)
        self._end_idle_if_asked()

    def on_response_complete(self) -> None:
        """Wait for the next request's headers."""
        self._start_idle()
        super().on_response_complete()  # Which may begin a request that was sent ahead.
        self._end_idle_if_asked()

    def pause_writing(self) -> None:
        """Check that the client reads."""
        super().pause_writing()
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def _start_idle(self) -> None:
        self.idle_since = self.loop.time()
        self._arm()

    def _end_idle_if_asked(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.idle_since = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._unread = self.transport.get_write_buffer_size()
        self._timer = self.loop.call_later(PATIENCE_S, self._look)

    def _look(self) -> None:
        unread = self.transport.get_write_buffer_size()
        reads = self._unread > 0 and (unread == 0 or self._unread - unread >= LEAST_READ)
        if reads and self.idle_since is not None:
            self._start_idle()  # The next request follows when this answer has been read.
        elif reads:
            self._arm()
        elif unread or self.idle_since is not None:
            self.transport.abort()
