"""bjoern, a WSGI server in C: `python runbjoern.py PORT`."""

from __future__ import annotations

import sys

import bjoern
from wsgiapp import app

bjoern.run(app, "127.0.0.1", int(sys.argv[1]))
