"""What tests know of the S3 server that the fixture `bucket` starts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bucket:
    """A bucket of a real S3 server, and what reaches it."""

    uri: str
    environment: dict[str, str]
