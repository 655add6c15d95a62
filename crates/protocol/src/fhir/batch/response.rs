//! The answer to a batch or transaction. HL7 FHIR 4.0.1, bundle.html, `Bundle.entry.response`.

use serde::Serialize;
use serde_json::value::RawValue;

use super::Kind;

/// One entry of the answer to a batch or transaction.
#[derive(Serialize)]
pub struct Answered<'a> {
    /// What comes back, if something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<&'a RawValue>,
    /// How it went.
    pub response: Went<'a>,
}

/// How an entry went. bundle.html, `Bundle.entry.response`.
#[derive(Serialize)]
pub struct Went<'a> {
    /// The HTTP status.
    pub status: String,
    /// Where the record is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<&'a str>,
    /// Its entity tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<&'a str>,
    /// What is to be said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'a RawValue>,
}

/// The answer to a batch or transaction.
#[must_use]
pub fn write(kind: Kind, entries: &[Answered<'_>]) -> String {
    #[derive(Serialize)]
    struct Bundle<'a> {
        #[serde(rename = "resourceType")]
        resource_type: &'static str,
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        entry: &'a [Answered<'a>],
    }
    let kind = match kind {
        Kind::Batch => "batch-response",
        Kind::Transaction => "transaction-response",
    };
    // INVARIANT: strings and text that was JSON before are always written.
    serde_json::to_string(&Bundle { resource_type: "Bundle", kind, entry: entries }).unwrap_or_default()
}
