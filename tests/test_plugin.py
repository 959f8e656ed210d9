"""Plugins: what is refused at registration, how their names are found, when they start and stop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gevent
import pytest
from support import wait_until
from web import get, serving

import greenbas
from greenbas import Server, create, plugin
from greenbas.errors import PluginError, SettingError
from greenbas.plugin import Plugin
from greenbas.vfs import Directory


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plugin is known yet."""
    monkeypatch.setattr(plugin, "_all", plugin.Plugins())


@dataclass(frozen=True)
class Knobs:
    """Settings of every type."""

    number: int = 1
    ratio: float = 0.5
    words: tuple[str, ...] = ()
    maybe: str | None = None
    secret: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError(f"number {self.number} is below 0")


@dataclass
class NoDefault:
    """Not every field has a default."""

    number: int = 1
    other: int = field(kw_only=True)


@dataclass
class Unreadable:
    """An annotation that names nothing."""

    number: Nowhere = 1  # type: ignore[name-defined]  # noqa: F821


def nothing(*arguments: Any) -> None:
    """Does nothing."""


# -- what is refused ----------------------------------------------------------------------------------------------

MALFORMED: list[tuple[Callable[[], Any], str]] = [
    (lambda: 5, "5 is no Plugin: use greenbas.plugin.Plugin"),
    (lambda: Plugin, "<class 'greenbas.declaration.Plugin'> is no Plugin"),
    (lambda: Plugin(name=""), "plugin '': the name must be a Python identifier"),
    (lambda: Plugin(name="a-b"), "plugin 'a-b': the name must be a Python identifier"),
    (lambda: Plugin(name="class"), "plugin 'class': the name must be"),
    (lambda: Plugin(name=5), "plugin 5: the name must be"),  # type: ignore[arg-type]
    (lambda: Plugin(name="p", kinds=["a"]), r"plugin 'p': kinds is \['a'\]: use a dict"),  # type: ignore[arg-type]
    (lambda: Plugin(name="p", kinds={"a-b": nothing}), "plugin 'p': kinds has 'a-b': use a Python identifier"),
    (lambda: Plugin(name="p", kinds={"_a": nothing}), "kinds has '_a': use a Python identifier that does not begin"),
    (lambda: Plugin(name="p", functions={"def": nothing}), "functions has 'def'"),
    (lambda: Plugin(name="p", functions={5: nothing}), "functions has 5"),  # type: ignore[dict-item]
    (lambda: Plugin(name="p", commands={"-a": nothing}), "commands has '-a': use letters and digits, with hyphens"),
    (lambda: Plugin(name="p", commands={"a b": nothing}), "commands has 'a b'"),
    (lambda: Plugin(name="p", commands={"": nothing}), "commands has ''"),
    (lambda: Plugin(name="p", kinds={"a": 5}), "kinds 'a' is 5: use a function, or"),  # type: ignore[dict-item]
    (lambda: Plugin(name="p", functions={"a": None}), "functions 'a' is None"),
    (lambda: Plugin(name="p", kinds={"a": "module"}), "kinds 'a' is 'module': use a function, or 'module:name'"),
    (lambda: Plugin(name="p", kinds={"a": "mod/ule:x"}), "kinds 'a' is 'mod/ule:x'"),
    (lambda: Plugin(name="p", kinds={"a": "module:"}), "kinds 'a' is 'module:'"),
    (lambda: Plugin(name="p", tables=["a"]), r"plugin 'p': tables is \['a'\]: use a dict of names and kinds"),  # type: ignore[arg-type]
    (lambda: Plugin(name="p", tables={"a-b": "x"}), "tables has 'a-b': use a Python identifier"),
    (lambda: Plugin(name="p", tables={"a": "x"}), "tables 'a' is 'x', which is none of its kinds: use the name of"),
    (lambda: Plugin(name="p", kinds={"box": nothing}, tables={"a": "bx"}), "none of its kinds: did you mean 'box'"),
    (lambda: Plugin(name="p", tables={"a": nothing}), "tables 'a' is <function nothing.*none of its kinds"),  # type: ignore[dict-item]
    (lambda: Plugin(name="p", tables={"a": []}), r"tables 'a' is \[\], which is none"),  # type: ignore[dict-item]
    (lambda: Plugin(name="p", tables={"a": "dir"}), "tables 'a' is 'dir', which is none of its kinds"),
    (lambda: Plugin(name="p", start="x"), "start is 'x': use a function"),
    (lambda: Plugin(name="p", stop=5), "stop is 5: use a function"),  # type: ignore[arg-type]
    (lambda: Plugin(name="p", settings=dict), "settings is <class 'dict'>: use a dataclass"),
    (lambda: Plugin(name="p", settings=Knobs()), "settings is Knobs.*: use a dataclass"),  # type: ignore[arg-type]
    (lambda: Plugin(name="p", settings=NoDefault), "the field 'other' of NoDefault has no default"),
    (lambda: Plugin(name="p", settings=Unreadable), "the annotations of Unreadable cannot be read: .*Nowhere"),
]


@pytest.mark.parametrize(("make", "words"), MALFORMED, ids=[words[:40] for _, words in MALFORMED])
def test_malformed_plugins(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(PluginError, match=words):
        plugin.register(make())


@pytest.mark.parametrize(
    ("clashing", "words"),
    [
        (Plugin(name="p", kinds={"dir": nothing}), "plugin 'p': it adds create.dir, which greenbas has already"),
        (Plugin(name="p", kinds={"Io": nothing}), "it adds create.Io, which greenbas has already"),
        (Plugin(name="p", functions={"spawn": nothing}), "it adds greenbas.spawn, which greenbas has already"),
        (Plugin(name="p", functions={"cli": nothing}), "it adds greenbas.cli, which greenbas has already"),
        (Plugin(name="p", functions={"vfs": nothing}), "it adds greenbas.vfs, which greenbas has already"),
        (Plugin(name="p", commands={"serve": nothing}), "it adds the command serve, which greenbas has already"),
        (Plugin(name="p", kinds={"first": nothing}), "it adds create.first, which the plugin 'one' has already"),
        (Plugin(name="p", functions={"second": nothing}), "it adds greenbas.second, which the plugin 'one' has"),
        (Plugin(name="p", commands={"third": nothing}), "it adds the command third, which the plugin 'one' has"),
        (Plugin(name="p", kinds={"k": nothing}, tables={"f": "k"}), r"it adds \[\[f\]\], which the plugin 'one' has"),
        *(
            (
                Plugin(name="p", kinds={"k": nothing}, tables={one: "k"}),
                rf"adds \[\[{one}\]\], which greenbas has already",
            )
            for one in ("server", "http", "app", "mount", "plugin")
        ),
        (Plugin(name="one"), "plugin 'one': the name is taken by the plugin 'one'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_clashes(clashing: Plugin, words: str) -> None:
    one = Plugin(
        name="one", kinds={"first": nothing}, functions={"second": nothing}, commands={"third": nothing},
        tables={"f": "first"},
    )  # fmt: skip
    plugin.register(one)
    with pytest.raises(PluginError, match=words):
        plugin.register(clashing)
    assert plugin.names("kinds").get("first") is one


def test_one_name_may_be_a_kind_a_function_a_command_and_a_table() -> None:
    commands = {"x": nothing}
    plugin.register(
        Plugin(name="p", kinds={"x": Directory}, functions={"x": len}, commands=commands, tables={"x": "x"})
    )
    assert (create.x, greenbas.x, plugin.command("x")) == (Directory, len, nothing)


# -- names --------------------------------------------------------------------------------------------------------


def test_kinds_and_functions_are_attributes() -> None:
    plugin.register(Plugin(name="p", kinds={"cabinet": Directory}, functions={"shout": str.upper}))
    made = create.cabinet("x", priority=3)
    assert (type(made), made.name(), made.priority) == (Directory, "x", 3)
    assert greenbas.shout("a") == "A"
    assert {"cabinet", "dir", "resrdr"} <= set(dir(create))
    assert {"shout", "Server", "create"} <= set(dir(greenbas))


@pytest.mark.parametrize(
    ("place", "name", "words"),
    [
        (create, "cabinett", "there is no create.cabinett; did you mean 'cabinet'?"),
        (create, "resrd", "there is no create.resrd; did you mean 'resrdr'?"),
        (create, "xyz", "there is no create.xyz"),
        (greenbas, "shaut", "there is no greenbas.shaut; did you mean 'shout'?"),
        (greenbas, "ofload", "there is no greenbas.ofload; did you mean 'offload'?"),
        (greenbas, "_private", "module 'greenbas' has no attribute '_private'"),
    ],
)
def test_names_that_nobody_has(place: Any, name: str, words: str) -> None:
    plugin.register(Plugin(name="p", kinds={"cabinet": Directory}, functions={"shout": str.upper}))
    with pytest.raises(AttributeError) as caught:
        getattr(place, name)
    assert str(caught.value) == words
    assert not hasattr(place, name)
    assert getattr(place, name, 5) == 5


def test_functions_of_the_module_say_what_nobody_has() -> None:
    for ask in (plugin.kind, plugin.function, plugin.command, plugin.settings, plugin.use, plugin.unregister):
        with pytest.raises(PluginError, match="nowhere"):
            ask("nowhere")


def test_who_adds_a_name() -> None:
    one = Plugin(name="p", kinds={"cabinet": Directory}, tables={"cabinets": "cabinet"})
    plugin.register(one)
    assert plugin.owner("kinds", "cabinet") is plugin.owner("tables", "cabinets") is one
    assert plugin.names("tables")["cabinets"] is one
    assert plugin.in_use() == []
    with pytest.raises(PluginError, match=r"^there is no \[\[cabinet\]\]; did you mean 'cabinets'\?$"):
        plugin.owner("tables", "cabinet")
    plugin.unregister("p")
    assert "cabinets" not in plugin.names("tables")


def test_unregister() -> None:
    plugin.register(Plugin(name="p", kinds={"cabinet": Directory}))
    assert hasattr(create, "cabinet")
    plugin.unregister("p")
    assert not hasattr(create, "cabinet")
    assert plugin.in_use() == []
    plugin.register(Plugin(name="p", kinds={"cabinet": Directory}))


# -- settings -----------------------------------------------------------------------------------------------------


def test_settings() -> None:
    plugin.register(Plugin(name="p", settings=Knobs))
    assert plugin.settings("p") == Knobs()
    assert plugin.settings("p") is plugin.settings("p")
    plugin.configure("p", {"number": 3, "ratio": 2, "words": ["a", "b"], "maybe": "x"})
    assert plugin.settings("p") == Knobs(3, 2.0, ("a", "b"), "x")
    plugin.configure("p", {"number": 4})
    assert plugin.settings("p") == Knobs(4)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"numbr": 3}, "unknown setting 'numbr'; did you mean 'number'?"),
        ({"number": "3"}, "number: '3' is not a whole number"),
        ({"words": "a"}, "words: 'a' is not an array"),
        ({"number": -1}, "number -1 is below 0"),
    ],
)
def test_bad_settings(values: dict[str, Any], words: str) -> None:
    plugin.register(Plugin(name="p", settings=Knobs))
    with pytest.raises(SettingError) as caught:
        plugin.configure("p", values)
    assert str(caught.value) == words
    assert plugin.settings("p") == Knobs()


def test_a_plugin_without_settings() -> None:
    plugin.register(Plugin(name="p"))
    plugin.configure("p", {})
    for call in (lambda: plugin.settings("p"), lambda: plugin.configure("p", {"a": 1})):
        with pytest.raises(SettingError, match="plugin 'p' has no settings"):
            call()


# -- start and stop -----------------------------------------------------------------------------------------------


class Recorder:
    """Plugins whose starts and stops are written down."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def make(self, name: str, *, fails: str = "") -> Plugin:
        """Register one; it fails at "start" or "stop" when told to."""

        def hook(what: str) -> Callable[[Server], None]:
            def call(server: Server) -> None:
                assert server.service is not None
                self.said.append(f"{what} {name}")
                if fails == what:
                    raise OSError(f"no {what} of {name}")

            return call

        made = Plugin(name=name, kinds={f"of_{name}": Directory}, start=hook("start"), stop=hook("stop"))
        plugin.register(made)
        return made


def test_only_what_is_in_use_starts_and_the_last_started_stops_first() -> None:
    recorder = Recorder()
    plugins = [recorder.make(name) for name in ("a", "b", "c", "d")]
    assert create.of_b is Directory
    plugin.use("d")
    assert create.of_a is Directory and create.of_b is Directory
    assert plugin.in_use() == [plugins[1], plugins[3], plugins[0]]
    assert recorder.said == []
    with serving():
        assert recorder.said == ["start b", "start d", "start a"]
    assert recorder.said[3:] == ["stop a", "stop d", "stop b"]


def test_each_server_is_told() -> None:
    recorder = Recorder()
    recorder.make("a")
    plugin.use("a")
    with serving() as server:
        server.start()  # has started: nothing happens
        with serving():
            assert recorder.said == ["start a", "start a"]
        assert recorder.said[2:] == ["stop a"]
    assert recorder.said[3:] == ["stop a"]
    server.stop()
    assert len(recorder.said) == 4


def test_a_use_after_the_start() -> None:
    recorder = Recorder()
    recorder.make("a")
    with serving() as server:
        server.directory("late")(lambda request, response: str(create.of_a))
        assert recorder.said == []
        for _ in range(2):
            assert get(server, "/late").status == 200
            assert recorder.said == ["start a"]
    assert recorder.said == ["start a", "stop a"]


def test_a_start_that_fails() -> None:
    recorder = Recorder()
    for name, fails in {"a": "", "b": "start", "c": ""}.items():
        recorder.make(name, fails=fails)
        plugin.use(name)
    server = Server()
    port = server.listen(0).port
    with pytest.raises(PluginError, match="plugin 'b' could not start: OSError: no start of b"):
        server.start()
    assert recorder.said == ["start a", "start b", "stop a"]
    assert server.listeners == []
    with pytest.raises(ConnectionRefusedError):
        get(port, "/")
    server.wait()


def test_a_late_start_that_fails_is_tried_again() -> None:
    recorder = Recorder()
    recorder.make("a", fails="start")
    with serving() as server:
        server.directory("late")(lambda request, response: str(create.of_a))
        assert [get(server, "/late").status for _ in range(2)] == [500, 500]
    assert recorder.said == ["start a", "start a"]  # and no stop


def test_a_stop_that_fails_is_logged_and_the_others_stop(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    for name, fails in {"a": "", "b": "stop", "c": ""}.items():
        recorder.make(name, fails=fails)
        plugin.use(name)
    with serving() as server, caplog.at_level(logging.ERROR, "greenbas.plugin"):
        server.stop()
    assert recorder.said[3:] == ["stop c", "stop b", "stop a"]
    (record,) = caplog.records
    assert "plugin 'b' failed to stop" in caplog.text and "OSError: no stop of b" in caplog.text
    assert record.name == "greenbas.plugin"


def test_the_stop_comes_after_the_last_request() -> None:
    recorder = Recorder()
    recorder.make("a")
    plugin.use("a")

    def slow(request: Any, response: Any) -> str:
        recorder.said.append("begin")
        gevent.sleep(0.05)
        recorder.said.append("end")
        return "x"

    with serving(slow) as server:
        asking = gevent.spawn(get, server, "/")
        wait_until(lambda: "begin" in recorder.said)
        server.stop()
        assert asking.get().body == b"x"
    assert recorder.said == ["start a", "begin", "end", "stop a"]


def test_unregister_stops_it() -> None:
    recorder = Recorder()
    recorder.make("a")
    plugin.use("a")
    with serving():
        plugin.unregister("a")
        assert recorder.said == ["start a", "stop a"]
    assert recorder.said == ["start a", "stop a"]


def test_a_start_may_ask_for_its_own_kinds_and_others() -> None:
    recorder = Recorder()
    recorder.make("other")
    plugin.register(Plugin(name="p", kinds={"mine": Directory}, start=lambda server: (create.mine, create.of_other)))
    plugin.use("p")
    with serving():
        assert recorder.said == ["start other"]
    assert recorder.said == ["start other", "stop other"]
