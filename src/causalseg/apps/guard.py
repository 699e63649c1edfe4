"""What happens to a request before its body is understood: token, size, time, count."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from causalseg.apps.limits import Limits

OPEN = frozenset({"/health", "/ready", "/openapi.json"})
"""What may be asked without a token."""


class Guard:
    """ASGI middleware that turns away what must not reach the application.

    Args:
        app: the application.
        limits: `max_bytes` of a body and `timeout_s` for it to arrive.
        token: bearer token asked for outside `OPEN`; None asks for none.
        observe: is told path, status and seconds of every answer.
        admit: a place among the requests in work, for as long as its context lasts; raises
            HTTPException where there is none. Asked before a byte of the body is taken.
        record: is told SHA-256 of the body, as far as it was taken, and status of every POST.

    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Limits,
        token: str | None,
        observe: Callable[[str, int, float], None],
        admit: Callable[[], AbstractContextManager[None]],
        record: Callable[[str, int], None] | None = None,
    ) -> None:
        self.record = record
        self.app, self.limits, self.observe, self.admit = app, limits, observe, admit
        self.token = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on to the application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status, digest = time.monotonic(), 500, hashlib.sha256()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refusal = self._refusal(scope)
            with ExitStack() as place:
                if refusal is None and scope["method"] == "POST":
                    refusal = self._enter(place)
                await (refusal or self.app)(scope, self._bounded(receive, digest.update), watched)
        finally:
            self.observe(scope["path"], status, time.monotonic() - start)
            if self.record is not None and scope["method"] == "POST":
                self.record(digest.hexdigest(), status)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if self.token is not None and scope["path"] not in OPEN:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            # compare_digest takes as long for a nearly right token as for a wrong one.
            matches = hmac.compare_digest(given.strip().encode("latin-1"), self.token)
            if scheme.lower() != "bearer" or not matches:
                return JSONResponse(
                    {"detail": "a bearer token is needed: send 'Authorization: Bearer TOKEN'."},
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self.limits.max_bytes:
            return JSONResponse({"detail": self._too_large()}, 413)
        return None

    def _enter(self, place: ExitStack) -> JSONResponse | None:
        try:
            place.enter_context(self.admit())
        except HTTPException as error:
            return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
        return None

    def _bounded(
        self, receive: Receive, seen: Callable[[bytes], None]
    ) -> Callable[[], Awaitable[Message]]:
        """`receive`, until the body has had its size or its time; `seen` gets what comes."""
        end, total, complete = time.monotonic() + self.limits.timeout_s, 0, False

        async def bounded() -> Message:
            nonlocal total, complete
            if complete:  # What follows the body is the client going away: that may take long.
                return await receive()
            try:
                async with asyncio.timeout(max(0.0, end - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "the request's body did not arrive in time.") from None
            seen(message.get("body", b""))
            total += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if total > self.limits.max_bytes:
                raise HTTPException(413, self._too_large())
            return message

        return bounded

    def _too_large(self) -> str:
        return f"the request has more than {self.limits.max_bytes} bytes: send a smaller image."
