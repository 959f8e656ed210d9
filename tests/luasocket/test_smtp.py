"""Mail to a real server in a process of its own, and to scripts that misbehave."""

from __future__ import annotations

import contextlib
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from typing import IO, Any

import gevent
import pytest
from authority import localhost, root, stranger
from gevent.event import Event
from gevent.queue import Queue
from leaks import nothing_left
from mailserver import PASSWORD, USER
from scripted import Conversation, dialogue, program, scripted

from greenbas.luasocket import ltn12, smtp, socket, tp
from greenbas.net.tls import ClientTls

TESTS = Path(__file__).parent.parent
SECONDS = 10.0
MAIL: dict[str, Any] = {"from": "<ann@a.example>", "rcpt": "<bob@b.example>", "server": "localhost"}


class Mails:
    """A running server, and the mail that it took."""

    def __init__(self, port: int, process: Popen[str]) -> None:
        self.port = port
        self._lines: Queue[str] = Queue()
        assert process.stdout is not None
        self.reader = gevent.spawn(self._read, process.stdout)

    def _read(self, stdout: IO[str]) -> None:
        # At once: a server that cannot write would not answer either.
        for line in stdout:
            self._lines.put(line)

    def next(self) -> dict[str, Any]:
        """The next mail."""
        found: dict[str, Any] = json.loads(self._lines.get(timeout=SECONDS))
        return found

    def fresh(self) -> Mails:
        """Itself, without what another test has left."""
        while not self._lines.empty():
            self._lines.get()
        return self


@contextlib.contextmanager
def running(*options: str) -> Iterator[Mails]:
    with program(TESTS / "mailserver.py", *options) as (port, process):
        mails = Mails(port, process)
        yield mails
    mails.reader.join(SECONDS)


@pytest.fixture(scope="module")
def plain_server() -> Iterator[Mails]:
    with running() as mails:
        yield mails


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    cert, key = localhost().files(tmp_path_factory.mktemp("certs"), "mail")
    return ["--cert", cert, "--key", key]


@pytest.fixture(scope="module")
def starttls_server(files: list[str]) -> Iterator[Mails]:
    with running(*files, "--starttls", "--auth", "LOGIN", "PLAIN") as mails:
        yield mails


@pytest.fixture(scope="module")
def implicit_server(files: list[str]) -> Iterator[Mails]:
    with running(*files, "--implicit") as mails:
        yield mails


@pytest.fixture
def plain(plain_server: Mails) -> Mails:
    return plain_server.fresh()


@pytest.fixture
def starttls(starttls_server: Mails) -> Mails:
    return starttls_server.fresh()


@pytest.fixture
def implicit(implicit_server: Mails) -> Mails:
    return implicit_server.fresh()


@pytest.fixture(scope="module")
def trusting() -> ClientTls:
    return ClientTls(root().store())


def message(text: str = "Hello", **headers: str) -> Any:
    return smtp.message({"headers": {"subject": "test", **headers}, "body": text})


def mail(port: int, **fields: Any) -> dict[str, Any]:
    return {**MAIL, "port": port, "source": message(), **fields}


# -- a real server ------------------------------------------------------------------------------------------------


def test_a_mail_arrives(plain: Mails) -> None:
    with nothing_left():
        assert smtp.send(mail(plain.port, domain="me.example")) == (1, None)
        found = plain.next()
    assert (found["from"], found["rcpt"], found["host"]) == ("ann@a.example", ["bob@b.example"], "me.example")
    assert found["content"].startswith("Subject: test\r\n")
    assert found["content"].endswith("\r\n\r\nHello\r\n")


@pytest.mark.parametrize(
    ("text", "arrived"),
    [
        (".\r\n..\r\nend.", ".\r\n..\r\nend.\r\n"),
        ("bare\n.\nlines\r.\rs", "bare\r\n.\r\nlines\r\n.\r\ns\r\n"),
        ("ends\r\n", "ends\r\n\r\n"),
        ("", "\r\n"),
    ],
)
def test_text_arrives_as_it_is_and_ends_nothing(plain: Mails, text: str, arrived: str) -> None:
    assert smtp.send(mail(plain.port, source=message(text))) == (1, None)
    assert plain.next()["content"].partition("\r\n\r\n")[2] == arrived


def test_a_large_mail_from_a_generator(plain: Mails) -> None:
    line = b"." + b"x" * 70 + b"\r\n"

    def content() -> Iterator[bytes]:
        for _ in range(100):
            gevent.sleep(0)
            yield line * 100

    assert smtp.send(mail(plain.port, source=smtp.message({"body": content()}))) == (1, None)
    assert plain.next()["content"].partition("\r\n\r\n")[2] == (line * 10_000).decode() + "\r\n"


def test_several_recipients_and_addresses_without_brackets(plain: Mails) -> None:
    fields = {"from": b"ann@a.example", "rcpt": ["bob@b.example", "<eve@e.example>"]}
    assert smtp.send(mail(plain.port, **fields)) == (1, None)
    assert plain.next()["rcpt"] == ["bob@b.example", "eve@e.example"]


def test_a_refusal_is_the_servers_words(plain: Mails) -> None:
    with nothing_left():
        fields = {"rcpt": ["<bob@b.example>", "<nobody@b.example>"]}
        assert smtp.send(mail(plain.port, **fields)) == (None, "550 no such user")


def test_extensions_are_asked_for(plain: Mails) -> None:
    fields = {"from": "<ü@a.example>", "size": 1000, "8bit": True, "deliverby": 5, "dsn": {"notify": "NEVER"}}
    assert smtp.send(mail(plain.port, **fields)) == (1, None)
    # This server has neither DELIVERBY nor DSN.
    assert sorted(plain.next()["options"]) == ["BODY=8BITMIME", "SIZE=1000", "SMTPUTF8"]


def test_many_at_once(plain: Mails) -> None:
    jobs = [gevent.spawn(smtp.send, mail(plain.port, source=message(f"mail {n}"))) for n in range(10)]
    gevent.joinall(jobs, timeout=SECONDS)
    assert [job.value for job in jobs] == [(1, None)] * 10
    assert sorted(plain.next()["content"][-8:-2] for _ in jobs) == sorted(f"mail {n}" for n in range(10))


def test_help_and_extensions(plain: Mails) -> None:
    where = {"server": "127.0.0.1", "port": plain.port}
    with nothing_left():
        found, error = smtp.extensions(where)
        assert error is None and found is not None
        assert (found["SIZE"], found["8BITMIME"]) == (33554432, True)
        text, error = smtp.help(where)
        assert error is None and text is not None
        assert text.startswith("250 Supported commands: ")


def test_starttls_and_login(starttls: Mails, trusting: ClientTls) -> None:
    with nothing_left():
        fields = {"starttls": True, "tls": trusting, "user": USER, "password": PASSWORD}
        assert smtp.send(mail(starttls.port, **fields)) == (1, None)
        found = starttls.next()
    assert (found["tls"], found["login"]) == (True, "LOGIN")


def test_the_name_shark_will_do(implicit: Mails, starttls: Mails, trusting: ClientTls) -> None:
    assert smtp.send(mail(implicit.port, shark=trusting)) == (1, None)
    assert implicit.next()["from"] == "ann@a.example"
    fields = {"starttls": True, "shark": trusting, "user": USER, "password": PASSWORD}
    assert smtp.send(mail(starttls.port, **fields)) == (1, None)
    assert starttls.next()["tls"] is True


def test_tls_from_the_first_byte(implicit: Mails, trusting: ClientTls) -> None:
    with nothing_left():
        assert smtp.send(mail(implicit.port, tls=trusting)) == (1, None)
        assert implicit.next()["content"].endswith("Hello\r\n")


@pytest.mark.parametrize(
    "fields",
    [
        {"tls": ClientTls(stranger().store())},
        {"tls": True},
        {"tls": ClientTls(root().store()), "servername": "other.example"},
    ],
)
def test_a_server_that_is_not_trusted_gets_nothing(implicit: Mails, fields: dict[str, Any]) -> None:
    asked: list[Any] = []

    def content() -> Any:
        asked.append(1)
        return None, None

    with nothing_left():
        done, error = smtp.send(mail(implicit.port, source=content, **fields))
    assert (done, asked) == (None, [])
    assert error


@pytest.mark.parametrize("words", [(USER, "wrong"), ("eve", PASSWORD)])
def test_a_wrong_password(starttls: Mails, trusting: ClientTls, words: tuple[str, str]) -> None:
    fields = {"starttls": True, "tls": trusting, "user": words[0], "password": words[1]}
    done, error = smtp.send(mail(starttls.port, **fields))
    assert done is None
    assert error is not None and error.startswith("535")


def test_login_is_needed(starttls: Mails, trusting: ClientTls) -> None:
    done, error = smtp.send(mail(starttls.port, starttls=True, tls=trusting, user=USER))
    assert (done, error) == (None, "530 5.7.0 Authentication required")


def test_plain_where_that_is_all_there_is() -> None:
    with running("--auth", "PLAIN") as mails:
        assert smtp.send(mail(mails.port, user=USER, password=PASSWORD)) == (1, None)
        assert mails.next()["login"] == "PLAIN"


def test_starttls_is_not_given_up_silently(plain: Mails) -> None:
    with nothing_left():
        refused = (None, "the server does not offer STARTTLS")
        assert smtp.send(mail(plain.port, starttls=True)) == refused
        assert smtp.send(mail(plain.port, starttls="opportunistic")) == (1, None)
        assert plain.next()["tls"] is False


def test_the_steps_one_by_one(plain: Mails) -> None:
    def steps() -> int:
        session = smtp.open("127.0.0.1", plain.port)
        assert "SIZE" in session.greet("me.example")
        assert session.mail("<a@a.example>")[0] == 250
        assert session.rcpt("<b@b.example>")[0] == 250
        assert session.data(ltn12.source.string(b"text")) == (250, "250 taken")
        assert session.quit()[0] == 221
        return session.close()

    assert socket.protect(steps)() == 1
    assert plain.next()["content"] == "text\r\n"


# -- scripts ------------------------------------------------------------------------------------------------------

HELLO = [(b"", b"220 hi\r\n"), (b"EHLO ", b"250 hi\r\n")]
TAKEN = [(b"MAIL", b"250 ok\r\n"), (b"RCPT", b"250 ok\r\n"), (b"DATA", b"354 go\r\n")]


def offering(*extensions: str) -> list[tuple[bytes, bytes]]:
    lines = ["250-hi", *(f"250-{one}" for one in extensions), "250 HELP"]
    return [(b"", b"220 hi\r\n"), (b"EHLO ", "".join(f"{line}\r\n" for line in lines).encode())]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (dialogue((b"", b"554 go away\r\n")), "554 go away"),
        (dialogue((b"", b"")), "closed"),
        (dialogue((b"", b"what?\r\n")), "invalid server reply"),
        (dialogue((b"", b"220 hi\r\n"), (b"EHLO", b"500-no\r\n500 never\r\n")), "500-no\n500 never"),
        (dialogue(*HELLO, (b"MAIL", b"451 later\r\n")), "451 later"),
        (dialogue(*HELLO, (b"MAIL", b"250 ok\r\n"), (b"RCPT", b"")), "closed"),
        (dialogue(*HELLO, *TAKEN[:2], (b"DATA", b"554 no\r\n")), "554 no"),
        (dialogue(*HELLO, *TAKEN[:2], (b"DATA", b"250 not yet\r\n")), "250 not yet"),
    ],
)
def test_failures_of_servers(script: Callable[[Conversation], None], error: str) -> None:
    with scripted(script) as server, nothing_left():
        assert smtp.send(mail(server.port)) == (None, error)


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "TIMEOUT", 0.05)
    with scripted(lambda server: server.rest()) as server, nothing_left():
        assert smtp.send(mail(server.port)) == (None, "timeout")


def test_a_mail_that_was_taken_is_sent() -> None:
    def script(server: Conversation) -> None:
        dialogue(*HELLO, *TAKEN)(server)
        server.until(b"\r\n.\r\n")
        server.send(b"250 taken\r\n")  # and no answer to QUIT

    with scripted(script) as server, nothing_left():
        assert smtp.send(mail(server.port)) == (1, None)


@pytest.mark.parametrize("how", ["error", "exception"])
def test_a_message_that_fails_is_not_ended(how: str) -> None:
    def script(server: Conversation) -> None:
        dialogue(*HELLO, *TAKEN)(server)
        server.rest()

    def content() -> Iterator[bytes]:
        yield b"half a mess"
        raise ZeroDivisionError

    with scripted(script) as server, nothing_left():
        if how == "error":
            source = ltn12.source.cat(ltn12.source.string(b"half a mess"), ltn12.source.error("broken"))
            assert smtp.send(mail(server.port, source=source)) == (None, "broken")
        else:
            with pytest.raises(ZeroDivisionError):
                smtp.send(mail(server.port, source=content()))
        assert server.said()[0].endswith(b"DATA\r\nhalf a mess")


@pytest.mark.parametrize("steps", [HELLO[:1], HELLO, [*HELLO, *TAKEN[:1]], [*HELLO, *TAKEN]])
def test_a_kill_leaves_nothing(steps: list[tuple[bytes, bytes]]) -> None:
    reached = Event()

    def script(server: Conversation) -> None:
        dialogue(*steps)(server)
        server.until(b"\r\n")
        reached.set()
        server.rest()

    with scripted(script) as server, nothing_left():
        job = gevent.spawn(smtp.send, mail(server.port))
        assert reached.wait(SECONDS)
        job.kill(timeout=SECONDS)
        assert job.dead


@pytest.mark.parametrize(
    ("extensions", "fields", "lines"),
    [
        (["SIZE 1000"], {"size": 99}, [b"MAIL FROM:<ann@a.example> SIZE=99", b"RCPT TO:<bob@b.example>"]),
        ([], {"size": 99, "8bit": True}, [b"MAIL FROM:<ann@a.example>", b"RCPT TO:<bob@b.example>"]),
        (["DELIVERBY"], {"deliverby": 120}, [b"MAIL FROM:<ann@a.example> BY=120;R", b"RCPT TO:<bob@b.example>"]),
        (["DELIVERBY"], {"deliverby": "9;NT"}, [b"MAIL FROM:<ann@a.example> BY=9;NT", b"RCPT TO:<bob@b.example>"]),
        (
            ["DSN"],
            {"dsn": {"notify": ["SUCCESS", "DELAY"], "ret": "HDRS", "id": "a+b=c d"}},
            [
                b"MAIL FROM:<ann@a.example> RET=HDRS ENVID=a+2Bb+3Dc+20d",
                b"RCPT TO:<bob@b.example> NOTIFY=SUCCESS,DELAY",
            ],
        ),
    ],
)
def test_what_is_asked_for(extensions: list[str], fields: dict[str, Any], lines: list[bytes]) -> None:
    with scripted(dialogue(*offering(*extensions), (b"MAIL", b"250 ok\r\n"), (b"RCPT", b"550 no\r\n"))) as server:
        assert smtp.send(mail(server.port, **fields)) == (None, "550 no")
        assert server.said()[0].split(b"\r\n")[1:3] == lines


def test_other_letters_need_the_extension() -> None:
    for fields in ({"from": "<ü@a.example>"}, {"rcpt": "<ü@b.example>"}):
        script = dialogue(*offering(), (b"MAIL", b"250 ok\r\n"))
        with scripted(script) as server, nothing_left():
            done, error = smtp.send(mail(server.port, **fields))
        assert done is None
        assert error == "the server takes no addresses with other letters than ASCII"


@pytest.mark.parametrize("offer", ["AUTH LOGIN PLAIN", "AUTH PLAIN LOGIN", "AUTH=LOGIN", "auth login"])
def test_login_is_preferred(offer: str) -> None:
    name, word = b64encode(USER.encode()), b64encode(PASSWORD.encode())
    steps = [(b"AUTH LOGIN", b"334 u\r\n"), (name, b"334 p\r\n"), (word, b"535 no\r\n")]
    with scripted(dialogue(*offering(offer), *steps)) as server:
        assert smtp.send(mail(server.port, user=USER, password=PASSWORD)) == (None, "535 no")


def test_no_way_to_log_in() -> None:
    with scripted(dialogue(*offering("AUTH CRAM-MD5"))) as server, nothing_left():
        fields = {"user": USER, "password": PASSWORD}
        assert smtp.send(mail(server.port, **fields)) == (None, "authentication not supported")


@pytest.mark.parametrize("offer", ["AUTH PLAIN", "AUTH LOGIN"])
def test_credentials_are_in_no_error(offer: str) -> None:
    def script(server: Conversation) -> None:
        dialogue(*offering(offer))(server)
        line = server.line()
        while line == b"AUTH LOGIN" or line == b64encode(USER.encode()):
            server.send(b"334 more\r\n")
            line = server.line()
        server.send(b"535 you said " + line + b" which is " + PASSWORD.encode() + b" of " + USER.encode() + b"\r\n")

    with scripted(script) as server:
        done, error = smtp.send(mail(server.port, user=USER, password=PASSWORD))
        said = server.said()[0].decode().split()
    assert done is None
    assert error is not None and error.startswith("535 you said")
    for secret in (USER + " ", PASSWORD, b64encode(PASSWORD.encode()).decode(), said[-1]):
        assert secret not in error + " "


def test_words_before_the_handshake_do_not_count(trusting: ClientTls) -> None:
    # CVE-2011-0411: somebody in between appends to the answer to STARTTLS.
    script = dialogue(*offering("STARTTLS"), (b"STARTTLS", b"220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n"))
    with scripted(script) as server, nothing_left():
        fields = {"starttls": True, "tls": trusting}
        assert smtp.send(mail(server.port, **fields)) == (None, "data before the TLS handshake")


@pytest.mark.parametrize("fields", [{}, {"starttls": True}])
def test_a_handshake_that_stalls(fields: dict[str, Any], trusting: ClientTls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "TIMEOUT", 0.05)

    def script(server: Conversation) -> None:
        if fields:
            dialogue(*offering("STARTTLS"), (b"STARTTLS", b"220 go\r\n"))(server)
        server.rest()

    with scripted(script) as server, nothing_left():
        assert smtp.send(mail(server.port, tls=trusting, **fields)) == (None, "timeout")


def test_starttls_that_is_refused_ends_it(trusting: ClientTls) -> None:
    for mode in (True, "opportunistic"):
        with scripted(dialogue(*offering("STARTTLS"), (b"STARTTLS", b"454 not now\r\n"))) as server, nothing_left():
            assert smtp.send(mail(server.port, starttls=mode, tls=trusting)) == (None, "454 not now")


# -- wrong use ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"from": None}, ValueError, r"Sender \(from\) is required"),
        ({"rcpt": []}, ValueError, r"Recipient \(rcpt\) is required"),
        ({"source": None}, TypeError, "a source or an iterable of bytes expected, got nil"),
        ({"from": "<a@b>\r\nRCPT TO:<eve@e>"}, ValueError, "holds CR, LF or NUL"),
        ({"rcpt": "<a@b>\nDATA"}, ValueError, "holds CR, LF or NUL"),
        ({"rcpt": ["<a@b>", "<a\0@b>"]}, ValueError, "holds CR, LF or NUL"),
        ({"domain": "me\r\nQUIT"}, ValueError, "holds CR, LF or NUL"),
    ],
)
def test_wrong_use_raises(fields: dict[str, Any], error: type[Exception], words: str) -> None:
    with scripted(dialogue(*HELLO, *TAKEN)) as server, nothing_left(), pytest.raises(error, match=words):
        smtp.send(mail(server.port, **fields))


def test_nul_in_a_password() -> None:
    with scripted(dialogue(*offering("AUTH PLAIN"))) as server, nothing_left():
        with pytest.raises(ValueError, match="NUL") as error:
            smtp.send(mail(server.port, user=USER, password="secret\0word"))
        assert "secret" not in str(error.value)


def test_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def connect(*arguments: Any) -> Any:
        asked.append(arguments)
        return None, "no network here"

    monkeypatch.setattr(tp, "connect", connect)
    for fields in ({}, {"tls": True}, {"tls": True, "starttls": True}, {"port": 2525, "tls": True}):
        table = {"from": "a@b", "rcpt": "c@d", "source": b"", **fields}
        assert smtp.send(table) == (None, "no network here")
    assert [arguments[:3] for arguments in asked] == [
        ("localhost", 25, 60.0),
        ("localhost", 465, 60.0),
        ("localhost", 25, 60.0),
        ("localhost", 2525, 60.0),
    ]
