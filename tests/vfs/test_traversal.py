"""Nothing outside of the root is ever served: every spelling of the way out, over raw sockets (wish 16)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from trees import OLD, Tree
from web import Client, serving

from greenbas import Request, Response, Server
from greenbas.io import DiskIo, Io, MemoryIo
from greenbas.vfs import Directory, ResourceReader

SECRET = b"SECRET-CONTENT"
INSIDE = b"inside the root"

# Each with {up} for one step up. What follows is the name of something outside.
STEPS = {
    "plain": "..",
    "escaped": "%2e%2e",
    "upper": "%2E%2E",
    "half": ".%2e",
    "other half": "%2e.",
    "twice": "%252e%252e",
    "thrice": "%25252e%25252e",
    "overlong": "%c0%ae%c0%ae",
    "overlong three": "%e0%80%ae%e0%80%ae",
    "overlong four": "%f0%80%80%ae%f0%80%80%ae",
    "half overlong": ".%c0%ae",
    "fullwidth": "%ef%bc%8e%ef%bc%8e",
    "one dot leader": "%e2%80%a4%e2%80%a4",
    "two dot leader": "%e2%80%a5",
    "iis": "%u002e%u002e",
    "bad escape": "%2g%2g",
    "cut escape": "%2",
    "dot": ".",
    "three": "...",
    "four": "....",
    "space behind": "..%20",
    "space before": "%20..",
    "dot behind": "%2e%2e.",
    "tab": "..%09",
    "nul behind": "..%00",
    "parameter": "..;",
    "parameter escaped": "..%3b",
    "soft hyphen": "..%c2%ad",
    "zero width": "..%e2%80%8b",
    "raw latin-1": "..\xad",
}
SLASHES = {
    "slash": "/",
    "escaped slash": "%2f",
    "upper slash": "%2F",
    "twice escaped slash": "%252f",
    "double slash": "//",
    "backslash": "\\",
    "escaped backslash": "%5c",
    "twice escaped backslash": "%255c",
    "mixed": "\\/",
    "overlong slash": "%c0%af",
    "overlong backslash": "%c1%9c",
    "fullwidth slash": "%ef%bc%8f",
    "division slash": "%e2%88%95",
    "dot slash": "/./",
}
OUTSIDE = ["secret.txt", "www-secret/s.txt", "etc/passwd"]

# Whole targets; {base} is the root's own path on the disk.
TARGETS = [
    "//etc/passwd",
    "///etc/passwd",
    "/%2fetc%2fpasswd",
    "//%2fetc/passwd",
    "/%2F%2Fetc/passwd",
    "/etc/passwd",
    "/-secret/s.txt",
    "/../www-secret/s.txt",
    "/../www/../secret.txt",
    "/..",
    "/../",
    "/%2e%2e",
    "/%2e%2e%2f",
    "/sub/../../secret.txt",
    "/sub/..%2f..%2fsecret.txt",
    "/sub/%2e%2e/%2e%2e/secret.txt",
    "/missing/../../secret.txt",
    "/in.txt/../../secret.txt",
    "/in.txt/..",
    "/....//secret.txt",
    "/....//....//etc/passwd",
    "/..././secret.txt",
    "/.../secret.txt",
    "/%00",
    "/in.txt%00",
    "/in.txt%00.html",
    "/%00/../secret.txt",
    "/..%00/secret.txt",
    "/in.txt%0a",
    "/in.txt%0d%0aX-Injected:%201",
    "/in.txt.",
    "/in.txt...",
    "/in.txt%20",
    "/in.txt%20%20.",
    "/in.txt::$DATA",
    "/in.txt:stream",
    "/C:/secret.txt",
    "/C:%5csecret.txt",
    "/c:secret.txt",
    "/C|/secret.txt",
    "/%5c%5cserver%5cshare%5csecret.txt",
    "/file:///etc/passwd",
    "/~root/.profile",
    "/~/secret.txt",
    "/$HOME/secret.txt",
    "/proc/self/root/etc/passwd",
    "/{base}/../secret.txt",
    "{base}/../secret.txt",
    "/%2fproc/self/cwd",
    "http://x/../secret.txt",
    "http://x/%2e%2e/secret.txt",
    "http://x//etc/passwd",
    "http://x/..%2f..%2fetc/passwd",
    "https://x/%2e%2e%5csecret.txt",
    "http://x/../../../../../../etc/passwd",
    "HTTP://x/..\\..\\secret.txt",
    "http://x@y/../secret.txt",
    "file:///etc/passwd",
    "../secret.txt",
    "..",
    "secret.txt",
    "*",
    "?/../secret.txt",
    "/?/../secret.txt",
    "/#/../secret.txt",
    "/out.txt",
    "/out/",
    "/out/secret.txt",
    "/out/etc/passwd",
    "/up/secret.txt",
    "/up/www-secret/s.txt",
    "/up",
    "/sub/out.txt",
    "/absolute/passwd",
    "/loop",
    "/loop/secret.txt",
    "/dangling",
]


def spellings() -> Iterator[str]:
    """Every step with every slash, once and often, to everything outside."""
    for up in STEPS.values():
        for slash in SLASHES.values():
            for outside in OUTSIDE:
                for count in (1, 2, 12):
                    yield "/" + (up + slash) * count + outside.replace("/", slash)
            yield f"/sub{slash}{up}{slash}{up}{slash}secret.txt"
            yield f"/{up}{slash}www-secret{slash}s.txt"


@pytest.fixture
def around(tmp_path: Path) -> Path:
    """A root beside what it must not show, with links that lead there."""
    root = tmp_path / "www"
    (root / "sub").mkdir(parents=True)
    for place in (root, root / "sub"):
        (place / "in.txt").write_bytes(INSIDE)
    (tmp_path / "secret.txt").write_bytes(SECRET)
    (tmp_path / "www-secret").mkdir()
    (tmp_path / "www-secret" / "s.txt").write_bytes(SECRET)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_bytes(SECRET)
    for name, target in {
        "out.txt": "../secret.txt",
        "out": "/",
        "up": "..",
        "sub/out.txt": str(tmp_path / "secret.txt"),
        "absolute": "/etc",
        "loop": "loop",
        "dangling": "../missing",
    }.items():
        (root / name).symlink_to(target)
    return root


def in_memory() -> Io:
    """The same in memory; the root is a part of the tree, so that there is an outside."""
    tree = Tree(None)
    for path in ("www/in.txt", "www/sub/in.txt"):
        tree.write(path, INSIDE, OLD)
    for path in ("secret.txt", "www-secret/s.txt", "etc/passwd"):
        tree.write(path, SECRET, OLD)
    assert isinstance(tree.io, MemoryIo)
    return tree.io.sub("www")


@contextlib.contextmanager
def guarded(io: Io, prefix: str) -> Iterator[Server]:
    """A server with a reader below a prefix."""
    with serving() as server:
        place = server.root
        if prefix:
            place = Directory("deep")
            server.insert(place)
        place.insert(ResourceReader(io, name=prefix.rpartition("/")[2]))
        yield server


@pytest.fixture(params=["disk", "memory"])
def io(request: pytest.FixtureRequest, around: Path) -> Io:
    return DiskIo(around) if request.param == "disk" else in_memory()


PREFIXES = ["", "/deep/files"]


class Prober:
    """Asks for targets, on one connection as long as it lasts."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client = Client(server)

    def ask(self, target: str) -> tuple[int, bytes, bytes]:
        """Status, Location and body of the answer to a target, sent as it is."""
        self._client.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"))
        answer = self._client.answer()
        location = "".join(answer.all("location")).encode()
        if answer.all("connection") == ["close"]:
            self._client.sock.close()
            self._client = Client(self._server)
        return answer.status, location, answer.body

    def close(self) -> None:
        self._client.sock.close()


def harmless(status: int, location: bytes, body: bytes) -> bool:
    """Whether an answer tells nothing from outside; redirects only go to what is inside."""
    if SECRET in body or b"root:" in body or b"Injected" in body:
        return False
    if status == 200:
        return body == INSIDE
    if status == 302:
        return re.fullmatch(rb"http://x(/deep/files)?/(sub/)?", location) is not None
    return status in (400, 403, 404)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_spelling(io: Io, prefix: str) -> None:
    with guarded(io, prefix) as server:
        prober = Prober(server)
        bad, count = [], 0
        for target in spellings():
            count += 1
            answer = prober.ask(prefix + target)
            # Nothing inside is called like any of them.
            if answer[0] == 200 or not harmless(*answer):
                bad.append((target, answer))
        prober.close()
    assert bad == []
    assert count > 4000


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("target", TARGETS)
def test_targets(io: Io, around: Path, prefix: str, target: str) -> None:
    target = target.replace("{base}", str(around))
    if target.startswith("/"):
        target = prefix + target
    elif target.startswith("http") and prefix:
        target = target.replace("://x/", f"://x{prefix}/")
    with guarded(io, prefix) as server:
        prober = Prober(server)
        answer = prober.ask(target)
        assert harmless(*answer), answer
        prober.close()


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    "target",
    [
        "/in.txt",
        "//in.txt",
        "/./in.txt",
        "/%2e/in.txt",
        "/sub/../in.txt",
        "/sub/%2e%2e/in.txt",
        "/sub/.%2E/in.txt",
        "/sub/..%2fin.txt",
        "/missing/../in.txt",
        "/sub%2fin.txt",
        "/sub//in.txt",
        "/i%6e.txt",
        "/in%2Etxt",
        "http://x/in.txt",
        "http://x/sub/../in.txt",
    ],
)
def test_what_stays_inside_is_found(io: Io, prefix: str, target: str) -> None:
    """The other side of the table: it is the way out that is closed, not the way."""
    target = target.replace("://x/", f"://x{prefix}/") if target.startswith("http") else prefix + target
    with guarded(io, prefix) as server:
        prober = Prober(server)
        assert prober.ask(target) == (200, b"", INSIDE)
        prober.close()


def test_a_handler_beside_the_reader_is_reached_by_its_own_name_only(io: Io) -> None:
    """`..` is resolved before the walk, so a directory that guards its path is not passed by."""
    with guarded(io, "") as server:
        seen: list[str] = []

        def guard(request: Request, response: Response) -> str:
            seen.append(request.relpath)
            return "guarded"

        place = Directory("admin", priority=1)
        place.set_func(guard)
        server.insert(place)
        prober = Prober(server)
        for target in ("/admin/x", "/sub/../admin/x", "/sub/%2e%2e/admin/x", "/%61dmin/x", "/admin%2fx", "/./admin/x"):
            assert prober.ask(target) == (200, b"", b"guarded")
        assert seen == ["x"] * 6
        for target in ("//admin/x", "/admin;a/x", "/admin%20/x", "/ADMIN/x", "/%2fadmin/x"):
            assert prober.ask(target)[0] == 404
        prober.close()


@pytest.mark.parametrize("path", ["../secret.txt", "/../secret.txt", "sub/../../secret.txt", "..", "..\\secret.txt"])
def test_a_function_cannot_be_talked_out_of_the_root(io: Io, path: str) -> None:
    """A relpath from anywhere, such as a query, passes the same guard; a forward as well."""
    with serving() as server:
        reader = ResourceReader(io)

        def function(request: Request, response: Response) -> bool:
            return reader.service(request, request.data("path") or "", simforward=True)

        server.directory()(function)
        prober = Prober(server)
        assert prober.ask("/?path=in.txt") == (200, b"", INSIDE)
        status, _, body = prober.ask("/?path=" + path.replace("\\", "%5c").replace("/", "%2f"))
        assert (status, SECRET in body) == (404, False)
        prober.close()
