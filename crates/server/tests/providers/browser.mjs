// What people have in front of them who sign in elsewhere.
import assert from "node:assert/strict";

/** A browser: cookies for each place, and redirects followed one by one. */
export class Browser {
  #jars = new Map();
  #gateway;

  constructor(gateway) {
    this.#gateway = gateway;
  }

  async get(address, init = {}) {
    const { host } = new URL(address);
    const jar = this.#jars.get(host) ?? new Map();
    this.#jars.set(host, jar);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(address, { ...init, redirect: "manual", headers: cookie ? { cookie } : {} });
    for (const set of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set);
      if (value) jar.set(name, value);
      else jar.delete(name);
    }
    return answer;
  }

  /** Goes where redirects lead until there is a page, or an address for which `stop` says so. */
  async follow(address, stop = () => false) {
    for (let at = address; ;) {
      if (stop(at)) return { at };
      const answer = await this.get(at);
      const location = answer.headers.get("location");
      if (!location) return { at, status: answer.status, text: await answer.text() };
      at = new URL(location, at).href;
    }
  }

  /** Sends the form of a page with its hidden fields, and goes on. */
  async submit(page, filled, stop) {
    const action = /<form method="post" action="([^"]+)"/.exec(page.text)[1];
    const form = page.text.split("</form>")[0];
    const fields = new URLSearchParams(filled);
    for (const [, name, value] of form.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)) fields.set(name, value);
    const answer = await this.get(new URL(action, page.at).href, { method: "POST", body: fields });
    const location = answer.headers.get("location");
    if (location) return this.follow(new URL(location, page.at).href, stop);
    return { at: answer.url, status: answer.status, text: await answer.text() };
  }

  /** Leaves for a provider from a page that offers it, and goes where that leads. */
  async go(page, title) {
    const link = new RegExp(`href="([^"]+)">Continue with ${title}<`).exec(page.text);
    assert(link, `no way to ${title}: ${page.text}`);
    return this.follow(new URL(link[1].replaceAll("&#38;", "&").replaceAll("&amp;", "&"), this.#gateway).href);
  }

  /** The same; gives what the provider was asked, and its page. */
  async leave(page, title) {
    const there = await this.go(page, title);
    assert.equal(there.status, 200, there.text);
    return { ...JSON.parse(there.text), at: there.at };
  }

  /** Signs in there, and comes back. */
  async signIn(there, name, { acr, amr, stop } = {}) {
    const address = new URL(there.at);
    address.searchParams.set("name", name);
    if (acr) address.searchParams.set("acr", acr);
    if (amr) address.searchParams.set("amr", amr);
    return this.follow(address.href, stop);
  }

  /** All of it, from our sign-in page. */
  async enter(title, name, how) {
    const there = await this.leave(await this.follow(`${this.#gateway}/login`), title);
    return this.signIn(there, name, how);
  }
}

export const isIn = (page, name) => assert.match(page.text, new RegExp(`<h1>Signed in as ${name}</h1>`));
export const isOut = (page, status, title) => {
  assert.equal(page.status, status, page.text);
  assert.match(page.text, new RegExp(`<h1>${title}</h1>`));
};
