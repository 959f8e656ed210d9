"""The escaping of values for HTML."""

from __future__ import annotations

import html
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbas.pages.escape import escape


class Markup(str):
    def __html__(self) -> Markup:
        return self


class Widget:
    def __html__(self) -> str:
        return "<b>&</b>"


class Plain:
    def __str__(self) -> str:
        return "<plain>"


class Text(str):
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ""),
        ("plain text é 😀", "plain text é 😀"),
        ("<a href=\"x\" b='y'>&amp;</a>", "&lt;a href=&quot;x&quot; b=&#x27;y&#x27;&gt;&amp;amp;&lt;/a&gt;"),
        (None, "None"),
        (1, "1"),
        (2.5, "2.5"),
        (True, "True"),
        (b"<", "b&#x27;&lt;&#x27;"),
        (["<"], "[&#x27;&lt;&#x27;]"),
        (Plain(), "&lt;plain&gt;"),
        (Text("<"), "&lt;"),
        (Markup("<b>"), "<b>"),
        (Widget(), "<b>&</b>"),
        (int, "&lt;class &#x27;int&#x27;&gt;"),
        (Widget, html.escape(str(Widget))),
    ],
)
def test_escape(value: Any, expected: str) -> None:
    escaped = escape(value)
    assert escaped == expected
    assert type(escaped) is str


@given(st.text(st.sampled_from("<>&\"'ab é"), max_size=30))
def test_it_is_the_escaping_of_the_standard_library(text: str) -> None:
    assert escape(text) == html.escape(text)
    assert html.unescape(escape(text)) == text
