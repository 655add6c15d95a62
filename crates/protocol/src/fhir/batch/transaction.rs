//! A transaction as it goes upstream, and what comes back of it. HL7 FHIR 4.0.1, http.html#transaction.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::fhir::bundle;
use crate::fhir::resource::{BadAnswer, MAX_DEPTH};
use crate::json::Object;

/// A write as it goes upstream within a transaction.
pub struct WriteInTransaction {
    /// What others in the transaction call it.
    pub name: Option<String>,
    /// The method.
    pub method: &'static str,
    /// What follows the base in the URL, with its slash.
    pub path: String,
    /// What is to be stored.
    pub body: Option<String>,
    /// The entity tag of the version that was decided on.
    pub if_match: Option<String>,
    /// Whether there must be no such record.
    pub is_new: bool,
}

/// A transaction as it goes upstream, written anew from what was decided on.
#[must_use]
pub fn request(writes: &[WriteInTransaction]) -> String {
    #[derive(Serialize)]
    struct Bundle<'a> {
        #[serde(rename = "resourceType")]
        resource_type: &'static str,
        #[serde(rename = "type")]
        kind: &'static str,
        entry: Vec<Entry<'a>>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        full_url: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        resource: Option<&'a RawValue>,
        request: Request<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Request<'a> {
        method: &'a str,
        url: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        if_match: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        if_none_match: Option<&'static str>,
    }
    fn entry<'a>(write: &'a WriteInTransaction) -> Entry<'a> {
        Entry {
            full_url: write.name.as_deref(),
            // INVARIANT: it was JSON before.
            resource: write.body.as_deref().and_then(|body| serde_json::from_str(body).ok()),
            request: Request {
                method: write.method,
                url: write.path.trim_start_matches('/'),
                if_match: write.if_match.as_deref(),
                if_none_match: write.is_new.then_some("*"),
            },
        }
    }
    let entry = writes.iter().map(entry).collect();
    let bundle = Bundle { resource_type: "Bundle", kind: "transaction", entry };
    // INVARIANT: strings and text that was JSON before are always written.
    serde_json::to_string(&bundle).unwrap_or_default()
}

/// What an upstream says of one entry of a transaction.
pub struct Said<'a> {
    /// The HTTP status.
    pub status: u16,
    /// Where the record is.
    pub location: Option<Cow<'a, str>>,
    /// Its entity tag.
    pub etag: Option<Cow<'a, str>>,
    /// What was stored, if the upstream says so.
    pub resource: Option<&'a str>,
}

/// Takes apart what an upstream says to a transaction of so many entries.
///
/// # Errors
/// [`BadAnswer`] if it is another answer.
pub fn answers(body: &[u8], count: usize) -> Result<Vec<Said<'_>>, BadAnswer> {
    let bundle = Object::parse(body, MAX_DEPTH)?;
    bundle::is_of_kind(&bundle, "transaction-response")?;
    let entries = bundle::list(&bundle, "entry")?;
    if entries.len() != count {
        return Err(BadAnswer::OtherBundle);
    }
    entries.iter().map(said).collect::<Option<_>>().ok_or(BadAnswer::OtherBundle)
}

fn said<'a>(entry: &Object<'a>) -> Option<Said<'a>> {
    let response: Object<'a> = entry.read("response").ok()??;
    let status = response.string("status").ok()??;
    let resource: Option<&'a RawValue> = entry.read("resource").ok()?;
    let text = |name| response.string(name).ok();
    Some(Said {
        // "201 Created"
        status: status.split(' ').next()?.parse().ok()?,
        location: text("location")?,
        etag: text("etag")?,
        resource: resource.map(RawValue::get),
    })
}
