"""Backends over TLS whose certificates come from an authority that nobody else knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from authority import root, stranger
from tlspairs import client_tls, server_tls
from web import get, serving

from greenbas.config import read
from greenbas.errors import SettingError
from greenbas.mounts import install_mounts
from greenbas_plugins.proxy.command import _parser, make_server
from greenbas_plugins.proxy.redirector import redirector


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """The tests' authority as a file."""
    path = tmp_path / "ca.pem"
    path.write_text(root().cert)
    return path


def test_the_authority_of_backends(ca: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text(stranger().cert)
    with serving(lambda request, response: "inside") as inner, serving() as server:
        to = f"https://localhost:{inner.listen(0, tls=server_tls()).port}"
        (tmp_path / "greenbas.toml").write_text(f'[[proxy]]\nprefix = "/file"\nto = "{to}"\nca = "ca.pem"\n')
        install_mounts(server.root, read(tmp_path / "greenbas.toml"))
        server.insert(redirector("good", to=to, ca=ca))
        server.insert(redirector("other", to=to, ca=other))
        server.insert(redirector("none", to=to))
        found = [get(server, f"/{name}/").status for name in ("file", "good", "other", "none")]
        assert found == [200, 200, 502, 502]
        command = make_server(_parser().parse_args([f"/cli={to}", "--ca", str(ca)]))
        (made,) = command.root.children
        made.unlink()
        server.insert(made)
        assert get(server, "/cli/").body == b"inside"


def test_what_is_no_authority(ca: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("hello")
    for options, message in (
        ({"ca": tmp_path / "none.pem"}, "none.pem: No such file"),
        ({"ca": nothing}, "nothing.pem: "),
        ({"ca": ca, "tls": client_tls()}, "give tls or ca, not both"),
        ({"tls": "module:name"}, "'module:name' is no ClientTls"),
    ):
        with pytest.raises(SettingError, match=message):
            redirector("x", to="https://localhost:1", **options)
