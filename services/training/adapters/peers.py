"""The other replicas of this service, and how to ask them."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import grpc

from modelyard.training.v1 import training_pb2_grpc
from servicekit import statuses
from servicekit.channels import Channel
from servicekit.logging import get_logger

log = get_logger()

FORWARDED = "modelyard-forwarded"
"""Metadata of a call that one replica makes of another, which then answers for itself alone."""
FIRST_SECONDS = 5.0
"""How long a replica may take to say whether it has a training."""
STREAM_SECONDS = 7 * 24 * 3600.0
AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Peers:
    """Asks the replicas at some addresses; a name stands for every address that it has at that moment.

    This service may be among them: it says of itself once more what it knows already.
    """

    def __init__(self, addresses: Sequence[str], token: str) -> None:
        self._addresses = addresses
        self._token = token
        self._channels: dict[str, Channel] = {}

    async def ask(self, method: str, request: Any, seconds: float) -> list[Any]:
        """The answers to a unary call of all replicas that can be reached."""
        calls = [self._one(channel, method, request, seconds) for channel in await self._reachable()]
        return [answer for answer in await asyncio.gather(*calls) if answer is not None]

    async def stream(self, method: str, request: Any, missing: str) -> AsyncGenerator[Any, None]:
        """The answers of the one replica that does not refuse for a reason; none where all do, or are away."""
        for channel in await self._reachable():
            async with aclosing(self._relayed(channel, method, request, missing)) as relayed:
                first = await anext(relayed, None)
                if first is not None:
                    yield first
                    async for response in relayed:
                        yield response
                    return

    async def close(self) -> None:
        """Close all channels."""
        for channel in self._channels.values():
            await channel.close()

    async def _one(self, channel: Channel, method: str, request: Any, seconds: float) -> Any:
        try:
            return await self._method(channel, method)(request, **self._options(channel, seconds))
        except grpc.aio.AioRpcError as error:
            if error.code() not in AWAY:
                raise
            log.warning("a replica is away", address=channel.address, method=method, reason=error.details())
            return None

    async def _relayed(self, channel: Channel, method: str, request: Any, missing: str) -> AsyncGenerator[Any, None]:
        call = self._method(channel, method)(request, **self._options(channel, STREAM_SECONDS))
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                response = await call.read()
        except TimeoutError:
            log.warning("a replica is silent", address=channel.address, method=method)
            return
        except grpc.aio.AioRpcError as error:
            if error.code() in AWAY or statuses.reason_of(error) == missing:
                return
            raise
        else:
            while response is not grpc.aio.EOF:
                yield response
                response = await call.read()
        finally:
            call.cancel()

    def _method(self, channel: Channel, name: str) -> Any:
        return getattr(training_pb2_grpc.TrainingServiceStub(channel.grpc), name)

    def _options(self, channel: Channel, seconds: float) -> Any:
        options = channel.within(seconds)
        return {**options, "metadata": (*options["metadata"], (FORWARDED, "1"))}

    async def _reachable(self) -> list[Channel]:
        looked_up = [await _places(address) for address in self._addresses]
        found = {place for places in looked_up for place in places or ()}
        if None not in looked_up:  # else one that is only not found at the moment would be cut off in mid-sentence
            for gone in self._channels.keys() - found:
                await self._channels.pop(gone).close()
        for place in found - self._channels.keys():
            scheme = "ipv6" if place.startswith("[") else "ipv4"
            self._channels[place] = Channel(f"{scheme}:///{place}", self._token)
        return [self._channels[place] for place in sorted(found)]


async def _places(address: str) -> list[str] | None:
    """Every host:port that an address stands for; None where its name is not known now."""
    host, _, port = address.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        log.warning("replicas cannot be looked up", address=address, reason=str(error))
        return None
    places = [(str(name[0]), str(name[1])) for _, _, _, _, name in found]
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in places]
