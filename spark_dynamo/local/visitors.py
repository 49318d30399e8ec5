"""Who may speak to an embedded server: programs of this machine, and no web page that a browser on it shows.

A page can send requests to loopback, and by a name of its own that leads there (DNS rebinding) it could read the answers, too.
Browsers say so: in Host, Origin and Sec-Fetch-Site.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

Application: TypeAlias = Callable[[dict[str, Any], Any], Iterable[bytes]]
_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
_OWN_PAGES = frozenset({"same-origin", "none"})


def programs_only(app: Application) -> Application:
    """A server at which requests for another host and of foreign web pages get the status 403 and a sentence."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        said = refusal(environ)
        if said is None:
            return app(environ, start_response)
        body = json.dumps({"__type": "com.amazon.coral.service#AccessDeniedException", "message": said}).encode()
        headers = [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(body)))]
        start_response("403 Forbidden", headers)
        return [body]

    return answer


def refusal(environ: Mapping[str, Any]) -> str | None:
    """Why a request, with its headers as WSGI names them, gets no answer; None where it gets one."""
    host, origin, site = (environ.get(f"HTTP_{name}") for name in ("HOST", "ORIGIN", "SEC_FETCH_SITE"))
    if host is not None and _name_of(host) not in _HOSTS:
        return (
            f"The embedded server answers for localhost and 127.0.0.1 only, not for host {host!a}: use its endpoint_url"
        )
    if origin is not None and origin != f"http://{host}":
        return f"The embedded server answers no web page of another origin, as {origin!a} is"
    if site is not None and site not in _OWN_PAGES:
        return f"The embedded server answers no web page of another origin (Sec-Fetch-Site {site!a})"
    return None


def _name_of(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:  # half a bracket
        return None
