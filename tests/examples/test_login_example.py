"""The examples of logins: forms, a hashed one, constraints, forced TLS."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import pytest
import requests
from launch import launched

from greenbas.auth import ha1


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with launched("examples.login.site:server") as url:
        yield url


@pytest.fixture
def browser() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def log_in(browser: requests.Session, url: str, name: str, password: str) -> requests.Response:
    return browser.post(url, data={"ba_username": name, "ba_password": password}, timeout=10)


@pytest.mark.parametrize("path", ["/form/", "/own/"])
def test_forms(site: str, browser: requests.Session, path: str) -> None:
    assert "ba_password" in browser.get(site + path, timeout=5).text
    assert "mom!" not in log_in(browser, site + path, "mom", "kid").text
    assert "Hello, mom!" in log_in(browser, site + path, "mom", "mom").text
    assert "by form" in browser.get(site, timeout=5).text
    assert "Goodbye" in browser.get(f"{site}/logout/", timeout=5).text
    assert "have not logged in" in browser.get(site, timeout=5).text


def test_own_page_says_what_went_wrong(site: str, browser: requests.Session) -> None:
    assert "Who are you?" in browser.get(f"{site}/own/", timeout=5).text
    page = log_in(browser, f"{site}/own/", "<b>", "x").text
    assert "That was not it, &lt;b&gt;." in page


def test_hashed(site: str, browser: requests.Session) -> None:
    page = browser.get(f"{site}/hashed/", timeout=5).text
    seed, key = re.findall(r'name="ba_seed(?:key)?" value="([^"]+)"', page)
    secret = ha1("SHA-256", "kid", "Family", "kid")
    fields = {"ba_username": "kid", "ba_password": "", "ba_seed": seed, "ba_seedkey": key}
    fields["ba_ha1"] = hashlib.sha256((secret + seed).encode()).hexdigest()
    assert "Hello, kid!" in browser.post(f"{site}/hashed/", fields, timeout=5).text


@pytest.mark.parametrize(
    ("name", "method", "path", "status"),
    [
        ("kid", "GET", "/family/", 200),
        ("kid", "GET", "/family/kid/x", 200),
        ("kid", "POST", "/family/kid/x", 403),
        ("kid", "GET", "/family/mom/", 403),
        ("mom", "GET", "/family/mom/", 200),
        ("mom", "POST", "/family/mom/", 200),
        ("mom", "POST", "/family/kid/", 403),
        ("mom", "DELETE", "/family/mom/", 403),
    ],
)
def test_family(site: str, browser: requests.Session, name: str, method: str, path: str, status: int) -> None:
    log_in(browser, f"{site}/family/", name, name)
    assert browser.request(method, site + path, timeout=5).status_code == status


def test_family_by_digest(site: str) -> None:
    auth = requests.auth.HTTPDigestAuth("mom", "mom")
    assert "Hello, mom!" in requests.get(f"{site}/family/mom/file", auth=auth, timeout=5).text


def test_forced_tls(site: str) -> None:
    found = requests.get(f"{site}/safe/", headers={"Host": "family.example"}, allow_redirects=False, timeout=5)
    assert (found.status_code, found.headers["Location"]) == (301, "https://family.example/safe/")
    assert "WWW-Authenticate" not in found.headers
