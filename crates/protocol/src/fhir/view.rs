//! What of a record leaves.
//!
//! A record is decided on as it came and leaves as its reader may see it. A view is had of a record alone, and the text of
//! a record by a view alone, so that no way out forgets what a policy obliges to.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::reference::Reference;
use super::resource::Resource;

/// A record as somebody sees it. It has no `Debug`, for it is PHI from end to end.
pub struct View<'a>(Seen<'a>);

enum Seen<'a> {
    Whole(&'a str),
    /// Some elements were not wanted.
    Part(Box<RawValue>),
    Masked {
        text: Box<RawValue>,
        renamed: Option<Reference>,
    },
}

impl<'a> View<'a> {
    /// The view of somebody who is shown everything: the text as it came.
    #[must_use]
    pub fn whole(resource: &Resource<'a>) -> Self {
        Self(Seen::Whole(resource.text()))
    }

    /// The view of somebody from whom something is kept, under another name where the record's own is kept too.
    pub(super) fn masked(text: Box<RawValue>, renamed: Option<Reference>) -> Self {
        Self(Seen::Masked { text, renamed })
    }

    /// The same with this text, in which elements are left out that nobody wanted.
    pub(super) fn shaped(self, text: Box<RawValue>) -> Self {
        Self(match self.0 {
            Seen::Whole(_) | Seen::Part(_) => Seen::Part(text),
            Seen::Masked { renamed, .. } => Seen::Masked { text, renamed },
        })
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.0 {
            Seen::Whole(text) => text,
            Seen::Part(text) | Seen::Masked { text, .. } => text.get(),
        }
    }

    /// Its text, borrowed where it is the one that came.
    #[must_use]
    pub fn into_text(self) -> Cow<'a, str> {
        match self.0 {
            Seen::Whole(text) => Cow::Borrowed(text),
            Seen::Part(text) | Seen::Masked { text, .. } => Cow::Owned(Box::<str>::from(text).into_string()),
        }
    }

    /// Its text as JSON, where this is a view of the record that came as `raw`.
    pub(super) fn into_raw(self, raw: &'a RawValue) -> Cow<'a, RawValue> {
        match self.0 {
            Seen::Whole(_) => Cow::Borrowed(raw),
            Seen::Part(text) | Seen::Masked { text, .. } => Cow::Owned(text),
        }
    }

    /// Whether something is kept from its reader.
    #[must_use]
    pub fn is_masked(&self) -> bool {
        match &self.0 {
            Seen::Whole(_) | Seen::Part(_) => false,
            Seen::Masked { .. } => true,
        }
    }

    /// The name that its reader has for the record, where that is not the record's own.
    #[must_use]
    pub fn renamed(&self) -> Option<&Reference> {
        match &self.0 {
            Seen::Whole(_) | Seen::Part(_) => None,
            Seen::Masked { renamed, .. } => renamed.as_ref(),
        }
    }
}
