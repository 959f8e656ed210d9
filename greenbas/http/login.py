"""Logins and logouts: how many sessions a user may have, and whose place a new one takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenbas.http.session import Session
from greenbas.http.stores import SessionUser

if TYPE_CHECKING:
    from greenbas.http.request import Request
    from greenbas.http.sessions import Sessions

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
    own = request.session()
    numbers = [number for number in sessions.numbers(user.name) if own is None or number != own.id()]
    if len(numbers) >= max_users:
        for _ in range(len(numbers) - max_users + 1):
            if not _make_room(sessions, numbers, recycle):
                return len(numbers)
    sessions.log_in(request, user, inactive=inactive)
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


def _make_room(sessions: Sessions, numbers: list[int], recycle: bool) -> bool:
    found = [session for session in map(sessions.with_number, numbers) if session is not None]
    if len(found) < len(numbers):
        # Some have ended meanwhile.
        alive = {session.id() for session in found}
        numbers[:] = [number for number in numbers if number in alive]
        return True
    found = [one for one in found if not one._record.locks and (recycle or not one.use_counter())]
    if not found:
        return False
    victim = min(found, key=_worth)
    numbers.remove(int(victim.id()))
    victim.terminate()
    return True


def _worth(session: Session) -> tuple[bool, float]:
    return session.use_counter() > 0, session.last_accessed_time()
