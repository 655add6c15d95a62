// An identity provider that nobody here wrote, for people who sign in there: oidc-provider with its own adapter in memory.
// Its page is ours: who comes is who the address says, as strongly as it says. `node provider.mjs CONFIG`, a JSON file:
// { port, tls: { cert, key }, gateway_of_it, groups: FILE, secret_method, never_says_when, names_sessions }; prints `ready` once it
// listens. What is posted to `/signed`, { header, claims }, it signs: nobody else can make what it could.
import { readFileSync } from "node:fs";
import https from "node:https";
import { createPrivateKey, generateKeyPairSync, sign } from "node:crypto";

import { Provider } from "oidc-provider";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const issuer = `https://127.0.0.1:${config.port}`;
const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });

const provider = new Provider(issuer, {
  acrValues: ["https://login.example/two-factors"],
  claims: { openid: ["sub", "acr", "amr"], profile: ["preferred_username", "groups"], auth_time: null },
  clientAuthMethods: [config.secret_method],
  clients: [{
    client_id: "chartgate",
    client_secret: "a secret with : and / in it",
    grant_types: ["authorization_code"],
    redirect_uris: [`${config.gateway_of_it}/back`],
    post_logout_redirect_uris: [`${config.gateway_of_it}/signed-out`],
    backchannel_logout_uri: `${config.gateway_of_it}/backchannel-logout`,
    backchannel_logout_session_required: config.names_sessions,
    response_types: ["code"],
    token_endpoint_auth_method: config.secret_method,
  }],
  conformIdTokenClaims: false,
  cookies: { keys: ["for this run alone"] },
  features: {
    backchannelLogout: { enabled: true },
    devInteractions: { enabled: false },
    rpInitiatedLogout: { enabled: true, logoutSource: (context, form) => { context.body = form; } },
  },
  // It calls nobody on a private address otherwise, and we are on one.
  fetch: (address, { dispatcher: _, ...options }) => fetch(address, options),
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      preferred_username: id,
      groups: JSON.parse(readFileSync(config.groups, "utf8"))[id] ?? [],
    }),
  }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  jwks: { keys: [{ ...key, alg: "RS256", use: "sig", kid: "k" }] },
  loadExistingGrant: async (context) => {
    const { client, session } = context.oidc;
    const grant = new context.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope("openid profile");
    await grant.save();
    return grant;
  },
  pkce: { required: () => true },
  scopes: ["openid", "profile"],
});

const answer = provider.callback();
/** What was asked and is not answered, by `state`. */
const unanswered = new Map();
https.createServer({ cert: readFileSync(config.tls.cert), key: readFileSync(config.tls.key) }, async (request, response) => {
  const url = new URL(request.url, issuer);
  // As some do: whoever asks when somebody signed in gets no answer (no `auth_time`).
  if (config.never_says_when && url.searchParams.has("max_age")) {
    const query = url.searchParams;
    unanswered.set(query.get("state"), { max_age: query.get("max_age"), prompt: query.get("prompt") });
    query.delete("max_age");
    query.delete("prompt");
    request.url = url.pathname + url.search;
  }
  if (url.pathname === "/signed") {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { header, claims } = JSON.parse(Buffer.concat(chunks).toString());
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const text = `${part({ alg: "RS256", kid: "k", ...header })}.${part(claims)}`;
    const signature = sign("sha256", Buffer.from(text), createPrivateKey({ key, format: "jwk" }));
    return response.end(`${text}.${signature.toString("base64url")}`);
  }
  if (!url.pathname.startsWith("/interaction/")) return answer(request, response);
  const said = url.searchParams;
  // What was asked, for the test to look at; then the sign-in itself.
  if (!said.has("name")) {
    const { params, prompt } = await provider.interactionDetails(request, response);
    response.setHeader("content-type", "application/json");
    const asked = { ...params, ...unanswered.get(params.state) };
    return response.end(JSON.stringify({ params: asked, prompt: prompt.name, reasons: prompt.reasons }));
  }
  const result = said.get("name") === "nobody"
    ? { error: "access_denied", error_description: "said no" }
    : { login: { accountId: said.get("name"), remember: false, acr: said.get("acr") ?? undefined, amr: said.get("amr")?.split(" ") } };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}).listen(config.port, "127.0.0.1", () => console.log("ready"));
