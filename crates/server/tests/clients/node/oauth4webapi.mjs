// oauth4webapi (npm): the functions under openid-client, one by one, as Web runtimes use them.
import assert from "node:assert/strict";
import { compactDecrypt, exportJWK, generateKeyPair } from "jose";
import * as oauth from "oauth4webapi";
import { Agent, fetch as undiciFetch } from "undici";
import { CALLBACK, CIBA, DEVICE, Person, chartgate, file, invite, made, manage, opens, patient, ready, register, run } from "./gateway.mjs";

const SCOPE = "openid offline_access user/*.rs";
const BYE = "https://app.example/bye";
const issuer = new URL(ready.issuer);
const person = new Person();
const { client_secret } = register("o4w-web", "confidential", {
  "redirect-uri": CALLBACK, grant: ["authorization_code", "refresh_token", DEVICE, CIBA], scope: SCOPE,
  "post-logout-redirect-uri": BYE,
});
const client = { client_id: "o4w-web" };
const basic = oauth.ClientSecretBasic(client_secret);
let as;

/** The whole way of the code, for a client that proves who it is by `auth`. */
async function signIn({ to = client, auth = basic, push = false, signedBy, jarm = false, options, DPoP } = {}) {
  const [verifier, state, nonce] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState(), oauth.generateRandomNonce()];
  let request = new URLSearchParams({
    client_id: to.client_id, response_type: "code", redirect_uri: CALLBACK, scope: SCOPE, state, nonce,
    resource: ready.fhir_base, code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
  });
  if (jarm) request.set("response_mode", "jwt");
  if (signedBy) {
    request = new URLSearchParams({ client_id: to.client_id, request: await oauth.issueRequestObject(as, to, request, signedBy) });
  }
  if (push) {
    const pushed = await oauth.processPushedAuthorizationResponse(as, to, await oauth.pushedAuthorizationRequest(as, to, auth, request, { DPoP }));
    request = new URLSearchParams({ client_id: to.client_id, request_uri: pushed.request_uri });
  }
  const back = await person.lead(new URL(`?${request}`, as.authorization_endpoint));
  const checked = await (jarm ? oauth.validateJwtAuthResponse : oauth.validateAuthResponse)(as, to, back, state);
  const ask = () => oauth.authorizationCodeGrantRequest(as, to, auth, checked, CALLBACK, verifier, { DPoP });
  const read = async (answer) => oauth.processAuthorizationCodeResponse(as, to, answer, {
    expectedNonce: nonce, requireIdToken: true, ...options,
  });
  // The first proof tells us the nonce that the next has to hold.
  for (let tries = 1; ; tries += 1) {
    const answer = await ask();
    try {
      return { tokens: await read(answer), answer };
    } catch (error) {
      if (tries > 1 || !oauth.isDPoPNonceError(error)) throw error;
    }
  }
}

/** A client that signs; what `signIn` needs of it. */
async function keyed(id, words = {}, ...more) {
  const { publicKey, privateKey: key } = await oauth.generateKeyPair("PS256");
  const keys = [{ ...(await exportJWK(publicKey)), kid: "k1", alg: "PS256" }, ...more];
  register(id, "confidential", {
    "auth-method": "private_key_jwt", "jwks-file": file(`${id}.json`, JSON.stringify({ keys })),
    "redirect-uri": CALLBACK, scope: SCOPE, ...words,
  });
  return { to: { client_id: id }, auth: oauth.PrivateKeyJwt({ key, kid: "k1" }), signedBy: { key, kid: "k1" } };
}

async function introspect(token) {
  return oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, basic, token));
}

/** Polls by `ask` until `read` does not say that the person has yet to answer. */
async function poll(interval, ask, read) {
  for (let tries = 0; tries < 5; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, interval * 1000));
    try {
      return await read(await ask());
    } catch (error) {
      if (error.error !== "authorization_pending") throw error;
    }
  }
  throw new Error("nobody answered");
}

let tokens;
await run("oauth4webapi", {
  async "discovery"() {
    as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: "oidc" }));
    const other = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: "oauth2" }));
    assert.deepEqual(other, as);
  },
  async "protected resource metadata"() {
    const resource = new URL(ready.fhir_base);
    const told = await oauth.processResourceDiscoveryResponse(resource, await oauth.resourceDiscoveryRequest(resource));
    assert.deepEqual(told.authorization_servers, [ready.issuer]);
  },
  async "code with PKCE"() {
    ({ tokens } = await signIn());
    assert.ok(await opens(tokens.access_token));
  },
  async "dynamic registration"() {
    const metadata = { redirect_uris: [CALLBACK], token_endpoint_auth_method: "none", scope: SCOPE };
    const asked = await oauth.dynamicClientRegistrationRequest(as, metadata, { initialAccessToken: invite("--scope", SCOPE) });
    const told = await oauth.processDynamicClientRegistrationResponse(asked);
    assert.deepEqual([told.scope.split(" ").sort(), told.client_secret], [SCOPE.split(" ").sort(), undefined]);
    const { tokens: got } = await signIn({ to: told, auth: oauth.None() });
    assert.ok(await opens(got.access_token));
    assert.equal((await (await manage(told)).json()).client_id, told.client_id);
    assert.equal((await manage(told, "DELETE")).status, 204);
    assert.equal(await opens(got.access_token), false);
  },
  async "ID token against the JWKS"() {
    const { tokens: got, answer } = await signIn();
    await oauth.validateApplicationLevelSignature(as, answer);
    assert.equal(oauth.getValidatedIdTokenClaims(got).sub, "dana");
  },
  async "access token against the JWKS"() {
    const request = new Request(ready.fhir_base, { headers: { authorization: `Bearer ${tokens.access_token}` } });
    const claims = await oauth.validateJwtAccessToken(as, request, ready.fhir_base);
    assert.equal(claims.client_id, "o4w-web");
    await assert.rejects(oauth.validateJwtAccessToken(as, request, "https://elsewhere.example"));
  },
  async "userinfo"() {
    const answer = await oauth.userInfoRequest(as, client, tokens.access_token);
    assert.equal((await oauth.processUserInfoResponse(as, client, "dana", answer)).sub, "dana");
  },
  async "refresh"() {
    const answer = await oauth.refreshTokenGrantRequest(as, client, basic, tokens.refresh_token);
    const next = await oauth.processRefreshTokenResponse(as, client, answer);
    assert.ok(await opens(next.access_token));
    tokens = next;
  },
  async "introspection"() {
    const told = await introspect(tokens.access_token);
    assert.deepEqual([told.active, told.client_id], [true, "o4w-web"]);
  },
  async "introspection as a JWT"() {
    const asking = { ...client, introspection_signed_response_alg: "RS256" };
    const answer = await oauth.introspectionRequest(as, asking, basic, tokens.access_token, { requestJwtResponse: true });
    assert.match(answer.headers.get("content-type"), /^application\/token-introspection\+jwt/);
    const told = await oauth.processIntrospectionResponse(as, asking, answer);
    await oauth.validateApplicationLevelSignature(as, answer);
    assert.deepEqual([told.active, told.client_id], [true, "o4w-web"]);
  },
  async "revocation"() {
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, basic, tokens.access_token));
    assert.equal(await opens(tokens.access_token), false);
    assert.equal((await introspect(tokens.access_token)).active, false);
  },
  async "device"() {
    const asked = await oauth.processDeviceAuthorizationResponse(as, client,
      await oauth.deviceAuthorizationRequest(as, client, basic, { scope: "openid user/*.rs" }));
    await person.connectDevice(asked.verification_uri, asked.user_code);
    const got = await poll(asked.interval, () => oauth.deviceCodeGrantRequest(as, client, basic, asked.device_code),
      (answer) => oauth.processDeviceCodeResponse(as, client, answer));
    assert.ok(await opens(got.access_token));
  },
  async "CIBA poll"() {
    const asked = await oauth.processBackchannelAuthenticationResponse(as, client,
      await oauth.backchannelAuthenticationRequest(as, client, basic, { scope: "openid user/*.rs", login_hint: "dana" }));
    const read = (answer) => oauth.processBackchannelAuthenticationGrantResponse(as, client, answer);
    const ask = () => oauth.backchannelAuthenticationGrantRequest(as, client, basic, asked.auth_req_id);
    await assert.rejects(async () => read(await ask()), { error: "authorization_pending" });
    chartgate("approval", "approve", asked.auth_req_id);
    assert.ok(await opens((await poll(asked.interval, ask, read)).access_token));
  },
  async "pushed requests (PAR)"() {
    assert.ok(await opens((await signIn({ push: true })).tokens.access_token));
  },
  async "signed requests (JAR)"() {
    assert.ok(await opens((await signIn(await keyed("o4w-jar", { "require-signed-request-object": true }))).tokens.access_token));
  },
  async "signed responses (JARM)"() {
    assert.ok(await opens((await signIn({ jarm: true })).tokens.access_token));
  },
  async "encrypted ID token (JWE)"() {
    const { publicKey, privateKey } = await generateKeyPair("RSA-OAEP-256");
    const encryption = { ...(await exportJWK(publicKey)), kid: "e1", alg: "RSA-OAEP-256", use: "enc" };
    const own = await keyed("o4w-jwe", {
      "id-token-encrypted-response-alg": "RSA-OAEP-256", "id-token-encrypted-response-enc": "A256CBC-HS512",
    }, encryption);
    const decrypt = async (token) => new TextDecoder().decode((await compactDecrypt(token, privateKey)).plaintext);
    const { tokens: got } = await signIn({ to: own.to, auth: own.auth, options: { [oauth.jweDecrypt]: decrypt } });
    assert.equal(oauth.getValidatedIdTokenClaims(got).sub, "dana");
  },
  async "DPoP"() {
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
    const { tokens: bound } = await signIn({ DPoP });
    assert.equal(bound.token_type, "dpop");
    const record = new URL(`${ready.fhir_base}/Patient/${patient}`);
    const read = () => oauth.protectedResourceRequest(bound.access_token, "GET", record, undefined, null, { DPoP });
    const answer = await read().catch((error) => {
      if (!oauth.isDPoPNonceError(error)) throw error;
      return read();
    });
    assert.equal(answer.status, 200);
    assert.equal(await opens(bound.access_token), false, "a bound token without its key");
  },
  async "private_key_jwt"() {
    const { to, auth } = await keyed("o4w-keyed");
    const { tokens: got } = await signIn({ to, auth });
    assert.ok(await opens(got.access_token));
  },
  async "client credentials"() {
    const service = { client_id: "demo-service" };
    const secret = ready.clients.find((one) => one.client_id === service.client_id).client_secret;
    const answer = await oauth.clientCredentialsGrantRequest(as, service, oauth.ClientSecretBasic(secret), { scope: "system/*.rs" });
    assert.ok(await opens((await oauth.processClientCredentialsResponse(as, service, answer)).access_token));
  },
  async "mutual TLS"() {
    const own = { client_id: "o4w-mtls", use_mtls_endpoint_aliases: true };
    register(own.client_id, "confidential", {
      "auth-method": "self_signed_tls_client_auth", "jwks-file": file("o4w-mtls.json", made("client-jwks.json")),
      "tls-client-certificate-bound-access-tokens": true, grant: "client_credentials", scope: "system/*.rs", role: "service",
    });
    const dispatcher = new Agent({ connect: { key: made("client-key.pem"), cert: made("client-cert.pem") } });
    const withCertificate = (address, options) => undiciFetch(address, { ...options, dispatcher });
    const ask = (options) => oauth.clientCredentialsGrantRequest(as, own, oauth.TlsClientAuth(), { scope: "system/*.rs" }, options);
    const got = await oauth.processClientCredentialsResponse(as, own, await ask({ [oauth.customFetch]: withCertificate }));
    assert.equal(await opens(got.access_token), false, "a bound token without its certificate");
    const bare = await ask();
    await assert.rejects(oauth.processClientCredentialsResponse(as, own, bare), { error: "invalid_client" });
  },
});
