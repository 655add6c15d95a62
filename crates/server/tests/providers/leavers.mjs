// People who sign out here and elsewhere. A line for each that went as it should. `node leavers.mjs READY_FILE CHARTGATE CONFIG PART`;
// CONFIG is a JSON file: { groups: FILE, clinic: ISSUER, campus: ISSUER }. The clinic's logout tokens name people, the campus's
// sessions.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

import { Browser, isIn, isOut } from "./browser.mjs";

const [readyFile, program, configFile, part] = process.argv.slice(2);
const ready = JSON.parse(readFileSync(readyFile, "utf8"));
const config = JSON.parse(readFileSync(configFile, "utf8"));
const { issuer } = ready;
const BYE = "https://app.example/bye?from=gate";
const EVENT = "http://schemas.openid.net/event/backchannel-logout";
const ok = (what) => console.log(`ok ${what}`);

function chartgate(...words) {
  return JSON.parse(execFileSync(program, ["--config", ready.config_file, "--output", "json", ...words], { encoding: "utf8" }));
}

/** Dana signs in, in a browser that may have been there before. */
async function dana(title, browser = new Browser(issuer)) {
  isIn(await browser.enter(title, "d-4711"), "dana");
  return browser;
}

/** The same without a word there: they are still signed in at the provider. */
async function again(title, browser) {
  isIn(await browser.go(await browser.follow(`${issuer}/login`), title), "dana");
}

const isHere = async (browser) => (await browser.follow(`${issuer}/account`)).text.includes("<h1>Signed in as dana</h1>");

/** Signs out on our page. */
async function signOut(browser) {
  const page = await browser.follow(`${issuer}/account`);
  const csrf = /name="csrf" value="([^"]+)"/.exec(page.text)[1];
  const answer = await browser.get(`${issuer}/logout`, { method: "POST", body: new URLSearchParams({ csrf }) });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("cache-control"), "no-store");
  return { at: `${issuer}/logout`, status: answer.status, text: await answer.text() };
}

const plain = (text) => text.replaceAll("&#38;", "&").replaceAll("&amp;", "&");
/** Where a page goes on by itself. */
const goesOn = (page) => plain(/<meta http-equiv="refresh" content="0; url=([^"]+)">/.exec(page.text)?.[1] ?? "");
/** Where it offers to go. */
const offers = (page) => [...page.text.matchAll(/<a class="button[^"]*" href="([^"]+)"/g)].map(([, to]) => plain(to));

/** Says yes at the provider to signing out there; comes back. */
async function confirm(browser, address, stop) {
  const there = await browser.follow(address);
  assert.equal(there.status, 200, there.text);
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(there.text)[1];
  const action = new URL(/action="([^"]+)"/.exec(there.text)[1], there.at).href;
  const answer = await browser.get(action, { method: "POST", body: new URLSearchParams({ xsrf, logout: "yes" }) });
  assert.equal(answer.status, 303);
  return browser.follow(new URL(answer.headers.get("location"), action).href, stop);
}

/** Tokens of an application in this browser's session. */
async function tokens(browser, scope) {
  const request = {
    response_type: "code", client_id: "demo-app", redirect_uri: "http://127.0.0.1:9999/callback", aud: `${issuer}/fhir`, scope, state: "s",
    code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", code_challenge_method: "S256",
  };
  const stop = (address) => address.startsWith(request.redirect_uri);
  let page = await browser.follow(`${issuer}/authorize?${new URLSearchParams(request)}`, stop);
  if (page.text) page = await browser.submit(page, { decision: "approve" }, stop);
  return token({
    grant_type: "authorization_code", code: new URL(page.at).searchParams.get("code"), redirect_uri: request.redirect_uri,
    code_verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
  });
}

async function token(fields) {
  const body = new URLSearchParams({ client_id: "demo-app", ...fields });
  return (await fetch(`${issuer}/token`, { method: "POST", body })).json();
}

const lives = async (access) =>
  (await fetch(`${issuer}/userinfo`, { headers: { authorization: `Bearer ${access}` } })).status === 200;

/** What a provider would sign. */
async function signed(provider, header, claims) {
  return (await fetch(`${provider}/signed`, { method: "POST", body: JSON.stringify({ header, claims }) })).text();
}

/** Tells us, as a provider does. */
async function tell(name, body) {
  const answer = await fetch(`${issuer}/login/with/${name}/backchannel-logout`, { method: "POST", body });
  assert.equal(answer.headers.get("cache-control"), "no-store");
  return { status: answer.status, text: await answer.text() };
}

let names = 0;
/** The claims of a good logout token. */
function logout(provider, changes) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: provider, aud: "chartgate", iat: now, exp: now + 120, jti: `j-${part}-${++names}`, events: { [EVENT]: {} }, ...changes };
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== null));
}

const parts = {
  async always() {
    writeFileSync(config.groups, JSON.stringify({ "d-4711": ["Clinicians"] }));
    for (const name of ["clinic", "campus"]) chartgate("user", "link", "dana", "--provider", name, "--subject", "d-4711");
    chartgate("client", "add", "leaver", "--kind", "public", "--scope", "openid", "--redirect-uri", "http://127.0.0.1/callback",
      "--post-logout-redirect-uri", BYE);
    for (const [title, name] of [["Clinic account", "clinic"], ["Campus account", "campus"]]) {
      const browser = await dana(title);
      const page = await signOut(browser);
      isOut(page, 200, "Signed out");
      assert(!await isHere(browser), "before anybody goes anywhere");
      const address = new URL(goesOn(page));
      assert.equal(address.origin, config[name]);
      const { id_token_hint, ...sent } = Object.fromEntries(address.searchParams);
      assert.equal(JSON.parse(Buffer.from(id_token_hint.split(".")[1], "base64url")).sub, "d-4711");
      const way = `${issuer}/login/with/${name}/signed-out`;
      assert.deepEqual({ ...sent, state: "" }, { client_id: "chartgate", post_logout_redirect_uri: way, state: "" });
      const back = await confirm(browser, address.href);
      assert(back.at.startsWith(`${way}?state=`), back.at);
      isOut(back, 200, "Signed out");
      isOut(await browser.follow(back.at), 400, "This page is no longer open");
      const there = await browser.leave(await browser.follow(`${issuer}/login`), title);
      assert.equal(there.prompt, "login", "whoever is next is asked who they are");
    }
    ok("whoever signs out here signs out where they came from, and comes back once");
    {
      const browser = await dana("Clinic account");
      const query = new URLSearchParams({ client_id: "leaver", post_logout_redirect_uri: BYE, state: "a&b" });
      const asked = await browser.follow(`${issuer}/end-session?${query}`);
      const page = await browser.submit(asked, { decision: "approve" });
      const address = goesOn(page);
      assert(address.startsWith(config.clinic), page.text);
      // Whoever has the address alone is led nowhere.
      const stop = (at) => at.startsWith("https://app.example/") || at.includes("/signed-out?");
      const back = await confirm(browser, address, stop);
      isOut(await new Browser(issuer).follow(back.at), 400, "This page is no longer open");
      const other = new URL(back.at);
      other.pathname = other.pathname.replace("clinic", "campus");
      isOut(await browser.follow(other.href), 400, "This page is no longer open");
      const { at } = await browser.follow(back.at, (at) => at.startsWith("https://app.example/"));
      assert.equal(at, `${BYE}&state=a%26b`);
    }
    ok("and goes on from there to the application that asked for it, in that browser alone");
    for (const name of ["dana", "nils"]) {
      const browser = await dana("Clinic account");
      const { password } = ready.users.find((user) => user.username === name);
      isIn(await browser.submit(await browser.follow(`${issuer}/login`), { username: name, password }), name);
      const address = new URL(goesOn(await signOut(browser)));
      assert.equal(address.origin, config.clinic);
      assert.equal(address.searchParams.has("id_token_hint"), name === "dana", "nobody is shown another's ID token");
      await confirm(browser, address.href);
    }
    ok("also who signed in here since, in the browser that is signed in there");
  },

  async told() {
    for (const [title, name, others] of [["Clinic account", "clinic", false], ["Campus account", "campus", true]]) {
      const [browser, other] = [await dana(title), await dana(title)];
      const bound = await tokens(browser, "openid user/*.rs");
      const kept = await tokens(browser, "openid offline_access user/*.rs");
      assert(await lives(bound.access_token) && await isHere(browser) && await isHere(other));
      await confirm(browser, `${config[name]}/session/end`);
      assert(!await isHere(browser), "signed out there is signed out here");
      assert(!await lives(bound.access_token), "with its tokens");
      assert.equal(await isHere(other), others, "by session where it has a name, else by person");
      assert((await token({ grant_type: "refresh_token", refresh_token: kept.refresh_token })).access_token, "what is kept while away stays");
      if (others) await signOut(other);
    }
    ok("whoever signs out there is signed out here at once");
  },

  async forged() {
    const provider = config.clinic;
    const browser = await dana("Clinic account");
    const typed = { typ: "logout+jwt" };
    const person = { sub: "d-4711" };
    const good = () => logout(provider, person);
    const now = Math.floor(Date.now() / 1000);
    const forgeries = {
      "of another provider": await signed(config.campus, typed, good()),
      "of another issuer": await signed(provider, typed, { ...good(), iss: config.campus }),
      "for another client": await signed(provider, typed, { ...good(), aud: "other" }),
      "for several": await signed(provider, typed, { ...good(), aud: ["chartgate", "other"] }),
      "an access token": await signed(provider, { typ: "at+jwt" }, good()),
      "an ID token": await signed(provider, { typ: "JWT" }, { ...logout(provider, { ...person, events: null }), nonce: "n" }),
      "with a nonce": await signed(provider, typed, { ...good(), nonce: "n" }),
      "without its event": await signed(provider, typed, logout(provider, { ...person, events: null })),
      "of another event": await signed(provider, typed, { ...good(), events: { "https://example.org/other": {} } }),
      "without a name": await signed(provider, typed, logout(provider, { ...person, jti: null })),
      "of nobody": await signed(provider, typed, logout(provider, {})),
      "expired": await signed(provider, typed, { ...good(), iat: now - 300, exp: now - 180 }),
      "old": await signed(provider, typed, { ...good(), iat: now - 4000, exp: now + 4000 }),
      "of tomorrow": await signed(provider, typed, { ...good(), iat: now + 86_400, exp: now + 90_000 }),
      "without end": await signed(provider, typed, logout(provider, { ...person, exp: null })),
      "by an unknown key": await signed(provider, { ...typed, kid: "x" }, good()),
    };
    const [header, claims, signature] = (await signed(provider, typed, good())).split(".");
    const header_of = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    forgeries.unsigned = `${header_of({ alg: "none", kid: "k", ...typed })}.${claims}.`;
    forgeries["signed by nobody"] = `${header}.${claims}.`;
    forgeries["by our secret there"] = `${header_of({ alg: "HS256", kid: "k", ...typed })}.${claims}.${signature}`;
    forgeries["with other claims"] = `${header}.${header_of({ ...good(), sub: "x" })}.${signature}`;
    for (const [what, logout_token] of Object.entries(forgeries)) {
      const answer = await tell("clinic", new URLSearchParams({ logout_token }));
      assert.deepEqual(answer, { status: 400, text: '{"error":"invalid_request"}' }, what);
    }
    const token = await signed(provider, typed, good());
    for (const body of [new URLSearchParams(), new URLSearchParams([["logout_token", token], ["logout_token", token]]), "{}"]) {
      assert.equal((await tell("clinic", body)).status, 400);
    }
    assert.equal((await tell("nobody", new URLSearchParams({ logout_token: token }))).status, 400);
    const place = `${issuer}/login/with/clinic/backchannel-logout`;
    assert.equal((await fetch(`${place}?${new URLSearchParams({ logout_token: token })}`)).status, 405, "no address signs anybody out");
    assert.equal((await fetch(place, { method: "POST", body: new URLSearchParams({ x: "x".repeat(20_000) }) })).status, 413);
    assert(await isHere(browser), "nobody was signed out by any of it");
    ok("nobody signs others out by what is no logout token of their provider for us");
    assert.deepEqual(await tell("clinic", new URLSearchParams({ logout_token: token })), { status: 200, text: "" });
    assert(!await isHere(browser));
    await again("Clinic account", browser);
    assert.equal((await tell("clinic", new URLSearchParams({ logout_token: token }))).status, 400, "it came before");
    assert(await isHere(browser));
    // One of fifty at once, and each knows of it.
    const once = await signed(provider, typed, good());
    const all = await Promise.all([...Array(50)].map(() => tell("clinic", new URLSearchParams({ logout_token: once }))));
    assert.deepEqual(all.map(({ status }) => status).sort(), [200, ...Array(49).fill(400)]);
    assert(!await isHere(browser));
    ok("a logout token counts once");
    await again("Clinic account", browser);
    for (const who of [{ sid: "nobody's" }, { sub: "nobody" }, { sid: "nobody's", sub: "nobody" }]) {
      const unknown = await signed(provider, typed, logout(provider, who));
      assert.equal((await tell("clinic", new URLSearchParams({ logout_token: unknown }))).status, 200);
    }
    assert(await isHere(browser));
    ok("that somebody unknown signed out is heard, and changes nothing");
  },

  async offered() {
    const browser = await dana("Clinic account");
    const page = await signOut(browser);
    assert.match(page.text, /still signed in at <strong>Clinic account<\/strong>/);
    assert.equal(goesOn(page), "");
    const [there] = offers(page);
    isOut(await confirm(browser, there), 200, "Signed out");
    await dana("Clinic account", browser);
    const query = new URLSearchParams({ client_id: "leaver", post_logout_redirect_uri: BYE });
    const asked = await browser.follow(`${issuer}/end-session?${query}`);
    const two = offers(await browser.submit(asked, { decision: "approve" }));
    assert(two[0].startsWith(config.clinic) && two[1] === BYE, two);
    ok("where it is offered, people choose");
  },

  async never() {
    const browser = await dana("Clinic account");
    const page = await signOut(browser);
    assert.match(page.text, /may still be signed in at <strong>Clinic account<\/strong>/);
    assert.deepEqual([goesOn(page), ...offers(page)], [""]);
    await again("Clinic account", browser);
    const query = new URLSearchParams({ client_id: "leaver", post_logout_redirect_uri: BYE });
    const asked = await browser.follow(`${issuer}/end-session?${query}`);
    const before = await browser.submit(asked, { decision: "approve" });
    assert.match(before.text, /may still be signed in at <strong>Clinic account<\/strong>/);
    assert.deepEqual(offers(before), [BYE]);
    await again("Clinic account", browser);
    ok("where nobody is sent there, the page says what stays open");
  },

  async down() {
    const browser = await dana("Clinic account");
    // Its metadata is forgotten, and nobody there says it again.
    console.log("waits");
    await new Promise((resolve) => { process.stdin.once("data", resolve); });
    process.stdin.destroy();
    const page = await signOut(browser);
    isOut(page, 200, "Signed out");
    assert.match(page.text, /may still be signed in/);
    assert(!await isHere(browser), "a provider that is down keeps nobody signed in");
    ok("a provider that does not answer keeps nobody signed in");
  },
};
await parts[part]();
