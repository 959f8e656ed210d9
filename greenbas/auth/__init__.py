"""Who is asking, and may they: user databases, authenticators, authorizers."""

from greenbas.auth.authenticator import Authenticator, AuthType
from greenbas.auth.authinfo import AuthInfo, ResponseHandler
from greenbas.auth.authorizer import Authorizer, FunctionAuthorizer
from greenbas.auth.authuser import AuthUser
from greenbas.auth.constraints import JsonAuthorizer
from greenbas.auth.guard import Guard, Pass
from greenbas.auth.jsonuser import JsonUser
from greenbas.auth.password import StoredPassword, hash_password, read_password
from greenbas.auth.user import User, UserDb
from greenbas.protocol.digest import ha1

__all__ = [
    "AuthInfo",
    "AuthType",
    "AuthUser",
    "Authenticator",
    "Authorizer",
    "FunctionAuthorizer",
    "Guard",
    "JsonAuthorizer",
    "JsonUser",
    "Pass",
    "ResponseHandler",
    "StoredPassword",
    "User",
    "UserDb",
    "ha1",
    "hash_password",
    "read_password",
]
