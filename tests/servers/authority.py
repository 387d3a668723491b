"""A sign-in service on loopback that gives tokens to one application, as Microsoft Entra ID does over OAuth 2."""

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

TENANT = "4c1d2a0e-7f5b-4c3e-9a61-0d2b8f6e5a77"
CLIENT = "9f0e1d2c-3b4a-4958-8776-655443322110"
LIFE_SECONDS = 3600


@dataclass
class Authority:
    """A sign-in service that runs."""

    url: str
    secret: str = field(repr=False)
    given: int = 0
    """Tokens it gave."""
    refused: int = 0


def _token(audience: str) -> str:
    now = int(time.time())
    claims = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{TENANT}/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + LIFE_SECONDS,
        "oid": CLIENT,
        "tid": TENANT,
        "appid": CLIENT,
        "sub": CLIENT,
    }
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmVk"])  # the emulator reads a token but has no key to verify it with


def _handler(authority: Authority) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            root = f"{authority.url}/{TENANT}"
            self._say(200, {"issuer": f"{root}/v2.0", "token_endpoint": f"{root}/oauth2/v2.0/token"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked = {name: values[0] for name, values in parse_qs(body).items()}
            expected = {"client_id": CLIENT, "client_secret": authority.secret, "grant_type": "client_credentials"}
            if self.path != f"/{TENANT}/oauth2/v2.0/token" or not expected.items() <= asked.items():
                authority.refused += 1
                why = "AADSTS7000215: Invalid client secret provided."
                self._say(401, {"error": "invalid_client", "error_description": why, "error_codes": [7000215]})
                return
            authority.given += 1
            token = _token(asked["scope"].removesuffix("/.default"))
            self._say(200, {"token_type": "Bearer", "expires_in": LIFE_SECONDS, "access_token": token})

        def _say(self, status: int, answer: dict[str, object]) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def authority(cert: Path, key: Path, secret: str) -> Iterator[Authority]:
    """A sign-in service that knows one application by its secret, for the length of the block."""
    told = Authority("", secret)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(told))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    told.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
