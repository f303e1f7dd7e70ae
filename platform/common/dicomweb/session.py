"""The HTTP session towards one hospital: guarded addresses, bounded answers, credentials, typed errors."""

from __future__ import annotations

import hashlib
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests
import urllib3

from common.dicomweb import errors
from common.dicomweb.guard import (
    EVERYWHERE,
    AddressRules,
    GuardedAdapter,
    IPNetwork,
    Resolver,
    resolve,
)
from common.dicomweb.media_types import parse_media_type

MAX_REDIRECTS = 5
MAX_RETRY_AFTER_S = 24 * 3600.0
MAX_JSON_BYTES = 64 * 2**20
READ_BYTES = 512 * 1024
# A compressed answer may not grow without end: beyond the first bytes, not more than so many times.
EXPANSION_FREE_BYTES = 64 * 2**20
MAX_EXPANSION = 200


@dataclass(frozen=True)
class OriginConfig:
    """How one hospital's DICOMweb origin is reached, and how gently.

    ``secret`` by ``auth``: none ``{}``; basic ``username, password``; bearer ``token``; oauth2 ``token_url,
    client_id, client_secret`` and optionally ``scope``; certificate ``certificate, key`` (PEM) and optionally
    ``key_password``. With any of them ``ca`` (PEM) names an authority of the hospital's own.
    """

    base_url: str
    auth: str = "none"
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)
    connect_timeout_s: float = 10
    read_timeout_s: float = 60
    networks: tuple[IPNetwork, ...] = EVERYWHERE
    allow_loopback: bool = False
    resolver: Resolver = field(default=resolve, repr=False)
    bandwidth_bytes_per_s: int | None = None  # of this connection; the caller divides among workers
    min_bytes_per_s: int = 256  # slower than this over a read time-out counts as stalled
    whole_answer_s: float | None = (
        None  # an answer that is not streamed is whole by then, or given up
    )
    max_json_bytes: int = MAX_JSON_BYTES
    # From the probe (hospitals.domain.abilities).
    accept_any_syntax: bool = True  # answers transfer-syntax=*
    send_includefield: bool = True
    page_size: int = 1000

    def within(self, seconds: float) -> OriginConfig:
        """The same for somebody who waits: no step of a search takes longer than so many seconds."""
        return replace(
            self,
            connect_timeout_s=min(self.connect_timeout_s, seconds),
            read_timeout_s=min(self.read_timeout_s, seconds),
            whole_answer_s=seconds,
        )

    def rules(self) -> AddressRules:
        """The addresses that may be connected to."""
        return AddressRules(self.networks, self.allow_loopback, self.resolver)


class OriginSession(requests.Session):
    """A requests session that never reads the environment and never holds an unbounded answer.

    Redirects are followed by hand, each through the guard, without carrying the Host or, to another host,
    the credentials. An answer that is not streamed is read up to ``max_json_bytes`` and re-coded to UTF-8.
    """

    def __init__(self, config: OriginConfig) -> None:
        super().__init__()
        self.config = config
        self.trust_env = False
        self.headers["User-Agent"] = "provincial-imaging-cloud"
        rules = config.rules()
        header_timeout_s = 2 * config.read_timeout_s
        adapter = GuardedAdapter(
            rules, header_timeout_s=header_timeout_s, ssl_context=_ssl_context(config)
        )
        self.adapters.clear()
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send, follow redirects, bound the body."""
        stream = bool(kwargs.pop("stream", False))
        timeout = (self.config.connect_timeout_s, self.config.read_timeout_s)
        for _hop in range(MAX_REDIRECTS + 1):
            # dicomweb-client sets a Host without port, which would also travel along redirects.
            request.headers.pop("Host", None)
            adapter = self.get_adapter(url=str(request.url))
            response = adapter.send(request, stream=True, timeout=timeout, verify=True)
            target = self.get_redirect_target(response)
            if target is None:
                if not stream:
                    self._read_bounded(response)
                    if response.status_code < 400:  # the library takes a 206 for an answer
                        check_status(response)
                return response
            response.close()
            if request.method not in ("GET", "HEAD"):
                break
            request = self._redirected(request, response, target)
        raise errors.OriginAnswerInvalid("The hospital's archive redirects without end.")

    def _redirected(
        self, request: requests.PreparedRequest, response: requests.Response, target: str
    ) -> requests.PreparedRequest:
        following = request.copy()
        following.url = requests.utils.requote_uri(urljoin(str(request.url), target))
        if not following.url.startswith(("http://", "https://")):
            raise errors.AddressNotAllowed(
                "The hospital's archive redirects to something not http."
            )
        self.rebuild_auth(following, response)  # type: ignore[no-untyped-call]
        return following

    def _read_bounded(self, response: requests.Response) -> None:
        body = bytearray()
        limit_s = self.config.whole_answer_s
        begun = time.monotonic()
        with translated(), response:
            for chunk in paced_chunks(response, self.config):
                body += chunk
                if limit_s is not None and time.monotonic() - begun > limit_s:
                    raise errors.OriginTimeout(
                        "The hospital's archive sends too slowly for somebody who waits."
                    )
                if len(body) > self.config.max_json_bytes:
                    raise errors.OriginAnswerInvalid(
                        "The answer to a search is larger than is accepted."
                    )
        response._content = _as_utf8(bytes(body), response)
        response.encoding = "utf-8"


def _as_utf8(body: bytes, response: requests.Response) -> bytes:
    """JSON is UTF-8 (RFC 8259 §8.1); origins that send their own charset are read by it, or as GB18030."""
    declared = parse_media_type(response.headers.get("Content-Type", ""))
    charset = declared.parameters.get("charset", "") if declared else ""
    for codec in ("utf-8-sig", charset, "gb18030"):
        try:
            return body.decode(codec).encode("utf-8") if codec else body.decode().encode()
        except (UnicodeDecodeError, LookupError):
            continue
    return body.decode("utf-8", "replace").encode("utf-8")


def paced_chunks(
    response: requests.Response,
    config: OriginConfig,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[bytes]:
    """The decoded body as it arrives, held to the bandwidth ceiling, ended when it does not get on.

    Only time spent waiting for the hospital counts as stalling; time the caller takes does not.
    """
    raw: urllib3.HTTPResponse = response.raw
    rate = config.bandwidth_bytes_per_s
    size = READ_BYTES if rate is None else max(4096, min(READ_BYTES, rate // 4))
    window_s = max(config.read_timeout_s, 0.1)
    waited = 0.0
    window_start = received = decoded = 0
    allowance_at = clock()
    while True:
        begin = clock()
        # read1: what is there now. read() would wait for a full chunk, however slowly it trickles in.
        chunk = raw.read1(size, decode_content=True)
        waited += clock() - begin
        received = max(raw.tell(), 0)
        if not chunk:
            return
        decoded += len(chunk)
        if decoded > EXPANSION_FREE_BYTES and decoded > MAX_EXPANSION * received:
            raise errors.OriginAnswerInvalid("The compressed answer grows without end.")
        yield chunk
        if waited > window_s:
            if received - window_start < config.min_bytes_per_s * waited:
                raise errors.OriginTimeout("The hospital's archive sends too slowly to be useful.")
            waited, window_start = 0.0, received
        if rate is not None:
            allowance_at = max(allowance_at, clock() - 0.25) + len(chunk) / rate
            if (ahead := allowance_at - clock()) > 0:
                sleep(ahead)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the HTTP libraries raise into our typed errors; texts carry no address."""
    try:
        yield
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError) as error:
        raise errors.OriginTimeout("The hospital's archive did not answer in time.") from error
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError, ssl.SSLError) as error:
        raise errors.OriginUnreachable(
            "The hospital's certificate or TLS set-up is not accepted."
        ) from error
    except (
        requests.exceptions.ContentDecodingError,
        urllib3.exceptions.DecodeError,
    ) as error:
        raise errors.OriginAnswerInvalid("The compressed answer cannot be decoded.") from error
    except (
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.ProtocolError,
        urllib3.exceptions.ResponseError,
    ) as error:
        raise errors.OriginCutOff("The answer broke off.") from error
    except requests.exceptions.ConnectionError as error:
        raise errors.OriginUnreachable(_why_unreachable(error)) from error
    except requests.exceptions.JSONDecodeError as error:
        raise errors.OriginAnswerInvalid("The answer is not JSON.") from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        raise errors.OriginAnswerInvalid("The answer is not valid HTTP.") from error
    except OSError as error:
        raise errors.OriginCutOff("The connection broke off.") from error


def _why_unreachable(error: requests.exceptions.ConnectionError) -> str:
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else None
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return "The name of the hospital's archive cannot be resolved."
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return "Nothing answers at the address of the hospital's archive."
    return "The hospital's archive closed the connection without an answer."


def check_status(response: requests.Response) -> None:
    """Raise the typed error of any status that is not 200 or 204."""
    status = response.status_code
    if status in (200, 204):
        return
    if status in (401, 403, 407):
        raise errors.OriginRefused(
            f"The hospital's archive refuses our credentials (HTTP {status}).", status=status
        )
    if status in (404, 410):
        raise errors.OriginNotFound(status=status)
    if status in (429, 503):
        raise errors.OriginBusy(
            f"The hospital's archive asks to be left alone for a while (HTTP {status}).",
            retry_after_s=_retry_after_s(response.headers.get("Retry-After", "")),
            status=status,
        )
    if status in (408, 504):
        raise errors.OriginTimeout(
            f"The hospital's archive reports a time-out (HTTP {status}).", status=status
        )
    if status >= 500:
        raise errors.OriginFailed(
            f"The hospital's archive reports a fault of its own (HTTP {status}).", status=status
        )
    raise errors.OriginAnswerInvalid(
        f"The hospital's archive answered with HTTP {status}.", status=status
    )


def _retry_after_s(text: str) -> float | None:
    """Seconds from a Retry-After header in either form (RFC 9110 §10.2.3), held to a day."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if seconds == seconds else None


def _ssl_context(config: OriginConfig) -> ssl.SSLContext | None:
    """A context with the client certificate and the hospital's own authority; None when neither is set.

    The standard library loads keys from files only: they lie in a private directory for that moment.
    """
    certificate, key = config.secret.get("certificate"), config.secret.get("key")
    authority = config.secret.get("ca")
    if not authority and not (config.auth == "certificate" and certificate and key):
        return None
    context = ssl.create_default_context()
    try:
        if authority:
            context.load_verify_locations(cadata=authority)
        if config.auth == "certificate" and certificate and key:
            with tempfile.TemporaryDirectory() as folder:  # mode 0700
                files = Path(folder, "certificate.pem"), Path(folder, "key.pem")
                files[0].write_text(certificate)
                files[1].touch(mode=0o600)
                files[1].write_text(key)
                context.load_cert_chain(files[0], files[1], config.secret.get("key_password") or "")
    except (ssl.SSLError, ValueError) as error:
        raise errors.OriginRefused("The client certificate or its key cannot be read.") from error
    return context


class ClientCredentials:
    """OAuth2 client credentials grant (RFC 6749 §4.4); tokens are kept in the process until they expire."""

    _tokens: dict[str, tuple[str, float]] = {}  # shared by all origins
    _lock = threading.Lock()

    def __init__(self, session: OriginSession) -> None:
        self._session = session
        secret = session.config.secret
        parts = [
            secret.get(name, "") for name in ("token_url", "client_id", "client_secret", "scope")
        ]
        self._key = hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def token(self, *, fresh: bool = False) -> str:
        """A valid access token; ``fresh`` asks for a new one although the old has not expired."""
        with self._lock:
            token, expires_at = self._tokens.get(self._key, ("", 0.0))
        if token and not fresh and time.monotonic() < expires_at:
            return token
        token, lifetime_s = self._ask()
        with self._lock:
            self._tokens[self._key] = (token, time.monotonic() + max(lifetime_s - 30, 0))
        return token

    def _ask(self) -> tuple[str, float]:
        secret = self._session.config.secret
        form = {"grant_type": "client_credentials"}
        if secret.get("scope"):
            form["scope"] = secret["scope"]
        self._session.config.rules().check_url(secret.get("token_url", ""), resolve_name=False)
        with translated():
            response = self._session.post(
                secret["token_url"],
                data=form,
                auth=(secret.get("client_id", ""), secret.get("client_secret", "")),
                headers={"Accept": "application/json"},
            )
        if response.status_code in (400, 401, 403):
            raise errors.OriginRefused("The hospital's token service refuses our credentials.")
        check_status(response)
        try:
            answer = response.json()
            return str(answer["access_token"]), float(answer.get("expires_in", 300))
        except (ValueError, KeyError, TypeError) as error:
            raise errors.OriginAnswerInvalid("The token service's answer has no token.") from error
