// Passkeys on the pages of Chartgate. W3C Web Authentication Level 3, sections 5.1.3 and 5.1.4.
//
// A part of a page with `data-passkey` holds, in `data-options`, what the browser is asked. What it brings goes into the field
// `credential` of the form around it, which is then sent like any other: there is nothing here that speaks to the server.
// Such parts are hidden until this runs, and pages are whole without it.
//
//   data-passkey="get"      sign with a passkey, and send the form
//   data-passkey="create"   make one, and send the form
//   data-passkey="confirm"  sign with one in place of the fields with `data-instead`; the form is sent by its own buttons
//   data-cancelled          what is told where nothing came of it, and data-known where there is one of theirs already
//   data-conditional        offer passkeys where the name is typed, too
//   data-unsupported        shown where the browser has no passkeys
"use strict";

(() => {
  if (!window.PublicKeyCredential) {
    for (const told of document.querySelectorAll("[data-unsupported]")) told.hidden = false;
    return;
  }

  const bytes = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  const named = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

  // What parseRequestOptionsFromJSON and parseCreationOptionsFromJSON do, for browsers that do not have them yet.
  function optionsOf(part) {
    const options = JSON.parse(part.dataset.options);
    options.challenge = bytes(options.challenge);
    if (options.user) options.user.id = bytes(options.user.id);
    if (options.allowCredentials) options.allowCredentials = named(options.allowCredentials);
    if (options.excludeCredentials) options.excludeCredentials = named(options.excludeCredentials);
    return options;
  }

  // What PublicKeyCredential.toJSON does.
  function written(credential) {
    const { response } = credential;
    const out = { clientDataJSON: text(response.clientDataJSON) };
    if (response.attestationObject) {
      out.attestationObject = text(response.attestationObject);
      out.transports = response.getTransports?.() ?? [];
    } else {
      out.authenticatorData = text(response.authenticatorData);
      out.signature = text(response.signature);
      out.userHandle = response.userHandle ? text(response.userHandle) : null;
    }
    const id = text(credential.rawId);
    return JSON.stringify({ id, rawId: id, type: credential.type, response: out, clientExtensionResults: {} });
  }

  let waiting = null; // For what the browser offers where the name is typed: it does one thing at a time.

  async function ask(part, mediation) {
    waiting?.abort();
    waiting = new AbortController();
    const { signal } = waiting;
    const publicKey = optionsOf(part);
    if (part.dataset.passkey === "create") return navigator.credentials.create({ publicKey, signal });
    return navigator.credentials.get({ publicKey, signal, ...(mediation ? { mediation } : {}) });
  }

  function prepare(part) {
    const form = part.closest("form");
    const field = form.elements.namedItem("credential");
    const button = part.querySelector("[data-act]");
    const told = part.querySelector("[role=alert]");
    const done = part.querySelector("[role=status]");

    function brought(credential) {
      field.value = written(credential);
      // The name that was typed stands on the page that comes, if one does.
      const [typed, kept] = [document.querySelector("input#username"), form.elements.namedItem("username")];
      if (typed && kept) kept.value = typed.value;
      if (part.dataset.passkey !== "confirm") return form.submit();
      for (const instead of form.querySelectorAll("[data-instead]")) instead.hidden = true;
      for (const input of form.querySelectorAll("[data-instead] input")) input.disabled = true;
      button.hidden = true;
      done.hidden = false;
      done.tabIndex = -1;
      done.focus();
    }

    async function act(event) {
      event.preventDefault();
      told.hidden = true;
      button.disabled = true;
      try {
        brought(await ask(part));
      } catch (error) {
        const { cancelled, known } = part.dataset;
        told.textContent = error.name === "InvalidStateError" && known ? known : cancelled;
        told.hidden = false;
        button.disabled = false;
      }
    }

    if (part === form) form.addEventListener("submit", act);
    else button.addEventListener("click", act);
    part.hidden = false;
    if ("conditional" in part.dataset) {
      PublicKeyCredential.isConditionalMediationAvailable?.().then((available) => {
        // Whoever pressed the button meanwhile is being asked already.
        if (available && !waiting) ask(part, "conditional").then(brought, () => {});
      });
    }
  }

  for (const part of document.querySelectorAll("[data-passkey]")) prepare(part);
})();
