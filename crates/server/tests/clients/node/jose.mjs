// jose (npm): a resource server's view of our tokens and keys.
import assert from "node:assert/strict";
import * as jose from "jose";
import { CALLBACK, Person, chartgate, file, ready, register, run } from "./gateway.mjs";

const keys = jose.createRemoteJWKSet(new URL(`${ready.issuer}/jwks`));
const expected = { issuer: ready.issuer, audience: ready.fhir_base, typ: "at+jwt", requiredClaims: ["exp", "iat", "jti", "sub", "client_id"] };

async function ask(id, secret, fields) {
  const answer = await fetch(`${ready.issuer}/token`, {
    method: "POST", headers: { authorization: `Basic ${btoa(`${id}:${secret}`)}` }, body: new URLSearchParams(fields),
  });
  return answer.json();
}

async function token(id, secret) {
  return (await ask(id, secret, { grant_type: "client_credentials", scope: "system/*.rs" })).access_token;
}

/** The ID token of a sign-in by a client whose answers are encrypted so. */
async function encryptedIdToken(alg, enc, options) {
  const id = `jose-${alg}`.replaceAll("+", "-").toLowerCase();
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, { ...options, extractable: true });
  const keys = [{ ...(await jose.exportJWK(publicKey)), kid: id, alg, use: "enc" }];
  const { client_secret } = register(id, "confidential", {
    "redirect-uri": CALLBACK, scope: "openid user/*.rs", "jwks-file": file(`${id}.json`, JSON.stringify({ keys })),
    "id-token-encrypted-response-alg": alg, "id-token-encrypted-response-enc": enc,
  });
  const code_verifier = jose.base64url.encode(crypto.getRandomValues(new Uint8Array(32)));
  const code_challenge = jose.base64url.encode(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(code_verifier))));
  const request = new URLSearchParams({ response_type: "code", client_id: id, redirect_uri: CALLBACK, scope: "openid user/*.rs",
    state: "s", code_challenge, code_challenge_method: "S256" });
  const back = await new Person().lead(new URL(`${ready.issuer}/authorize?${request}`));
  const fields = { grant_type: "authorization_code", code: back.searchParams.get("code"), redirect_uri: CALLBACK, code_verifier };
  return { id, privateKey, idToken: (await ask(id, client_secret, fields)).id_token };
}

const { client_secret } = register("jose-service", "confidential", { grant: "client_credentials", scope: "system/*.rs", role: "service" });
const access = await token("jose-service", client_secret);

await run("jose", {
  async "access token against the JWKS"() {
    const { payload, protectedHeader } = await jose.jwtVerify(access, keys, expected);
    assert.equal(payload.client_id, "jose-service");
    assert.equal(protectedHeader.alg, "RS256");
    await assert.rejects(jose.jwtVerify(access, keys, { ...expected, audience: "https://elsewhere.example" }), { code: "ERR_JWT_CLAIM_VALIDATION_FAILED" });
    const [head, body, signature] = access.split(".");
    const other = jose.base64url.encode(JSON.stringify({ ...payload, sub: "ada" }));
    await assert.rejects(jose.jwtVerify([head, other, signature].join("."), keys, expected), { code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED" });
    assert.ok(body !== other);
  },
  async "JWKS"() {
    const set = await (await fetch(`${ready.issuer}/jwks`)).json();
    const kids = set.keys.map((key) => key.kid);
    assert.equal(new Set(kids).size, kids.length);
    for (const key of set.keys) {
      assert.equal((await jose.importJWK(key, key.alg)).type, "public");
      assert.equal(await jose.calculateJwkThumbprint(key), key.kid);
    }
    assert.ok(set.keys.length >= 2, "the next key is there before it signs");
  },
  async "encrypted ID token (JWE)"() {
    for (const [alg, enc, options] of [
      ["ECDH-ES", "A128CBC-HS256", { crv: "P-256" }], ["ECDH-ES+A256KW", "A256GCM", { crv: "P-384" }], ["RSA-OAEP-256", "A256CBC-HS512"],
    ]) {
      const { id, privateKey, idToken } = await encryptedIdToken(alg, enc, options);
      const { plaintext, protectedHeader } = await jose.compactDecrypt(idToken, privateKey);
      assert.deepEqual([protectedHeader.alg, protectedHeader.enc, protectedHeader.cty], [alg, enc, "JWT"]);
      const within = new TextDecoder().decode(plaintext);
      const { payload } = await jose.jwtVerify(within, keys, { issuer: ready.issuer, audience: id });
      assert.equal(payload.sub, "dana");
    }
  },
  async "keys that rotate"() {
    const before = jose.decodeProtectedHeader(access).kid;
    chartgate("key", "rotate", "--now");
    const after = await token("jose-service", client_secret);
    assert.notEqual(jose.decodeProtectedHeader(after).kid, before);
    // With the key set that it fetched before: the next key was in it already.
    await jose.jwtVerify(after, keys, expected);
    await jose.jwtVerify(access, keys, expected);
  },
});
