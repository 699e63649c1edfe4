"""Whether a request was meant for this server, judged by headers that browsers set themselves.

A page of somebody else, open in the same browser, can send requests to this machine, and with a
name of its own that it lets point here (DNS rebinding) it can read the answers too. The browser
gives it away: `Host` holds the name that was called, `Origin` the calling page.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL = ("127.0.0.1", "localhost", "::1")


def allowed(host: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names by which this server may be called.

    Args:
        host: the address that is bound.
        names: additional ones, such as a proxy's.

    Returns:
        Empty where any name is allowed: the server is bound to the outside and no name was given.

    """
    if host not in LOCAL and not names:
        return ()
    return tuple(dict.fromkeys((*LOCAL, host, *(name.lower() for name in names))))


class SameHost:
    """ASGI middleware that refuses requests for other names, and from pages of other names.

    Args:
        app: the application.
        names: as from `allowed`.

    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self.app, self.names = app, frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, or pass on to the application."""
        if scope["type"] in ("http", "websocket") and self.names and not self._fits(scope):
            said = (
                "this server is not called by that name: the option --allow-host NAME allows one."
            )
            await JSONResponse({"detail": said}, 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _fits(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        return _name(f"//{headers.get('host', '')}") in self.names and (
            origin is None or _name(origin) in self.names
        )


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
