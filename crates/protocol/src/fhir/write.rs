//! The body of a create or an update. HL7 FHIR 4.0.1, http.html#create and #update.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::name::{ResourceId, ResourceType};
use super::outcome::{IssueType, OperationOutcome};
use super::reference::Reference;
use super::resource::MAX_DEPTH;
use crate::json::{self, JsonError, Node, Object};

mod pending;
mod returns;

pub use pending::Pending;
pub use returns::Returns;

/// A resource that a client wants to have stored. It has no `Debug`, for it is PHI from end to end.
pub struct Draft {
    value: Node<'static>,
    text: String,
}

/// Why a body is refused: 400.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// RFC 8259, RFC 7493.
    #[error("the body is {0}")]
    Json(#[from] JsonError),
    /// http.html#create: the type in the body is that of the URL.
    #[error("the body is no resource of the type in the URL")]
    Type,
    /// http.html#update: the id in the body is that of the URL.
    #[error("the body does not have the id in the URL")]
    Id,
    /// http.html#trules: a search in the place of a reference tells whether a record exists.
    #[error("conditional references are not offered")]
    ConditionalReference,
}

impl WriteError {
    /// The HTTP status.
    pub const STATUS: u16 = 400;

    /// The code of the issue.
    #[must_use]
    pub fn issue(self) -> IssueType {
        match self {
            Self::Json(_) | Self::Type | Self::Id => IssueType::Invalid,
            Self::ConditionalReference => IssueType::NotSupported,
        }
    }

    /// The body of the answer.
    #[must_use]
    pub fn outcome(self) -> OperationOutcome {
        OperationOutcome::new(self.issue(), &self.to_string())
    }
}

impl Draft {
    /// Reads the body of a create. An id in it means nothing and is left out: http.html#create.
    ///
    /// # Errors
    /// [`WriteError`], by the first cause.
    pub fn of_create(body: &[u8], resource_type: ResourceType) -> Result<Self, WriteError> {
        Self::read(body, resource_type, Keep::AllButId)
    }

    /// Reads the body of an update.
    ///
    /// # Errors
    /// [`WriteError`], by the first cause.
    pub fn of_update(body: &[u8], record: &Reference) -> Result<Self, WriteError> {
        let draft = Self::read(body, record.resource_type, Keep::All)?;
        match draft.value.get("id").and_then(Node::as_str) {
            Some(id) if id == record.id.as_str() => Ok(draft),
            Some(_) | None => Err(WriteError::Id),
        }
    }

    /// The body of an update whose record was found by a search: with its id, which it need not have but must not
    /// contradict. http.html#cond-update.
    ///
    /// # Errors
    /// [`WriteError`], by the first cause.
    pub fn body_for(body: &[u8], record: &Reference) -> Result<String, WriteError> {
        let own = Object::parse(body, MAX_DEPTH)?.get("id").map(str::to_owned);
        if own.is_some() {
            return Self::of_update(body, record).map(|draft| draft.text);
        }
        let draft = Self::read(body, record.resource_type, Keep::AllButId)?;
        let members = draft.text.strip_prefix('{').unwrap_or_default();
        Ok(format!(r#"{{"id":"{}",{members}"#, record.id))
    }

    /// The id that a body has, if it has one.
    #[must_use]
    pub fn id_in(body: &[u8]) -> Option<ResourceId> {
        Object::parse(body, MAX_DEPTH).ok()?.string("id").ok()??.parse().ok()
    }

    fn read(body: &[u8], resource_type: ResourceType, keep: Keep) -> Result<Self, WriteError> {
        let object = Object::parse(body, MAX_DEPTH)?;
        let members: Vec<_> = object
            .iter()
            .filter(|(name, _)| matches!(keep, Keep::All) || !matches!(*name, "id" | "_id"))
            .collect();
        // INVARIANT: names and text that was JSON before are always written.
        let text = serde_json::to_string(&Members(members)).unwrap_or_default();
        let value = json::parse(text.as_bytes(), MAX_DEPTH)?.into_owned();
        if value.get("resourceType").and_then(Node::as_str) != Some(resource_type.as_str()) {
            return Err(WriteError::Type);
        }
        no_conditional_reference(&value)?;
        Ok(Self { value, text })
    }

    /// The same among the records of its transaction: where it refers to one of them, it is decided on as what that will
    /// be. What goes upstream refers to those by their names still, and by their own to those that are there.
    #[must_use]
    pub fn among(mut self, pending: &Pending) -> Self {
        pending.resolve(&mut self.value);
        if let Some(text) = pending.rewritten(&self.text) {
            self.text = text;
        }
        self
    }

    /// Its content, to decide by.
    #[must_use]
    pub fn value(&self) -> &Node<'static> {
        &self.value
    }

    /// What goes upstream: each name once, the values as they came.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Which members of a body are kept.
#[derive(Clone, Copy)]
enum Keep {
    All,
    AllButId,
}

/// A server resolves a reference by criteria among records that its caller may not see. http.html#transaction.
///
/// # Errors
/// [`WriteError::ConditionalReference`] if there is one.
pub fn no_conditional_reference(value: &Node<'_>) -> Result<(), WriteError> {
    match value {
        Node::Object(members) => {
            let reference = members.get("reference").and_then(Node::as_str);
            if reference.is_some_and(|text| text.contains('?')) {
                return Err(WriteError::ConditionalReference);
            }
            members.iter().try_for_each(|(_, value)| no_conditional_reference(value))
        }
        Node::Array(items) => items.iter().try_for_each(no_conditional_reference),
        Node::Null | Node::Bool(_) | Node::Number | Node::Text(_) => Ok(()),
    }
}

/// The members of an object in their order.
struct Members<'a>(Vec<(&'a str, &'a RawValue)>);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(body: &str) -> Result<String, WriteError> {
        Draft::of_create(body.as_bytes(), "Patient".parse().unwrap()).map(|draft| draft.text)
    }

    fn update(body: &str) -> Result<String, WriteError> {
        Draft::of_update(body.as_bytes(), &"Patient/a".parse().unwrap()).map(|draft| draft.text)
    }

    #[test]
    fn a_body_goes_upstream_with_its_values_as_they_came() {
        let body = r#"{"resourceType":"Patient","x":1.10,"name":[{"family":"\u00c4"}]}"#;
        assert_eq!(create(body).as_deref(), Ok(body));
        let update_body = r#"{"resourceType":"Patient","id":"a","x":1.10}"#;
        assert_eq!(update(update_body).as_deref(), Ok(update_body));
    }

    #[test]
    fn names_go_upstream_in_one_spelling() {
        let body = r#" {"resource\u0054ype" : "Patient", "\u0069d":"x", "_id":{"id":"y"}, "a": [ 1 ]} "#;
        assert_eq!(create(body).as_deref(), Ok(r#"{"resourceType":"Patient","a":[ 1 ]}"#));
    }

    #[test]
    fn a_body_of_another_type_or_id_is_refused() {
        for body in [
            "{}",
            r#"{"resourceType":"Group"}"#,
            r#"{"resourceType":null}"#,
            r#"{"resourceType":["Patient"]}"#,
        ] {
            assert_eq!(create(body), Err(WriteError::Type), "{body}");
        }
        for id in ["", r#","id":"b""#, r#","id":null"#, r#","id":["a"]"#] {
            assert_eq!(update(&format!(r#"{{"resourceType":"Patient"{id}}}"#)), Err(WriteError::Id), "{id}");
        }
    }

    #[test]
    fn a_body_that_two_readers_may_read_differently_is_refused() {
        for (body, fault) in [
            (r#"{"resourceType":"Patient","id":"a","id":"b"}"#, JsonError::DuplicateName),
            (
                r#"{"resourceType":"Patient","x":{"reference":"Patient/a","refe\u0072ence":"Patient/b"}}"#,
                JsonError::DuplicateName,
            ),
            (r#"{"resourceType":"Patient",}"#, JsonError::Syntax),
            ("[]", JsonError::NotAnObject),
            ("<Patient/>", JsonError::Syntax),
        ] {
            assert_eq!(create(body), Err(WriteError::Json(fault)), "{body}");
        }
    }

    #[test]
    fn a_reference_that_is_a_search_is_refused_wherever_it_stands() {
        for member in [
            r#""link":[{"other":{"reference":"Patient?identifier=x"}}]"#,
            r#""extension":[{"url":"x","valueReference":{"reference":"https://gate.test/fhir/Patient?name=x"}}]"#,
            r#""contained":[{"resourceType":"Device","patient":{"reference":"Patient?x"}}]"#,
        ] {
            let body = format!(r#"{{"resourceType":"Patient",{member}}}"#);
            assert_eq!(create(&body), Err(WriteError::ConditionalReference), "{member}");
        }
    }
}
