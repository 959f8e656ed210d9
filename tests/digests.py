"""A digest client that does exactly what a test wants, and logins over the wire."""

from __future__ import annotations

import base64
import re
from typing import Any

from web import Answer, Client, get

from greenbas import Server
from greenbas.protocol.authorization import DigestClaim
from greenbas.protocol.digest import expected_response, ha1

__all__ = ["Digest", "basic", "challenges", "cookie_of", "log_in_by_digest", "post_form"]


def basic(name: str, password: str) -> str:
    """An Authorization line for Basic."""
    return "Authorization: Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def challenges(answer: Answer) -> dict[str, dict[str, str]]:
    """The challenges of a 401: parameters by "Basic" or digest algorithm."""
    found = {}
    for line in answer.all("www-authenticate"):
        scheme, _, rest = line.partition(" ")
        given = {name: quoted or token for name, quoted, token in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', rest)}
        found[given.get("algorithm", scheme)] = given
    return found


class Digest:
    """Answers one challenge again and again."""

    def __init__(
        self, answer: Answer, name: str = "ann", password: str = "secret", *, algorithm: str = "SHA-256"
    ) -> None:
        challenge = challenges(answer)[algorithm]
        self.realm, self.nonce = challenge["realm"], challenge["nonce"]
        self.name, self.password, self.algorithm = name, password, algorithm
        self.secret = ha1(algorithm, name, self.realm, password)
        self.count = 0

    def line(self, path: str, method: str = "GET", **changes: Any) -> str:
        """An Authorization line with the next count, or with what `changes` say instead."""
        self.count += 1
        fields = {
            "username": self.name, "realm": self.realm, "nonce": self.nonce, "uri": path, "cnonce": "c0ffee",
            "nc": f"{self.count:08x}", "algorithm": self.algorithm,
        } | changes  # fmt: skip
        claim = DigestClaim(
            fields["username"], fields["realm"], fields["nonce"], fields["uri"], "", self.algorithm, fields["nc"],
            fields["cnonce"],
        )  # fmt: skip
        response = changes.get("response") or expected_response(self.secret, method, claim)
        shown = fields["algorithm"]
        return (
            f'Authorization: Digest username="{claim.name}", realm="{claim.realm}", nonce="{claim.nonce}", '
            f'uri="{claim.uri}", response="{response}", algorithm={shown}, qop=auth, nc={claim.nc}, '
            f'cnonce="{claim.cnonce}"'
        )


def log_in_by_digest(server: Server, path: str, name: str = "ann", password: str = "secret", **options: Any) -> Answer:
    """Ask, and ask again with the answer to the challenge."""
    return get(server, path, Digest(get(server, path), name, password, **options).line(path))


def post_form(server: Server, path: str, fields: dict[str, str], *headers: str) -> Answer:
    """Post fields as a form does."""
    from urllib.parse import urlencode

    body = urlencode(fields)
    head = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/x-www-form-urlencoded"]
    with Client(server) as client:
        return client.ask("\n".join([*head, f"Content-Length: {len(body)}", *headers, "", body]))


def cookie_of(answer: Answer) -> str:
    """A Cookie line with what an answer has set."""
    return "Cookie: " + "; ".join(value.partition(";")[0] for value in answer.all("set-cookie"))
