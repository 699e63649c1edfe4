"""Checks of a request before its body is parsed: token, size, time, count."""

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

from causalseg.apps.admission import Visit

OPEN = frozenset({"/health", "/ready", "/openapi.json"})
"""Paths that need no token."""

PAUSE_S = 1.0
"""How long a request that finds no place waits for the answer that says so."""


class Guard:
    """ASGI middleware that rejects what must not reach the application.

    Args:
        app: the application.
        most_bytes: of a body, by its path.
        token: bearer token asked for outside `OPEN`; None asks for none.
        observe: is told path, status and seconds of every answer.
        admit: is told the path and how long the body will be, before a byte of it is taken; gives
            a place among the requests in work for as long as its context lasts, which the
            application finds as `request.state.visit`; raises HTTPException where there is none.
        record: is told SHA-256 of the body, as far as it was taken, and status of every POST.

    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        most_bytes: Callable[[str], int],
        token: str | None,
        observe: Callable[[str, int, float], None],
        admit: Callable[[str, int], AbstractContextManager[Visit]],
        record: Callable[[str, int], None] | None = None,
    ) -> None:
        self.record = record
        self.app, self.most_bytes, self.observe, self.admit = app, most_bytes, observe, admit
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
                    try:
                        visit = place.enter_context(
                            self.admit(scope["path"], self._announced(scope))
                        )
                        scope.setdefault("state", {})["visit"] = visit
                        most = self.most_bytes(scope["path"])
                        receive = _bounded(receive, visit, most, digest.update)
                    except HTTPException as error:
                        # Who asks again at once would take the time of those who are within.
                        await asyncio.sleep(PAUSE_S)
                        refusal = JSONResponse(
                            {"detail": error.detail}, error.status_code, error.headers
                        )
                await (refusal or self.app)(scope, receive, watched)
        finally:
            self.observe(scope["path"], status, time.monotonic() - start)
            if self.record is not None and scope["method"] == "POST":
                self.record(digest.hexdigest(), status)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if self.token is not None and scope["path"] not in OPEN:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            # compare_digest takes as long for a nearly right token as for any other.
            matches = hmac.compare_digest(given.strip().encode("latin-1"), self.token)
            if scheme.lower() != "bearer" or not matches:
                return JSONResponse(
                    {"detail": "a bearer token is needed: send 'Authorization: Bearer TOKEN'."},
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
        most = self.most_bytes(scope["path"])
        if self._announced(scope) > most:
            return JSONResponse({"detail": _too_large(most)}, 413)
        return None

    def _announced(self, scope: Scope) -> int:
        """Bytes of the body; the most that are allowed where its headers do not say."""
        length = Headers(scope=scope).get("content-length", "")
        return int(length[:20]) if length.isdecimal() else self.most_bytes(scope["path"])


def _bounded(
    receive: Receive, visit: Visit, most: int, seen: Callable[[bytes], None]
) -> Callable[[], Awaitable[Message]]:
    """`receive`, within the body's limits of size and time; `seen` gets what arrives."""
    complete = False

    async def bounded() -> Message:
        nonlocal complete
        if complete:  # After the body only the client's disconnection follows, which may take long.
            return await receive()
        try:
            async with asyncio.timeout_at(visit.deadline) as visit.timer:
                message = await receive()
        except TimeoutError:
            said = "came too slowly" if visit.turned_away else "did not arrive in time"
            raise HTTPException(408, f"the request's body {said}: try again.") from None
        finally:
            visit.timer = None
        seen(message.get("body", b""))
        visit.received += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if visit.received > most:
            raise HTTPException(413, _too_large(most))
        return message

    return bounded


def _too_large(most: int) -> str:
    return f"the request has more than {most} bytes: send less."
