// fhirclient (npm), SMART's own library, in Node as an Express application would use it.
import assert from "node:assert/strict";
import { exportJWK, generateKeyPair } from "jose";
import * as smart from "./smart-app.mjs";
import { CALLBACK, Person, file, patient, ready, register, run } from "./gateway.mjs";

const SCOPE = "openid fhirUser launch/patient patient/*.rs";

/** A browser as the application sees it: what is kept for it, and a request from it. */
class Visitor {
  #kept = new Map();
  storage = {
    get: async (key) => this.#kept.get(key),
    set: async (key, value) => this.#kept.set(key, value),
    unset: async (key) => this.#kept.delete(key),
  };
  response = {
    writeHead: (_, { location }) => { this.location = location; },
    end() {},
  };

  request(url) {
    return { url, headers: { host: new URL(CALLBACK).host }, socket: {} };
  }
}

async function signIn(clientId, scope, more = {}) {
  const visitor = new Visitor();
  const app = { iss: ready.fhir_base, redirectUri: CALLBACK, clientId, scope, ...more };
  await smart.launch(visitor.request("/launch"), visitor.response, visitor.storage, app);
  const back = await new Person().lead(visitor.location);
  return smart.ready(visitor.request(`${back.pathname}${back.search}`), visitor.response, visitor.storage);
}

/** Refreshes, and reads with what came. */
async function refreshes(client) {
  const [access, refresh] = [client.getState("tokenResponse.access_token"), client.getState("tokenResponse.refresh_token")];
  await client.refresh();
  assert.notEqual(client.getState("tokenResponse.access_token"), access);
  assert.notEqual(client.getState("tokenResponse.refresh_token"), refresh, "rotated");
  assert.equal((await client.patient.read()).id, patient);
}

let client;
await run("fhirclient", {
  async "code with PKCE"() {
    client = await signIn("demo-app", `${SCOPE} offline_access`);
    assert.equal(client.patient.id, patient);
    assert.equal((await client.patient.read()).id, patient);
    const found = await client.patient.request("Observation");
    assert.equal(found.resourceType, "Bundle");
  },
  async "discovery"() {
    // It found the token endpoint by itself: under the FHIR address alone.
    assert.equal(client.getState("tokenUri"), `${ready.issuer}/token`);
  },
  async "refresh"() {
    const { client_secret } = register("fc-web", "confidential", { "redirect-uri": CALLBACK, scope: `${SCOPE} offline_access` });
    await refreshes(await signIn("fc-web", `${SCOPE} offline_access`, { clientSecret: client_secret }));
  },
  async "public client's refresh"() {
    // The library names no client here: the refresh token does.
    await refreshes(client);
  },
  async "refresh with online_access"() {
    register("fc-online", "public", { "redirect-uri": CALLBACK, scope: `${SCOPE} online_access` });
    await refreshes(await signIn("fc-online", `${SCOPE} online_access`));
  },
  async "private_key_jwt"() {
    const { publicKey, privateKey } = await generateKeyPair("ES384", { extractable: true });
    const named = { kid: "k1", alg: "ES384" };
    const keys = [{ ...(await exportJWK(publicKey)), ...named, key_ops: ["verify"] }];
    register("fc-keyed", "confidential", {
      "auth-method": "private_key_jwt", "jwks-file": file("fc-keyed.json", JSON.stringify({ keys })),
      "redirect-uri": CALLBACK, scope: `${SCOPE} offline_access`,
    });
    const clientPrivateJwk = { ...(await exportJWK(privateKey)), ...named, key_ops: ["sign"] };
    const own = await signIn("fc-keyed", `${SCOPE} offline_access`, { clientPrivateJwk });
    assert.equal((await own.patient.read()).id, patient);
  },
});
