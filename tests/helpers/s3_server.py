"""A real S3 server on loopback, for tests; and a bad way to it."""

import select
import socket
import socketserver
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Bucket:
    """A bucket of a real S3 server, and what reaches it."""

    uri: str
    environment: dict[str, str]


@contextmanager
def serving() -> Iterator[Bucket]:
    """An empty bucket, as long as the context lasts."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    address = f"http://127.0.0.1:{port}"
    urllib.request.urlopen(f"{address}/moto-api/reset", data=b"").close()  # its buckets outlive a server
    client = boto3.client(
        "s3", endpoint_url=address, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
    )
    client.create_bucket(Bucket="studies")
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
    }
    try:
        yield Bucket("s3://studies/team", environment)
    finally:
        server.stop()


class Flaky(socketserver.BaseRequestHandler):
    """Hands a connection on to the real server, and hangs up on some of them."""

    port, every, count = 0, 3, 0
    gone = threading.Event()
    """Set: it hangs up on all."""

    def handle(self) -> None:
        Flaky.count += 1
        if Flaky.gone.is_set() or (Flaky.every and Flaky.count % Flaky.every == 1):
            return
        with socket.create_connection(("127.0.0.1", Flaky.port)) as there:
            other = {self.request: there, there: self.request}
            while (ready := select.select(list(other), [], [], 5)[0]) and not Flaky.gone.is_set():
                for side in ready:
                    block = side.recv(65536)
                    if not block:
                        return
                    other[side].sendall(block)


@contextmanager
def flaky_way_to(bucket: Bucket, every: int = 3) -> Iterator[dict[str, str]]:
    """The environment of who goes that way; every: which connection is cut, 0 = none."""
    Flaky.port, Flaky.every, Flaky.count = int(bucket.environment["AWS_ENDPOINT_URL"].rpartition(":")[2]), every, 0
    Flaky.gone.clear()
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Flaky)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {**bucket.environment, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}"}
    server.shutdown()
