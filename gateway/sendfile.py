"""Sends parts of files from the kernel straight to the socket, without the bytes passing through this process.

An answer's body may hold a `FileSlice` in place of bytes where the server says that it takes them. The server is
uvicorn, which asks of a body no more than its length before it gives it to the transport; the transport it is given
here knows what to do with a slice.
"""

import asyncio
import os
import select
import threading
from asyncio import Transport
from typing import Any

from starlette.types import Scope
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION = "modelyard.sendfile"
SLICE_BYTES = 64 * 1024 * 1024
CALL_BYTES = 4 * 1024 * 1024
WATCH_MILLISECONDS = 250
"""How soon a sender that waits for its receiver notices that it is to stop."""
PAUSE_SECONDS = 0.001


def takes_slices(scope: Scope) -> bool:
    """Whether the server of a request sends slices of files."""
    return EXTENSION in scope.get("extensions", {})


class FileSlice:
    """Consecutive bytes of an open file, to be sent as a part of a body."""

    def __init__(self, file: int, start: int, count: int) -> None:
        self._file = file
        self._start = start
        self._count = count
        self._stopped = threading.Event()
        self._sending: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return self._count

    def send_on(self, transport: Transport) -> None:
        """Begin to send, after all that was written to the transport before."""
        self._sending = asyncio.create_task(self._send_on(transport))

    async def finished(self) -> bool:
        """Wait until all is sent; whether it was, which it is not when the receiver has gone."""
        if self._sending is None:  # the server knew already that nobody is there
            return False
        try:
            await asyncio.shield(self._sending)
        except OSError:
            return False
        except asyncio.CancelledError:
            self._stopped.set()
            await asyncio.wait([self._sending])  # the file is closed only when nobody reads it
            self._sending.exception()  # asked for, so that nobody misses it
            raise
        return True

    async def _send_on(self, transport: Transport) -> None:
        while transport.get_write_buffer_size():  # noqa: ASYNC110 — a transport has no event for that
            await asyncio.sleep(PAUSE_SECONDS)
        if transport.is_closing():
            raise ConnectionResetError
        socket = os.dup(transport.get_extra_info("socket").fileno())  # stays ours, whatever becomes of the transport
        try:
            await asyncio.to_thread(self._send, socket)
        except OSError:
            transport.abort()  # an answer that is too short must not be taken for a whole one
            raise
        finally:
            os.close(socket)

    def _send(self, socket: int) -> None:
        """Send, in a thread. Fails with OSError when the receiver has gone or the file is too short."""
        writable = select.poll()
        writable.register(socket, select.POLLOUT)
        start, end = self._start, self._start + self._count
        while start < end and not self._stopped.is_set():
            try:
                sent = os.sendfile(socket, self._file, start, min(CALL_BYTES, end - start))
            except BlockingIOError:
                writable.poll(WATCH_MILLISECONDS)
                continue
            if not sent:  # the file became shorter under our hands
                raise ConnectionAbortedError
            start += sent
        if start < end:
            raise ConnectionAbortedError


class _Transport:
    """A transport that takes slices of files as well."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def write(self, data: Any) -> None:
        """Send bytes, or begin to send a slice."""
        if isinstance(data, FileSlice):
            data.send_on(self._transport)
        else:
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class FileProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with transports that take slices of files."""

    @override
    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(_Transport(transport))  # type: ignore[arg-type]

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {}}
