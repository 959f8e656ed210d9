"""``greenbas new app``: a small application that works, to begin from."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from greenbas.errors import StartError

__all__ = ["new_app"]

_PRELOAD = '''\
"""Runs once, when the application starts. Its names are `app` in every page."""

import time

started = time.time()
visits = 0
greetings = appreq("greetings")  # .modules/greetings.py


def on_unload():
    print(f"$title ends after {visits} visits")
'''

_GREETINGS = '''\
"""A module of this application alone; nobody can ask for it over HTTP."""

import time


def greeting(now=None):
    hour = time.localtime(now).tm_hour
    return "Good morning" if hour < 12 else "Good afternoon" if hour < 18 else "Good evening"
'''

_INDEX = """\
<?psp
env["title"] = "$title"
app.visits += 1
name = request.data("name") or ""
response.include(".header.psp")
?>
<h1><?psp= app.greetings.greeting() ?><?psp if name: ?>, <?psp= name ?><?psp end ?>!</h1>
<form>
  <label>Your name <input name="name" value="<?psp= name ?>"></label>
  <button>Greet me</button>
</form>
<p>This page has been asked for <?psp= app.visits ?> times.</p>
<p>It is <code>index.psp</code>: change it, and load it again.</p>
<?psp response.include(".footer.psp") ?>
"""

_HEADER = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title><?psp= env["title"] ?></title>
<link rel="stylesheet" href="style.css">
</head>
<body>
"""

_FOOTER = """\
</body>
</html>
"""

_STYLE = """\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 10vh auto; padding: 0 1.5rem; }
input, button { font: inherit; padding: 0.3em 0.6em; }
"""

_FILES = {
    ".preload.py": _PRELOAD,
    ".modules/greetings.py": _GREETINGS,
    "index.psp": _INDEX,
    ".header.psp": _HEADER,
    ".footer.psp": _FOOTER,
    "style.css": _STYLE,
}
# What can stand in a path, a page and a string of Python as it is.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def new_app(folder: str) -> Path:
    """Make a folder with a small application in it.

    Args:
        folder: where; its last part is the application's name. It must not be there.

    Returns:
        The folder.

    Raises:
        StartError: something is there already, the name will not do, or it cannot be written; nothing is left then.
    """
    place = Path(folder)
    title = place.name
    if not _NAME.fullmatch(title):
        raise StartError(f"{folder}: call it by letters, digits, '-', '_' and '.', beginning with a letter or digit")
    try:
        place.mkdir()
    except FileExistsError:
        raise StartError(f"{folder} is there already: choose another name") from None
    except OSError as error:
        raise StartError(f"{folder} cannot be made: {os.strerror(error.errno or 0)}") from error
    try:
        for name, text in _FILES.items():
            file = place / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text.replace("$title", title), "utf-8")
    except OSError as error:
        shutil.rmtree(place, ignore_errors=True)
        raise StartError(f"{folder} cannot be written: {os.strerror(error.errno or 0)}") from error
    return place
