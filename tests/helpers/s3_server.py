"""An S3 server on loopback, and a flaky proxy for it."""

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
    """A bucket, and the environment variables to access it."""

    uri: str
    environment: dict[str, str]


@contextmanager
def s3_bucket() -> Iterator[Bucket]:
    """An empty bucket, within a with block."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    address = f"http://127.0.0.1:{port}"
    urllib.request.urlopen(
        f"{address}/moto-api/reset", data=b""
    ).close()  # buckets outlive a server in the same process
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


class FlakyProxy(socketserver.BaseRequestHandler):
    """Forwards connections to the server, and drops some of them."""

    port, every, count = 0, 3, 0
    is_down = threading.Event()
    """If set, all connections are dropped."""

    def handle(self) -> None:
        FlakyProxy.count += 1
        if FlakyProxy.is_down.is_set() or (FlakyProxy.every and FlakyProxy.count % FlakyProxy.every == 1):
            return
        with socket.create_connection(("127.0.0.1", FlakyProxy.port)) as server:
            other = {self.request: server, server: self.request}
            while (ready := select.select(list(other), [], [], 5)[0]) and not FlakyProxy.is_down.is_set():
                for side in ready:
                    block = side.recv(65536)
                    if not block:
                        return
                    other[side].sendall(block)


@contextmanager
def flaky_proxy(bucket: Bucket, every: int = 3) -> Iterator[dict[str, str]]:
    """Environment variables of a client of the proxy; every: each n-th connection is dropped, 0 = none."""
    port = int(bucket.environment["AWS_ENDPOINT_URL"].rpartition(":")[2])
    FlakyProxy.port, FlakyProxy.every, FlakyProxy.count = port, every, 0
    FlakyProxy.is_down.clear()
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), FlakyProxy)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {**bucket.environment, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}"}
    server.shutdown()


def put_object(bucket: Bucket, key: str, content: bytes = b"x") -> None:
    """Stores an object under any key below the bucket's prefix, as a program other than ours would."""
    import boto3

    name, _, prefix = bucket.uri.removeprefix("s3://").partition("/")
    client = boto3.client("s3", endpoint_url=bucket.environment["AWS_ENDPOINT_URL"], region_name="us-east-1")
    client.put_object(Bucket=name, Key=f"{prefix}/{key}", Body=content)
