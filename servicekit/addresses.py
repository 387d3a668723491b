"""Addresses as settings have them."""

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

LAST_PORT = 65535
GRPC_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")


def host_and_port(address: str) -> str:
    """The address as it is; a ValueError where it is not a host and a port."""
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > LAST_PORT:
        raise ValueError(f"{address!r} is no address; give a host and a port up to {LAST_PORT}, like 127.0.0.1:8000")
    return address


def _listening(address: str) -> str:
    return address if address.startswith("unix:") else host_and_port(address)


def _target(address: str) -> str:
    return address if address.startswith(GRPC_SCHEMES) else host_and_port(address)


def _web(address: str) -> str:
    if address and not (urlsplit(address).scheme in {"http", "https"} and urlsplit(address).hostname):
        raise ValueError("this is no address of the web; give one like https://host")
    return address


HostAndPort = Annotated[str, AfterValidator(host_and_port)]
Listening = Annotated[str, AfterValidator(_listening)]
"""Where a gRPC server can listen: host:port, or unix: with a path."""
Target = Annotated[str, AfterValidator(_target)]
"""Where a gRPC server is: host:port, or a name in one of gRPC's schemes."""
WebAddress = Annotated[str, AfterValidator(_web)]
"""http or https with a host; may be empty."""


def is_loopback(bind: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    if bind.startswith("unix:"):
        return True
    host = bind.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a host name, or the empty one, that may resolve to anything
        return False
