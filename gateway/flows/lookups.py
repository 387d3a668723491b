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

MOST_REMEMBERED = 1000

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
        likely = self._found.pop(key, None)
        if likely is None:
            target = await target_of(self._peers, wanted)
            result = await work(target)
        else:
            early, found = await asyncio.gather(work(likely), target_of(self._peers, wanted), return_exceptions=True)
            target = _come_to(found)
            result = _come_to(early) if target.package == likely.package else await work(target)
        self._remember(key, target)
        return target, result

    def _remember(self, key: bytes, target: Target) -> None:
        self._found[key] = target
        if len(self._found) > MOST_REMEMBERED:
            self._found.popitem(last=False)


def _come_to(outcome: T | BaseException) -> T:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome
