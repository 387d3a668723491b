"""Azure by a service principal, over HTTPS; and no secret in anything that is written."""

import asyncio
import logging
import ssl
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
import trustme

from services.storage.adapters.azure.account import AzureAccount
from services.storage.adapters.azure.backend import azure_backend
from services.storage.domain.errors import BackendRefused, BackendUnreachable
from tests.servers.authority import CLIENT, TENANT, Authority, authority
from tests.servers.azurite import QUICK, Azurite, azurite, own_containers
from tests.servers.objects import complete, draft, expires, get, put

CANARY = "canary-0d6e5b~secret"
MIB = 2**20


@dataclass(frozen=True)
class Principal:
    """An Azurite over HTTPS, the sign-in service before it, and how a service principal sees both."""

    server: Azurite
    authority: Authority
    ca_file: str

    def account(self, secret: str = CANARY) -> AzureAccount:
        return AzureAccount(
            account_url=self.server.account_url,
            tenant_id=TENANT,
            client_id=CLIENT,
            client_secret=secret,
            authority=self.authority.url,
            ca_file=self.ca_file,
            patience=QUICK,
            **own_containers(),
        )


@pytest.fixture(scope="module")
def principal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Principal]:
    folder: Path = tmp_path_factory.mktemp("tls")
    ca, ca_file, cert, key = trustme.CA(), folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    issued = ca.issue_cert("127.0.0.1", "localhost")
    ca.cert_pem.write_to_path(ca_file)
    issued.private_key_pem.write_to_path(key)
    for part in issued.cert_chain_pems:
        part.write_to_path(cert, append=True)
    with azurite(cert, key) as server, authority(cert, key, CANARY) as signing_in:
        yield Principal(server, signing_in, str(ca_file))


@asynccontextmanager
async def trusting(principal: Principal) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=principal.ca_file)) as client:
        yield client


class TestPrincipal:
    """002.11, 002.12: a service principal, and no key of the account anywhere."""

    async def test_objects_come_and_go(self, principal):
        given = principal.authority.given
        async with azure_backend(principal.account()) as backend:
            data = b"x" * (9 * MIB)
            stored = await put(backend, "a/b", data)

            assert await get(backend, "a/b") == data
            assert await backend.page("models", "a/", "", 10) == [stored]
            assert await backend.delete(stored.name) == len(data)
            await backend.probe()
        assert principal.authority.given == given + 1

    async def test_an_address_is_signed_with_a_key_that_is_lent(self, principal):
        async with azure_backend(principal.account()) as backend, trusting(principal) as client:
            stored = await put(backend, "a")
            uris = await asyncio.gather(*(backend.sign(stored, expires(60 + number)) for number in range(5)))
            week = await backend.sign(stored, expires(7 * 24 * 3600 - 1))
            answer = await client.get(uris[0])

            assert (answer.status_code, answer.content) == (200, b"some bytes")
            assert answer.headers["content-disposition"] == 'attachment; filename="file.csv"'
            assert (await client.get(week)).status_code == 200
            assert (await client.get(uris[0].replace("sp=r", "sp=rw"))).status_code == 403
            assert (await client.delete(uris[0])).status_code == 403
            assert len({uri.partition("ske=")[2][:24] for uri in uris}) == 1

    async def test_bytes_are_sent_straight_there(self, principal):
        async with azure_backend(principal.account()) as backend, trusting(principal) as client:
            ticket = await backend.direct.ticket(draft("a"), expires())
            answer = await client.put(ticket.uri, content=b"sent bytes", headers=dict(ticket.headers))

            assert answer.status_code == 201
            stored = await complete(backend, draft("a"))
            assert await backend.stat(stored.name) == stored
            assert await get(backend, "a") == b"sent bytes"

    async def test_a_wrong_secret_is_told_of_and_names_what_to_correct(self, principal):
        """003.11"""
        refused = principal.authority.refused
        async with azure_backend(principal.account("wrong")) as backend:
            with pytest.raises(BackendRefused, match="Correct AZURE_CLIENT_ID, AZURE_CLIENT_SECRET") as caught:
                await backend.probe()
            assert "AADSTS" not in str(caught.value)
            with pytest.raises(BackendRefused):
                await put(backend, "a")
        assert principal.authority.refused > refused

    async def test_a_sign_in_service_that_is_away_is_told_of(self, principal):
        away = replace(principal.account(), authority="https://127.0.0.1:1")
        async with azure_backend(away) as backend:
            with pytest.raises(BackendUnreachable, match="takes no connection"):
                await backend.probe()

    async def test_a_certificate_that_nobody_vouches_for_is_not_believed(self, principal):
        async with azure_backend(replace(principal.account(), ca_file="")) as backend:
            with pytest.raises(BackendUnreachable, match="certificate"):
                await backend.probe()


async def used(account: AzureAccount) -> tuple[list[str], str]:
    """Use an account in every way: the signatures that were made, and all that can be seen of it."""
    signatures: list[str] = []
    async with azure_backend(account) as backend, httpx.AsyncClient(verify=False) as client:
        seen = [repr(account), repr(backend), repr(vars(backend)), repr(vars(backend._service))]
        try:
            stored = await put(backend, "a")
            signed = await backend.sign(stored, expires())
            ticket = await backend.direct.ticket(draft("b"), expires())
            signatures += [parse_qs(urlsplit(uri).query)["sig"][0] for uri in (signed, ticket.uri)]
            await client.put(ticket.uri, content=b"x", headers=dict(ticket.headers))
            await complete(backend, draft("b"))
        except BackendRefused as problem:
            seen += [str(problem), repr(problem), *traceback.format_exception(problem)]
    return signatures, "\n".join(seen)


async def test_no_secret_is_in_logs_errors_and_reprs(principal, caplog, capfd):
    """000.24"""
    for name in ("httpx", "httpcore"):  # the test's own client, which does tell its addresses
        caplog.set_level(logging.WARNING, name)
    caplog.set_level(logging.DEBUG)
    with azurite() as server:
        accounts = [server.account(), principal.account(), principal.account(f"{CANARY}-wrong")]
        results = [await used(account) for account in accounts]
    signatures = [signature for made, _ in results for signature in made]
    said = "\n".join([*(seen for _, seen in results), caplog.text, *capfd.readouterr()])

    assert len(signatures) == 4
    assert {"azure.core.pipeline.policies.http_logging_policy"} <= {record.name for record in caplog.records}
    for secret in (CANARY, server.key, principal.server.key, *signatures):
        assert secret not in said
        assert quote(secret, safe="") not in said
