// Wakes a phone: says that something waits, and nothing of what; it is read and answered on the page alone, by whoever is signed
// in there. W3C Push API section 8.
"use strict";

// There is no page yet that would have words for it: those of the browser's language.
const WAITS = /^es\b/i.test(self.navigator.language) ? "Una solicitud espera su respuesta." : "A request waits for you.";
const QUESTION = /^[0-9a-f]{40}$/;

self.addEventListener("push", (event) => {
  let question = "";
  try {
    question = event.data?.json().question ?? "";
  } catch {
    // A message that is not ours opens the list.
  }
  const page = QUESTION.test(question) ? `/approve/question?id=${question}` : "/approve";
  event.waitUntil(self.registration.showNotification("Chartgate", {
    body: WAITS,
    icon: "/assets/icon-192.png",
    tag: "approval",
    renotify: true,
    requireInteraction: true,
    data: page,
  }));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(self.clients.openWindow(event.notification.data));
});
