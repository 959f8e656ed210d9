"""Logins and logouts: how many sessions a user may have, and whose place a new one takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenbas.http.stores import Crowded, Quota, SessionUser

if TYPE_CHECKING:
    from greenbas.http.request import Request

__all__ = ["enter", "leave"]


def enter(
    request: Request, user: SessionUser, max_users: int, recycle: bool, inactive: float | None = None
) -> int | None:
    """Log somebody in who has proved who he is: the session of the request becomes his, with a new id.

    When he has as many sessions already as he may have, one that was never used again ends for the new one; or any,
    if they recycle, the one that was not used for the longest time. Those that somebody has locked stay.

    Args:
        request: his.
        user: who it is.
        max_users: sessions that he may have at once; below 1 he never gets in.
        recycle: whether they recycle.
        inactive: seconds that the session may be unused.

    Returns:
        None, or, when there is no room, how many sessions he has.

    Raises:
        IsCommitted: the response head has been sent.
        StoreUnavailable: nobody knows.
    """
    sessions = request.sessions
    if max_users < 1:
        return 0
    quota = Quota(max_users, recycle)
    own = request.session()
    try:
        if own is None:
            sessions.store.check_room(user.name, quota)  # before there is a session for whoever does not get in
        sessions.log_in(request, user, inactive=inactive, quota=quota)
    except Crowded as error:
        if own is None and request.used_session is not None:
            request.used_session.terminate()  # another login was faster in between
        return error.count
    return None


def leave(request: Request, all_of_them: bool) -> bool:
    """End the session of a request, or all of its user's.

    Returns:
        False when nobody is logged in; the session, if there is one, ends all the same.
    """
    session = request.session()
    if session is None:
        return False
    user = session.user()
    session.terminate()
    if user is not None and all_of_them:
        request.sessions.terminate_all(user.name)
    return user is not None
