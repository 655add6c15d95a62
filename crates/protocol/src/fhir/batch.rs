//! Batches and transactions: taken apart into requests that are looked at like any other, and put together again. HL7 FHIR
//! 4.0.1, http.html#transaction.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::bundle;
use super::interaction::{Interaction, Request};
use super::name::ResourceType;
use super::outcome::IssueType;
use super::reference::Reference;
use super::refusal::Refusal;
use super::resource::MAX_DEPTH;
use super::version::FhirVersion;
use super::write::Pending;
use crate::json::{self, JsonError, Node, Object, WrongType};

pub mod response;
pub mod transaction;

/// What a client wants done, entry by entry.
pub struct Batch<'a> {
    /// Whether all of it or each by itself.
    pub kind: Kind,
    /// The entries, in their order.
    pub entries: Vec<Entry<'a>>,
}

/// http.html#transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Each entry by itself.
    Batch,
    /// All or nothing.
    Transaction,
}

/// One request of a batch. It has no `Debug`, for it may be PHI.
pub struct Entry<'a> {
    /// What others in the same transaction call it.
    full_url: Option<Cow<'a, str>>,
    method: Cow<'a, str>,
    url: Cow<'a, str>,
    if_match: Option<Cow<'a, str>>,
    if_none_match: Option<Cow<'a, str>>,
    if_none_exist: Option<Cow<'a, str>>,
    resource: &'a str,
}

/// Why a batch is refused as a whole: 400.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BatchError {
    /// RFC 8259, RFC 7493.
    #[error("the body is {0}")]
    Json(#[from] JsonError),
    /// bundle.html.
    #[error("the body is no Bundle of type batch or transaction")]
    NotABatch,
    /// bundle.html: an entry has a request with a method and a relative URL, and the elements are of their types.
    #[error("an entry is not one of a batch or transaction")]
    Entry,
    /// Each is work for the server behind.
    #[error("there are more than {MAX_ENTRIES} entries")]
    TooMany,
    /// http.html#trules: a record is written once.
    #[error("two entries are about the same record, or have the same fullUrl")]
    Twice,
    /// http.html#trules: what is written by another address than its own is referred to by a name that is none.
    #[error(
        "an entry is referred to by a fullUrl that is not the address of its record; name it by a urn:uuid"
    )]
    Address,
    /// http.html#transaction.
    #[error("a transaction takes no batch within it, and does not ask what the service can do")]
    NotInTransaction,
}

/// The most entries of one bundle.
pub const MAX_ENTRIES: usize = 1000;

impl BatchError {
    /// The code of the issue.
    #[must_use]
    pub fn issue(self) -> IssueType {
        match self {
            Self::Json(_) | Self::NotABatch | Self::Entry | Self::Twice => IssueType::Invalid,
            Self::TooMany => IssueType::TooLong,
            Self::Address | Self::NotInTransaction => IssueType::NotSupported,
        }
    }
}

impl From<WrongType> for BatchError {
    fn from(WrongType: WrongType) -> Self {
        Self::Entry
    }
}

impl Kind {
    /// As FHIR calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Transaction => "transaction",
        }
    }
}

impl<'a> Batch<'a> {
    /// Takes a body apart. What the entries ask for is not looked at yet.
    ///
    /// # Errors
    /// [`BatchError`], by the first cause.
    pub fn parse(body: &'a [u8]) -> Result<Self, BatchError> {
        let bundle = Object::parse(body, MAX_DEPTH)?;
        let is = |kind: Kind| bundle::is_of_kind(&bundle, kind.name()).is_ok();
        let kind = [Kind::Batch, Kind::Transaction].into_iter().find(|kind| is(*kind));
        let kind = kind.ok_or(BatchError::NotABatch)?;
        let entries = bundle::list(&bundle, "entry").map_err(|_| BatchError::Entry)?;
        if entries.len() > MAX_ENTRIES {
            return Err(BatchError::TooMany);
        }
        let entries: Vec<_> = entries.iter().map(Entry::read).collect::<Result<_, _>>()?;
        let mut names = BTreeSet::new();
        if !entries.iter().filter_map(Entry::name).all(|name| names.insert(name)) {
            return Err(BatchError::Twice);
        }
        let whole = Self { kind, entries };
        if kind == Kind::Transaction && whole.refers_by_address() {
            return Err(BatchError::Address);
        }
        Ok(whole)
    }
}

impl Batch<'_> {
    /// Whether an entry refers to another by an address that is not the one of its record. A server would have to write its
    /// own in the place of each, whole or relative; stored as it came it would be of whatever record has it here.
    fn refers_by_address(&self) -> bool {
        let addresses: BTreeSet<&str> = self.entries.iter().filter_map(Entry::address).collect();
        let relative = addresses.iter().filter_map(|address| relative(address));
        let names: BTreeSet<&str> = addresses.iter().copied().chain(relative).collect();
        let refers = |entry: &Entry<'_>| {
            let content = entry.content();
            // What cannot be read is refused for that.
            json::parse(&content, MAX_DEPTH).is_ok_and(|content| refers_to(&names, &content))
        };
        !names.is_empty() && self.entries.iter().any(refers)
    }
}

/// `Encounter/5` of `https://elsewhere.example/fhir/Encounter/5`.
fn relative(address: &str) -> Option<&str> {
    let (before, _) = address.rsplit_once('/')?;
    let (base, _) = before.rsplit_once('/')?;
    address.get(base.len()..)?.strip_prefix('/')
}

/// Whether something refers to a record by one of these names, in whatever version; to content also by an address, as an
/// Attachment does.
fn refers_to(names: &BTreeSet<&str>, value: &Node<'_>) -> bool {
    let is_one = |text: &str| names.contains(text.split("/_history/").next().unwrap_or(text));
    match value {
        Node::Object(members) => members.iter().any(|(member, value)| match (member, value) {
            ("reference", Node::Text(text)) => is_one(text),
            ("url", Node::Text(text)) => is_one(text) && text.contains("Binary/"),
            (_, value) => refers_to(names, value),
        }),
        Node::Array(items) => items.iter().any(|item| refers_to(names, item)),
        Node::Null | Node::Bool(_) | Node::Number | Node::Text(_) => false,
    }
}

impl<'a> Entry<'a> {
    fn read(entry: &Object<'a>) -> Result<Self, BatchError> {
        let request: Object<'a> = entry.read("request")?.ok_or(BatchError::Entry)?;
        let resource: Option<&'a RawValue> = entry.read("resource")?;
        Ok(Self {
            full_url: entry.string("fullUrl")?,
            method: request.string("method")?.ok_or(BatchError::Entry)?,
            url: request.string("url")?.ok_or(BatchError::Entry)?,
            if_match: request.string("ifMatch")?,
            if_none_match: request.string("ifNoneMatch")?,
            if_none_exist: request.string("ifNoneExist")?,
            resource: resource.map_or("", RawValue::get),
        })
    }

    /// The method, as records show it.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The query, as records keep it.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.url.split_once('?').map(|(_, query)| query)
    }

    /// What others in the same transaction call it: a `urn:` alone.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.full_url.as_deref().filter(|name| name.starts_with("urn:"))
    }

    /// An address by which others may call it that is not the one of its record, which its server chooses or finds.
    fn address(&self) -> Option<&str> {
        let is_to_be_found = self.method != "GET" && self.url.contains('?');
        let address = self.full_url.as_deref().filter(|name| !name.starts_with("urn:"));
        address.filter(|_| is_to_be_found || self.method == "POST")
    }

    /// What it asks for: looked at as if it had come by itself.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn interaction(&self, version: FhirVersion) -> Result<Interaction, Refusal> {
        let (path, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        // Relative to the base, and to nothing else: an absolute one, or one with steps in it, is no path of ours.
        let path = format!("/{path}");
        Interaction::parse(&Request {
            version,
            method: &self.method,
            path: &path,
            query,
            form: None,
            // What is in a Binary stands in a bundle as that resource.
            accept: Some("application/fhir+json"),
            content_type: Some(match &*self.method {
                "PATCH" => "application/json-patch+json",
                _ => "application/fhir+json",
            }),
            if_match: self.if_match.as_deref(),
            if_none_match: self.if_none_match.as_deref(),
            if_none_exist: self.if_none_exist.as_deref(),
        })
    }

    /// The body. A JSON Patch comes as the content of a Binary: http.html#patch.
    #[must_use]
    pub fn content(&self) -> Cow<'a, [u8]> {
        if self.method != "PATCH" {
            return Cow::Borrowed(self.resource.as_bytes());
        }
        self.patch().map_or_else(|| Cow::Borrowed(self.resource.as_bytes()), Cow::Owned)
    }

    fn patch(&self) -> Option<Vec<u8>> {
        let binary = Object::parse(self.resource.as_bytes(), MAX_DEPTH).ok()?;
        let says = |name, what| matches!(binary.string(name), Ok(Some(text)) if text == what);
        if !says("resourceType", "Binary") || !says("contentType", "application/json-patch+json") {
            return None;
        }
        STANDARD.decode(binary.string("data").ok()??.as_bytes()).ok()
    }
}

/// What is to be done for an entry of a transaction, once its conditions were looked at.
pub enum Planned<'a> {
    /// What it asks for, of a record that is named or of those that are found.
    Asked(&'a Interaction),
    /// Nothing: what it was to create is there.
    There(&'a Reference),
}

/// What the entries of a transaction are called by one another. Each has its name, if it has one.
///
/// # Errors
/// [`BatchError`] if two are about one record, or one is none of a transaction.
pub fn pending(entries: &[(Option<&str>, Planned<'_>)]) -> Result<Pending, BatchError> {
    let mut pending = Pending::default();
    let (mut written, mut there) = (BTreeSet::new(), BTreeSet::new());
    for (name, planned) in entries {
        let interaction = match planned {
            Planned::Asked(interaction) => interaction,
            Planned::There(record) => {
                there.insert((*record).clone());
                if let Some(name) = name {
                    pending.add_there(name, (*record).clone());
                }
                continue;
            }
        };
        let record = match interaction {
            Interaction::Create { resource_type: ResourceType::PATIENT } => None,
            Interaction::Create { resource_type } => {
                let id = name.and_then(|name| name.rsplit(':').next()?.parse().ok());
                id.map(|id| Reference { resource_type: *resource_type, id })
            }
            Interaction::Update { resource_type, id, .. }
            | Interaction::Patch { resource_type, id, .. }
            | Interaction::Delete { resource_type, id, .. } => {
                let record = Reference { resource_type: *resource_type, id: id.clone() };
                if !written.insert(record.clone()) {
                    return Err(BatchError::Twice);
                }
                // What is removed is nothing to refer to.
                (!matches!(interaction, Interaction::Delete { .. })).then_some(record)
            }
            Interaction::Read { .. }
            | Interaction::VRead { .. }
            | Interaction::Binary { .. }
            | Interaction::History { .. }
            | Interaction::Everything { .. }
            | Interaction::Search { .. } => None,
            Interaction::Capabilities | Interaction::Batch | Interaction::Conditional { .. } => {
                return Err(BatchError::NotInTransaction);
            }
        };
        if let (Some(name), Some(record)) = (name, record) {
            pending.add(name, record);
        }
    }
    // What is there, and is changed or removed along with it, would not be what was found.
    if !there.is_disjoint(&written) {
        return Err(BatchError::Twice);
    }
    Ok(pending)
}

#[cfg(test)]
mod tests;
