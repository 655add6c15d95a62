// openid-client (npm), the certified Node client: every flow that it has and the gateway too.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import { text } from "node:stream/consumers";
import { decodeJwt, exportJWK, generateKeyPair } from "jose";
import * as oidc from "openid-client";
import { Agent, fetch as undiciFetch } from "undici";
import * as portal from "./portal.mjs";
import { CALLBACK, CIBA, DEVICE, Person, chartgate, file, invite, made, manage, opens, patient, ready, register, run } from "./gateway.mjs";

const SCOPE = "openid fhirUser offline_access user/*.rs";
const BYE = "https://app.example/bye";
const issuer = new URL(ready.issuer);

const web = register("oc-web", "confidential", {
  "redirect-uri": CALLBACK, grant: ["authorization_code", "refresh_token", DEVICE, CIBA],
  scope: SCOPE, "post-logout-redirect-uri": BYE,
});
const config = await portal.connect(ready.issuer, "oc-web", web.client_secret);
const person = new Person();

/** The whole way of the authorization code; `build` makes the address that the browser opens. */
async function signIn(to, { scope = SCOPE, build = oidc.buildAuthorizationUrl, dpop, more = {} } = {}) {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const [expectedState, expectedNonce] = [oidc.randomState(), oidc.randomNonce()];
  const address = await build(to, {
    redirect_uri: CALLBACK, scope, state: expectedState, nonce: expectedNonce, resource: ready.fhir_base,
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256", ...more,
  }, dpop && { DPoP: dpop });
  const back = await person.lead(address);
  const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
  return oidc.authorizationCodeGrant(to, back, checks, undefined, dpop && { DPoP: dpop });
}

async function keyed(id, options) {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const keys = [{ ...(await exportJWK(publicKey)), kid: "k1", alg: "ES256", use: "sig" }];
  register(id, options.kind ?? "confidential", {
    "auth-method": "private_key_jwt", "jwks-file": file(`${id}.json`, JSON.stringify({ keys: [...keys, ...(options.keys ?? [])] })),
    ...options.words,
  });
  const key = { key: privateKey, kid: "k1" };
  return { own: await oidc.discovery(issuer, id, options.metadata, oidc.PrivateKeyJwt(key)), key };
}

/** Uses tokens that are bound to a key, everywhere; gives what a refresh gave. */
async function bound(to, tokens, dpop) {
  const DPoP = { DPoP: dpop };
  assert.equal(tokens.token_type, "dpop");
  assert.equal(await opens(tokens.access_token), false, "a bound token without its key");
  const record = new URL(`${ready.fhir_base}/Patient/${patient}`);
  const answer = await oidc.fetchProtectedResource(to, tokens.access_token, record, "GET", null, undefined, DPoP);
  assert.equal(answer.status, 200);
  const next = await oidc.refreshTokenGrant(to, tokens.refresh_token, undefined, DPoP);
  assert.equal(next.token_type, "dpop");
  assert.equal((await oidc.fetchUserInfo(to, next.access_token, "dana", DPoP)).sub, "dana");
  const told = await oidc.tokenIntrospection(to, next.access_token);
  assert.deepEqual([told.active, told.token_type, typeof told.cnf.jkt], [true, "DPoP", "string"]);
  await oidc.tokenRevocation(to, next.access_token);
  assert.equal((await oidc.tokenIntrospection(to, next.access_token)).active, false);
  return next;
}

let tokens;
await run("openid-client", {
  async "discovery"() {
    assert.equal(config.serverMetadata().issuer, ready.issuer);
    assert.ok(config.serverMetadata().supportsPKCE());
  },
  async "code with PKCE"() {
    const session = {};
    const asked = { redirectUri: CALLBACK, scope: SCOPE, resource: ready.fhir_base };
    const back = await person.lead(await portal.signIn(config, session, asked));
    tokens = await portal.signedIn(config, session, back);
    assert.equal(tokens.scope.split(" ").sort().join(" "), SCOPE.split(" ").sort().join(" "));
    assert.ok(await opens(tokens.access_token));
  },
  async "dynamic registration"() {
    const metadata = {
      client_name: "Portal", redirect_uris: [CALLBACK], grant_types: ["authorization_code", "refresh_token"],
      token_endpoint_auth_method: "client_secret_post",
    };
    const initialAccessToken = invite("--scope", SCOPE);
    const own = await oidc.dynamicClientRegistration(issuer, metadata, undefined, { initialAccessToken });
    const got = await signIn(own);
    assert.ok(await opens(got.access_token));
    assert.ok(await opens((await oidc.refreshTokenGrant(own, got.refresh_token)).access_token));
    await assert.rejects(oidc.dynamicClientRegistration(issuer, metadata, undefined, { initialAccessToken }), "once");
    const told = own.clientMetadata();
    const changed = await manage(told, "PUT", { ...metadata, client_id: told.client_id, scope: "openid" });
    assert.equal(changed.status, 200);
    assert.equal(await opens(got.access_token), false, "another scope");
    assert.equal((await manage(await changed.json(), "DELETE")).status, 204);
    await assert.rejects(oidc.refreshTokenGrant(own, got.refresh_token), { error: "invalid_client" });
  },
  async "ID token against the JWKS"() {
    // The signature too, which OpenID Connect lets a client leave to TLS here.
    const checking = await portal.connect(ready.issuer, "oc-web", web.client_secret);
    oidc.enableNonRepudiationChecks(checking);
    const claims = (await signIn(checking)).claims();
    assert.equal(claims.sub, "dana");
    assert.equal(claims.fhirUser, "Practitioner/dana");
  },
  async "userinfo"() {
    const info = await oidc.fetchUserInfo(config, tokens.access_token, "dana");
    assert.equal(info.sub, "dana");
  },
  async "refresh"() {
    const next = await oidc.refreshTokenGrant(config, tokens.refresh_token);
    assert.notEqual(next.access_token, tokens.access_token);
    assert.ok(await opens(next.access_token));
    tokens = next;
  },
  async "introspection"() {
    const told = await oidc.tokenIntrospection(config, tokens.access_token);
    assert.equal(told.active, true);
    assert.equal(told.sub, "dana");
  },
  async "introspection as a JWT"() {
    const own = await oidc.discovery(issuer, "oc-web", { introspection_signed_response_alg: "RS256" }, oidc.ClientSecretBasic(web.client_secret));
    oidc.enableNonRepudiationChecks(own);
    const told = await oidc.tokenIntrospection(own, tokens.access_token);
    assert.deepEqual([told.active, told.sub], [true, "dana"]);
  },
  async "revocation"() {
    await oidc.tokenRevocation(config, tokens.access_token);
    assert.equal(await opens(tokens.access_token), false);
    assert.equal((await oidc.tokenIntrospection(config, tokens.access_token)).active, false);
  },
  async "device"() {
    const asked = await oidc.initiateDeviceAuthorization(config, { scope: "openid user/*.rs" });
    await person.connectDevice(asked.verification_uri, asked.user_code);
    const got = await oidc.pollDeviceAuthorizationGrant(config, asked);
    assert.equal(got.claims().sub, "dana");
    assert.ok(await opens(got.access_token));
  },
  async "CIBA poll"() {
    const asked = await oidc.initiateBackchannelAuthentication(config, {
      scope: "openid user/*.rs", login_hint: "dana", binding_message: "Desk 4",
    });
    const polling = oidc.pollBackchannelAuthenticationGrant(config, asked);
    chartgate("approval", "approve", asked.auth_req_id);
    assert.ok(await opens((await polling).access_token));
  },
  async "CIBA ping"() {
    const server = createServer({ cert: made("demo/tls/cert.pem"), key: made("demo/tls/key.pem") });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const pinged = once(server, "request").then(async ([request, response]) => {
      const said = JSON.parse(await text(request));
      response.writeHead(204).end();
      return { authorization: request.headers.authorization, said };
    });
    const { client_secret } = register("oc-ping", "confidential", {
      grant: [CIBA], scope: "openid user/*.rs",
      "backchannel-client-notification-endpoint": `https://localhost:${server.address().port}/ping`,
    });
    const own = await portal.connect(ready.issuer, "oc-ping", client_secret);
    const client_notification_token = oidc.randomState();
    const asked = await oidc.initiateBackchannelAuthentication(own, {
      scope: "openid user/*.rs", login_hint: "dana", client_notification_token,
    });
    chartgate("approval", "approve", asked.auth_req_id);
    assert.deepEqual(await pinged, {
      authorization: `Bearer ${client_notification_token}`, said: { auth_req_id: asked.auth_req_id },
    });
    assert.ok(await opens((await oidc.pollBackchannelAuthenticationGrant(own, asked)).access_token));
    server.close();
  },
  async "pushed requests (PAR)"() {
    const build = oidc.buildAuthorizationUrlWithPAR;
    assert.ok((await build(config, { redirect_uri: CALLBACK, scope: SCOPE, code_challenge_method: "S256",
      code_challenge: await oidc.calculatePKCECodeChallenge("v".repeat(43)) })).searchParams.has("request_uri"));
    assert.ok(await opens((await signIn(config, { build })).access_token));
  },
  async "signed requests (JAR)"() {
    const words = { "redirect-uri": CALLBACK, scope: SCOPE, "require-signed-request-object": true };
    const { own, key } = await keyed("oc-jar", { words });
    const build = (to, parameters) => oidc.buildAuthorizationUrlWithJAR(to, parameters, key);
    assert.ok(await opens((await signIn(own, { build })).access_token));
  },
  async "signed responses (JARM)"() {
    const own = await portal.connect(ready.issuer, "oc-web", web.client_secret);
    oidc.useJwtResponseMode(own);
    const build = (to, parameters) => {
      const address = oidc.buildAuthorizationUrl(to, parameters);
      assert.equal(address.searchParams.get("response_mode"), "jwt");
      return address;
    };
    assert.ok(await opens((await signIn(own, { build })).access_token));
  },
  async "encrypted ID token (JWE)"() {
    const { publicKey, privateKey } = await generateKeyPair("ECDH-ES", { crv: "P-256", extractable: true });
    const { own } = await keyed("oc-jwe", {
      keys: [{ ...(await exportJWK(publicKey)), kid: "e1", alg: "ECDH-ES", use: "enc" }],
      words: { "redirect-uri": CALLBACK, scope: SCOPE, "id-token-encrypted-response-alg": "ECDH-ES",
        "id-token-encrypted-response-enc": "A256GCM" },
    });
    oidc.enableDecryptingResponses(own, ["A256GCM"], { key: privateKey, alg: "ECDH-ES", kid: "e1" });
    const got = await signIn(own);
    assert.equal(got.id_token.split(".").length, 5);
    assert.equal(got.claims().sub, "dana");
  },
  async "DPoP"() {
    const dpop = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair("ES256"));
    const next = await bound(config, await signIn(config, { dpop }), dpop);
    assert.equal(typeof next.refresh_token, "string");
  },
  async "private_key_jwt"() {
    const { own } = await keyed("oc-keyed", { words: { "redirect-uri": CALLBACK, scope: SCOPE } });
    assert.ok(await opens((await signIn(own)).access_token));
  },
  async "FAPI 2.0 profile"() {
    const { own } = await keyed("oc-fapi", {
      words: { profile: "fapi2", "redirect-uri": CALLBACK, scope: SCOPE, "dpop-bound-access-tokens": true,
        "require-pushed-authorization-requests": true, "id-token-signed-response-alg": "ES256" },
      metadata: { id_token_signed_response_alg: "ES256" },
    });
    const dpop = oidc.getDPoPHandle(own, await oidc.randomDPoPKeyPair("ES256"));
    oidc.useJwtResponseMode(own);
    const tokens = await signIn(own, { build: oidc.buildAuthorizationUrlWithPAR, dpop });
    const next = await bound(own, tokens, dpop);
    assert.equal(next.refresh_token, undefined, "it keeps the one that it has");
    const refreshed = await oidc.refreshTokenGrant(own, tokens.refresh_token, undefined, { DPoP: dpop });
    assert.equal(refreshed.token_type, "dpop");
  },
  async "client credentials"() {
    const { own } = await keyed("oc-backend", { kind: "backend", words: { scope: "system/*.rs", role: "service" } });
    const got = await oidc.clientCredentialsGrant(own, { scope: "system/*.rs" });
    assert.ok(await opens(got.access_token));
    const dpop = oidc.getDPoPHandle(own, await oidc.randomDPoPKeyPair("ES256"));
    assert.equal((await oidc.clientCredentialsGrant(own, { scope: "system/*.rs" }, { DPoP: dpop })).token_type, "dpop");
  },
  async "mutual TLS"() {
    register("oc-mtls", "confidential", {
      "auth-method": "self_signed_tls_client_auth", "jwks-file": file("oc-mtls.json", made("client-jwks.json")),
      "tls-client-certificate-bound-access-tokens": true, grant: "client_credentials", scope: "system/*.rs", role: "service",
    });
    const dispatcher = new Agent({ connect: { key: made("client-key.pem"), cert: made("client-cert.pem") } });
    const withCertificate = (address, options) => undiciFetch(address, { ...options, dispatcher });
    const own = await oidc.discovery(issuer, "oc-mtls", { use_mtls_endpoint_aliases: true }, oidc.TlsClientAuth(), {
      [oidc.customFetch]: withCertificate,
    });
    const got = await oidc.clientCredentialsGrant(own, { scope: "system/*.rs" });
    assert.equal(typeof decodeJwt(got.access_token).cnf["x5t#S256"], "string");
    assert.equal(await opens(got.access_token), false, "a bound token without its certificate");
    const mtls = new URL(own.serverMetadata().mtls_endpoint_aliases.token_endpoint).origin;
    const record = new URL(`${mtls}/fhir/Patient/${patient}`);
    assert.equal((await oidc.fetchProtectedResource(own, got.access_token, record, "GET")).status, 200);
    const bare = await fetch(record, { headers: { authorization: `Bearer ${got.access_token}` } });
    assert.equal(bare.status, 401, "the same there");
  },
  async "logout (RP-initiated)"() {
    const leaving = await signIn(config, { scope: "openid user/*.rs" });
    assert.ok(await opens(leaving.access_token));
    const address = oidc.buildEndSessionUrl(config, {
      id_token_hint: leaving.id_token, post_logout_redirect_uri: BYE, state: "gone",
    });
    assert.equal((await person.lead(address)).href, `${BYE}?state=gone`);
    assert.equal(await opens(leaving.access_token), false);
  },
});
