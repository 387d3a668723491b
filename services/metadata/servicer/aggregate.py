"""What all aggregates have in common: Create, Get, List, Update and Delete, read from their contracts.

An aggregate writes down only those methods that do something else. Which messages the others take and give, and in
which of their fields a record lies, is what the contract says of them:

    Aggregate(project_pb2.DESCRIPTOR.services_by_name["ProjectService"], Standard(projects, converters.PROJECT))
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.metadata import converters
from services.metadata.converters import Codec
from services.metadata.domain.paging import PageRequest
from services.metadata.domain.records import Records

Handler = Callable[[Any, object], Awaitable[Message]]
PageOf = Callable[[Any], PageRequest]
Shown = Callable[[Any, Any], Any]


PAGE_BYTES = 3 * 1024 * 1024
"""Of records on a page; no channel takes a message of more than 4 MiB. Who lists asks for the next page."""


def fitting(sizes: Sequence[int]) -> int:
    """How many records of these sizes a page has room for, at least one where there is any."""
    return sum(end <= PAGE_BYTES for end in accumulate(sizes)) or min(1, len(sizes))


class Standard:
    """The methods that all kinds of records have, for one kind."""

    def __init__(
        self,
        records: Records[Any],
        codec: Codec[Any, Any],
        page_of: PageOf | None = None,
        shown: Shown = lambda _, record: record,
    ) -> None:
        """`shown` gives what a request to list wants to see of a record, all of it unless said otherwise."""
        self._records = records
        self._codec = codec
        self._shown = shown
        self._page_of = page_of or (lambda request: converters.page_of(request, codec))
        described: Descriptor = codec.message.DESCRIPTOR
        self._described = described
        one = described.name
        many = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
        self._makers = {
            f"Create{one}": self._create,
            f"Get{one}": self._get,
            f"List{many}": self._list,
            f"Update{one}": self._update,
            f"Delete{one}": self._delete,
        }

    def handler(self, method: MethodDescriptor) -> Handler | None:
        """What answers a method; None when it is none of these."""
        make = self._makers.get(method.name)
        return make(method) if make else None

    def _create(self, method: MethodDescriptor) -> Handler:
        field = self._field(method.input_type)

        async def create(request: Any, _: object) -> Message:
            given = self._codec.decode(getattr(request, field))
            return self._encoded(await self._records.create(given, request.request_id))

        return create

    def _get(self, _: MethodDescriptor) -> Handler:
        async def get(request: Any, _: object) -> Message:
            return self._encoded(await self._records.get(request.id))

        return get

    def _list(self, method: MethodDescriptor) -> Handler:
        answer, field = GetMessageClass(method.output_type), self._field(method.output_type)

        async def find(request: Any, _: object) -> Message:
            wanted = self._page_of(request)
            page = await self._records.page(wanted)
            records = [self._encoded(self._shown(request, record)) for record in page.records]
            if (room := fitting([record.ByteSize() for record in records])) < len(records):
                page = await self._records.page(replace(wanted, size=room))
                records = [self._encoded(self._shown(request, record)) for record in page.records]
            return answer(next_page_token=page.next_page_token, **{field: records})

        return find

    def _update(self, method: MethodDescriptor) -> Handler:
        field = self._field(method.input_type)

        async def update(request: Any, _: object) -> Message:
            given = self._codec.decode(getattr(request, field))
            return self._encoded(await self._records.update(given, request.update_mask.paths))

        return update

    def _delete(self, method: MethodDescriptor) -> Handler:
        answer = GetMessageClass(method.output_type)

        async def delete(request: Any, _: object) -> Message:
            return answer(count=await self._records.delete(request.id, request.allow_missing))

        return delete

    def _encoded(self, record: Any) -> Message:
        message: Message = self._codec.encode(record)
        return message

    def _field(self, message: Descriptor) -> str:
        """The field of a request or an answer that holds the record or the records."""
        fields: Iterable[FieldDescriptor] = message.fields
        return next(each.name for each in fields if each.message_type is self._described)


class Aggregate:
    """Answers the methods of one service: its own, and for the rest the standard ones of its kinds of records."""

    def __init__(self, service: ServiceDescriptor, *kinds: Standard) -> None:
        for method in service.methods:
            if method.name not in vars(type(self)):
                setattr(self, method.name, _handler(method, kinds))


def _handler(method: MethodDescriptor, kinds: Iterable[Standard]) -> Handler:
    for kind in kinds:
        if handler := kind.handler(method):
            return handler
    raise NotImplementedError(f"{method.full_name} is in the contract, and nothing answers it")
