"""What all HTTP functions share: one route, the caller, the body, errors in the envelope and one log line.

    endpoint = Endpoint("GET", "/videos/{video_id}")

    @endpoint
    def handler(call: Call) -> Response: ...

The decorated function becomes the Lambda handler. The function raises ApiError for errors that the caller should see.
Any other exception becomes a 500 without details, and the details go to the log.

There is no router: the gateway routes, and each function has one route (docs/adr/0018).
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from understudy.access import keys
from understudy.api import snapstart
from understudy.errors import (
    NO_RETRY,
    ApiError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
)
from understudy.ids import Kind, ManagedId
from understudy.settings import settings
from understudy.telemetry import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from understudy.access.rate_limit import Admission, CallKind
    from understudy.api.requests import Body
    from understudy.jobs.attempt import Attempt

    T = TypeVar("T", bound=Body)

MARGIN_SECONDS = 3.0  # so that the function answers before the gateway times out
MAX_LIMIT = 100
Event = Mapping[str, Any]  # in the form in which a REST API calls a function
Handler = Callable[[Event, "LambdaContext"], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Response:
    """A function's response: a JSON body, or a redirect with the header `location`."""

    body: Mapping[str, Any] | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Call:
    """One HTTP call. Each property is computed on first use."""

    def __init__(self, event: Event, context: LambdaContext, endpoint: Endpoint) -> None:
        self._event, self._endpoint = event, endpoint
        self.deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS

    @cached_property
    def caller(self) -> keys.Caller:
        """The caller. Raises Unauthenticated if no authorizer has checked an API key."""
        return keys.from_authorizer(self._event["requestContext"].get("authorizer") or {})

    @cached_property
    def admission(self) -> Admission:
        """The result of counting the call against the key's rate limit. Raises RateLimited and Unauthenticated."""
        from understudy.access import rate_limit

        return rate_limit.admit(self.caller, self._endpoint.counts or "touch")

    def check_model(self, model: str) -> None:
        """Raise PermissionDenied if the key may not use the model."""
        if not self.caller.may_use(model):
            allowed = ", ".join(sorted(self.caller.models))
            message = f"This API key may not use the model {model[:80]!r}. It may use: {allowed}."
            raise PermissionDenied(message, param="model", code="model_not_allowed")

    @cached_property
    def headers(self) -> dict[str, str]:
        """The request headers by lower-case name."""
        return {name.lower(): value for name, value in (self._event.get("headers") or {}).items()}

    @cached_property
    def query(self) -> dict[str, str]:
        return self._event.get("queryStringParameters") or {}

    def text(self, name: str) -> str:
        """Return a path parameter. The gateway hands it on percent-encoded, as it was sent."""
        from urllib.parse import unquote  # here, because functions without path parameters start without it

        return unquote(str((self._event.get("pathParameters") or {}).get(name, "")))

    def decode(self, text: str, kind: Kind) -> ManagedId:
        """Decode a managed id from the path, query or body. Raises NotFound for any id that is not the caller's."""
        from understudy.store.secrets import id_codec

        return id_codec().decode(text, kind, team=self.caller.team)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The fields of the body, whatever its type. Raises InvalidRequest with the status 400, 413 or 415."""
        from understudy.api import bodies

        event = self._event
        body = event.get("body") or ""
        try:
            data = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
        except ValueError:  # also raised for text that is not ASCII, and for half a surrogate pair
            raise InvalidRequest("The body is not valid base64.", code="malformed_body") from None
        return bodies.parse(data, self.headers.get("content-type"))

    def body(self, kind: type[T]) -> T:
        """Return the typed body. Raises InvalidRequest for the first error in the body."""
        from understudy.api.requests import validate

        return validate(kind, self.fields)

    @cached_property
    def attempt(self) -> Attempt[Any]:
        """This attempt of a call that makes something. Raises InvalidRequest for an unusable key or body."""
        from understudy.characters.character import Character
        from understudy.jobs import idempotency
        from understudy.jobs.job import Job

        operation = self._endpoint.operation
        kind = Character if operation == "create_character" else Job
        path = {name: self.text(name) for name in self._event.get("pathParameters") or {}}
        return idempotency.attempt(kind, self.caller, operation, self.fields | path, self.headers)

    def ended(self, error: ApiError) -> None:
        """Record how this attempt ended, if the endpoint makes something, so that a retry of it is known.

        If that fails, the error tells the official clients not to retry.
        """
        if not self._endpoint.operation or not ("attempt" in vars(self) or error.retried):
            return
        try:
            self.attempt.ended(error)
        except ApiError:
            pass  # the body has no attempt in it, and the client is told why
        except Exception:  # noqa: BLE001 - the client is told what has happened to its call, not to our note of it
            logger.warning("refusal not recorded", exc_info=True)
            error.headers |= NO_RETRY

    def paging(self, kind: Kind) -> tuple[int, bool, str | None]:
        """Return how many items to list, whether newest first, and the record to start after.

        They come from the query parameters `limit`, `order` and `after`. Raises InvalidRequest, and NotFound for an
        unknown `after`.
        """
        limit = self.query.get("limit", "20")
        if not (limit.isascii() and limit.isdigit() and len(limit) < 4 and int(limit) <= MAX_LIMIT):
            raise InvalidRequest(f"limit: must be a whole number from 0 to {MAX_LIMIT}.", param="limit")
        order = self.query.get("order", "desc")
        if order not in {"asc", "desc"}:
            raise InvalidRequest('order: must be "asc" or "desc".', param="order")
        after = self.query.get("after")
        return int(limit), order == "desc", self.decode(after, kind).record if after else None


class Endpoint:
    """One route of the API as a Lambda function.

    `counts` names the rate limit of a call that makes, changes or signs something. Other calls are not counted.
    `operation` names what makes a video or a character, whose attempts are told apart (jobs/idempotency.py).
    `documentation` goes into the OpenAPI description (scripts/openapi.py).
    """

    def __init__(
        self, method: str, path: str, counts: CallKind | None = None, operation: str = "", **documentation: Any
    ) -> None:
        self.method, self.path, self.counts, self.operation = method, path, counts, operation
        self.documentation = documentation

    def __call__(self, function: Callable[[Call], Response]) -> Handler:
        """Return the Lambda handler around `function`."""

        def handler(event: Event, context: LambdaContext) -> dict[str, Any]:
            started = time.perf_counter()
            logger.set_correlation_id(_request_id(event))
            answer = self._answer(event, context, function)
            milliseconds = round((time.perf_counter() - started) * 1000)
            logger.info(
                "call",
                extra={"route": f"{self.method} {self.path}", "status": answer["statusCode"], "ms": milliseconds},
            )
            return answer

        snapstart.prepare()
        handler.__doc__ = function.__doc__
        handler.endpoint = self  # type: ignore[attr-defined]
        return handler

    def _answer(self, event: Event, context: LambdaContext, function: Callable[[Call], Response]) -> dict[str, Any]:
        call = Call(event, context, self)
        try:
            if (event.get("httpMethod"), event.get("resource")) != (self.method, self.path):
                raise NotFound("Unknown route.", code="unknown_url")
            limits = call.admission.headers if self.counts else {}
            answer = function(call)
            body = "" if answer.body is None else _json(answer.body)
            return _proxied(event, answer.status, body, limits | answer.headers)
        except ApiError as refusal:
            # `param` is not logged: it may quote the caller, such as the first word of a prompt in the wrong shape.
            logger.info("refused", extra={"status": refusal.status, "code": refusal.code})
            error = refusal
        except Exception:  # noqa: BLE001 - the caller gets a response to any exception
            logger.exception("unexpected")
            error = _unexpected(event)
        call.ended(error)
        return _refused(event, error)


def _unexpected(event: Event) -> ApiError:
    message = "Understudy failed. The operator finds the error in the log by the id in x-request-id."
    return ApiError(message, headers={} if event.get("httpMethod") == "GET" else NO_RETRY)  # a retried read is free


def _refused(event: Event, error: ApiError) -> dict[str, Any]:
    return _proxied(event, error.status, _json(error.envelope()), error.headers)


def _json(body: Mapping[str, Any]) -> str:
    """Return the body as JSON. Text is not escaped: a Chinese character takes 3 bytes, its escape takes 6."""
    text = json.dumps(body, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can spell
        return json.dumps(body)
    return text


def _proxied(event: Event, status: int, body: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return a response in the form that the gateway takes from a function."""
    common = {
        "content-type": "application/json",
        "cache-control": "private, no-store",
        "x-request-id": _request_id(event),
        "access-control-allow-origin": settings().allowed_origin,
        # Without it a page of another origin reads none of these, and its client repeats what x-should-retry forbids.
        "access-control-expose-headers": ", ".join(["x-request-id", *headers]),
    }
    return {
        "statusCode": status,
        "multiValueHeaders": {name: [value] for name, value in {**common, **headers}.items()},
        "body": body,
        "isBase64Encoded": False,
    }


def _request_id(event: Event) -> str:
    return str((event.get("requestContext") or {}).get("requestId") or "")
