"""Names: functions under BAS's take what those behind them take, and docs/porting.md has the codes that are raised."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
from sources import ROOT

from greenbas import create
from greenbas.crypto import CertifiedKey, CertStore, generate_key, make_certificate, make_csr
from greenbas.errors import PemError

CODE = re.compile(r"pem_(?:key|cert)_[a-z_]+")


@pytest.mark.parametrize(
    ("public", "behind"),
    [
        (create.key, generate_key),
        (create.csr, make_csr),
        (create.certificate, make_certificate),
        (create.certstore, CertStore),
        (create.certifiedkey, CertifiedKey),
    ],
)
def test_signatures(public: Callable[..., Any], behind: Callable[..., Any]) -> None:
    assert shape(public) == shape(behind)


def shape(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    return [(one.name, one.kind, one.default) for one in inspect.signature(function).parameters.values()]


def test_codes() -> None:
    page = (ROOT / "docs" / "porting.md").read_text("utf-8")
    documented = re.findall(r"^\| `(pem_\w+)` \|", page, re.MULTILINE)
    raised = {code for path in (ROOT / "greenbas" / "crypto").glob("*.py") for code in CODE.findall(path.read_text())}
    assert sorted(documented) == sorted(raised)


def test_errors_are_value_errors() -> None:
    with pytest.raises(ValueError, match="the key: neither PEM") as caught:
        create.csr("x", {"commonname": "a"})
    assert isinstance(caught.value, PemError)
