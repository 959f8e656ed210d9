"""Single sign-on: somebody else's login page, and `request.login` when people come back from there.

Say who that is in the environment: SIGNON_ISSUER, SIGNON_CLIENT, SIGNON_SECRET, and SIGNON_HERE, the address of this
site as browsers see it; the provider has to know SIGNON_HERE/signon/back as a place to send people to.
"""

from __future__ import annotations

import html
import logging
import os

from greenbas import Request, Response, Server, create

from .oidc import Provider, SignOnError

HERE = os.environ.get("SIGNON_HERE", "http://127.0.0.1:9357")
provider = Provider(
    os.environ.get("SIGNON_ISSUER", "http://127.0.0.1:9400"),
    os.environ.get("SIGNON_CLIENT", "greenbas"),
    os.environ.get("SIGNON_SECRET", "secret"),
    f"{HERE}/signon/back",
)
server = Server()
log = logging.getLogger("signon")


@server.directory("private")
def private(request: Request, response: Response) -> str | None:
    user = request.user()
    if user is None:
        response.send_redirect("/signon/?" + "to=" + ("mail" if request.relpath == "mail" else "home"))
        return None
    return f'<p id="hello">Hello, {html.escape(user.name)}!</p><a href="/logout/">Log out</a>'


# Below /staff/ nothing asks who it is: one login counts everywhere.
staff = create.dir("staff")
staff.set_func(lambda request, response: "for the staff")
staff.set_auth(None, create.authorizer(lambda name, method, path: name == "ann"))
server.insert(staff)

# Where people may go afterwards. Never an address from the URL, which could lead anywhere.
PLACES = {"home": "/private/", "mail": "/private/mail"}


@server.directory("signon")
def signon(request: Request, response: Response) -> str | None:
    if request.relpath == "back":
        return back(request, response)
    address, kept = provider.begin()
    request.session(create=True).signon = {**kept, "to": PLACES.get(request.data("to") or "", "/private/")}
    response.send_redirect(address)
    return None


def back(request: Request, response: Response) -> str | None:
    session = request.session()
    kept = session.get("signon") if session else None
    if session is None or kept is None:
        response.send_error(400, "This login was not begun here, or too long ago.")
        return None
    del session.signon  # for one try
    try:
        claims = provider.finish(request.data(query=True), kept)
    except SignOnError as error:
        log.warning("sign-on from %s failed: %s", request.peername()[0], error)
        response.send_error(403, "The login has failed.")
        return None
    # The session gets a new id with that: whoever has planted or seen the old one has nothing.
    request.login(str(claims.get("preferred_username") or claims["sub"]), max_users=5)
    response.send_redirect(kept["to"])
    return None


@server.directory("logout")
def logout(request: Request, response: Response) -> str:
    return "Goodbye." if request.logout() else "You had not logged in."
