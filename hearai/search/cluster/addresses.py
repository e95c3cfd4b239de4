"""Network addresses of a cluster: whether one answers before Ray waits for it, and which ones need no proxy."""

import ipaddress
import os
import re
import socket
import urllib.request
from collections.abc import Iterable
from contextlib import suppress

from hearai.errors import UserError

ANSWER_TIMEOUT_S = 10.0
"""How long a cluster may take to accept a connection and to answer."""
HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""The beginning of each gRPC connection: the preface and an empty SETTINGS frame, which the server answers with its."""
SETTINGS = 4
LOOPBACK = "127.0.0.1"
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def resolve_address(address: str) -> str:
    """The HOST:PORT of the cluster that `--address` names ("auto" or HOST:PORT), if one answers there.

    Ray would wait for minutes, without an end for some addresses, and print its own messages.

    Raises:
        UserError: no address, nothing answers within `ANSWER_TIMEOUT_S`, or something that is no Ray cluster.
    """
    found = _auto_address() if address == "auto" else address
    match = re.fullmatch(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:/\[\]@]+)):(?P<port>\d{1,5})", found)
    if not match or not 0 < int(match["port"]) < 2**16:
        dashboard = "; http:// addresses are for submit.py" if "://" in found else ""
        raise UserError(
            f"--address {_named(address, found)}: give HOST:PORT of a cluster's head (usually port 6379), or auto; "
            f"omit it to search on this machine{dashboard}"
        )
    host, port = match["six"] or match["host"], int(match["port"])
    if problem := _problem(host, port):
        raise UserError(
            f"--address {_named(address, found)}: {problem}; check that the cluster runs (`ray status` on its head) "
            "and that HOST:PORT is the one that `ray start --head` printed"
        )
    return found


def _auto_address() -> str:
    """The address in RAY_ADDRESS, or of the Ray that runs on this machine."""
    from ray._private.services import canonicalize_bootstrap_address_or_die

    if named := os.environ.get("RAY_ADDRESS"):
        return named
    try:
        return canonicalize_bootstrap_address_or_die("auto")
    except ConnectionError as error:
        several = "several Rays run" if "multiple" in str(error) else "no Ray runs"
        raise UserError(
            f"--address auto: {several} on this machine; give HOST:PORT of a cluster's head, or omit --address"
        ) from None


def _named(address: str, found: str) -> str:
    return address if address == found else f"{address} ({found})"


def _problem(host: str, port: int) -> str | None:
    """Why nothing that is a Ray cluster can be talked to there; None = one answers."""
    try:
        with socket.create_connection((host, port), timeout=ANSWER_TIMEOUT_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
                return None
            connection.sendall(HTTP2_GREETING)
            answer = _receive(connection, 9)
    except socket.gaierror:
        return f"there is no host {host!r}"
    except TimeoutError:
        return f"no answer within {ANSWER_TIMEOUT_S:g} s"
    except (OSError, UnicodeError) as error:
        return f"no connection ({getattr(error, 'strerror', None) or error})"
    if len(answer) < 9 or answer[3] != SETTINGS:
        return "something answers there, but it is not the head of a Ray cluster"
    return None


def _receive(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count and (part := connection.recv(count - len(received))):
        received += part
    return received


def require_loopback() -> None:
    """Checks that processes of this machine reach each other at 127.0.0.1, over which Ray's processes talk.

    Raises:
        UserError: they do not; Ray would wait for them without end.
    """
    try:
        with socket.create_server((LOOPBACK, 0)) as server:
            socket.create_connection(server.getsockname(), timeout=ANSWER_TIMEOUT_S).close()
    except OSError as error:
        raise UserError(
            f"{LOOPBACK}: no connection ({error.strerror or error}), and Ray needs one between its processes; enable "
            "the loopback network (ip link set lo up), or check what blocks it, such as a firewall or a sandbox"
        ) from None


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine, reachable from here only."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def bypass_proxy(hosts: Iterable[str] = ()) -> None:
    """Adds this machine and the given hosts to `no_proxy`, for this process and those that it starts.

    Ray's clients, the Jobs API and its State API, would ask the proxy of `http_proxy` for them, which cannot reach
    them: a proxy's loopback address is its own.
    """
    if not urllib.request.getproxies():
        return
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = [name.strip() for name in known.split(",") if name.strip()]
    if "*" in names:
        return
    added = [host for host in (*LOCAL_NAMES, *_own_names(), *hosts) if host and host not in names]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(dict.fromkeys([*names, *added]))


def _own_names() -> list[str]:
    """The name and the addresses of this machine, as far as they are known without asking others."""
    names = [socket.gethostname()]
    with suppress(OSError):
        names += socket.gethostbyname_ex(names[0])[2]
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: the address that Ray gives its nodes
        names.append(probe.getsockname()[0])
    return names


def needs_no_proxy(host: str) -> bool:
    """Whether a host is this machine or in its private network, so that no proxy stands between."""
    if is_loopback(host):
        return True
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(one).partition("%")[0]).is_private or _is_own(str(one)) for one in found)


def _is_own(address: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
