//! What of a record leaves.
//!
//! A record is decided on as it came and leaves as its reader may see it. A view is had of a record alone, and the text of
//! a record by a view alone, so that no way out forgets what a policy obliges to.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::resource::Resource;

/// A record as somebody sees it. It has no `Debug`, for it is PHI from end to end.
pub struct View<'a>(&'a str);

impl<'a> View<'a> {
    /// The view of somebody who is shown everything: the text as it came.
    #[must_use]
    pub fn whole(resource: &Resource<'a>) -> Self {
        Self(resource.text())
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0
    }

    /// Its text, borrowed where it is the one that came.
    #[must_use]
    pub fn into_text(self) -> Cow<'a, str> {
        Cow::Borrowed(self.0)
    }

    /// Its text as JSON, where this is a view of the record that came as `raw`.
    pub(super) fn into_raw(self, raw: &'a RawValue) -> Cow<'a, RawValue> {
        Cow::Borrowed(raw)
    }
}
