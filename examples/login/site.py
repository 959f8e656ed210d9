"""Each kind of login, and constraints for a family. Names and passwords: mom/mom, kid/kid."""

from __future__ import annotations

import html

from greenbas import Request, Response, Server, create
from greenbas.auth import AuthInfo

from .page import page

server = Server()

# Hashes that `greenbas hash-password --digest Family NAME` prints: no password can be read here.
users = create.json_user(
    {
        "mom": {
            "pwd": [
                "$scrypt$ln=15,r=8,p=3$ESySfuwxFmyYAFS3Pd4Q9w$VEwWmZZ1Mtco3UaAuhGETg7ma2U5xGoDvLAIWW/f5hI",
                "6e70828450c2a9e20bd7a1dd65d6900e354abd65b2cb98275319aa489e7b615d",
            ],
            "roles": ["parent"],
            "max_users": 10,
            "recycle": True,
        },
        "kid": {
            "pwd": [
                "$scrypt$ln=15,r=8,p=3$qfnXlfp9vmhOPK0av5eqdA$SisfsrYdWonFzHHvRGgWHp3JnlaKpiu6WJhge0l7ORE",
                "74c591bcd3973a47be00a7da867662e2b611a92ffc23003bd145516957c4d33c",
            ],
            "roles": ["child"],
            "max_users": 10,
            "recycle": True,
        },
    }
)


def inside(request: Request, response: Response) -> str:
    user = request.user()
    name = html.escape(user.name) if user else "stranger"
    return page(f"Hello, {name}!", f"<p>You are at <code>{html.escape(request.path)}</code>.</p>")


@server.directory()
def home(request: Request, response: Response) -> str | bool:
    if request.path != "/":
        return False
    user = request.user()
    who = f"You are {html.escape(user.name)}, by {user.type}." if user else "You have not logged in."
    paths = ["form", "own", "hashed", "family", "family/kid", "family/mom", "safe"]
    links = "".join(f'<li><a href="/{path}/">/{path}/</a>' for path in paths)
    return page("Logins", f'<p id="who">{who}</p><ul>{links}</ul><p><a href="/logout/">Log out</a></p>')


# A form, with greenbas's own page.

form = create.dir("form")
form.set_func(inside)
form.set_auth(create.authenticator(users, type="form", realm="Family", tracker=True))
server.insert(form)


# A form with a page of one's own.


def own_page(request: Request, response: Response, info: AuthInfo) -> None:
    if info.denied:
        hint = "Not now: too many tries, or too many sessions."
    elif info.username is not None:
        hint = f"That was not it, {html.escape(info.username)}."
    else:
        hint = "Who are you?"
    fields = '<input name="ba_username" autofocus> <input name="ba_password" type="password"> <button>In</button>'
    response.write(page("Knock, knock", f'<p id="hint">{hint}</p><form method="post">{fields}</form>'))


own = create.dir("own")
own.set_func(inside)
own.set_auth(create.authenticator(users, type="form", realm="Family", tracker=True, response=own_page))
server.insert(own)


# A form that hashes the password in the browser. It works with the HA1 hash.

hashed = create.dir("hashed")
hashed.set_func(inside)
hashed.set_auth(create.authenticator(users, type="sform", realm="Family", tracker=True))
server.insert(hashed)


# Constraints. The paths are below the protected directory.

family = create.dir("family")
family.set_func(inside)
family.set_auth(
    create.authenticator(users, type="auth", realm="Family", tracker=True),
    users.authorizer(
        {
            "everybody": {"urls": ["/"], "methods": ["GET"], "roles": ["parent", "child"]},
            "kid": {"urls": ["/kid/*"], "methods": ["GET"], "roles": ["parent", "child"]},
            "mom": {"urls": ["/*"], "methods": ["GET", "POST"], "roles": ["parent"]},
        }
    ),
)
server.insert(family)


# Forced TLS: the redirect comes first, so no password is ever sent without it, and Basic is good enough.

safe = create.dir("safe")
safe.redirect2tls()
vault = create.dir()
vault.set_func(inside)
safe.insert(vault)
safe.set_auth(create.authenticator(users, type="basic", realm="Family", tracker=True))
server.insert(safe)


@server.directory("logout")
def logout(request: Request, response: Response) -> str:
    done = request.logout(all=request.data("all") is not None)
    return page("Goodbye" if done else "You had not logged in", '<p><a href="/">Home</a></p>')
