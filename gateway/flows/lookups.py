"""Which version a call means, found while it is already asked.

Whoever predicts asks the same model again and again. So the version that was found for the last such call is put to
work at once, while the metadata service is asked whether it still is the one; what it answers counts only if so.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.flows.predicting import Target, target_of
from gateway.peers import Peers
from modelyard.metadata.v1.model_pb2 import ResolveModelVersionRequest

MOST_REMEMBERED = 100
"""More than are kept loaded anywhere: where a model is loaded first, nobody notices how long finding it took."""

T = TypeVar("T")
Work = Callable[[Target], Awaitable[T]]
"""Asks a version, and changes nothing: it may be the wrong one."""


class Lookups:
    """What was found for the latest calls; for each user, model and version the last."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._found: OrderedDict[bytes, Target] = OrderedDict()

    async def answered(self, wanted: ResolveModelVersionRequest, work: "Work[T]") -> tuple[Target, T]:
        """A version, and what work with it comes to. Fails as `target_of` and the work do."""
        key = wanted.SerializeToString(deterministic=True)
        likely = self._found.get(key)
        if likely is None:
            target = await target_of(self._peers, wanted)
            self._remember(key, target)
            return target, await work(target)
        early, found = await asyncio.gather(work(likely), target_of(self._peers, wanted), return_exceptions=True)
        if isinstance(found, BaseException):
            self._found.pop(key, None)
            raise found
        self._remember(key, found)
        if found.package != likely.package:
            return found, await work(found)
        if isinstance(early, BaseException):
            raise early
        return found, early

    def _remember(self, key: bytes, target: Target) -> None:
        self._found[key] = target
        self._found.move_to_end(key)
        if len(self._found) > MOST_REMEMBERED:
            self._found.popitem(last=False)
