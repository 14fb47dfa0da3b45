"""Which URLs a run may ask for: hosts and schemes by name, redirects included. What is not on the list gets nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests

from crawler.limits import HostNotAllowed

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
Kind = Literal["api", "media"]


class AllowList:
    """The hosts of one wiki."""

    def __init__(
        self,
        *,
        api_hosts: Sequence[str],
        media_hosts: Sequence[str],
        schemes: Sequence[str],
        host_map: Mapping[str, str],
    ) -> None:
        self.hosts: dict[Kind, tuple[str, ...]] = {
            "api": tuple(api_hosts),
            "media": tuple(media_hosts),
        }
        self.schemes = tuple(schemes)
        self.host_map = host_map

    def named(self, kind: Kind) -> str:
        """The hosts of a kind, for a person."""
        return ", ".join(self.hosts[kind])

    def connect_to(self, url: str, kind: Kind, came_from: str = "") -> str:
        """The URL to connect to; `came_from` is what redirected to it.

        An original is never asked of the API, whatever a page or a redirect says: it would be a request of the API that
        the API's rate knows nothing of.

        Raises:
            HostNotAllowed: it is no URL, on another host or port (spelled exactly as the recipe does) than those of
                its kind, or would leave encryption.
        """
        after = f" ({came_from} redirects there)" if came_from else ""
        if _CONTROL.search(url):
            # urlsplit takes some of them out, and the next library does not: they would see two hosts.
            raise HostNotAllowed(
                f"{url[:200]!r} is no URL (control characters); nothing was sent.{after}"
            )
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise HostNotAllowed(
                f"{url[:200]!r} is no URL ({error}); nothing was sent.{after}"
            ) from error
        host = parts.netloc
        if host not in self.hosts[kind]:
            serves = "API" if kind == "api" else "originals"
            raise HostNotAllowed(
                f"{url[:200]!r} is on {host or 'no host'}, which is no host of this wiki's {serves} "
                f"({self.named(kind)}): nothing was sent there.{after}"
            )
        if kind == "media" and parts.path.endswith("/api.php"):
            raise HostNotAllowed(f"{url[:200]!r} is the API, no original: nothing was sent.{after}")
        if host in self.host_map:
            base = urlsplit(self.host_map[host])
            return urlunsplit((base.scheme, base.netloc, parts.path, parts.query, ""))
        downgraded = came_from.startswith("https:") and parts.scheme != "https"
        if parts.scheme not in self.schemes or downgraded:
            raise HostNotAllowed(f"{url[:200]!r} is not encrypted: nothing was sent there.{after}")
        return url


def redirect_target(response: requests.Response, url: str) -> str:
    """Where an answer redirects to.

    Raises:
        HostNotAllowed: to nowhere.
    """
    # Headers are read as Latin-1, and addresses are UTF-8 where they are not ASCII.
    location = response.headers["Location"].encode("latin-1", "replace").decode("utf-8", "replace")
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise HostNotAllowed(f"{url} redirects to {location[:200]!r}, which is no URL.") from error
