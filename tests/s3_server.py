"""A real S3 server on loopback, for tests."""

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
