"""The HTTP server: connections, requests and responses, time-outs and limits, the access log."""

from greenbas.http.accesslog import AccessLog, JsonFormatter, TextFormatter
from greenbas.http.body import Body
from greenbas.http.connection import KILLS, Connection, State
from greenbas.http.deferred import DeferredResponse
from greenbas.http.errorpage import error_page
from greenbas.http.failurepage import failure_json, failure_page, prefers_json
from greenbas.http.failuretrace import is_own
from greenbas.http.filter import CompressFilter, Filter, FunctionFilter
from greenbas.http.headers import ResponseHeaders
from greenbas.http.login import enter
from greenbas.http.part import Part
from greenbas.http.request import Request
from greenbas.http.response import Response
from greenbas.http.responsehead import NO_STORE
from greenbas.http.service import Counters, HttpService
from greenbas.http.session import Session
from greenbas.http.sessions import Sessions
from greenbas.http.settings import HttpSettings, check_names, make_settings
from greenbas.http.stores import SessionStore, SessionUser
from greenbas.http.tracker import FailedLogin, LoginTracker, SuccessfulLogin, group_of

__all__ = [
    "KILLS",
    "NO_STORE",
    "AccessLog",
    "Body",
    "CompressFilter",
    "Connection",
    "Counters",
    "DeferredResponse",
    "FailedLogin",
    "Filter",
    "FunctionFilter",
    "HttpService",
    "HttpSettings",
    "JsonFormatter",
    "LoginTracker",
    "Part",
    "Request",
    "Response",
    "ResponseHeaders",
    "Session",
    "SessionStore",
    "SessionUser",
    "Sessions",
    "State",
    "SuccessfulLogin",
    "TextFormatter",
    "check_names",
    "enter",
    "error_page",
    "failure_json",
    "failure_page",
    "group_of",
    "is_own",
    "make_settings",
    "prefers_json",
]
