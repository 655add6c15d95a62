"""moto's S3 with object lock, one bucket, in memory. Over plain http on this machine; what was stored is read by boto3, which checks
signatures of its own requests only, so that ours is checked here by botocore: every PUT is signed again and compared.

    s3_server.py PORT"""

import logging
import sys
import threading

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer, create_backend_app  # noqa: F401
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from werkzeug.serving import make_server

PORT = int(sys.argv[1])
KEY, SECRET, REGION = "AKIACHARTGATE", "a key of the bucket's own", "eu-central-1"
logging.getLogger("werkzeug").setLevel(logging.ERROR)
inner = DomainDispatcherApplication(create_backend_app)


def is_ours(environ, body):
    """Signs the request again as botocore does, with the headers that it says are signed."""
    given = environ.get("HTTP_AUTHORIZATION", "")
    names = given.split("SignedHeaders=")[1].split(",")[0].split(";")
    headers = {}
    for name in names:
        variable = {"content-type": "CONTENT_TYPE"}.get(name, "HTTP_" + name.upper().replace("-", "_"))
        headers[name] = environ[variable]
    request = AWSRequest("PUT", f"http://{environ['HTTP_HOST']}{environ['PATH_INFO']}", headers=headers, data=body)
    request.context["timestamp"] = headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials(KEY, SECRET), "s3", REGION)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    return given.endswith(f"Signature={signature}")


def app(environ, start_response):
    if environ["REQUEST_METHOD"] == "PUT" and "ndjson" in environ["PATH_INFO"]:
        import io
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        environ["wsgi.input"] = io.BytesIO(body)
        if not is_ours(environ, body):
            start_response("403 Forbidden", [("content-length", "0")])
            return [b""]
    return inner(environ, start_response)


server = make_server("127.0.0.1", PORT, app, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{PORT}", aws_access_key_id=KEY,
                      aws_secret_access_key=SECRET, region_name=REGION)
client.create_bucket(Bucket="evidence", ObjectLockEnabledForBucket=True,
                     CreateBucketConfiguration={"LocationConstraint": REGION})
print("ready", flush=True)
for line in sys.stdin:
    # Whoever asks gets all that is kept: name, lock, content.
    for listed in client.get_paginator("list_objects_v2").paginate(Bucket="evidence"):
        for one in listed.get("Contents", []):
            found = client.get_object(Bucket="evidence", Key=one["Key"])
            import json
            try:
                version = client.list_object_versions(Bucket="evidence", Prefix=one["Key"])["Versions"][0]
                client.delete_object(Bucket="evidence", Key=one["Key"], VersionId=version["VersionId"])
                removed = True
            except client.exceptions.ClientError as refusal:
                removed = refusal.response["Error"]["Code"] != "AccessDenied"
            print(json.dumps({"key": one["Key"], "mode": found.get("ObjectLockMode"), "removed": removed,
                              "until": found["ObjectLockRetainUntilDate"].isoformat(),
                              "body": found["Body"].read().decode()}), flush=True)
    print("end", flush=True)
