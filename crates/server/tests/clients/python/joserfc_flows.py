"""joserfc (PyPI): a resource server's view of our tokens and keys."""

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from joserfc import jwe, jwt
from joserfc.errors import BadSignatureError, InvalidClaimError
from joserfc.jwk import ECKey, KeySet, RSAKey

from gateway import CALLBACK, FHIR, ISSUER, Person, chartgate, file, grants, register, run

service = register("jr-service", "confidential", "--scope", "system/*.rs", "--role", "service", *grants("client_credentials"))


def key_set():
    return KeySet.import_key_set(requests.get(f"{ISSUER}/jwks").json())


def token():
    fields = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    auth = ("jr-service", service["client_secret"])
    return requests.post(f"{ISSUER}/token", data=fields, auth=auth).json()["access_token"]


def verify(access, keys, audience=FHIR):
    got = jwt.decode(access, keys, algorithms=["RS256"])
    assert got.header["typ"] == "at+jwt"
    rules = {"iss": {"essential": True, "value": ISSUER}, "aud": {"essential": True, "value": audience}, "exp": {"essential": True}}
    jwt.JWTClaimsRegistry(**rules).validate(got.claims)
    return got.claims


def refused(cause, act):
    try:
        act()
    except cause:
        return
    raise AssertionError(f"no {cause.__name__}")


def access_token():
    access, keys = token(), key_set()
    assert verify(access, keys)["client_id"] == "jr-service"
    refused(InvalidClaimError, lambda: verify(access, keys, "https://elsewhere.example"))
    head, body, _ = access.split(".")
    _, _, other = token().split(".")
    refused(BadSignatureError, lambda: verify(f"{head}.{body}.{other}", keys))


def keys():
    every = key_set().keys
    assert all(not key.is_private for key in every)
    assert all(key.thumbprint() == key.kid for key in every)


def encrypted():
    for key, alg, enc in [
        (ECKey.generate_key("P-256"), "ECDH-ES", "A128GCM"),
        (ECKey.generate_key("P-384"), "ECDH-ES+A256KW", "A256CBC-HS512"),
        (RSAKey.generate_key(2048), "RSA-OAEP-256", "A256GCM"),
    ]:
        client_id = f"jr-{alg}".replace("+", "-").lower()
        public = key.as_dict(private=False) | {"kid": client_id, "alg": alg, "use": "enc"}
        made = register(
            client_id, "confidential", "--redirect-uri", CALLBACK, "--scope", "openid user/*.rs",
            "--jwks-file", file(f"{client_id}.json", json.dumps({"keys": [public]})),
            "--id-token-encrypted-response-alg", alg, "--id-token-encrypted-response-enc", enc,
        )
        opened = jwe.decrypt_compact(id_token(client_id, made["client_secret"]), key, algorithms=[alg, enc])
        assert opened.protected["cty"] == "JWT"
        claims = jwt.decode(opened.plaintext.decode(), key_set(), algorithms=["RS256"]).claims
        assert (claims["iss"], claims["sub"], claims["aud"]) == (ISSUER, "dana", client_id)


def id_token(client_id, secret):
    verifier = secrets.token_urlsafe(32)
    challenge = base64url(hashlib.sha256(verifier.encode()).digest())
    request = {"response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, "scope": "openid user/*.rs", "state": "s",
               "code_challenge": challenge, "code_challenge_method": "S256"}
    back = Person().lead(f"{ISSUER}/authorize?{urlencode(request)}")
    fields = {"grant_type": "authorization_code", "code": parse_qs(urlsplit(back).query)["code"][0], "redirect_uri": CALLBACK,
              "code_verifier": verifier}
    return requests.post(f"{ISSUER}/token", data=fields, auth=(client_id, secret)).json()["id_token"]


def base64url(octets):
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def rotation():
    before, kept = token(), key_set()
    chartgate("key", "rotate", "--now")
    # With the key set from before: the next key was in it already.
    verify(token(), kept)
    verify(before, kept)


run("joserfc", {
    "access token against the JWKS": access_token,
    "JWKS": keys,
    "encrypted ID token (JWE)": encrypted,
    "keys that rotate": rotation,
})
