"""Where our requests to hospitals may go, enforced at the moment of connecting.

The name is resolved, each address is checked, and the socket is opened to exactly the address that was checked.
That holds for the first request, for redirects and for a name that answers differently the second time
(DNS rebinding). Proxies of the environment are not used: they would connect for us, unchecked.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import urllib3.connection
import urllib3.connectionpool
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from common.dicomweb.errors import AddressNotAllowed

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Sequence[str]]

EVERYWHERE: tuple[IPNetwork, ...] = (
    ipaddress.IPv4Network("0.0.0.0/0"),
    ipaddress.IPv6Network("::/0"),
)
# Where clouds tell a machine its own credentials; no hospital lives there.
METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_TEREDO = ipaddress.IPv6Network("2001::/32")


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, in the order of the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class AddressRules:
    """Which addresses hospitals may be reached at.

    Loopback needs ``allow_loopback`` or a network that lies within it; link-local needs such a network. Cloud
    metadata, unspecified, multicast and reserved addresses are always refused.
    """

    networks: tuple[IPNetwork, ...] = EVERYWHERE
    allow_loopback: bool = False
    resolver: Resolver = resolve

    def allows(self, text: str) -> bool:
        """Whether a connection to this address may be opened; IPv4 inside IPv6 is judged as IPv4."""
        try:
            address = _plain(ipaddress.ip_address(text.partition("%")[0]))
        except ValueError:
            return False
        if address in METADATA_ADDRESSES or address.is_unspecified or address.is_multicast:
            return False
        if address.is_loopback:
            return self.allow_loopback or self._named(address, "is_loopback")
        if address.is_link_local:
            return self._named(address, "is_link_local")
        if address in _TEREDO:  # ends at an IPv4 address of the sender's choice
            return False
        if address.is_reserved or (address.version == 4 and address in _THIS_NETWORK):
            return False
        return any(address in network for network in self.networks)

    def _named(self, address: IPAddress, kind: str) -> bool:
        return any(getattr(network, kind) and address in network for network in self.networks)

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host that may be connected to.

        Raises:
            AddressNotAllowed: it has addresses, and none of them is allowed.
            OSError: the name cannot be resolved.
        """
        found = list(self.resolver(host.strip("[]"), port))
        allowed = [address for address in found if self.allows(address)]
        if found and not allowed:
            raise AddressNotAllowed(
                "The address of the hospital's archive is not in a network that is allowed."
            )
        return allowed

    def check_url(self, url: str, *, resolve_name: bool = True) -> str:
        """The URL without trailing slash, if it is http(s) to an allowed address.

        A name that cannot be resolved now passes: it is checked again at every connection.

        Raises:
            AddressNotAllowed: another scheme, credentials in the URL, no host, or an address not allowed.
        """
        # urlsplit passes over line ends and tabs in silence; what is stored would still hold them.
        if any(c.isspace() or not c.isprintable() for c in url.strip()):
            raise AddressNotAllowed("The address must not hold blanks or control characters.")
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise AddressNotAllowed("The address is not a valid URL.") from error
        if parts.scheme not in ("http", "https") or not host or port == 0:
            raise AddressNotAllowed(
                "The address must begin with http:// or https:// and name a host and a port, if any."
            )
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise AddressNotAllowed("The address must not hold credentials, a query or a fragment.")
        if resolve_name:
            with suppress(OSError, UnicodeError):  # not known today: the connection decides
                self.addresses(host, port or (443 if parts.scheme == "https" else 80))
        return url.strip().rstrip("/")


_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")


def _plain(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 address stands for, if it stands for one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


class _GuardedMixin:
    """A connection that resolves, checks and connects by itself, and limits how long headers may take."""

    rules: AddressRules
    header_timeout_s: float | None

    def _new_conn(self) -> socket.socket:
        connection: Any = self
        try:
            addresses = self.rules.addresses(connection._dns_host, connection.port)
        except (socket.gaierror, UnicodeError) as error:
            fault = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
            raise NameResolutionError(connection.host, connection, fault) from error
        failure: OSError | None = None
        for address in addresses:
            try:
                return self._connect(address)
            except OSError as error:
                failure = error
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(connection, "connecting timed out") from failure
        raise NewConnectionError(connection, "no address answers") from failure

    def _connect(self, address: str) -> socket.socket:
        connection: Any = self
        return urllib3.util.connection.create_connection(
            (address, connection.port),
            connection.timeout,
            source_address=connection.source_address,
            socket_options=connection.socket_options,
        )

    def getresponse(self) -> Any:
        """As the base class, but headers that trickle in end in a time-out."""
        connection: Any = self
        parent: Any = super()
        if self.header_timeout_s is None or connection.sock is None:
            return parent.getresponse()
        late = threading.Event()

        def hang_up(sock: socket.socket = connection.sock) -> None:
            late.set()
            with suppress(OSError):  # already gone, which is what is wanted
                sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self.header_timeout_s, hang_up)
        timer.daemon = True
        timer.start()
        try:
            response = parent.getresponse()
        except (OSError, HTTPException, urllib3.exceptions.HTTPError) as error:
            if late.is_set():
                raise TimeoutError("the answer's header took too long") from error
            raise
        finally:
            timer.cancel()
        if late.is_set():
            raise TimeoutError("the answer's header took too long")
        return response


class GuardedAdapter(HTTPAdapter):
    """Transport of a requests session whose every connection passes the rules."""

    def __init__(
        self,
        rules: AddressRules,
        *,
        header_timeout_s: float | None = None,
        ssl_context: Any = None,
    ) -> None:
        self._pools = _guarded_pools(rules, header_timeout_s)
        self._ssl_context = ssl_context
        super().__init__(pool_connections=4, pool_maxsize=4, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Build the pool manager with our connection classes."""
        if self._ssl_context is not None:
            kwargs["ssl_context"] = self._ssl_context
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *_args: Any, **_kwargs: Any) -> Any:
        """Never: a proxy would open the connection in our place."""
        raise AddressNotAllowed("Proxies are not used towards hospitals.")


def _guarded_pools(rules: AddressRules, header_timeout_s: float | None) -> dict[str, Any]:
    facts = {"rules": rules, "header_timeout_s": header_timeout_s}
    http: Any = type("GuardedHTTP", (_GuardedMixin, urllib3.connection.HTTPConnection), facts)
    https: Any = type("GuardedHTTPS", (_GuardedMixin, urllib3.connection.HTTPSConnection), facts)
    plain = urllib3.connectionpool.HTTPConnectionPool
    secure = urllib3.connectionpool.HTTPSConnectionPool
    return {
        "http": type("GuardedHTTPPool", (plain,), {"ConnectionCls": http}),
        "https": type("GuardedHTTPSPool", (secure,), {"ConnectionCls": https}),
    }
