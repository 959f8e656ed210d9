"""The client of a long transfer: `python downloader.py PORT PATH SIZE SECONDS`; prints what came, as JSON.

It stops when the time is up. A body that ends before that, and has not SIZE bytes, is an error. At its beginning it
reads nothing for a moment, which is not counted: who does not hold back the source then has to put much somewhere.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from typing import Any

BLOCK = 1024 * 1024
STALL_SECONDS = 0.5


def download(port: int, path: str, size: int, seconds: float) -> dict[str, Any]:
    """Read one body; returns the count of its bytes, the seconds, the share of a core, and what was wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    buffer, count, errors = memoryview(bytearray(BLOCK)), 0, []
    began, used = time.monotonic(), time.process_time()
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != 200:
            raise OSError(f"answered {response.status}")
        time.sleep(STALL_SECONDS)
        began = time.monotonic()  # a proxy that first takes in all of it must not have used up the time by then
        while time.monotonic() - began < seconds:
            if not (read := response.readinto(buffer)):
                if count != size:
                    raise OSError(f"{count} bytes instead of {size}")
                break
            count += read
    except (OSError, http.client.HTTPException) as error:
        errors.append(f"{type(error).__name__}: {error}")
    finally:
        connection.close()
    took = time.monotonic() - began
    return {"count": count, "seconds": took, "cpu": (time.process_time() - used) / took, "errors": errors}


if __name__ == "__main__":
    port, path, size, seconds = sys.argv[1:]
    print(json.dumps(download(int(port), path, int(size), float(seconds))))
