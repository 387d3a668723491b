"""A gate between the gateway and a service: it lets every call through, but for one that a test wants held.

Unlike a mock it changes no answer; it only lets a test know that a call is under way, and keeps it there while the
test kills somebody.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import grpc

BEFORE, AFTER = "before", "after"


class Gate:
    """Forwards all calls to an address, in a thread of its own."""

    def __init__(self, address: str) -> None:
        self._target = address
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._held = ("", "")
        self.reached = threading.Event()
        self.seen: list[str] = []
        self.address: str = self._run(self._start())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> str:
        self._open = asyncio.Event()
        self._open.set()
        self._channel = grpc.aio.insecure_channel(self._target)
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((_Everything(self),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return f"127.0.0.1:{port}"

    def hold(self, method: str, moment: str) -> None:
        """Keep the next call of a method: before the service sees it, or after, before its caller sees the answer."""
        self._held = (method, moment)
        self.reached.clear()
        self._loop.call_soon_threadsafe(self._open.clear)

    def release(self) -> None:
        """Let the held call go on, and hold no more."""
        self._held = ("", "")
        self._loop.call_soon_threadsafe(self._open.set)

    def close(self) -> None:
        """Stop forwarding."""
        self.release()
        self._run(self._server.stop(0))
        self._run(self._channel.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def pause(self, method: str, moment: str) -> None:
        """Wait here while this very call is held."""
        name, when = self._held
        if name and method.endswith("/" + name) and moment == when:
            self.reached.set()
            await self._open.wait()

    async def forward(self, method: str, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Pass one call on, whatever its kind: on the wire they look the same."""
        self.seen.append(method.rpartition("/")[2])
        await self.pause(method, BEFORE)
        call = self._channel.stream_stream(method)(
            requests, metadata=context.invocation_metadata(), timeout=context.time_remaining()
        )
        answered = False
        try:
            async for answer in call:
                answered = True
                await self.pause(method, AFTER)
                yield answer
            if not answered:
                await self.pause(method, AFTER)
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata()))
        finally:
            call.cancel()


class _Everything(grpc.GenericRpcHandler):
    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method

        async def forward(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            async for answer in self._gate.forward(method, requests, context):
                yield answer

        return grpc.stream_stream_rpc_method_handler(forward)
