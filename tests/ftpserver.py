"""An FTP server in a process of its own: prints its port. It serves the folder that it is given."""

from __future__ import annotations

import sys

USER, PASSWORD = "ann", "s3cret/word"


def main(folder: str, *options: str) -> None:
    # Not above: the tests import this file for its names, into a process that gevent has patched.
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    authorizer = DummyAuthorizer()
    authorizer.add_user(USER, PASSWORD, folder, perm="elradfmw")
    authorizer.add_anonymous(folder)
    authorizer.add_user("ftp", "anonymous@anonymous.org", folder)
    FTPHandler.authorizer = authorizer
    FTPHandler.auth_failed_timeout = 0
    if "--old" in options:  # does not know RFC 2428
        del FTPHandler.proto_cmds["EPSV"], FTPHandler.proto_cmds["EPRT"]
    server = FTPServer(("::1" if "--ipv6" in options else "127.0.0.1", 0), FTPHandler)
    print(server.address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
