// Approvals in a real Chromium: one context is the workstation, another one the phone, with a passkey of its own, in sizes and
// colours of both. Usage: node approvals.mjs READY_FILE CHARTGATE FOLDER [SCREENSHOT_FOLDER]
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [readyFile, program, folder, shots] = process.argv.slice(2);
const ready = JSON.parse(readFileSync(readyFile, "utf8"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
// Names are given once: so this can be run again.
const RUN = Date.now().toString(36);
const CIBA = "urn:openid:params:grant-type:ciba";
if (shots) mkdirSync(shots, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    // A worker's script is fetched by the browser itself, whatever the context is told to ignore.
    "--ignore-certificate-errors"],
});

function chartgate(...words) {
  return execFileSync(program, ["--config", ready.config_file, ...words], { encoding: "utf8" });
}

const problems = [];
async function context(options) {
  const made = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  // In milliseconds: a machine may have much else to do.
  made.setDefaultTimeout(120_000);
  const page = await made.newPage();
  page.on("console", (message) => {
    // Chromium reports every answer of 400 and above here; scripts and policies are what this is about.
    const isStatus = message.text().startsWith("Failed to load resource: the server responded with a status of");
    if (message.type() === "error" && !isStatus) problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  return page;
}

const WIDE = { viewport: { width: 1280, height: 800 } };
const NARROW = { viewport: { width: 360, height: 740 }, hasTouch: true, colorScheme: "dark" };

/** A page that holds by the rules that screen readers rely on, and fits its screen. */
async function holds(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run());
  const told = found.violations.map((v) => `${v.id}: ${v.help} (${v.nodes.map((n) => n.target).join(", ")})`);
  assert.deepEqual(told, [], name);
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= width, `${name} is ${content} px wide on a screen of ${width}`);
  if (shots) await pictures(page, name);
}

/** The page in each size and colour, as whoever looks at pictures wants it; then as it was. */
async function pictures(page, name) {
  const before = page.viewportSize();
  for (const [size, viewport] of Object.entries({ wide: WIDE.viewport, narrow: NARROW.viewport })) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: `${shots}/${name}-${size}-${colorScheme}.png`, fullPage: true });
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize(before);
}

/** Waits until a page is there as a whole: what its scripts show is shown. */
async function heading(page, name) {
  await page.getByRole("heading", { name, level: 1 }).waitFor();
  await page.waitForLoadState();
}

async function signIn(page, person, path = "/login") {
  await page.goto(`${ready.issuer}${path}`);
  await page.getByLabel("Name").fill(person.name);
  await page.getByLabel("Password", { exact: true }).fill(person.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

function newPerson(base) {
  const name = `${base}-${RUN}`;
  const password = `quiet-otter-climbs-${name}`;
  const file = join(folder, `${name}-password`);
  writeFileSync(file, password);
  chartgate("user", "add", name, "--role", "physician", "--password-file", file);
  return { name, password };
}

/** A phone with an authenticator of its own, on which a person has made a passkey and added the phone. */
async function phoneOf(person) {
  const page = await context(NARROW);
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  await devtools.send("WebAuthn.addVirtualAuthenticator", { options: {
    protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
    automaticPresenceSimulation: true, defaultBackupEligibility: true, defaultBackupState: true,
  } });
  await signIn(page, person);
  await page.goto(`${ready.issuer}/account/factors`);
  await page.getByLabel("Your password, once more").fill(person.password);
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await heading(page, "Add a passkey");
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await heading(page, "Your recovery codes");
  person.codes = await page.locator("li code").allTextContents();
  await page.locator("a.button").click();
  // What was made is shown once, and is what the phone is added with.
  await page.getByRole("button", { name: "Use your passkey" }).click();
  await heading(page, "How you sign in");
  await page.goto(`${ready.issuer}/approve/phone`);
  await holds(page, "phones");
  await page.getByLabel("A name for this phone").fill("Night phone");
  await page.getByRole("button", { name: "Confirm with a passkey" }).click();
  await page.getByText("It is you.").waitFor();
  await page.getByRole("button", { name: "Add this phone" }).click();
  await page.getByText("This is “Night phone”").waitFor();
  return page;
}

/** Shows a code at the workstation, once, so that its person is known there; then the browser is closed. */
async function isSeen(page, person, name) {
  await signIn(page, person);
  await page.getByText("Your phone is not asked here").waitFor();
  await page.waitForLoadState();
  assert.equal(await page.getByRole("button", { name: "Approve on your phone instead" }).count(), 0);
  if (name) await holds(page, name);
  await page.getByLabel("Code").fill(person.codes.pop());
  await page.getByRole("button", { name: "Sign in with the code" }).click();
  await heading(page, `Signed in as ${person.name}`);
  if (name) {
    await page.goto(`${ready.issuer}/account/sessions`);
    await page.getByRole("heading", { name: "Browsers that you are known in" }).waitFor();
    await holds(page, `${name}-sessions`);
  }
  await page.context().clearCookies({ name: "__Host-session" });
}

/** Types a password at the workstation, and asks the phone; gives the number that stands there. */
async function asks(page, person, name) {
  await signIn(page, person);
  await page.getByRole("button", { name: "Approve on your phone instead" }).click();
  await heading(page, "Approve on your phone");
  if (name) await holds(page, name);
  return (await page.locator(".number").textContent()).trim();
}

/** Opens what waits, which the phone's page hears of by itself. */
async function opens(page, what, title = "Do you allow this?") {
  await page.getByRole("link", { name: what }).click();
  await heading(page, title);
}

let passed = 0;
async function test(name, body) {
  try {
    await body();
    assert.deepEqual(problems.splice(0), [], "the console shows errors");
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    console.log(`FAIL  ${name}\n${error.stack}`);
    process.exitCode = 1;
  }
}

const dana = newPerson("dana-with-a-phone");
const phone = await phoneOf(dana);
// A passkey of today shows nothing of an emergency of today: dana has had this one since the day before yesterday.
const BACKDATE = `import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    text = "UPDATE passkeys SET added_at = added_at - 2 * 24 * 3600 * 1000000 WHERE user_name = ?"
    print(database.execute(text, [sys.argv[2]]).rowcount)`;
const changed = execFileSync("python3", ["-c", BACKDATE, join(folder, "data/chartgate.db"), dana.name], { encoding: "utf8" });
assert.equal(changed.trim(), "1");
const desk = await context(WIDE);
const list = `${ready.issuer}/approve`;

await test("a sign-in goes on by itself once its number was typed and signed on the phone", async () => {
  await phone.goto(list);
  await phone.getByText("Nothing waits for your answer.").waitFor();
  await holds(phone, "approve-nothing");
  await isSeen(desk, dana, "never-seen");
  const number = await asks(desk, dana, "ask-phone");
  assert.match(number, /^\d{3} \d{3}$/);
  await phone.getByRole("link", { name: "Somebody who knows your password" }).waitFor();
  await holds(phone, "approve-list");
  await opens(phone, "Somebody who knows your password");
  await holds(phone, "approve-question");
  const other = String((Number(number.replace(" ", "")) + 1) % 1_000_000).padStart(6, "0");
  await phone.getByLabel("The number on the other screen").fill(other);
  await phone.getByRole("button", { name: "Approve" }).click();
  await phone.getByText("That is not the number").waitFor();
  await holds(phone, "approve-wrong-number");
  await phone.getByLabel("The number on the other screen").fill(number);
  await phone.getByRole("button", { name: "Approve" }).click();
  await heading(phone, "Approved");
  await heading(desk, `Signed in as ${dana.name}`);
  assert.equal(await desk.locator(".number").count(), 0);
});

await test("deny, and deny and report, are as near as yes and need no mouse", async () => {
  for (const [answer, title] of [["Deny", "Denied"], ["Deny and report", "Denied and reported"]]) {
    const person = newPerson(`asked-to-${answer.toLowerCase().replaceAll(" ", "-")}`);
    const [own, other] = [await phoneOf(person), await context(WIDE)];
    await isSeen(other, person);
    // Its page hears of what comes by itself, and is led to it nowhere else meanwhile.
    await own.goto(list);
    await own.getByText("Nothing waits for your answer.").waitFor();
    await asks(other, person);
    await opens(own, "Somebody who knows your password");
    const sizes = await own.getByRole("button").evaluateAll((all) =>
      all.map((one) => [one.textContent, one.getBoundingClientRect().width, one.getBoundingClientRect().height]));
    assert.deepEqual(sizes.map(([name]) => name), ["Approve", "Deny", "Deny and report"]);
    assert.equal(new Set(sizes.map(([, ...size]) => String(size))).size, 1, String(sizes));
    await own.getByRole("button", { name: answer, exact: true }).focus();
    await own.keyboard.press("Enter");
    await heading(own, title);
    await holds(own, `approve-${answer.toLowerCase().replaceAll(" ", "-")}`);
    await other.getByText("This page is no longer open").waitFor();
    await own.context().close();
    await other.context().close();
  }
});

await test("what an application asks is approved by a signature over its text, which others verify", async () => {
  const client = `ward-desk-${RUN}`;
  const made = JSON.parse(chartgate("client", "add", client, "--kind", "confidential", "--grant", CIBA,
    "--scope", "openid user/*.rs"));
  const authorization = `Basic ${Buffer.from(`${client}:${made.client_secret}`).toString("base64")}`;
  const post = (path, form) =>
    desk.context().request.post(`${ready.issuer}${path}`, { form, headers: { authorization } });
  const asked = await post("/backchannel-authentication", {
    scope: "openid user/*.rs", login_hint: dana.name, binding_message: "Ward 3, desk 1", purpose_of_use: "TREAT",
  });
  assert.equal(asked.status(), 200, await asked.text());
  const { auth_req_id } = await asked.json();
  await phone.goto(list);
  await opens(phone, `The application ${client}`);
  await phone.getByText("“Ward 3, desk 1”").waitFor();
  assert.equal(await phone.getByLabel("The number on the other screen").count(), 0);
  await holds(phone, "approve-application");
  await phone.getByRole("button", { name: "Approve" }).click();
  await heading(phone, "Approved");
  const tokens = await post("/token", { grant_type: CIBA, auth_req_id });
  assert.ok((await tokens.json()).access_token);
  const found = chartgate("audit", "search", "--event", "approval.approve", "--output", "json").trim().split("\n");
  const record = found.map((line) => JSON.parse(line)).find((one) => one.resource === auth_req_id);
  const file = join(folder, "approval.json");
  writeFileSync(file, JSON.stringify(record));
  const check = () => execFileSync("node", ["../approvals/check.mjs", file, ready.issuer], { encoding: "utf8", stdio: "pipe" });
  assert.match(check(), /Message: “Ward 3, desk 1”/);
  // Whoever alters the text, or what was signed with it, is found out.
  for (const [name, alter] of Object.entries({
    displayed_text: (text) => text.replace("Ward 3", "Ward 4"),
    signed: (text) => text.replaceAll("Ward 3", "Ward 4"),
    signature: (text) => text.replace(/^(.{20})(.)/, (all, front, one) => front + (one === "A" ? "B" : "A")),
  })) {
    writeFileSync(file, JSON.stringify({ ...record, detail: { ...record.detail, [name]: alter(record.detail[name]) } }));
    assert.throws(check, undefined, name);
  }
});

await test("emergency access is told on the phone: it was me is signed, it was not me ends it", async () => {
  const client = `ward-chart-${RUN}`;
  const callback = "http://127.0.0.1:9/callback";
  chartgate("client", "add", client, "--kind", "public", "--scope", "openid user/*.rs", "--redirect-uri", callback,
    "--grant", "authorization_code", "--authorization-details-type", "emergency_access");
  // Whoever is not in their care: they have nobody in it.
  const patient = ready.patients[0];
  await desk.route(`${callback}*`, (route) => route.fulfill({ body: "back at the application" }));
  const open = async () => {
    const challenge = createHash("sha256").update("v".repeat(43)).digest("base64url");
    const pushed = await desk.context().request.post(`${ready.issuer}/par`, { form: {
      client_id: client, response_type: "code", redirect_uri: callback, scope: "openid user/*.rs", state: "s",
      code_challenge: challenge, code_challenge_method: "S256", aud: ready.fhir_base,
      authorization_details: JSON.stringify([{ type: "emergency_access", patient }]),
    } });
    assert.equal(pushed.status(), 201, await pushed.text());
    const { request_uri } = await pushed.json();
    await desk.goto(`${ready.issuer}/authorize?${new URLSearchParams({ client_id: client, request_uri })}`);
    await desk.getByLabel("I treat the patient in an emergency").check();
    await desk.getByLabel("In your own words").fill("fell in the ward, allergies unknown");
    await desk.getByLabel("Your password, once more").fill(dana.password);
    await desk.getByRole("button", { name: "Open this record" }).click();
    await desk.getByText("back at the application").waitFor();
  };
  await open();
  await phone.goto(list);
  await holds(phone, "approve-list-emergency");
  await opens(phone, "Emergency access was opened in your name", "Was this you?");
  await phone.getByText("fell in the ward").waitFor();
  await holds(phone, "approve-emergency");
  const question = phone.url();
  await phone.getByRole("button", { name: "It was me" }).click();
  await heading(phone, "Noted");
  await holds(phone, "approve-emergency-mine");
  await phone.goto(question);
  await heading(phone, "This does not wait any more");
  await holds(phone, "approve-over");
  await open();
  await phone.goto(list);
  await opens(phone, "Emergency access was opened in your name", "Was this you?");
  await phone.getByRole("button", { name: "It was not me" }).focus();
  await phone.keyboard.press("Enter");
  await heading(phone, "It is over");
  await holds(phone, "approve-emergency-not-mine");
  await desk.goto(`${ready.issuer}/account`);
  await desk.getByLabel("Name").waitFor();
});

await test("the phone's page is an application with a worker that says nothing of what waits", async () => {
  await phone.goto(list);
  const { manifest, icons, scope } = await phone.evaluate(async () => {
    const address = document.querySelector("link[rel=manifest]").href;
    const manifest = await (await fetch(address)).json();
    const icons = await Promise.all(manifest.icons.map(async ({ src }) => (await fetch(src)).headers.get("content-type")));
    const never = new Promise((_, reject) => setTimeout(() => reject(new Error("no worker is ready")), 120_000));
    const { scope } = await Promise.race([navigator.serviceWorker.ready, never]);
    return { manifest, icons, scope };
  });
  assert.deepEqual([manifest.start_url, manifest.display], ["/approve", "standalone"]);
  assert.deepEqual(icons, ["image/png", "image/png"]);
  assert.equal(scope, list);
});

console.log(`${passed} approval tests passed`);
await browser.close();
