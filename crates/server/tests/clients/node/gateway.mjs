// What the scripts of every client need: the gateway's ready file and commands, a person at its pages, flows.
// Usage of each script: node SCRIPT.mjs READY_FILE CHARTGATE FOLDER
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [readyFile, program, folder] = process.argv.slice(2);
export const ready = JSON.parse(readFileSync(readyFile, "utf8"));
export const CALLBACK = "http://127.0.0.1:9999/callback";
export const CIBA = "urn:openid:params:grant-type:ciba";
export const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";

/** Gives a command to the gateway. */
export function chartgate(...words) {
  return execFileSync(program, ["--config", ready.config_file, ...words], { encoding: "utf8" });
}

/** Registers a client; gives what `client add` prints. */
export function register(id, kind, options) {
  const words = Object.entries(options).flatMap(([name, values]) =>
    [values].flat().flatMap((value) => (value === true ? [`--${name}`] : [`--${name}`, value])));
  return JSON.parse(chartgate("client", "add", id, "--kind", kind, ...words));
}

/** Lets somebody register clients; gives the initial access token. */
export function invite(...words) {
  return JSON.parse(chartgate("client", "invite", ...words)).initial_access_token;
}

/** What a client is told that reads, changes or ends its registration (RFC 7592). */
export async function manage({ registration_client_uri, registration_access_token }, method = "GET", metadata) {
  const headers = { authorization: `Bearer ${registration_access_token}`, ...(metadata && { "content-type": "application/json" }) };
  return fetch(registration_client_uri, { method, headers, ...(metadata && { body: JSON.stringify(metadata) }) });
}

/** A file for an option that takes one. */
export function file(name, text) {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** A file that the test made before. */
export const made = (name) => readFileSync(join(folder, name), "utf8");

export const user = (name) => ready.users.find((entry) => entry.username === name);
export const secretOf = (id) => ready.clients.find((entry) => entry.client_id === id).client_secret;

/** One patient of dana's, who signs in here. */
export const patient = user("dana").patients[0];

/** Whether an access token still opens a record. */
export async function opens(token) {
  const answer = await fetch(`${ready.fhir_base}/Patient/${patient}`, { headers: { authorization: `Bearer ${token}` } });
  return answer.status === 200;
}

/** A person's browser: cookies, forms with their hidden fields, redirects up to the one that leaves the gateway. */
export class Person {
  #cookies = new Map();

  constructor(name = "dana") {
    this.user = user(name);
  }

  async #send(address, init = {}) {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(address, { ...init, redirect: "manual", headers: cookie ? { cookie } : {} });
    for (const set of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set);
      if (value) this.#cookies.set(name, value);
      else this.#cookies.delete(name);
    }
    return answer;
  }

  /** Follows redirects; gives a page, or the address outside to which they lead. */
  async open(address, init) {
    for (let answer = await this.#send(address, init); ; answer = await this.#send(address)) {
      const location = answer.headers.get("location");
      if (!location) return { status: answer.status, text: await answer.text() };
      address = new URL(location, ready.issuer);
      if (address.origin !== ready.issuer) return { left: address };
    }
  }

  async #submit(page, filled) {
    const action = /<form method="post" action="([^"]*)"/.exec(page.text)?.[1];
    if (!action) throw new Error(`a page without a form: ${page.status} ${page.text}`);
    const [form] = page.text.split("</form>");
    const hidden = [...form.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)].map((m) => [m[1], m[2]]);
    const body = new URLSearchParams([...hidden, ...Object.entries(filled)]);
    return this.open(new URL(action, ready.issuer), { method: "POST", body });
  }

  /** Goes through the pages and says yes, until the browser leaves the gateway or `until` stands on a page. */
  async lead(address, { until, code } = {}) {
    let page = await this.open(address);
    for (let steps = 0; steps < 8 && !page.left; steps += 1) {
      if (page.status !== 200) throw new Error(`${page.status} ${page.text}`);
      if (until && page.text.includes(until)) return page;
      page = await this.#submit(page, this.#answer(page.text, code));
    }
    if (!page.left) throw new Error(`the pages do not end: ${page.text}`);
    return page.left;
  }

  #answer(text, code) {
    if (text.includes('name="password"')) return { username: this.user.username, password: this.user.password };
    if (text.includes('action="/login/patient"')) return { patient };
    if (text.includes('name="user_code"')) return { user_code: code };
    return { decision: "approve" };
  }

  /** Types a device's code in. */
  connectDevice(address, code) {
    return this.lead(address, { until: "Your device goes on", code });
  }
}

/** Runs the flows of a client one after the other, and says of each whether it holds. */
export async function run(client, flows) {
  for (const [name, flow] of Object.entries(flows)) {
    try {
      await flow();
      console.log(`ok ${client}: ${name}`);
    } catch (error) {
      const told = error.cause instanceof Error || typeof error.cause === "object" ? JSON.stringify(error.cause) : "";
      console.log(`FAILED ${client}: ${name}: ${error.stack} ${told}`);
      process.exitCode = 1;
    }
  }
}
