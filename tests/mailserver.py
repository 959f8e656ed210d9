"""An SMTP server in a process of its own: prints its port, then each mail it takes as a line of JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiosmtpd.smtp import AuthResult, Envelope, Session

USER, PASSWORD = "ann", "s3cret word"


class Printer:
    """Takes mail, besides that for nobody."""

    async def handle_RCPT(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        content = envelope.content or b""
        mail = {
            "from": envelope.mail_from,
            "options": envelope.mail_options,
            "rcpt": envelope.rcpt_tos,
            "content": (content if isinstance(content, bytes) else content.encode()).decode("latin-1"),
            "host": session.host_name,
            "tls": session.ssl is not None,
            "login": session.auth_data,
        }
        print(json.dumps(mail, default=repr), flush=True)
        return "250 taken"


def authenticate(server: Any, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    from aiosmtpd.smtp import AuthResult  # not above: the tests import this file, and must not load asyncio for it

    good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=good, auth_data=mechanism if good else None)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--implicit", action="store_true")
    parser.add_argument("--starttls", action="store_true")
    parser.add_argument("--auth", nargs="*")
    chosen = parser.parse_args()
    options: dict[str, Any] = {"enable_SMTPUTF8": True, "hostname": "mail.example"}
    context = None
    if chosen.cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chosen.cert, chosen.key)
        if chosen.starttls:
            options |= {"tls_context": context, "require_starttls": True}
    if chosen.auth is not None:
        options |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": False}
        options["auth_exclude_mechanism"] = {"LOGIN", "PLAIN"} - set(chosen.auth)
    asyncio.run(serve(options, context if chosen.implicit else None))


async def serve(options: dict[str, Any], context: ssl.SSLContext | None) -> None:
    from aiosmtpd.smtp import SMTP

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Printer(), **options), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    main()
