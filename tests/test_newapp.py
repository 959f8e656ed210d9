"""`greenbas new app`: what it makes works."""

from __future__ import annotations

from pathlib import Path

import pytest
from web import get, serving

from greenbas.application import Application
from greenbas.errors import StartError
from greenbas.io import DiskIo
from greenbas.newapp import new_app


@pytest.mark.parametrize("name", ["shop", "my-shop_2", "a.b"])
@pytest.mark.parametrize("prefix", [None, "below"])
def test_a_new_application_works(tmp_path: Path, name: str, prefix: str | None) -> None:
    folder = new_app(str(tmp_path / name))
    base = f"/{prefix}/" if prefix else "/"
    with serving() as server:
        server.insert(Application(DiskIo(str(folder)), name=prefix))
        page = get(server, f"{base}?name=%3CAnn%3E")
        assert page.status == 200
        text = page.body.decode()
        assert f"<title>{name}</title>" in text and "&lt;Ann&gt;!" in text and "asked for 1 times" in text
        assert "asked for 2 times" in get(server, base).body.decode()
        assert get(server, f"{base}style.css")["content-type"] == "text/css; charset=utf-8"
        for hidden in (".preload.py", ".modules/greetings.py", ".header.psp"):
            assert get(server, base + hidden).status == 404


def test_it_says_goodbye(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = Application(DiskIo(str(new_app(str(tmp_path / "shop")))))
    app.unload()
    assert capsys.readouterr().out == "shop ends after 0 visits\n"


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a b", "a'b", "x{y}", 'a"b', "<x>", "-x"])
def test_names_that_will_not_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartError):
        new_app(f"{tmp_path}/{name}")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine.txt").write_text("mine")
    with pytest.raises(StartError, match="is there already: choose another name"):
        new_app(str(tmp_path / "shop"))
    assert [file.name for file in (tmp_path / "shop").iterdir()] == ["mine.txt"]


def test_where_nothing_can_be_made(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be made: No such file or directory"):
        new_app(str(tmp_path / "nowhere" / "shop"))


def test_nothing_is_left_when_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StartError, match="cannot be written: No space left on device"):
        new_app(str(tmp_path / "shop"))
    assert list(tmp_path.iterdir()) == []
