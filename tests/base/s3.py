"""Asks of an S3 server what `obstore` has no word for: buckets, versions, uploads that were not finished.

Source: AWS Signature Version 4, header form (Amazon S3 API reference, "Authenticating Requests").
"""

import hashlib
import hmac
import re
from datetime import UTC, datetime

import httpx

KEYS = {"access_key_id": "test-access-key", "secret_access_key": "test-secret-key", "region": "us-east-1"}
VERSIONING = "<VersioningConfiguration xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Status>{}</Status>"
VERSIONING += "</VersioningConfiguration>"


def ask_s3(endpoint, method, path, query="", body="", **headers):
    """What the server answers to a signed request; an answer that is no success fails the test."""
    amz = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    digest = hashlib.sha256(body.encode()).hexdigest()
    signed = {"host": endpoint.partition("//")[2], "x-amz-content-sha256": digest, "x-amz-date": amz}
    signed |= {name.replace("_", "-"): value for name, value in headers.items()}
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    request = "\n".join([method, path, query, lines, names, digest])
    scope = f"{amz[:8]}/{KEYS['region']}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", amz, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = b"AWS4" + KEYS["secret_access_key"].encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={KEYS['access_key_id']}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    )
    answer = httpx.request(
        method, f"{endpoint}{path}{'?' if query else ''}{query}", headers=signed, content=body
    )
    answer.raise_for_status()
    return answer.text


def make_bucket(endpoint, name, *, lock=False, versioning=""):
    """A new bucket; `versioning`: `Enabled`, or `Suspended` after it was."""
    ask_s3(endpoint, "PUT", f"/{name}", **({"x_amz_bucket_object_lock_enabled": "true"} if lock else {}))
    for each in {"Enabled": ["Enabled"], "Suspended": ["Enabled", "Suspended"]}.get(versioning, []):
        turn_versions(endpoint, name, each)


def turn_versions(endpoint, name, status):
    """Versioning of the bucket is `Enabled` or `Suspended`."""
    ask_s3(endpoint, "PUT", f"/{name}", "versioning=", VERSIONING.format(status))


def all_that_lies(endpoint, bucket):
    """The names of everything in the bucket: objects, older versions, marks of deletion, uploads not finished."""
    told = ask_s3(endpoint, "GET", f"/{bucket}", "versions=") + ask_s3(
        endpoint, "GET", f"/{bucket}", "uploads="
    )
    assert "<IsTruncated>true" not in told
    return sorted(re.findall("<Key>([^<]*)</Key>", told))
