//! What the demo prints once it answers.

use std::path::Path;

use serde_json::Value;

use crate::cli::print;

/// Where to begin, and the whole story to follow along.
pub(super) fn guide(dir: &Path, issuer: &str, ready: &Value) -> String {
    let people = ready.get("users").and_then(Value::as_array).into_iter().flatten();
    let mut names = String::new();
    for person in people {
        let text = |name: &str| print::plain(person.get(name).unwrap_or(&Value::Null));
        names.push_str(&format!("  {:5} {:16} {}\n", text("username"), text("roles"), text("password")));
    }
    let panel = ready.pointer("/users/1/patients").and_then(Value::as_array);
    let all = ready.get("patients").and_then(Value::as_array);
    let own = panel.and_then(|p| p.first()).map(print::plain).unwrap_or_default();
    let other = all
        .into_iter()
        .flatten()
        .find(|id| !panel.is_some_and(|panel| panel.contains(id)))
        .map(print::plain)
        .unwrap_or_default();
    let folder = dir.display();
    let program =
        std::env::current_exe().map(|p| p.display().to_string()).unwrap_or_else(|_| "chartgate".into());
    format!(
        r#"
Chartgate is running at {issuer}
Everything is in {folder}; Ctrl-C ends it, and the same command goes on with the same data.

People (made for this folder alone; {folder}/ready.json has them for scripts):
{names}
cleo has nobody in the care table: whoever a care team or a stay of the sample server names her for is in her care.

Try it, in another terminal:

  export CHARTGATE_CONFIG={folder}/chartgate.toml
  alias chartgate={program}

  1. Sign in as dana, in your browser (the certificate is the demo's own: accept it, or import {folder}/tls/ca.pem)
     TOKEN=$(chartgate login --print-token)

  2. A patient of hers: allowed
     curl --cacert {folder}/tls/ca.pem -H "Authorization: Bearer $TOKEN" {issuer}/fhir/Patient/{own}

  3. Somebody else's: refused, as if there were none
     curl --cacert {folder}/tls/ca.pem -H "Authorization: Bearer $TOKEN" {issuer}/fhir/Patient/{other}

  4. Who saw whose record, and why
     chartgate audit search --user dana

  5. An emergency: a page asks why, and for her password again; pia, the privacy officer, reviews it
     GLASS=$(chartgate login --emergency {other} --print-token)
     curl --cacert {folder}/tls/ca.pem -H "Authorization: Bearer $GLASS" {issuer}/fhir/Patient/{other}
     chartgate emergency list                                           (or, as pia: {issuer}/emergency/reviews)

  6. Does the log hold?
     chartgate audit verify

  7. Shut her out: the very next request is refused
     chartgate user disable dana
     curl --cacert {folder}/tls/ca.pem -H "Authorization: Bearer $TOKEN" {issuer}/fhir/Patient/{own}
"#
    )
}
