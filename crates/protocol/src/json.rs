//! JSON, read strictly. RFC 8259, with the names of an object unique and text sound Unicode as RFC 7493 has
//! it.
//!
//! Readers differ on what a repeated name means, so a text that repeats one says different things to
//! different readers; here it says nothing. The text is checked as a whole, unknown parts too, before
//! anything is read from it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

mod node;
pub mod patch;
pub mod pointer;
mod tree;
mod walk;

pub use node::{Members, Node};
use walk::walk;

/// The deepest nesting that can be allowed: beyond it the reader's own limit would speak first.
pub const DEEPEST: usize = 126;

/// Why bytes are no JSON that we read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JsonError {
    /// RFC 8259 section 8.1: UTF-8, and no byte-order mark (which fails as [`JsonError::Syntax`]).
    #[error("not UTF-8")]
    NotUtf8,
    /// RFC 8259 section 2; also a lone surrogate (RFC 7493 section 2.1) and a number beyond any double.
    #[error("not JSON")]
    Syntax,
    /// RFC 7493 section 2.3: names are unique.
    #[error("a name appears twice in one object")]
    DuplicateName,
    /// RFC 8259 section 9: an implementation may limit the depth of nesting.
    #[error("nested too deeply")]
    TooDeep,
    /// An object was expected.
    #[error("not an object")]
    NotAnObject,
}

/// Checks a whole text. The outermost object or array has depth 1.
///
/// # Errors
/// [`JsonError`], by the first fault in the text.
pub fn check(bytes: &[u8], max_depth: usize) -> Result<&str, JsonError> {
    let text = text_of(bytes)?;
    walk::<()>(text, max_depth)?;
    Ok(text)
}

fn text_of(bytes: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)
}

/// Reads any value, in one pass. The same texts are refused as by [`check`].
///
/// # Errors
/// [`JsonError`], by the first fault in the text.
pub fn parse(bytes: &[u8], max_depth: usize) -> Result<Node<'_>, JsonError> {
    walk(text_of(bytes)?, max_depth)
}

/// A checked object whose members are read one by one, each as what it has to be.
#[derive(Debug)]
pub struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Checks a whole text that has to be an object.
    ///
    /// # Errors
    /// [`JsonError`], by the first fault in the text.
    pub fn parse(bytes: &'a [u8], max_depth: usize) -> Result<Self, JsonError> {
        let text = text_of(bytes)?;
        match serde_json::from_str::<Self>(text) {
            // One pass, and another through what it left unseen.
            Ok(object) if object.is_sound(max_depth.min(DEEPEST)) => Ok(object),
            // Where there is a fault, the check names the first one.
            _ => serde_json::from_str(check(bytes, max_depth)?).map_err(|_| JsonError::NotAnObject),
        }
    }

    fn is_sound(&self, max_depth: usize) -> bool {
        let Some(levels) = max_depth.checked_sub(1) else { return false };
        let is_sound = |value: &str| is_plain(value) || walk::<()>(value, levels).is_ok();
        !walk::repeats(&self.0) && self.0.iter().all(|(_, value)| is_sound(value.get()))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text of a member's value, `null` included.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.get())
    }

    /// All members in their order, their values as text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// All members, for those who keep their names.
    pub(crate) fn into_members(self) -> Vec<(Cow<'a, str>, &'a RawValue)> {
        self.0
    }

    /// A member as `T`; `None` if it is absent.
    ///
    /// # Errors
    /// [`WrongType`] if it is there and is no `T`.
    pub fn read<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, WrongType> {
        self.get(name).map(read).transpose()
    }

    /// A member that has to be a string if it is there at all.
    ///
    /// # Errors
    /// [`WrongType`] if it is anything else, `null` too.
    pub fn string(&self, name: &str) -> Result<Option<Cow<'a, str>>, WrongType> {
        self.get(name).map(read_string).transpose()
    }
}

/// Whether the reader sees all of a value though it only passes over it: a string without escapes, a short whole number,
/// `true`, `false`, `null`.
fn is_plain(value: &str) -> bool {
    match value.as_bytes() {
        [b'"', text @ ..] => !text.contains(&b'\\'),
        [b't' | b'f' | b'n', ..] => true,
        number => number.len() < 16 && number.iter().all(u8::is_ascii_digit),
    }
}

/// A value is of another type than it has to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("value of the wrong type")]
pub struct WrongType;

/// Reads a value out of text that was checked before.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, WrongType> {
    serde_json::from_str(text).map_err(|_| WrongType)
}

/// Reads a string out of text that was checked before.
pub(crate) fn read_string(text: &str) -> Result<Cow<'_, str>, WrongType> {
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        _ => read::<Text<'_>>(text).map(|text| text.0),
    }
}

/// Reads a list of strings out of text that was checked before.
pub(crate) fn read_strings(text: &str) -> Result<Vec<Cow<'_, str>>, WrongType> {
    read::<Vec<Text<'_>>>(text).map(|texts| texts.into_iter().map(|text| text.0).collect())
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some((name, value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    members.push((name.0, value));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A string, borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;
        impl<'de> Visitor<'de> for AnyText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(AnyText)
    }
}

#[cfg(test)]
mod tests;
