"""Who may ask the review page anything: the browser that opened the one-time link, from the page itself.

The page listens on the loopback interface, which every program of the computer reaches, and every website through the
browser. So each request must name this host (a website that resolves to 127.0.0.1 does not), must not come from another
site, must carry the session's cookie, and when it changes something must say that it comes from this very origin.
"""

import secrets
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
MOST_BYTES = 65_536  # of a request's body


class Guard:
    """Lets through what `app` may see, and puts the security headers on every answer.

    Args:
        app: The application.
        port: Where it listens.

    Attributes:
        token: Opens the page once, as `/?token=...`; None when it was used.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.app = app
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.cookie = f"byorn-review-{port}"  # cookies do not know ports
        self.token: str | None = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # no WebSockets; the start and end of the server
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._answer(scope)
        await (answer or self.app)(scope, receive, send_with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """What is said in place of the application's answer, or None where it may answer."""
        headers = Headers(scope=scope)
        if headers.get("host") not in self.hosts:
            return _refused("this page is for 127.0.0.1 alone", 421)
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return _refused("another site asked for this", 403)
        if scope["method"] not in ("GET", "HEAD"):
            if headers.get("origin") != f"http://{headers['host']}":
                return _refused("another site asked for this", 403)
            if headers.get("content-type") != "application/json":
                return _refused("send application/json", 415)
            if not _is_short(headers.get("content-length")):
                return _refused("too long", 413)
        if token := QueryParams(scope["query_string"]).get("token"):
            return self._enter(token, headers)
        return None if self._has_session(headers) else _refused("open the page by the link in the terminal", 403)

    def _enter(self, token: str, headers: Headers) -> Response:
        """A session for the token, once."""
        if self.token is not None and secrets.compare_digest(token.encode(), self.token.encode()):
            self.token = None
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self.cookie, self._session, httponly=True, samesite="strict", path="/")
            return answer
        if self._has_session(headers):
            return RedirectResponse("/", 303)
        return _refused("this link was used already; start byorn review --serve again for another", 403)

    def _has_session(self, headers: Headers) -> bool:
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            return False
        held = cookies.get(self.cookie)
        return held is not None and secrets.compare_digest(held.value.encode(), self._session.encode())


def _is_short(length: str | None) -> bool:
    return length is not None and length.isdecimal() and int(length) <= MOST_BYTES


def _refused(why: str, status: int) -> Response:
    return PlainTextResponse(f"byorn review: {why}\n", status)
