"""Patches the test process before pytest imports anything that imports ssl; loaded by ``-p earlypatch``.

gevent's own function does the work, because pytest itself holds copies that `greenbas.dispatcher.patch` refuses to come
after (that refusal has tests of its own, in processes of their own). The call of `patch` then only adds what greenbas
wants beyond it.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

from greenbas.dispatcher import patch  # noqa: E402 - must come after patching

patch()
