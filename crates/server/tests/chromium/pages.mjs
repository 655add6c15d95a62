// The pages in a real Chromium: without scripts and without a mouse, on a wide and a narrow screen, and by the rules
// that screen readers rely on (axe-core). Usage: MAIL=FILE node pages.mjs READY_FILE CHARTGATE [SCREENSHOT_FOLDER]; what the
// gateway sends by e-mail becomes a line of JSON in MAIL.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [readyFile, program, shots] = process.argv.slice(2);
const ready = JSON.parse(readFileSync(readyFile, "utf8"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 360, height: 740 };
/** How long something may take before it is a failure, in milliseconds: a machine may have much else to do. */
const PATIENCE = 120_000;

// The application that people are sent back to.
const application = createServer((request, response) => response.end("back at the application"));
await new Promise((listening) => application.listen(0, "127.0.0.1", listening));
const CALLBACK = `http://127.0.0.1:${application.address().port}/callback`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
if (shots) mkdirSync(shots, { recursive: true });
let passed = 0;

async function test(name, options, body) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => {
    // Chromium reports every answer of 400 and above here; scripts and policies are what this is about.
    const isStatus = message.text().startsWith("Failed to load resource: the server responded with a status of");
    if (message.type() === "error" && !isStatus) problems.push(message.text());
  });
  try {
    await body(page, context);
    assert.deepEqual(problems, [], "the console shows errors");
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    console.log(`FAIL  ${name}\n${error.stack}`);
    await picture(page, `failed-${name.replace(/[^a-z0-9]+/gi, "-")}`).catch(() => {});
    process.exitCode = 1;
  } finally {
    await context.close();
  }
}

const user = (name) => ready.users.find((entry) => entry.username === name);

function authorizeUrl(scope, client = "demo-app", extra = {}) {
  const verifier = randomBytes(32).toString("base64url");
  const challenge = createHash("sha256").update(verifier).digest("base64url");
  const query = new URLSearchParams({
    response_type: "code", client_id: client, redirect_uri: CALLBACK, scope, state: "s-1",
    code_challenge: challenge, code_challenge_method: "S256", aud: ready.fhir_base, ...extra,
  });
  return `${ready.issuer}/authorize?${query}`;
}

async function arrives(page, action) {
  await Promise.all([page.waitForURL(`${CALLBACK}*`), action()]);
  return new URL(page.url()).searchParams;
}

async function picture(page, name) {
  if (!shots) return;
  const { width } = page.viewportSize();
  await page.screenshot({ path: `${shots}/${name}-${width}.png`, fullPage: true });
}

async function accessible(page) {
  await page.waitForLoadState();
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run());
  const told = found.violations.map((v) => `${v.id}: ${v.help} (${v.nodes.map((n) => n.target).join(", ")})`);
  assert.deepEqual(told, []);
}

async function fits(page) {
  await page.waitForLoadState();
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `the page is ${content} px wide on a screen of ${window}`);
}

async function type(page, text) {
  await page.keyboard.type(text);
}

/** Waits until a page is there as a whole, with the cursor where it begins: before keys are pressed, or things counted. */
async function stands(page, what) {
  await what.waitFor();
  await page.waitForLoadState();
  const first = page.locator("[autofocus]");
  if (await first.count()) await first.and(page.locator(":focus")).waitFor();
}

async function signIn(page, name) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(user(name).password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

function chartgate(...words) {
  return execFileSync(program, ["--config", ready.config_file, ...words], { encoding: "utf8" });
}

chartgate("client", "add", "shower", "--kind", "public", "--scope", "openid offline_access user/*.rs",
  "--grant", "urn:ietf:params:oauth:grant-type:device_code", "--grant", "refresh_token");

/** What a device gets for its request. Node's own fetch would not trust the demo's CA. */
async function deviceAsks(context) {
  const form = { client_id: "shower", scope: "openid offline_access user/*.rs" };
  const answer = await context.request.post(`${ready.issuer}/device-authorization`, { form });
  assert.equal(answer.status(), 200);
  return answer.json();
}

async function devicePolls(context, asked) {
  const form = { client_id: "shower", grant_type: "urn:ietf:params:oauth:grant-type:device_code",
    device_code: asked.device_code };
  return context.request.post(`${ready.issuer}/token`, { form });
}

for (const viewport of [WIDE, NARROW]) {
  const size = `${viewport.width} px`;

  await test(`sign-in, picker and consent need neither scripts nor a mouse (${size})`,
    { viewport, javaScriptEnabled: false }, async (page) => {
      await page.goto(authorizeUrl("openid launch/patient patient/*.rs", "demo-app", { prompt: "consent" }));
      // The cursor is where typing begins: name, tab, password, enter.
      await stands(page, page.locator("#username:focus"));
      await type(page, "dana");
      await page.keyboard.press("Tab");
      await type(page, user("dana").password);
      await page.keyboard.press("Enter");
      await stands(page, page.getByRole("heading", { name: "Choose a patient" }));
      // Nobody is chosen until the person chooses: a hasty Enter must not open the wrong record.
      assert.equal(await page.getByRole("radio", { checked: true }).count(), 0);
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      await stands(page, page.getByRole("heading", { name: "Allow access?" }));
      const answer = await arrives(page, async () => {
        await page.keyboard.press("Tab");
        await page.keyboard.press("Enter");
      });
      assert.ok(answer.get("code"));
      assert.equal(answer.get("state"), "s-1");
      assert.equal(answer.get("iss"), ready.issuer);
    });

  await test(`every page is accessible and fits the screen (${size})`, { viewport }, async (page) => {
    const asked = "openid launch/patient launch/encounter patient/Observation.rs patient/Condition.rs offline_access";
    await page.goto(authorizeUrl(asked, "demo-app", { prompt: "consent" }));
    await accessible(page);
    await fits(page);
    await picture(page, "sign-in");
    await page.getByLabel("Name").fill("dana");
    await page.getByLabel("Password").fill("not her password");
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    assert.equal(await page.getByRole("alert").textContent(), "That name and password do not fit together.");
    assert.equal(await page.getByLabel("Name").inputValue(), "dana", "what was typed is still there");
    assert.equal(await page.getByLabel("Password").inputValue(), "");
    await accessible(page);
    await picture(page, "sign-in-refused");
    await page.getByLabel("Password").fill(user("dana").password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await stands(page, page.getByRole("heading", { name: "Choose a patient" }));
    const listed = await page.getByRole("radio").count();
    assert.equal(listed, user("dana").patients.length, "the picker lists the panel and nobody else");
    await accessible(page);
    await fits(page);
    await picture(page, "patient");
    await page.getByRole("radio").first().check();
    await page.getByRole("button", { name: "Continue" }).click();
    await stands(page, page.getByRole("heading", { name: "Choose a visit" }));
    assert.equal(await page.getByRole("radio", { checked: true }).count(), 0);
    await accessible(page);
    await fits(page);
    await picture(page, "encounter");
    await page.getByRole("radio").first().focus();
    await page.keyboard.press("Space");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Allow access?" }).waitFor();
    await accessible(page);
    await fits(page);
    await page.getByRole("group", { name: "Measurements and results" }).waitFor();
    await page.getByLabel("Laboratory results").focus();
    await page.keyboard.press("Space");
    assert.ok(await page.getByLabel("Laboratory results").isChecked());
    await picture(page, "consent");
    const answer = await arrives(page, () => page.getByRole("button", { name: "Do not allow" }).click());
    assert.equal(answer.get("error"), "access_denied");
    assert.equal(answer.get("iss"), ready.issuer);

    await page.goto(`${ready.issuer}/account`);
    await page.getByRole("heading", { name: "Signed in as dana" }).waitFor();
    await accessible(page);
    await fits(page);
    await picture(page, "account");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Signed out" }).waitFor();
    await accessible(page);
    await page.goto(`${ready.issuer}/account`);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();

    await page.goto(`${ready.issuer}/authorize?client_id=nobody&redirect_uri=https://evil.example/`);
    await page.getByRole("heading", { name: "This sign-in request cannot be used" }).waitFor();
    await accessible(page);
    await picture(page, "error");
  });

  await test(`a one-time link sets a password once (${size})`, { viewport }, async (page, context) => {
    const name = `new-${viewport.width}-${randomBytes(4).toString("hex")}`;
    const told = execFileSync(program,
      ["--config", ready.config_file, "--output", "json", "user", "add", name, "--role", "nurse"], { encoding: "utf8" });
    const link = JSON.parse(told).enrolment_link;
    await page.goto(link);
    await accessible(page);
    await fits(page);
    await picture(page, "enrol");
    await page.getByLabel("New password").fill("passwordpassword");
    await page.getByLabel("The same again").fill("passwordpassword");
    await page.getByRole("button", { name: "Set password" }).click();
    assert.match(await page.getByRole("alert").textContent(), /too easy to guess/);
    const password = "lantern gravel orbit mustard";
    await page.getByLabel("New password").fill(password);
    await page.getByLabel("The same again").fill(password);
    await page.getByRole("button", { name: "Set password" }).click();
    await page.getByRole("heading", { name: "Password set" }).waitFor();
    const again = await context.newPage();
    assert.equal((await again.goto(link)).status(), 400, "the link is used up");
    await page.goto(`${ready.issuer}/login`);
    await page.getByLabel("Name").fill(name);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByRole("heading", { name: `Signed in as ${name}` }).waitFor();
  });
}

for (const viewport of [WIDE, NARROW]) {
  const size = `${viewport.width} px`;

  await test(`a device is connected, seen and taken away without scripts and a mouse (${size})`,
    { viewport, javaScriptEnabled: false }, async (page, context) => {
      const asked = await deviceAsks(context);
      await page.goto(asked.verification_uri);
      await stands(page, page.locator("#username:focus"));
      await type(page, "nils");
      await page.keyboard.press("Tab");
      await type(page, user("nils").password);
      await page.keyboard.press("Enter");
      await stands(page, page.getByRole("heading", { name: "Connect a device" }));
      await type(page, asked.user_code.toLowerCase());
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Allow access?" }).waitFor();
      await stands(page, page.getByText("This is for a device at the network address"));
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await page.getByText("Your device goes on").waitFor();
      const tokens = await (await devicePolls(context, asked)).json();
      assert.ok(tokens.access_token);
      await page.goto(`${ready.issuer}/account`);
      await page.getByRole("link", { name: "Applications with access in your name" }).click();
      await page.getByRole("heading", { name: "shower" }).waitFor();
      await page.getByText("It keeps access while you are away.").waitFor();
      await page.getByRole("button", { name: "Take access away" }).focus();
      await page.keyboard.press("Enter");
      await page.getByText("No application has access in your name.").waitFor();
      const answer = await context.request.get(`${ready.issuer}/userinfo`,
        { headers: { authorization: `Bearer ${tokens.access_token}` } });
      assert.equal(answer.status(), 401);
    });

  await test(`the pages of devices, applications and signing out are accessible and fit (${size})`, { viewport },
    async (page, context) => {
      const asked = await deviceAsks(context);
      await page.goto(asked.verification_uri);
      await signIn(page, "bea");
      const each = async (heading, name) => {
        await page.getByRole("heading", { name: heading }).waitFor();
        await accessible(page);
        await fits(page);
        await picture(page, name);
      };
      await each("Connect a device", "device");
      await page.getByLabel("Code").fill("BBBB-BBBB");
      await page.getByRole("button", { name: "Continue" }).click();
      assert.match(await page.getByRole("alert").textContent(), /That code is not open/);
      await each("Connect a device", "device-refused");
      await page.getByLabel("Code").fill(asked.user_code);
      await page.getByRole("button", { name: "Continue" }).click();
      await each("Allow access?", "device-consent");
      await page.getByRole("button", { name: "Allow", exact: true }).click();
      await page.getByText("Your device goes on").waitFor();
      await accessible(page);
      assert.equal((await devicePolls(context, asked)).status(), 200);
      await page.goto(`${ready.issuer}/account/apps`);
      await each("Applications with access", "apps");
      await page.getByRole("button", { name: "Take access away" }).click();
      await page.getByText("No application has access in your name.").waitFor();
      await each("Applications with access", "apps-none");
      await page.goto(`${ready.issuer}/account/accesses`);
      await each("What was done as you", "accesses");
      await page.goto(`${ready.issuer}/account/sessions`);
      await page.getByRole("heading", { name: "Here: Chrome on Linux" }).waitFor();
      await each("Where you are signed in", "sessions");
      await page.goto(`${ready.issuer}/end-session`);
      await each("Sign out?", "end-session");
      await page.getByRole("button", { name: "Sign out" }).click();
      await each("Signed out", "signed-out");
    });
}

/** Where a browser goes for emergency access to the record of a patient who is in nobody's care. */
async function emergencyUrl(context) {
  const patient = ready.patients.at(-1);
  const challenge = createHash("sha256").update(randomBytes(32)).digest("base64url");
  const form = {
    response_type: "code", client_id: "demo-app", redirect_uri: CALLBACK, scope: "openid", state: "s-1",
    code_challenge: challenge, code_challenge_method: "S256", aud: ready.fhir_base,
    authorization_details: JSON.stringify([{ type: "emergency_access", patient }]),
  };
  const answer = await context.request.post(`${ready.issuer}/par`, { form });
  assert.equal(answer.status(), 201);
  const { request_uri } = await answer.json();
  return `${ready.issuer}/authorize?${new URLSearchParams({ client_id: "demo-app", request_uri })}`;
}

for (const viewport of [WIDE, NARROW]) {
  const size = `${viewport.width} px`;

  await test(`a record is opened in an emergency without scripts and a mouse (${size})`,
    { viewport, javaScriptEnabled: false }, async (page, context) => {
      await page.goto(await emergencyUrl(context));
      await stands(page, page.locator("#username:focus"));
      await type(page, "dana");
      await page.keyboard.press("Tab");
      await type(page, user("dana").password);
      await page.keyboard.press("Enter");
      await stands(page, page.getByRole("heading", { name: "Emergency access" }));
      // No reason is chosen until the person chooses.
      assert.equal(await page.getByRole("radio", { checked: true }).count(), 0);
      await page.keyboard.press("Tab");
      await page.keyboard.press("Space");
      await page.keyboard.press("Tab");
      await type(page, "unconscious on arrival");
      await page.keyboard.press("Tab");
      await type(page, user("dana").password);
      const answer = await arrives(page, () => page.keyboard.press("Enter"));
      assert.ok(answer.get("code"), answer.toString());
    });

  await test(`the pages of emergency access and its review are accessible and fit (${size})`, { viewport },
    async (page, context) => {
      const each = async (heading, name) => {
        await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
        await accessible(page);
        await fits(page);
        await picture(page, name);
      };
      await page.goto(await emergencyUrl(context));
      await signIn(page, "dana");
      await stands(page, page.getByText("Another reason"));
      assert.ok(await page.evaluate(() => {
        const all = document.querySelector("fieldset");
        return all.scrollHeight <= all.clientHeight + 1;
      }), "every reason is in sight");
      await each("Emergency access", "emergency");
      await page.getByLabel("I stand in for somebody who cares for the patient").check();
      await page.getByLabel("In your own words").fill("covering for a colleague");
      await page.getByLabel("Your password, once more").fill("not her password");
      await page.getByRole("button", { name: "Open this record" }).click();
      assert.equal(await page.getByRole("alert").textContent(), "That password is not right.");
      assert.equal(await page.getByLabel("In your own words").inputValue(), "covering for a colleague");
      await each("Emergency access", "emergency-problem");
      await page.goto(`${ready.issuer}/emergency`);
      await page.getByRole("button", { name: "End it now" }).first().waitFor();
      await each("Emergency access", "emergency-own");
      await context.clearCookies();
      await page.goto(await emergencyUrl(context));
      await signIn(page, "bea");
      await page.getByText("Emergency access is not for your role.").waitFor();
      await each("Emergency access", "emergency-refused");
      const answer = await arrives(page, () => page.getByRole("button", { name: "Go back" }).click());
      assert.equal(answer.get("error"), "access_denied");
      await context.clearCookies();
      await page.goto(`${ready.issuer}/emergency/reviews`);
      await signIn(page, "pia");
      await each("Emergency access", "reviews");
      await page.getByRole("link", { name: /^dana, patient/ }).first().click();
      await each("Emergency access by dana", "review");
      await page.getByLabel("Appropriate", { exact: true }).focus();
      await page.keyboard.press("Space");
      await page.getByLabel("Note").focus();
      await type(page, "in the emergency department");
      await page.getByRole("button", { name: "Keep this review" }).focus();
      await page.keyboard.press("Enter");
      await page.getByText("Nothing waits for review.").waitFor();
      await each("Emergency access", "reviews-none");
    });

  await test(`a finding is closed without scripts and a mouse, on pages that are accessible and fit (${size})`,
    { viewport, javaScriptEnabled: false }, async (page) => {
      const each = async (heading, name) => {
        await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
        await fits(page);
        await picture(page, name);
      };
      await page.goto(`${ready.issuer}/watch/findings`);
      await signIn(page, "pia");
      await each("Findings", "findings");
      await page.getByRole("link", { name: /^A canary record: person-/ }).first().focus();
      await page.keyboard.press("Enter");
      await each("A canary record", "finding");
      await page.getByLabel("A violation", { exact: true }).focus();
      await page.keyboard.press("Space");
      await page.keyboard.press("Tab");
      await type(page, "looked for a colleague");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Closed", level: 2 }).waitFor();
      await each("Findings", "findings-closed");
    });
}

/** Somebody new, who has a password and nothing else. */
function newPerson() {
  const [name, password] = [`phone-${randomBytes(4).toString("hex")}`, "lantern gravel orbit mustard"];
  const file = join(mkdtempSync(join(tmpdir(), "chartgate-")), "password");
  writeFileSync(file, password);
  chartgate("user", "add", name, "--role", "nurse", "--email", `${name}@clinic.example`, "--password-file", file);
  return { name, password };
}

/** Waits until the half minute has so much left that the code before it is still good when it arrives. */
async function early() {
  const left = 30_000 - (Date.now() % 30_000);
  if (left < 15_000) await new Promise((over) => setTimeout(over, left));
}

/** What an authenticator application shows that was given this key, so many steps from now. RFC 6238. */
function shown(key, steps) {
  const bits = [...key.replaceAll(" ", "")]
    .map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const secret = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + steps));
  const tag = createHmac("sha1", secret).update(counter).digest();
  const number = tag.readUInt32BE(tag[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

for (const viewport of [WIDE, NARROW]) {
  const size = `${viewport.width} px`;

  await test(`a phone is enrolled and signed in with, without scripts and a mouse (${size})`,
    { viewport, javaScriptEnabled: false }, async (page) => {
      const { name, password } = newPerson();
      await page.goto(`${ready.issuer}/login?then=factors`);
      await stands(page, page.locator("#username:focus"));
      await type(page, name);
      await page.keyboard.press("Tab");
      await type(page, password);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "How you sign in" }).waitFor();
      await page.getByLabel("Your password, once more").focus();
      await type(page, password);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Add an authenticator application" }).waitFor();
      const key = await page.locator(".key").textContent();
      await page.getByLabel("Code").focus();
      await early();
      await type(page, shown(key, -1));
      await page.keyboard.press("Enter");
      await stands(page, page.getByRole("heading", { name: "Your recovery codes" }));
      assert.equal(await page.locator(".codes li").count(), 10);
      await page.context().clearCookies();
      await page.goto(`${ready.issuer}/login`);
      await stands(page, page.locator("#username:focus"));
      await type(page, name);
      await page.keyboard.press("Tab");
      await type(page, password);
      await page.keyboard.press("Enter");
      // The cursor is where typing begins: the code, enter.
      await stands(page, page.locator("#code:focus"));
      await type(page, shown(key, 0));
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: `Signed in as ${name}` }).waitFor();
    });

  await test(`the pages of second factors are accessible and fit (${size})`, { viewport }, async (page) => {
    const { name, password } = newPerson();
    const look = async (heading, shot) => {
      await page.getByRole("heading", { name: heading, exact: true }).waitFor();
      await accessible(page);
      await fits(page);
      await picture(page, shot);
    };
    await page.goto(`${ready.issuer}/login?then=factors`);
    await page.getByLabel("Name").fill(name);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await look("How you sign in", "factors-none");
    await page.getByLabel("Your password, once more").fill(password);
    await page.getByRole("button", { name: "Add an authenticator application" }).click();
    await look("Add an authenticator application", "factors-add");
    const key = await page.locator(".key").textContent();
    await page.getByLabel("Code").fill("000000");
    await page.getByRole("button", { name: "Add it" }).click();
    assert.match(await page.getByRole("alert").textContent(), /not the code/);
    await early();
    await page.getByLabel("Code").fill(shown(key, -1));
    await page.getByLabel("A name for it").fill("Phone & tablet <b>");
    await page.getByRole("button", { name: "Add it" }).click();
    await look("Your recovery codes", "factors-recovery");
    const [code] = await page.locator(".codes code").allTextContents();
    await page.getByRole("link", { name: "I have them, go on" }).click();
    await look("How you sign in", "factors-one");
    await page.getByText("Phone & tablet <b>", { exact: true }).waitFor();
    await page.context().clearCookies();
    await page.goto(`${ready.issuer}/login`);
    await page.getByLabel("Name").fill(name);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await look("Your code", "factors-code");
    await page.getByLabel("Code").fill("0000000");
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByRole("alert").waitFor();
    await look("Your code", "factors-code-wrong");
    await page.getByLabel("Code").fill(code);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await look(`Signed in as ${name}`, "factors-account");
    await page.emulateMedia({ colorScheme: "dark" });
    await page.goto(`${ready.issuer}/account/factors`);
    await look("How you sign in", "factors-dark");
  });
}

/** The link in the newest message to somebody that has one, once there are so many. */
async function linkTo(name, count) {
  for (const end = Date.now() + PATIENCE; Date.now() < end; await new Promise((over) => setTimeout(over, 100))) {
    const lines = existsSync(process.env.MAIL) ? readFileSync(process.env.MAIL, "utf8").trim().split("\n") : [];
    const texts = lines.filter(Boolean).map((line) => JSON.parse(line))
      .filter(({ to }) => to[0] === `${name}@clinic.example`).map(({ text }) => text);
    const links = texts.map((text) => text.match(/https:\S+\/login\/recover\?token=\S+/)?.[0]).filter(Boolean);
    if (links.length >= count) return links[count - 1];
  }
  throw new Error(`no link came to ${name}`);
}

for (const viewport of [WIDE, NARROW]) {
  const size = `${viewport.width} px`;

  await test(`who forgot the password gets in by link and code, without scripts and a mouse (${size})`,
    { viewport, javaScriptEnabled: false }, async (page, context) => {
      const { name, password } = newPerson();
      await page.goto(`${ready.issuer}/login?then=factors`);
      await page.getByLabel("Name").fill(name);
      await page.getByLabel("Password").fill(password);
      await page.keyboard.press("Enter");
      await page.getByLabel("Your password, once more").fill(password);
      await page.keyboard.press("Enter");
      const key = await page.locator(".key").textContent();
      await early();
      await page.getByLabel("Code").fill(shown(key, -1));
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Your recovery codes" }).waitFor();
      await context.clearCookies();

      await page.goto(`${ready.issuer}/login`);
      await page.getByRole("link", { name: "Forgot your password?" }).focus();
      await page.keyboard.press("Enter");
      await stands(page, page.locator("#username:focus"));
      await type(page, name);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Look at your e-mail" }).waitFor();
      await page.goto(await linkTo(name, 1));
      await page.getByRole("button", { name: "Go on" }).focus();
      await page.keyboard.press("Enter");
      await stands(page, page.locator("#code:focus"));
      await type(page, shown(key, 0));
      await page.keyboard.press("Enter");
      await page.getByLabel("New password").focus();
      const next = "gravel mustard orbit lantern";
      await type(page, next);
      await page.keyboard.press("Tab");
      await type(page, next);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Password set" }).waitFor();
      await page.goto(`${ready.issuer}/login`);
      await page.getByLabel("Name").fill(name);
      await page.getByLabel("Password").fill(next);
      await page.keyboard.press("Enter");
      await page.locator("#code:focus").waitFor();
    });

  await test(`the pages of getting in again are accessible and fit (${size})`, { viewport }, async (page, context) => {
    const { name, password } = newPerson();
    const look = async (heading, shot) => {
      await page.getByRole("heading", { name: heading, exact: true }).waitFor();
      await accessible(page);
      await fits(page);
      await picture(page, shot);
    };
    const signsIn = async () => {
      await page.getByLabel("Name").fill(name);
      await page.getByLabel("Password").fill(password);
      await page.getByRole("button", { name: "Sign in", exact: true }).click();
    };
    await page.goto(`${ready.issuer}/login?then=factors`);
    await signsIn();
    await page.getByRole("link", { name: "Set a new password" }).click();
    await look("Your password", "own-password");
    await page.getByRole("link", { name: "Back to how you sign in" }).click();
    await page.getByLabel("Your password, once more").fill(password);
    await page.getByRole("button", { name: "Add an authenticator application" }).click();
    const key = await page.locator(".key").textContent();
    await early();
    await page.getByLabel("Code").fill(shown(key, -1));
    await page.getByRole("button", { name: "Add it" }).click();
    await page.getByRole("link", { name: "I have them, go on" }).click();
    await page.getByRole("link", { name: "Set a new password" }).click();
    await look("Your password", "own-password-code");

    await context.clearCookies();
    await page.goto(`${ready.issuer}/login`);
    await page.getByRole("link", { name: "Forgot your password?" }).click();
    await look("A new password", "forgot");
    await page.getByLabel("Name").fill(name);
    await page.getByRole("button", { name: "Send me the link" }).click();
    await look("Look at your e-mail", "forgot-sent");
    await page.goto(await linkTo(name, 1));
    await look("Getting in again", "recover-password");
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByLabel("Code").fill(shown(key, 0));
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await look("Set your password", "new-password");
    await page.getByLabel("New password").fill("too short");
    await page.getByLabel("The same again").fill("too short");
    await page.locator("form").evaluate((form) => { form.noValidate = true; });
    await page.getByRole("button", { name: "Set password" }).click();
    await page.getByRole("alert").waitFor();
    await look("Set your password", "new-password-short");

    await page.goto(`${ready.issuer}/login`);
    await signsIn();
    await look("Your code", "code-with-way-out");
    await page.getByRole("link", { name: "I have none of this any more" }).click();
    await look("Your second factor is lost", "lost");
    await page.getByRole("button", { name: "Send me the link" }).click();
    await look("Look at your e-mail", "lost-sent");
    await page.goto(await linkTo(name, 2));
    await page.getByLabel("Password").fill("not the password that it is");
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByRole("alert").waitFor();
    await look("Getting in again", "recover-factors");
    await page.emulateMedia({ colorScheme: "dark" });
    await look("Getting in again", "recover-dark");
    await page.emulateMedia({ colorScheme: "light" });
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Go on" }).click();
    await look("Add an authenticator application", "recover-add");
  });
}

/** An authenticator as browsers know them, that presses its own button. It verifies its user unless it is told not to. */
async function authenticator(context, page, more = {}) {
  const devtools = await context.newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
    isUserVerified: true, automaticPresenceSimulation: true, ...more };
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", { options });
  await page.addInitScript(() => {
    const { get } = CredentialsContainer.prototype;
    CredentialsContainer.prototype.get = function (...options) {
      globalThis.asked = true;
      return get.apply(this, options);
    };
  });
  const send = (method, fields = {}) => devtools.send(`WebAuthn.${method}`, { authenticatorId, ...fields });
  return {
    verifies: (isUserVerified) => send("setUserVerified", { isUserVerified }),
    answers: (enabled) => send("setAutomaticPresenceSimulation", { enabled }),
    /** Once the page has asked where the name is typed, which got no answer: what is asked next, by the button, gets one. */
    answersTheButton: async () => {
      await page.waitForFunction(() => globalThis.asked);
      await send("setAutomaticPresenceSimulation", { enabled: true });
    },
    all: async () => (await send("getCredentials")).credentials,
    forgets: (credentialId) => send("removeCredential", { credentialId }),
    takes: (credential) => send("addCredential", { credential }),
  };
}

/** Somebody new with a passkey, signed in by it, on the page that says how. */
async function withPasskey(page, label) {
  const person = newPerson();
  await page.goto(`${ready.issuer}/login?then=factors`);
  await page.getByLabel("Name").fill(person.name);
  await page.getByLabel("Password").fill(person.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByLabel("Your password, once more").fill(person.password);
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByLabel("A name for it").fill(label);
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByRole("link", { name: "I have them, go on" }).click();
  await page.getByRole("button", { name: "Use your passkey" }).click();
  await page.getByText(label, { exact: true }).waitFor();
  return person;
}

await test("a passkey signs in alone, after the password, and where the name is typed", {}, async (page, context) => {
  const key = await authenticator(context, page);
  const { name, password } = await withPasskey(page, "My laptop");
  const [credential] = await key.all();
  assert.ok(credential.isResidentCredential && credential.userHandle.length > 0);
  assert.equal(Buffer.from(credential.userHandle, "base64").includes(name), false, "its handle says nobody's name");
  const signedIn = () => page.getByRole("heading", { name: `Signed in as ${name}` }).waitFor();
  // The browser offers it where the name is typed; this authenticator takes it at once.
  await context.clearCookies();
  await page.goto(`${ready.issuer}/login`);
  await signedIn();
  // By the button, with the name field left alone.
  await key.answers(false);
  await context.clearCookies();
  await page.goto(`${ready.issuer}/login`);
  assert.equal(await page.locator("#username").getAttribute("autocomplete"), "username webauthn");
  await key.answersTheButton();
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await signedIn();
  // After the password.
  await key.answers(false);
  await context.clearCookies();
  await page.goto(`${ready.issuer}/login`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("heading", { name: "Your passkey" }).waitFor();
  await key.answers(true);
  await page.getByRole("button", { name: "Use your passkey" }).click();
  await signedIn();
});

await test("an application that wants phr has its person step up with a passkey", {}, async (page, context) => {
  const key = await authenticator(context, page);
  const { name, password } = await withPasskey(page, "My laptop");
  await key.answers(false);
  await context.clearCookies();
  const wanting = authorizeUrl("openid", "demo-app", { acr_values: "phr", prompt: "consent" });
  await page.goto(`${ready.issuer}/login`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("heading", { name: "Your passkey" }).waitFor();
  await page.goto(wanting);
  await page.getByText("to continue to").waitFor();
  await key.answersTheButton();
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByRole("heading", { name: "Allow access?" }).waitFor();
  const answer = await arrives(page, () => page.getByRole("button", { name: "Allow", exact: true }).click());
  assert.ok(answer.get("code"), answer.toString());
});

await test("a browser without passkeys is told so, and signs in by what it has", {}, async (page) => {
  await page.addInitScript(() => { delete window.PublicKeyCredential; });
  const { name, password } = newPerson();
  await page.goto(`${ready.issuer}/login?then=factors`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  assert.equal(await page.getByRole("button", { name: "Sign in with a passkey" }).isVisible(), false);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByLabel("Your password, once more").fill(password);
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByText("This browser has no passkeys.").waitFor();
  await accessible(page);
});

await test("a passkey that does not verify its user, was removed, or was copied signs nobody in", {},
  async (page, context) => {
    const key = await authenticator(context, page);
    const { name } = await withPasskey(page, "My laptop");
    const [credential] = await key.all();
    const atSignIn = async () => {
      await key.answers(false);
      await context.clearCookies();
      await page.goto(`${ready.issuer}/login`);
      await key.answersTheButton();
      await page.getByRole("button", { name: "Sign in with a passkey" }).click();
    };
    await key.verifies(false);
    await atSignIn();
    await page.getByText("Nothing was signed").waitFor();
    await key.verifies(true);
    // A copy that has signed less often: its counter has been passed.
    await atSignIn();
    await page.getByRole("heading", { name: `Signed in as ${name}` }).waitFor();
    await key.forgets(credential.credentialId);
    await key.takes({ ...credential, signCount: 1 });
    await atSignIn();
    await page.getByText("That passkey did not sign you in.").waitFor();
    await atSignIn();
    await page.getByText("That passkey did not sign you in.").waitFor();
    assert.match(chartgate("audit", "search", "--user", name, "--event", "factor.clone-suspected"), /factor\.clone-suspected/);
    chartgate("user", "reset-mfa", name);
    await atSignIn();
    await page.getByText("That passkey did not sign you in.").waitFor();
  });

for (const viewport of [WIDE, NARROW]) {
  const size = `${viewport.width} px`;

  await test(`the pages of passkeys are accessible and fit (${size})`, { viewport }, async (page, context) => {
    const key = await authenticator(context, page);
    const { name, password } = newPerson();
    const look = async (heading, shot) => {
      await page.getByRole("heading", { name: heading, exact: true, level: 1 }).waitFor();
      await accessible(page);
      await fits(page);
      await picture(page, shot);
    };
    await page.goto(`${ready.issuer}/login?then=factors`);
    await page.getByRole("button", { name: "Sign in with a passkey" }).waitFor();
    await look("Sign in", "passkeys-sign-in");
    await page.getByLabel("Name").fill(name);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await look("How you sign in", "passkeys-none");
    await page.getByLabel("Your password, once more").fill(password);
    await page.getByRole("button", { name: "Add a passkey" }).click();
    await look("Add a passkey", "passkeys-add");
    await key.verifies(false);
    await page.getByRole("button", { name: "Add a passkey" }).click();
    await page.getByText("Nothing was added").waitFor();
    await look("Add a passkey", "passkeys-add-nothing");
    await key.verifies(true);
    await page.getByLabel("A name for it").fill("Phone & tablet <b>");
    await page.getByRole("button", { name: "Add a passkey" }).click();
    await look("Your recovery codes", "passkeys-recovery");
    await page.getByRole("link", { name: "I have them, go on" }).click();
    await look("Your passkey", "passkeys-first");
    await page.getByRole("button", { name: "Use your passkey" }).click();
    await look("How you sign in", "passkeys-one");
    await page.getByText("Phone & tablet <b>", { exact: true }).waitFor();
    // By keyboard: rename it.
    await page.locator("summary").focus();
    await page.keyboard.press("Enter");
    await page.getByLabel("A name for it").fill("At home");
    await look("How you sign in", "passkeys-rename");
    await page.getByLabel("A name for it").press("Enter");
    await page.getByRole("heading", { name: "At home" }).waitFor();
    await page.getByRole("button", { name: "Confirm with a passkey" }).click();
    await page.getByText("It is you. Now choose what to change.").waitFor();
    await look("How you sign in", "passkeys-confirmed");
    await page.getByRole("button", { name: "Add a passkey" }).click();
    await page.getByRole("button", { name: "Add a passkey" }).click();
    await page.getByText("There is a passkey of yours here already.").waitFor();
    await look("Add a passkey", "passkeys-known");
    await context.clearCookies();
    await key.answers(false);
    await page.goto(`${ready.issuer}/login`);
    await page.getByLabel("Name").fill(name);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await look("Your passkey", "passkeys-after-password");
    await page.emulateMedia({ colorScheme: "dark" });
    await look("Your passkey", "passkeys-dark");
  });
}

for (const viewport of [WIDE, NARROW]) {
  const size = `${viewport.width} px`;

  await test(`pages are Spanish for who reads Spanish (${size})`, { viewport, locale: "es-MX", serviceWorkers: "block" }, async (page, context) => {
    const look = async (heading, name) => {
      await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
      assert.equal(await page.locator("html").getAttribute("lang"), "es");
      await accessible(page);
      await fits(page);
      await picture(page, `es-${name}`);
    };
    const send = (name) => page.getByRole("button", { name, exact: true }).click();
    const asked = "openid launch/patient launch/encounter patient/Observation.rs patient/Condition.rs offline_access";
    await page.goto(authorizeUrl(asked, "demo-app", { prompt: "consent" }));
    await page.getByLabel("Nombre de usuario").fill("dana");
    await page.getByLabel("Contraseña").fill("no es la suya");
    await send("Iniciar sesión");
    assert.equal(await page.getByRole("alert").textContent(), "El nombre de usuario o la contraseña no son correctos.");
    await look("Iniciar sesión", "sign-in");
    await page.getByLabel("Contraseña").fill(user("dana").password);
    await send("Iniciar sesión");
    await look("Elegir paciente", "patient");
    await page.getByRole("radio").first().check();
    await send("Continuar");
    await look("Elegir visita", "encounter");
    await send("Continuar sin visita");
    await page.getByRole("group", { name: "Mediciones y resultados" }).waitFor();
    await page.getByLabel("Resultados de laboratorio").check();
    await look("¿Permitir el acceso?", "consent");
    assert.equal((await arrives(page, () => send("No permitir"))).get("error"), "access_denied");
    for (const [path, heading] of [
      ["account", "Sesión iniciada como dana"], ["account/sessions", "Dónde tiene sesiones abiertas"],
      ["account/accesses", "Qué se ha hecho en su nombre"], ["account/apps", "Aplicaciones con acceso"],
      ["account/factors", "Cómo inicia sesión"], ["approve", "Qué espera su respuesta"],
      ["approve/phone", "Sus teléfonos"], ["emergency", "Acceso de emergencia"], ["device", "Conectar un dispositivo"],
    ]) {
      await page.goto(`${ready.issuer}/${path}`);
      await look(heading, path.replace("/", "-"));
    }
    await page.goto(await emergencyUrl(context));
    await look("Acceso de emergencia", "emergency-ask");
    await page.goto(`${ready.issuer}/account/factors`);
    await page.getByLabel("Su contraseña, una vez más").fill(user("dana").password);
    await send("Añadir una aplicación de autenticación");
    await look("Añadir una aplicación de autenticación", "new-app");
    await page.goto(`${ready.issuer}/end-session`);
    await look("¿Cerrar sesión?", "end-session");
    await send("Cerrar sesión");
    await look("Sesión cerrada", "signed-out");
    const name = `nueva-${viewport.width}-${randomBytes(4).toString("hex")}`;
    const told = execFileSync(program,
      ["--config", ready.config_file, "--output", "json", "user", "add", name, "--role", "nurse"], { encoding: "utf8" });
    await page.goto(JSON.parse(told).enrolment_link);
    await page.getByLabel("Contraseña nueva").fill("passwordpassword");
    await page.getByLabel("Repita la contraseña").fill("passwordpassword");
    await send("Establecer contraseña");
    assert.match(await page.getByRole("alert").textContent(), /demasiado fácil de adivinar/);
    await look("Establecer su contraseña", "enrol");
  });
}

await test("pages are in no frame and no cache, and their cookies are out of reach of scripts", {}, async (page, context) => {
  const answer = await page.goto(authorizeUrl("openid", "demo-app", { prompt: "consent" }));
  const headers = answer.headers();
  assert.match(headers["content-security-policy"], /default-src 'none'.*frame-ancestors 'none'/);
  assert.equal(headers["cache-control"], "no-store");
  assert.equal(headers["referrer-policy"], "no-referrer");
  await page.getByLabel("Name").fill("nils");
  await page.getByLabel("Password").fill(user("nils").password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("heading", { name: "Allow access?" }).waitFor();
  const cookies = await context.cookies();
  assert.deepEqual(cookies.map((cookie) => cookie.name).sort(), ["__Host-browser", "__Host-session"]);
  for (const cookie of cookies) {
    assert.ok(cookie.httpOnly && cookie.secure && cookie.path === "/" && cookie.sameSite === "Lax", cookie.name);
  }
  assert.equal(await page.evaluate(() => document.cookie), "");
});

await browser.close();
application.close();
console.log(`${passed} page tests passed${process.exitCode ? ", some failed" : ""}`);
