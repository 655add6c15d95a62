// People who sign in at an identity provider: what opens here and what does not. A line for each that went as it should.
// `node people.mjs READY_FILE CHARTGATE CONFIG`, a JSON file: { groups: FILE, refresh_token: FILE }; the providers are called
// clinic, which never says when somebody signed in there, and campus.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

import { Browser as AnyBrowser, isIn, isOut } from "./browser.mjs";

const [readyFile, program, configFile] = process.argv.slice(2);
const ready = JSON.parse(readFileSync(readyFile, "utf8"));
const config = JSON.parse(readFileSync(configFile, "utf8"));
const { issuer } = ready;
/** One that signs in here. */
class Browser extends AnyBrowser {
  constructor() {
    super(issuer);
  }
}

const STRONG = "https://login.example/two-factors";

function chartgate(...words) {
  return execFileSync(program, ["--config", ready.config_file, "--output", "json", ...words], { encoding: "utf8" });
}

/** Who is in which groups at the campus. */
const groups = (members) => writeFileSync(config.groups, JSON.stringify(members));

/** RFC 6238: the code of this moment. */
function totp(base32) {
  const bits = [...base32.replace(/[ =]/g, "")].map((letter) =>
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const digest = createHmac("sha1", key).update(step).digest();
  const number = digest.readUInt32BE(digest[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

const isBack = (address) => address.startsWith(`${issuer}/login/with/`) && address.includes("/back?");
const UNKNOWN = "Your account at Clinic account opens nothing here";
const STALE = "This page is no longer open";
const show = (name) => JSON.parse(chartgate("user", "show", name));
const ok = (what) => console.log(`ok ${what}`);

groups({});
{
  const refused = await new Browser().enter("Clinic account", "d-4711");
  isOut(refused, 403, UNKNOWN);
  // Never by name: `dana` is somebody here.
  isOut(await new Browser().enter("Clinic account", "dana"), 403, UNKNOWN);
  ok("an account that is nobody's opens nothing");
}
{
  chartgate("user", "link", "dana", "--provider", "clinic", "--subject", "d-4711");
  const browser = new Browser();
  isIn(await browser.enter("Clinic account", "d-4711"), "dana");
  isIn(await browser.follow(`${issuer}/account`), "dana");
  assert.equal(show("dana").provider_accounts[0].subject, "d-4711");
  ok("an account that an administrator linked opens what its person has");
}
{
  const browser = new Browser();
  const { at } = await browser.enter("Clinic account", "d-4711", { stop: isBack });
  isOut(await new Browser().follow(at), 400, STALE);
  const other = new URL(at);
  other.pathname = other.pathname.replace("clinic", "campus");
  isOut(await browser.follow(other.href), 400, STALE);
  isOut(await browser.follow(at), 400, STALE);
  const anew = new Browser();
  const good = await anew.enter("Clinic account", "d-4711", { stop: isBack });
  isIn(await anew.follow(good.at), "dana");
  isOut(await anew.follow(good.at), 400, STALE);
  isIn(await anew.follow(`${issuer}/account`), "dana");
  ok("an answer is good in its browser, at its address, once");
}
{
  for (const change of [(query) => query.set("iss", "https://login.example.org"), (query) => query.delete("iss"),
    (query) => query.set("code", "made-up"), (query) => query.set("error", "server_error")]) {
    const browser = new Browser();
    const { at } = await browser.enter("Clinic account", "d-4711", { stop: isBack });
    const changed = new URL(at);
    change(changed.searchParams);
    isOut(await browser.follow(changed.href), 200, "Not signed in by Clinic account");
    assert.equal((await browser.follow(`${issuer}/account`)).at, `${issuer}/login`);
  }
  isOut(await new Browser().enter("Clinic account", "nobody"), 200, "Not signed in by Clinic account");
  ok("an answer of another, without its issuer, altered or a refusal signs nobody in");
}
{
  const link = JSON.parse(chartgate("user", "add", "erin", "--role", "nurse")).enrolment_link;
  const browser = new Browser();
  const there = await browser.leave(await browser.follow(link), "Clinic account");
  isIn(await browser.signIn(there, "e-1"), "erin");
  isIn(await new Browser().enter("Clinic account", "e-1"), "erin");
  assert.equal((await browser.follow(link)).status, 400, "the link was used");
  const second = JSON.parse(chartgate("user", "add", "finn", "--role", "nurse")).enrolment_link;
  const others = new Browser();
  const again = await others.leave(await others.follow(second), "Clinic account");
  isOut(await others.signIn(again, "e-1"), 403, UNKNOWN);
  assert.deepEqual(show("finn").provider_accounts, []);
  ok("a one-time link is a way to link an account that is nobody's");
}
{
  const link = JSON.parse(chartgate("user", "add", "gus", "--role", "nurse")).enrolment_link;
  const token = new URL(link).searchParams.get("token");
  const dana = new Browser();
  isIn(await dana.enter("Clinic account", "d-4711"), "dana");
  for (const led of [`?token=${token}`, "", `?token=${token}&go=made-up`]) {
    const page = await dana.follow(`${issuer}/login/with/clinic${led}`);
    isOut(page, 200, "Sign in");
    isIn(await dana.follow(`${issuer}/account`), "dana");
  }
  ok("nobody is led to a provider by another's link");
}
{
  chartgate("user", "disable", "erin");
  isOut(await new Browser().enter("Clinic account", "e-1"), 403, UNKNOWN);
  chartgate("user", "enable", "erin");
  isIn(await new Browser().enter("Clinic account", "e-1"), "erin");
  chartgate("user", "unlink", "erin", "--provider", "clinic");
  isOut(await new Browser().enter("Clinic account", "e-1"), 403, UNKNOWN);
  ok("whoever is shut out or unlinked gets the answer of an unknown account");
}
{
  groups({ "Noor@campus.example": ["Clinicians", "Everybody"] });
  isIn(await new Browser().enter("Campus account", "Noor@campus.example"), "noor@campus.example");
  assert.deepEqual(show("noor@campus.example").roles, ["physician"]);
  groups({ "Noor@campus.example": ["Everybody"] });
  isIn(await new Browser().enter("Campus account", "Noor@campus.example"), "noor@campus.example");
  assert.deepEqual(show("noor@campus.example").roles, []);
  const names = await new Browser().enter("Campus account", "dana");
  isOut(names, 403, "Your account at Campus account opens nothing here");
  ok("groups are roles, newcomers are added, and nobody gets a name that is somebody's");
}
{
  const browser = new Browser();
  const query = new URLSearchParams({
    response_type: "code", client_id: "demo-app", redirect_uri: "http://127.0.0.1:9999/callback", scope: "openid",
    code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", code_challenge_method: "S256", state: "s",
    acr_values: "https://refeds.org/profile/mfa", prompt: "login",
  });
  const page = await browser.follow(`${issuer}/authorize?${query}`);
  const there = await browser.leave(page, "Campus account");
  assert.equal(there.params.acr_values, STRONG, "two factors are asked for there");
  assert.equal(there.params.prompt, "login", "and anew");
  const stop = (address) => address.startsWith("http://127.0.0.1:9999/callback") || address.includes("/login/consent");
  const back = await browser.signIn(there, "Noor@campus.example", { acr: STRONG, stop });
  assert(stop(back.at), back.text);
  ok("two factors there are two here where the configuration says so");
  const weak = new Browser();
  const asked = await weak.leave(await weak.follow(`${issuer}/authorize?${query}`), "Campus account");
  const enrol = await weak.signIn(asked, "Noor@campus.example", { amr: "pwd" });
  assert.match(enrol.at, /\/login\/factor/, "else one is enrolled here");
  const key = /class="key">([^<]+)</.exec(enrol.text)[1];
  const codes = await weak.submit(enrol, { code: totp(key), label: "phone" });
  assert.match(codes.text, /Your recovery codes/);
  isIn(await weak.follow(`${issuer}/account`), "noor@campus.example");
  const next = await new Browser().enter("Campus account", "Noor@campus.example");
  assert.match(next.at, /\/login\/code/, "and asked for from then on");
  ok("less there is made up for here");
}
{
  const browser = new Browser();
  isIn(await browser.enter("Clinic account", "d-4711"), "dana");
  const request = {
    response_type: "code", client_id: "demo-app", redirect_uri: "http://127.0.0.1:9999/callback", aud: `${issuer}/fhir`,
    scope: "openid offline_access user/*.rs", state: "s",
    code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", code_challenge_method: "S256",
  };
  // What began a moment ago here began who knows when there.
  for (const fresh of [{ max_age: "3600" }, { prompt: "login" }]) {
    const start = `${issuer}/authorize?${new URLSearchParams({ ...request, ...fresh })}`;
    const page = await browser.follow(start);
    isOut(page, 200, "Sign in");
    const back = await browser.go(page, "Clinic account");
    isOut(back, 200, "Not signed in by Clinic account");
    assert.match(back.text, /it does not say when you last did so there/);
    // It was asked: whoever it does not know, it lets sign in anew, and does not say so either.
    const anew = new Browser();
    const there = await anew.leave(await anew.follow(start), "Clinic account");
    assert.equal(there.params.prompt, "login");
    assert(Number(there.params.max_age) <= 3600, there.params.max_age);
    isOut(await anew.signIn(there, "d-4711"), 200, "Not signed in by Clinic account");
  }
  ok("a provider that does not say when somebody signed in there is not believed where that is asked");
  const stop = (address) => address.startsWith(request.redirect_uri);
  const consent = await browser.follow(`${issuer}/authorize?${new URLSearchParams(request)}`);
  const { at } = await browser.submit(consent, { decision: "approve" }, stop);
  const body = new URLSearchParams({
    grant_type: "authorization_code", code: new URL(at).searchParams.get("code"), redirect_uri: request.redirect_uri,
    client_id: request.client_id, code_verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
  });
  const tokens = await (await fetch(`${issuer}/token`, { method: "POST", body })).json();
  for (const token of [tokens.access_token, tokens.id_token]) {
    const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
    assert.equal(claims.sub, "dana");
    assert.equal(claims.auth_time, undefined);
  }
  writeFileSync(config.refresh_token, tokens.refresh_token);
  ok("and no token says when that was");
}
