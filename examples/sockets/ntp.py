"""Ask a time server by UDP (SNTP, RFC 5905), or be one.

`greenbas run examples/sockets/ntp.py` does both, one after the other; with the name of a server behind it, such as
pool.ntp.org, it asks that one.
"""

from __future__ import annotations

import secrets
import sys
import time

from greenbas import net
from greenbas.errors import TimedOut

NTP_PORT = 123
PACKET = 48  # bytes
SINCE_1900 = 2_208_988_800  # seconds from NTP's epoch to Unix's
ASK, ANSWER = b"\x23", b"\x24"  # version 4, client; version 4, server


def ask(host: str, port: int = NTP_PORT, tries: int = 3, wait: float = 1.0) -> float:
    """How many seconds our clock is behind that of a server.

    Datagrams get lost: whoever asks by UDP has to ask again.
    """
    with net.udpcon(host, port) as sock:
        for _ in range(tries):
            nonce = secrets.token_bytes(8)  # stands where our time would; only the server that was asked knows it
            sent = time.time()
            sock.write(ASK + bytes(PACKET - 9) + nonce)
            try:
                answer = sock.read(wait)
            except TimedOut:
                continue
            now = time.time()
            if len(answer) >= PACKET and answer[24:32] == nonce:
                received, replied = from_ntp(answer[32:40]), from_ntp(answer[40:48])
                return ((received - sent) + (replied - now)) / 2
    raise TimedOut(f"{host}:{port} has not answered {tries} times")


def serve(port: int = 0) -> net.Socket:
    """A time server on the loopback interface; close it to end it."""
    sock = net.udpcon(local_port=port, intf="127.0.0.1")
    sock.event(answer_all, "s")
    return sock


def answer_all(sock: net.Socket) -> None:
    """The server's cosocket."""
    while True:
        data, address, port = sock.recvfrom()
        received = to_ntp(time.time())
        if len(data) >= PACKET and data[:1] == ASK:
            head = ANSWER + b"\x01" + bytes(22)  # stratum 1: a clock of our own
            sock.sendto(head + data[40:48] + received + to_ntp(time.time()), address, port)


def to_ntp(seconds: float) -> bytes:
    """Unix time as 32.32 bits since 1900, in network order."""
    return net.h2n(8, int((seconds + SINCE_1900) * 2**32))


def from_ntp(stamp: bytes) -> float:
    """The reverse of `to_ntp`."""
    return net.n2h(8, stamp) / 2**32 - SINCE_1900


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(f"the clock of {sys.argv[1]} is {ask(sys.argv[1]):+.6f} s ahead of ours")
    else:
        with serve() as server:
            print(f"our own clock is {ask(*server.sockname()[:2]):+.6f} s ahead of ours")
