"""Authlib (PyPI): its Flask integration for people, its session for everything else."""

import json
import time

import flask
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import RSAKey

from clinic import clinic
from gateway import CALLBACK, CIBA, DEVICE, FHIR, FOLDER, ISSUER, PATIENT, Person, chartgate, file, grants, opens, register, run

SCOPE = "openid fhirUser offline_access user/*.rs"
BYE = "http://127.0.0.1:9999/bye"
TOKEN = f"{ISSUER}/token"

person = Person()
web = register(
    "al-web", "confidential", "--redirect-uri", CALLBACK, "--post-logout-redirect-uri", BYE, "--scope", SCOPE,
    *grants("authorization_code", "refresh_token", DEVICE, CIBA),
)
app, chartgate_client = clinic(ISSUER, "al-web", web["client_secret"], CALLBACK, SCOPE, FHIR)
app.secret_key = generate_token(32)
# Without `offline_access`: what that gives is meant to outlive the session.
briefly, chartgate_briefly = clinic(ISSUER, "al-web", web["client_secret"], CALLBACK, "openid user/*.rs", FHIR)
briefly.secret_key = generate_token(32)


@briefly.get("/logout")
def logout():
    return chartgate_briefly.logout_redirect(post_logout_redirect_uri=BYE, id_token_hint=flask.request.args["hint"])


@briefly.get("/bye")
def bye():
    return chartgate_briefly.validate_logout_response()


def sign_in(browser):
    """The application sends dana to the gateway, and she comes back with a code."""
    back = person.lead(browser.get("/login").headers["location"])
    assert back.startswith(CALLBACK), back
    answer = browser.get(back.removeprefix("http://127.0.0.1:9999"))
    assert answer.status_code == 200, answer.text
    return answer.json


def session(**more):
    return OAuth2Session("al-web", web["client_secret"], scope=SCOPE, token_endpoint=TOKEN, **more)


def keyed(client_id, profile, *more, alg="RS256"):
    key = RSAKey.generate_key(2048, {"kid": "k1", "alg": alg, "use": "sig"})
    keys = file(f"{client_id}.json", json.dumps({"keys": [key.as_dict(private=False)]}))
    register(client_id, "backend", "--profile", profile, "--jwks-file", keys, "--scope", "system/*.rs", "--role", "service", *more)
    made = OAuth2Session(client_id, key, token_endpoint_auth_method="private_key_jwt", scope="system/*.rs", token_endpoint=TOKEN)
    made.register_client_auth_method(PrivateKeyJWT(TOKEN, headers={"kid": "k1"}, alg=alg))
    return made


tokens = {}


def discovery():
    with app.app_context():
        assert chartgate_client.load_server_metadata()["issuer"] == ISSUER


def code():
    with app.test_client() as browser:
        tokens.update(sign_in(browser))
    assert opens(tokens["access_token"])


def id_token():
    # `authorize_access_token` verified it: signature, issuer, audience, nonce, at_hash.
    assert tokens["userinfo"]["sub"] == "dana" and tokens["userinfo"]["iss"] == ISSUER
    with app.test_request_context():
        try:
            chartgate_client.parse_id_token(dict(tokens), nonce="another")
        except Exception as refused:
            assert "nonce" in str(refused)
        else:
            raise AssertionError("an ID token with another nonce")


def userinfo():
    with app.test_request_context():
        assert chartgate_client.userinfo(token=dict(tokens))["sub"] == "dana"


def refresh():
    before = tokens["access_token"]
    client = session(token=dict(tokens))
    tokens.update(client.refresh_token())
    assert tokens["access_token"] != before and opens(tokens["access_token"])


def introspection():
    answer = session().introspect_token(f"{ISSUER}/introspect", token=tokens["access_token"]).json()
    assert answer["active"] is True and answer["sub"] == "dana"


def revocation():
    answer = session().revoke_token(f"{ISSUER}/revoke", token=tokens["access_token"])
    assert answer.status_code == 200
    assert not opens(tokens["access_token"])


def poll(client, interval, **fields):
    """Authlib has no loop of its own: the grant by its name, and the wait."""
    for _ in range(5):
        time.sleep(interval)
        try:
            return client.fetch_token(TOKEN, **fields)
        except OAuthError as error:
            if error.error != "authorization_pending":
                raise
    raise AssertionError("nobody answered")


def ask(path, **fields):
    return session().post(
        f"{ISSUER}{path}", data=fields, auth=session().client_auth("client_secret_basic"), withhold_token=True,
    ).json()


def device():
    asked = ask("/device-authorization", scope="openid user/*.rs")
    person.lead(asked["verification_uri"], until="Your device goes on", code=asked["user_code"])
    got = poll(session(), asked["interval"], grant_type=DEVICE, device_code=asked["device_code"])
    assert opens(got["access_token"])


def ciba():
    asked = ask("/backchannel-authentication", scope="openid user/*.rs", login_hint="dana")
    chartgate("approval", "approve", asked["auth_req_id"])
    got = poll(session(), asked["interval"], grant_type=CIBA, auth_req_id=asked["auth_req_id"])
    assert opens(got["access_token"])


def private_key_jwt():
    # Its assertions live an hour and are for the token endpoint: profile `plain`. Profile `smart` refuses them.
    got = keyed("al-plain", "plain").fetch_token(TOKEN, grant_type="client_credentials")
    assert opens(got["access_token"])
    try:
        keyed("al-smart", "smart").fetch_token(TOKEN, grant_type="client_credentials")
    except OAuthError as error:
        assert error.error == "invalid_client"
    else:
        raise AssertionError("an assertion of an hour in profile smart")


def client_credentials():
    made = register("al-service", "confidential", "--scope", "system/*.rs", "--role", "service", *grants("client_credentials"))
    client = OAuth2Session("al-service", made["client_secret"], scope="system/*.rs", token_endpoint=TOKEN)
    assert opens(client.fetch_token(TOKEN, grant_type="client_credentials")["access_token"])


def mutual_tls():
    register(
        "al-mtls", "confidential", "--auth-method", "self_signed_tls_client_auth", "--jwks-file", f"{FOLDER}/client-jwks.json",
        "--tls-client-certificate-bound-access-tokens", "--scope", "system/*.rs", "--role", "service", *grants("client_credentials"),
    )
    with app.app_context():
        aliases = chartgate_client.load_server_metadata()["mtls_endpoint_aliases"]
    client = OAuth2Session("al-mtls", token_endpoint_auth_method="none", scope="system/*.rs")
    client.cert = (f"{FOLDER}/client-cert.pem", f"{FOLDER}/client-key.pem")
    got = client.fetch_token(aliases["token_endpoint"], grant_type="client_credentials")
    assert not opens(got["access_token"]), "a bound token without its certificate"
    mtls = aliases["token_endpoint"].removesuffix("/token")
    assert client.get(f"{mtls}/fhir/Patient/{PATIENT}").status_code == 200


def end_session():
    with briefly.test_client() as browser:
        leaving = sign_in(browser)
        assert opens(leaving["access_token"])
        to = browser.get("/logout", query_string={"hint": leaving["id_token"]}).headers["location"]
        back = person.lead(to)
        assert back.startswith(BYE), back
        assert browser.get(back.removeprefix("http://127.0.0.1:9999")).status_code == 200
        assert not opens(leaving["access_token"])


run("authlib", {
    "discovery": discovery,
    "code with PKCE": code,
    "ID token against the JWKS": id_token,
    "userinfo": userinfo,
    "refresh": refresh,
    "introspection": introspection,
    "revocation": revocation,
    "device": device,
    "CIBA poll": ciba,
    "private_key_jwt": private_key_jwt,
    "client credentials": client_credentials,
    "mutual TLS": mutual_tls,
    "logout (RP-initiated)": end_session,
})
