//! Witnesses of the log: who they are and where.

use std::path::PathBuf;

use chartgate_audit::note::VerifierKey;
use http::Uri;

use super::section::{Reading, Section};

/// A witness.
#[derive(Debug)]
pub(crate) struct Witness {
    /// For metrics and records; unique.
    pub(crate) name: String,
    pub(crate) key: VerifierKey,
    /// Its submission prefix, without a slash at the end.
    pub(crate) url: Uri,
    /// The CA that signs its certificate, in place of the system's.
    pub(crate) ca: Option<PathBuf>,
}

impl Witness {
    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section) -> Option<Self> {
        let line = section.line();
        let name = section.plain_name(reading, "name");
        let key_line = section.line_of("key");
        let key = section.required_text(reading, "key").and_then(|text| {
            let key = text.parse().ok().filter(VerifierKey::is_witness);
            if key.is_none() {
                let problem = "has to be the witness's verifier key, as `chartgate witness init` prints it";
                reading.error(key_line, section.key("key"), problem);
            }
            key
        });
        let url_line = section.line_of("url");
        let url = section.required_text(reading, "url").and_then(|text| {
            let url = text.trim_end_matches('/').parse::<Uri>().ok().filter(may_be_called);
            if url.is_none() {
                let problem = format!("`{text}` has to be an https address, or http on this machine");
                reading.error(url_line, section.key("url"), problem);
            }
            url
        });
        let ca = section.path(reading, "ca");
        if let Some(ca) = ca.as_ref().filter(|ca| !ca.is_file()) {
            reading.error(line, section.key("ca"), format!("no file {}", ca.display()));
        }
        section.finish(reading);
        Some(Self { name: name?, key: key?, url: url?, ca })
    }
}

fn may_be_called(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    url.query().is_none()
        && match url.scheme_str() {
            Some("https") => !host.is_empty(),
            Some("http") => here,
            _ => false,
        }
}

/// Names and keys are given once: one witness counted twice would be a quorum that is none.
pub(super) fn check_together(reading: &mut Reading<'_>, witnesses: &[Witness]) {
    for (place, witness) in witnesses.iter().enumerate() {
        for earlier in witnesses.iter().take(place) {
            if earlier.name == witness.name {
                reading.error(0, "audit.witness", format!("two witnesses are called `{}`", witness.name));
            }
            if earlier.key.wraps_same_key(&witness.key) {
                let problem = format!("`{}` and `{}` have the same key", earlier.name, witness.name);
                reading.error(0, "audit.witness", problem);
            }
        }
    }
}
