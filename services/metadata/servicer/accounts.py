"""Accounts: users, sessions, usage."""

from typing_extensions import override

from modelyard.metadata.v1 import account_pb2 as pb
from modelyard.metadata.v1 import account_pb2_grpc
from services.metadata import converters
from services.metadata.domain.entities import Reservation
from services.metadata.domain.sessions import Sessions
from services.metadata.domain.usage import Usages
from services.metadata.domain.users import Users
from services.metadata.servicer.aggregate import Aggregate, Standard


class AccountServicer(Aggregate, account_pb2_grpc.AccountServiceServicer):
    """Accounts."""

    def __init__(self, users: Users, sessions: Sessions, usages: Usages) -> None:
        kinds = Standard(users, converters.USER), Standard(sessions, converters.SESSION)
        super().__init__(pb.DESCRIPTOR.services_by_name["AccountService"], *kinds)
        self._users = users
        self._sessions = sessions
        self._usages = usages

    @override
    async def CreateUser(self, request: pb.CreateUserRequest, context: object) -> pb.User:
        given = converters.USER.decode(request.user)
        return converters.USER.encode(await self._users.register(given, request.password, request.request_id))

    @override
    async def GetUser(self, request: pb.GetUserRequest, context: object) -> pb.User:
        return converters.USER.encode(await self._users.find(request.id, request.email))

    @override
    async def VerifyPassword(self, request: pb.VerifyPasswordRequest, context: object) -> pb.User:
        return converters.USER.encode(await self._users.verify(request.email, request.password))

    @override
    async def SetPassword(self, request: pb.SetPasswordRequest, context: object) -> pb.User:
        return converters.USER.encode(await self._users.set_password(request.id, request.password))

    @override
    async def ListTiers(self, request: pb.ListTiersRequest, context: object) -> pb.ListTiersResponse:
        return pb.ListTiersResponse(tiers=converters.tiers_of())

    @override
    async def CreateSession(self, request: pb.CreateSessionRequest, context: object) -> pb.Session:
        given = converters.SESSION.decode(request.session)
        return converters.SESSION.encode(await self._sessions.begin(given, request.token, request.request_id))

    @override
    async def TouchSession(self, request: pb.TouchSessionRequest, context: object) -> pb.TouchSessionResponse:
        session, user = await self._sessions.touch(request.token)
        return pb.TouchSessionResponse(session=converters.SESSION.encode(session), user=converters.USER.encode(user))

    @override
    async def RenewSession(self, request: pb.RenewSessionRequest, context: object) -> pb.Session:
        return converters.SESSION.encode(await self._sessions.renew(request.token, request.new_token))

    @override
    async def DeleteSession(self, request: pb.DeleteSessionRequest, context: object) -> pb.DeleteSessionResponse:
        count = await self._sessions.end(request.id, request.token, request.allow_missing)
        return pb.DeleteSessionResponse(count=count)

    @override
    async def DeleteExpiredSessions(
        self, request: pb.DeleteExpiredSessionsRequest, context: object
    ) -> pb.DeleteExpiredSessionsResponse:
        return pb.DeleteExpiredSessionsResponse(count=await self._sessions.delete_expired())

    @override
    async def ReserveUsage(self, request: pb.ReserveUsageRequest, context: object) -> pb.ReserveUsageResponse:
        wanted = Reservation(user_id=request.user_id, what=request.what, amount=request.amount)
        limit = request.limit if request.HasField("limit") else None
        reservation, in_use = await self._usages.reserve(wanted, limit, request.request_id)
        told = converters.RESERVATION.encode(reservation)
        return pb.ReserveUsageResponse(reservation=told, usage=converters.IN_USE.encode(in_use))

    @override
    async def ReleaseUsage(self, request: pb.ReleaseUsageRequest, context: object) -> pb.ReleaseUsageResponse:
        return pb.ReleaseUsageResponse(amount=await self._usages.release(request.user_id, request.request_id))

    @override
    async def GetUsage(self, request: pb.GetUsageRequest, context: object) -> pb.GetUsageResponse:
        return pb.GetUsageResponse(usages=converters.IN_USE.encode_all(await self._usages.of(request.user_id)))
