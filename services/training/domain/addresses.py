"""Which addresses on the web may be asked."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urljoin, urlsplit

from services.training.domain.elsewhere import AddressesOff, BadAddress, HostNotListed, listed

PORTS = {"https": 443, "http": 80}
LONGEST = 4096
NAME = re.compile(r"[a-z0-9_.-]+|\[?[0-9a-f:.]+\]?")
NAT64 = ipaddress.ip_network("64:ff9b::/96")

AnyAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Host:
    """An entry of the list: a name, or "*." and a domain for all below it; https, unless http is said."""

    name: str
    scheme: str = "https"
    port: int | None = None

    @classmethod
    def parse(cls, entry: str) -> "Host":
        """`data.example.org`, `*.example.org`, `host:8443` or `http://host:8080`; a ValueError for anything else."""
        parts = urlsplit(entry if "://" in entry else f"https://{entry}")
        given = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
        star = "*." if given.startswith("*.") else ""
        name = _ascii(given.removeprefix(star))
        if parts.scheme not in PORTS or not name or any((parts.path, parts.query, parts.fragment, star and parts.port)):
            raise ValueError(f"{entry!r} is no host; give one like data.example.org, *.example.org or host:8443")
        return cls(star + name.strip("[]"), parts.scheme, parts.port)

    def __str__(self) -> str:
        scheme = "" if self.scheme == "https" else f"{self.scheme}://"
        return f"{scheme}{self.name}" + (f":{self.port}" if self.port else "")

    def allows(self, scheme: str, name: str, port: int) -> bool:
        """Whether such an address is meant."""
        named = name.endswith(self.name[1:]) if self.name.startswith("*.") else name == self.name
        return named and scheme == self.scheme and port == (self.port or PORTS[scheme])


@dataclass(frozen=True)
class Address:
    """An address that may be asked."""

    url: str = field(repr=False)
    host: str
    port: int
    may_be_private: bool
    """Whether whoever runs the service vouches for it, by naming its port: it may be within their network."""


class HostList:
    """The hosts that may be asked."""

    def __init__(self, entries: Sequence[str]) -> None:
        self._hosts = [Host.parse(entry) for entry in entries]

    def check(self, url: str, base: str = "") -> Address:
        """An address, from a base if it is relative; raises AddressesOff, BadAddress and HostNotListed."""
        if not self._hosts:
            raise AddressesOff
        parts = _parts_of(url, base)
        host, port = _ascii((parts.hostname or "").rstrip(".")), parts.port or PORTS[parts.scheme]
        entry = next((each for each in self._hosts if each.allows(parts.scheme, host, port)), None)
        if entry is None:
            raise HostNotListed(host=parts.netloc[:200], known=listed([str(each) for each in self._hosts]))
        shown = f"[{host}]" if ":" in host else host
        query = f"?{parts.query}" if parts.query else ""
        whole = f"{parts.scheme}://{shown}:{port}{parts.path or '/'}{query}"
        return Address(whole, host, port, may_be_private=entry.port is not None)


def _parts_of(url: str, base: str) -> SplitResult:
    """An address in its parts, of which scheme, host and port are fit to be looked at."""
    if len(url) > LONGEST or "\\" in url or any(character <= " " or character == "\x7f" for character in url):
        raise BadAddress(trouble="it is too long, or holds characters that no address has")
    try:
        parts = urlsplit(urljoin(base, url))
        usable = bool(_ascii((parts.hostname or "").rstrip("."))) and parts.port != 0
    except ValueError as error:
        raise BadAddress(trouble="it cannot be read") from error
    if parts.scheme not in PORTS or not usable:
        raise BadAddress(trouble="it does not begin with https:// and a host")
    if "@" in parts.netloc:
        raise BadAddress(trouble="it holds a user name or a password")
    return parts


def _ascii(name: str) -> str:
    """A host name in small letters as name servers know it, or an IP address; empty for what is neither."""
    try:
        known = name.encode("idna").decode().lower()
    except UnicodeError:
        return ""
    return known if NAME.fullmatch(known) else ""


def is_public(given: str) -> bool:
    """Whether an IP address is of the internet at large: not of this machine, a local network, or a group."""
    address: AnyAddress = ipaddress.ip_address(given)
    if isinstance(address, ipaddress.IPv6Address):
        if address.sixtofour or address.teredo:
            return False  # they carry another address, which tunnels would lead to
        if address in NAT64:
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        else:
            address = address.ipv4_mapped or address
    return address.is_global and not address.is_multicast
