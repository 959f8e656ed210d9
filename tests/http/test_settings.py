"""`HttpSettings`: what is off limits is an error when it is made, with the remedy in the message."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from greenbas import Server
from greenbas.errors import IncorrectUse, SettingError
from greenbas.http import HttpSettings, check_names, make_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("head_timeout", 15.0),
        ("body_grace", 10.0),
        ("body_rate", 500),
        ("idle_timeout", 60.0),
        ("write_timeout", 30.0),
        ("deferred_timeout", 300.0),
        ("drain_timeout", 30.0),
        ("request_timeout", None),
        ("max_head", 16 * 1024),
        ("max_fields", 100),
        ("max_target", 8 * 1024),
        ("max_body", None),
        ("max_memory_body", 10 * 1024 * 1024),
        ("max_connections", None),
        ("max_per_peer", None),
        ("max_workers", 1000),
        ("queue_length", 1000),
        ("trusted_proxies", ()),
        ("dev", False),
    ],
)
def test_defaults(name: str, value: object) -> None:
    """The design's section 6: changing one is a decision."""
    assert getattr(HttpSettings(), name) == value


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"head_timeout": 0}, "head_timeout.*more than zero", id="zero"),
        pytest.param({"head_timeout": -1}, "head_timeout.*more than zero", id="negative"),
        pytest.param({"head_timeout": "15"}, "head_timeout.*not a number", id="text"),
        pytest.param({"head_timeout": True}, "head_timeout.*not a number", id="True is no number"),
        pytest.param({"head_timeout": None}, "head_timeout.*None", id="None where there must be a limit"),
        pytest.param({"head_timeout": float("nan")}, "head_timeout", id="not a number at all"),
        pytest.param({"max_head": 1.5}, "max_head.*whole number", id="part of a byte"),
        pytest.param({"max_workers": 0}, "max_workers.*more than zero", id="no workers"),
        pytest.param({"max_body": -1}, "max_body.*more than zero", id="less than no body"),
        pytest.param({"max_body": 1.5}, "max_body.*whole number", id="part of a byte of body"),
        pytest.param({"max_connections": 0}, "max_connections.*more than zero", id="no connections"),
        pytest.param({"max_connections": 1.5}, "max_connections.*whole number", id="half a connection"),
        pytest.param({"trusted_proxies": "10.0.0.0/8"}, "trusted_proxies.*tuple", id="text instead of a tuple"),
        pytest.param({"trusted_proxies": ("nonsense",)}, "nonsense", id="no network"),
        pytest.param({"server_name": "a\r\nX: y"}, "server_name", id="line break in a header"),
        pytest.param({"server_name": None}, "server_name", id="no name"),
        pytest.param({"dev": 1}, "dev.*True nor False", id="1 is not True"),
        pytest.param({"idle_timout": 5}, "idle_timout.*did you mean 'idle_timeout'", id="a typo"),
        pytest.param({"nonsense": 5}, "unknown setting 'nonsense'; there are head_timeout", id="nothing like it"),
    ],
)
def test_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make_settings(HttpSettings, settings)
    with pytest.raises(SettingError, match=message):
        Server(**settings)
    server = Server()
    with pytest.raises(SettingError, match=message):
        server.configure(**settings)
    assert server.settings == HttpSettings()


@pytest.mark.parametrize(
    "settings",
    [
        {"queue_length": 0},
        {"body_grace": 0},
        {"body_rate": 0},
        {"drain_timeout": 0},
        {"max_body": 0},
        {"request_timeout": 0.5},
        {"head_timeout": 5},
        {"trusted_proxies": ("10.0.0.0/8", "::1", "unix")},
        {"server_name": ""},
    ],
    ids=str,
)
def test_accepted(settings: dict[str, Any]) -> None:
    made = make_settings(HttpSettings, settings)
    assert {name: getattr(made, name) for name in settings} == settings


def test_they_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        HttpSettings().dev = True  # type: ignore[misc]


def test_configure() -> None:
    server = Server(max_workers=5)
    server.configure(max_workers=6, dev=True)
    assert (server.settings.max_workers, server.settings.dev, server.site.dev) == (6, True, True)
    server.start()
    try:
        with pytest.raises(IncorrectUse):
            server.configure(max_workers=7)
    finally:
        server.stop()


def test_check_names() -> None:
    check_names({"dev": 1, "max_body": "unchecked"}, HttpSettings)
    with pytest.raises(SettingError, match="did you mean 'max_body'"):
        check_names({"max_bodi": 1}, HttpSettings)
