"""gevent's own WSGI server: `python runpywsgi.py PORT`."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402  (patched first, as gevent asks)

from gevent.pywsgi import WSGIServer  # noqa: E402
from wsgiapp import app  # noqa: E402

WSGIServer(("127.0.0.1", int(sys.argv[1])), app, log=None).serve_forever()
