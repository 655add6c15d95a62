// What waits for an answer, on the pages of Chartgate: on the phone that is asked, and on the screen that asks. Without this the
// pages are whole, and are loaded again by hand.
//
//   data-state, data-poll   how things stood when the page was made, and where to ask how they stand now
//   form[data-go-on]        sent at once: there is nothing more to say
//   data-wake               a button that lets this phone be woken; its key is what the browser is subscribed with. What is told
//                           then stands in data-ready, data-refused and data-nothing
"use strict";

(() => {
  const EVERY = 2000;

  const watched = document.querySelector("[data-poll]");
  if (watched) {
    const look = async () => {
      if (document.visibilityState !== "visible") return;
      try {
        const answer = await fetch(watched.dataset.poll, { cache: "no-store", credentials: "same-origin" });
        // Whoever is signed out by now sees no more of it.
        if (answer.status === 401) location.reload();
        if (answer.ok && (await answer.text()) !== watched.dataset.state) location.reload();
      } catch {
        // Not reached: it is tried again.
      }
    };
    setInterval(look, EVERY);
    document.addEventListener("visibilitychange", look);
  }

  document.querySelector("form[data-go-on]")?.requestSubmit();

  if (!("serviceWorker" in navigator) || !document.querySelector("link[rel=manifest]")) return;
  const registered = navigator.serviceWorker.register("/assets/approve-worker.js", { scope: "/approve" });
  registered.catch(() => {}); // A page without it is whole; a phone without it is not woken.

  const part = document.querySelector("[data-wake]");
  if (!part || !("PushManager" in window) || !("Notification" in window)) return;
  const button = part.querySelector("button");
  const told = part.querySelector("[role=status]");
  const bytes = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));

  async function subscribe() {
    if ((await Notification.requestPermission()) !== "granted") return part.dataset.refused;
    const registration = await registered;
    await navigator.serviceWorker.ready;
    const applicationServerKey = bytes(part.dataset.wake);
    const subscription = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
    document.querySelector("[name=subscription]").value = JSON.stringify(subscription.toJSON());
    return part.dataset.ready;
  }

  part.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    told.textContent = await subscribe().catch(() => part.dataset.nothing);
    button.disabled = false;
  });
})();
