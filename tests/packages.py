"""Python packages with plugins, made for a test: their files, as an installer leaves them or as a wheel."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from commands import fill

INSTALL_SECONDS = 50.0


def metadata(name: str, version: str, entry_points: Mapping[str, str], extras: tuple[str, ...] = ()) -> dict[str, str]:
    """The files that say what is installed, by path.

    Args:
        name: of the distribution.
        version: of it.
        entry_points: those of the group ``greenbas.plugins``.
        extras: what it can be installed with.
    """
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    head += [f"Provides-Extra: {extra}" for extra in extras]
    points = ["[greenbas.plugins]", *(f"{key} = {value}" for key, value in entry_points.items())]
    return {f"{folder}/METADATA": "\n".join(head) + "\n", f"{folder}/entry_points.txt": "\n".join(points) + "\n"}


def lay_out(
    folder: Path,
    name: str,
    modules: Mapping[str, str],
    entry_points: Mapping[str, str],
    *,
    version: str = "1.0",
    extras: tuple[str, ...] = (),
) -> None:
    """Write a package as if it were installed in a folder, which is to be put on the path."""
    fill(folder, {**modules, **metadata(name, version, entry_points, extras)})


def build_wheel(
    folder: Path, name: str, modules: Mapping[str, str], entry_points: Mapping[str, str], *, version: str = "1.0"
) -> Path:
    """A wheel (binary distribution format, PEP 427) made by hand, as nothing that builds one need be installed."""
    files = {**modules, **metadata(name, version, entry_points)}
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(f"{path},sha256={_digest(text)},{len(text.encode())}\n" for path, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    wheel = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def install(wheel: Path, folder: Path) -> None:
    """Have pip install a wheel into a folder; nothing is asked over the network."""
    options = ["--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(wheel)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False,
        env={**os.environ, "PIP_CONFIG_FILE": os.devnull},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
