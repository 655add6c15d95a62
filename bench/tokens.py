"""Tokens: good ones by the thousand from Chartgate itself, and bad ones of each kind."""

import base64
import hashlib
import hmac
import http.client
import json
import ssl
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

INSECURE = ssl.create_default_context()
INSECURE.check_hostname = False
INSECURE.verify_mode = ssl.CERT_NONE


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def connect(port):
    return http.client.HTTPSConnection("localhost", port, context=INSECURE, timeout=30)


def basic(client):
    """HTTP Basic of a client. RFC 6749 section 2.3.1."""
    secret = f"{client['client_id']}:{client['client_secret']}".encode()
    return "Basic " + base64.b64encode(secret).decode()


def ask(port, client, form, connection=None, path="/token"):
    """Status and answer of the token endpoint, or of another that takes forms."""
    connection = connection or connect(port)
    headers = {"Authorization": basic(client), "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", path, urllib.parse.urlencode(form), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def mint(port, client, scope, count):
    """So many access tokens, over a few kept connections."""
    form = {"grant_type": "client_credentials", "scope": scope}

    def some(number):
        connection, tokens = connect(port), []
        for _ in range(number):
            status, answer = ask(port, client, form, connection)
            if status != 200:
                raise RuntimeError(f"/token: {status} {answer}")
            tokens.append(answer["access_token"])
        connection.close()
        return tokens

    lanes = min(4, count)
    shares = [count // lanes + (lane < count % lanes) for lane in range(lanes)]
    with ThreadPoolExecutor(lanes) as pool:
        return [token for tokens in pool.map(some, shares) for token in tokens]


def key_set(port):
    """The public keys. RFC 7517."""
    connection = connect(port)
    connection.request("GET", "/jwks")
    return json.loads(connection.getresponse().read())


def public_key(port, token):
    """The PEM of the key that signed a token: HAProxy wants one, JWK Sets have another form."""
    kid = json.loads(unb64(token.split(".")[0]))["kid"]
    key = next(key for key in key_set(port)["keys"] if key["kid"] == kid)
    return pem(unb64(key["n"]), unb64(key["e"]))


def pem(n, e):
    """SubjectPublicKeyInfo of an RSA key. RFC 8017 appendix A.1.1, RFC 5280 section 4.1."""

    def der(tag, content):
        length = len(content)
        size = bytes([length]) if length < 128 else b"\x82" + length.to_bytes(2, "big")
        return bytes([tag]) + size + content

    def integer(value):
        return der(2, b"\0" + value if value[0] & 0x80 else value)

    rsa = der(0x30, integer(n) + integer(e))
    algorithm = der(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    text = base64.encodebytes(der(0x30, algorithm + der(3, b"\0" + rsa))).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n"


def forgeries(good, key):
    """Tokens made of a good one that nobody may take."""
    header, payload, signature = good.split(".")
    claims = json.loads(unb64(payload))
    more = b64(json.dumps({**claims, "sub": "somebody-else"}).encode())
    none = b64(json.dumps({"alg": "none", "typ": "at+jwt"}).encode())
    hs256 = b64(json.dumps({"alg": "HS256", "typ": "at+jwt", "kid": json.loads(unb64(header))["kid"]}).encode())
    mac = hmac.new(key.encode(), f"{hs256}.{payload}".encode(), hashlib.sha256).digest()
    return {
        "no token": None,
        "altered claims": f"{header}.{more}.{signature}",
        "alg none": f"{none}.{payload}.",
        "HS256 under the public key": f"{hs256}.{payload}.{b64(mac)}",
    }
