"""Brings files from addresses on the web, each of which is checked before it is asked, redirects too."""

import asyncio
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from email.message import Message
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import unquote

import httpx

from servicekit.errors import Problem
from services.training.domain.addresses import Address, HostList, is_public
from services.training.domain.elsewhere import (
    Arrival,
    HostBusy,
    HostDown,
    HostNotPublic,
    HostOdd,
    HostRefuses,
    PageNotFile,
    TooManyRedirects,
    UnknownToHost,
    seconds_to_wait,
)

MOST_REDIRECTS = 5
TIMEOUT = httpx.Timeout(30, connect=10)
HEADERS = {"user-agent": "modelyard", "accept": "*/*", "accept-encoding": "identity"}
INFLATED_BYTES = 256 * 1024
GZIP = ("gzip", "x-gzip")
PAGES = ("text/html", "application/xhtml+xml")
LOCATION = "modelyard.location"


class WebDownloads:
    """Implements WebFiles by HTTP. Nothing of the environment is used: no proxy, no password file, no cookie."""

    def __init__(self, hosts: HostList) -> None:
        self._hosts = hosts

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[Arrival]:
        """A file for the block; the port says what it raises."""
        first = self._hosts.check(url)
        trust = await asyncio.to_thread(httpx.create_ssl_context)
        async with _client(trust) as client:
            address, response = await self._followed(client, first)
            try:
                _check(address, response)
                yield Arrival(_name_of(address, response), _size_of(response), _bytes_of(address, response))
            finally:
                await response.aclose()

    async def _followed(self, client: httpx.AsyncClient, address: Address) -> tuple[Address, httpx.Response]:
        """Where an address leads to in the end, and what is answered there."""
        for _ in range(MOST_REDIRECTS + 1):
            response = await _asked(client, address)
            if LOCATION not in response.extensions:
                return address, response
            await response.aclose()
            address = self._hosts.check(response.extensions[LOCATION], address.url)
        raise TooManyRedirects(limit=MOST_REDIRECTS)


def _client(trust: ssl.SSLContext) -> httpx.AsyncClient:
    none = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    hooks = {"response": [_take_location]}
    return httpx.AsyncClient(
        verify=trust, cookies=none, trust_env=False, timeout=TIMEOUT, headers=HEADERS, event_hooks=hooks
    )


async def _take_location(response: httpx.Response) -> None:
    """Keep where a redirect leads from httpx, which reads it unasked and fails where it is no address."""
    if response.has_redirect_location:
        response.extensions[LOCATION] = response.headers.pop("location")


async def _asked(client: httpx.AsyncClient, address: Address) -> httpx.Response:
    """Ask at the very IP address that was checked: asked for it again, a name server could give another one."""
    url = httpx.URL(address.url)
    headers = {"host": url.netloc.decode()}  # as name servers know it, which `host` need not be
    with _told(address):
        for ip in await _resolved(address):
            request = client.build_request("GET", url.copy_with(host=ip), headers=headers)
            request.extensions["sni_hostname"] = address.host
            try:
                return await client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure


async def _resolved(address: Address) -> list[str]:
    """The IP addresses of a host; raises HostNotPublic when any of them is not."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HostDown(host=address.host, trouble="its name is not known") from error
    ips = list(dict.fromkeys(str(where[0]) for *_, where in found))
    if not address.may_be_private and not all(is_public(ip) for ip in ips):
        raise HostNotPublic(host=address.host)
    return ips


@contextmanager
def _told(address: Address) -> Iterator[None]:
    """What fails in the block, as a sentence that holds nothing of the address but its host."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise HostDown(host=address.host, trouble="it does not answer in time") from error
    except httpx.ConnectError as error:
        raise HostDown(host=address.host, trouble="it cannot be connected to, or not safely") from error
    except (httpx.HTTPError, httpx.InvalidURL, zlib.error, EOFError) as error:
        raise HostDown(host=address.host, trouble="the connection broke off") from error


def _check(address: Address, response: httpx.Response) -> None:
    if response.status_code != 200:
        raise _refusal(address.host, response)
    if response.headers.get("content-type", "").lower().startswith(PAGES):
        raise PageNotFile
    if _encoding_of(response) not in ("identity", *GZIP):
        raise HostOdd(host=address.host, trouble="it is encoded in a way that was not asked for")


def _refusal(host: str, response: httpx.Response) -> Problem:
    match status := response.status_code:
        case 401 | 403 | 407:
            return HostRefuses(host=host, status=status)
        case 404 | 410:
            return UnknownToHost(host=host, status=status)
        case 429:
            after_seconds = seconds_to_wait(response.headers.get("retry-after", ""))
            return HostBusy(host=host, after_seconds=after_seconds)
        case _ if status >= 500:
            return HostDown(host=host, trouble=f"it answers with status {status}")
    return HostOdd(host=host, trouble=f"it answers with status {status}")


def _encoding_of(response: httpx.Response) -> str:
    return str(response.headers.get("content-encoding", "")).strip().lower() or "identity"


def _size_of(response: httpx.Response) -> int:
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() and _encoding_of(response) == "identity" else 0


def _name_of(address: Address, response: httpx.Response) -> str:
    disposition = Message()
    disposition["content-disposition"] = response.headers.get("content-disposition", "")
    with suppress(ValueError, LookupError):  # what it names as its encoding is none, or not that of the name
        if name := disposition.get_filename():
            return name
    return unquote(httpx.URL(address.url).path.rpartition("/")[2])


async def _bytes_of(address: Address, response: httpx.Response) -> AsyncIterator[bytes]:
    with _told(address):
        pieces = response.aiter_raw()
        async for piece in _inflated(pieces) if _encoding_of(response) in GZIP else pieces:
            yield piece


async def _inflated(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What was compressed, by small steps: a little of it may hold very much."""
    inflater = zlib.decompressobj(wbits=31)
    async for piece in pieces:
        rest = piece
        while rest:
            if inflater.eof:  # another part, as gzip may have several
                inflater = zlib.decompressobj(wbits=31)
            if found := inflater.decompress(rest, INFLATED_BYTES):
                yield found
            rest = inflater.unused_data or inflater.unconsumed_tail
    if not inflater.eof:
        raise EOFError
