import FHIR from "fhirclient";

/** Sends a browser to sign in; `app` is `{ iss, clientId, redirectUri, scope }`, with `clientSecret` if there is one. */
export function launch(request, response, storage, app) {
  return FHIR(request, response, storage).authorize({ ...app, pkceMode: "required" });
}

/** The browser is back: `client.patient.read()`, `client.patient.request("Observation")`, `client.refresh()`. */
export function ready(request, response, storage) {
  return FHIR(request, response, storage).ready();
}
