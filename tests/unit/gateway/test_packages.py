"""What a job's result says of its package is what storage said, and nothing else."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.flows import packages
from modelyard.metadata.v1.artifact_pb2 import Artifact, ArtifactCopy
from modelyard.storage.v1.storage_pb2 import BackendFailure, Copy, Object

KEY = "ada/general_ml/Irises_20260301_0123456789abcdef.zip"
LOCAL = Copy(backend="local", bucket="objects", uri=f"local://projects/{KEY}")
URL = f"https://res.example.com/cloud/raw/upload/v1700000000/freemind-ml-projects/{KEY}"
CLOUD = Copy(backend="cloudinary", bucket="freemind-ml-projects", uri=URL)
REFUSED = BackendFailure(backend="cloudinary", reason="BACKEND_REFUSED", message="The credentials are refused.")


def stored(*copies: Copy, **fields: object) -> Object:
    first = copies[0]
    known = {"key": KEY, "size": 9, "backend": first.backend, "bucket": first.bucket, "uri": first.uri}
    return Object(**{**known, "copies": copies, **fields})


def test_package_at_cloudinary_is_told_with_its_address():
    """000.15."""
    block = packages.at_cloudinary(stored(CLOUD, LOCAL), "p")

    assert block == {
        "success": True,
        "url": URL,
        "public_id": f"freemind-ml-projects/{KEY}",
        "size": 9,
        "database_update": {"success": True, "project_id": "p", "message": "Project updated with Cloudinary URL"},
    }


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (stored(LOCAL, fallback=True, failures=[REFUSED]), "The credentials are refused."),
        (stored(LOCAL, fallback=True), "did not take the package"),
        (stored(LOCAL), "not kept at Cloudinary here"),
    ],
)
def test_package_that_is_not_at_cloudinary_is_no_success(told: Object, error: str):
    """000.18: the training succeeds; that Cloudinary does not hold its package is said, with the reason."""
    block = packages.at_cloudinary(told, "p")

    assert (block["success"], block["url"], block["public_id"], block["size"]) == (False, None, None, 9)
    assert error in block["error"]
    assert block["database_update"]["success"]
    assert "Cloudinary" not in block["database_update"]["message"]


@pytest.mark.parametrize(
    ("address", "public_id"),
    [
        (URL, f"freemind-ml-projects/{KEY}"),
        ("https://h/v1/raw/authenticated/s--AbC-_12--/v17/folder/v2/a%20b.zip", "folder/v2/a b.zip"),
        ("", f"freemind-ml-projects/{KEY}"),
    ],
)
def test_name_at_cloudinary_is_what_its_address_ends_in(address: str, public_id: str):
    copy = ArtifactCopy(backend="cloudinary", bucket="freemind-ml-projects", uri=address)

    assert packages.public_id(copy, KEY) == public_id


def test_result_of_a_training_tells_where_its_package_is():
    expiry = Timestamp(seconds=1_800_000_000)
    told = stored(LOCAL, fallback=True, failures=[REFUSED], expire_time=expiry, sha256="ab")
    in_project = packages.told({"project_id": "p"}, told, "m")
    alone = packages.told({}, stored(LOCAL), "m")

    assert in_project["download_url"] == "/api/download/project_p.zip"
    assert in_project["storage"] == {
        "backend": "local",
        "bucket": "objects",
        "key": KEY,
        "uri": LOCAL.uri,
        "size": 9,
        "sha256": "ab",
        "copies": [{"backend": "local", "bucket": "objects", "uri": LOCAL.uri}],
        "fallback": True,
        "failures": ["The credentials are refused."],
        "expires_at": "2027-01-15T08:00:00Z",
    }
    assert alone["download_url"] == "/api/models/m/download"
    assert alone["storage"]["expires_at"] is None
    assert "cloudinary" not in alone


def test_stored_object_survives_a_jobs_state():
    told = stored(CLOUD, LOCAL, failures=[REFUSED], size=2**40, expire_time=Timestamp(seconds=9))

    assert packages.restored({"object": packages.saved(told)}) == told


def test_artifacts_and_objects_are_named_alike():
    assert packages.public_id(ArtifactCopy(backend="cloudinary", uri=URL), Artifact(key=KEY).key) == (
        packages.public_id(CLOUD, KEY)
    )
