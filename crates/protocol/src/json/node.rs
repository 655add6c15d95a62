//! A value to decide by, borrowed from its text.

use std::borrow::Cow;

use serde_json::Value;

use super::walk::Keep;

/// A value. Its numbers decide nothing and are not kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Node<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Some number.
    Number,
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(Members<'a>),
}

/// The members of an object in their order, each name once. Equal to the same members in another order.
#[derive(Clone, Debug, Eq)]
pub struct Members<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Node<'a> {
    /// A member, if this is an object that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            Self::Null | Self::Bool(_) | Self::Number | Self::Text(_) | Self::Array(_) => None,
        }
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number | Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// The items, if this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            Self::Null | Self::Bool(_) | Self::Number | Self::Text(_) | Self::Object(_) => None,
        }
    }

    /// The same, borrowed from nothing.
    #[must_use]
    pub fn into_owned(self) -> Node<'static> {
        match self {
            Self::Null => Node::Null,
            Self::Bool(value) => Node::Bool(value),
            Self::Number => Node::Number,
            Self::Text(text) => Node::Text(owned(text)),
            Self::Array(items) => Node::Array(items.into_iter().map(Self::into_owned).collect()),
            Self::Object(Members(members)) => {
                let own = |(name, value): (_, Self)| (owned(name), value.into_owned());
                Node::Object(Members(members.into_iter().map(own).collect()))
            }
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl<'a> Members<'a> {
    /// A member's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// All members, their values to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Node<'a>)> {
        self.0.iter_mut().map(|(name, value)| (&**name, value))
    }

    /// All members.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }
}

impl PartialEq for Members<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl<'a> From<&'a Value> for Node<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(_) => Self::Number,
            Value::String(text) => Self::Text(text.into()),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(members) => {
                let member = |(name, value): (&'a String, &'a Value)| (name.into(), value.into());
                Self::Object(Members(members.iter().map(member).collect()))
            }
        }
    }
}

impl<'de> Keep<'de> for Node<'de> {
    fn null() -> Self {
        Self::Null
    }

    fn bool(value: bool) -> Self {
        Self::Bool(value)
    }

    fn number() -> Self {
        Self::Number
    }

    fn text(text: Cow<'de, str>) -> Self {
        Self::Text(text)
    }

    fn array(items: Vec<Self>) -> Self {
        Self::Array(items)
    }

    fn object(members: Vec<(Cow<'de, str>, Self)>) -> Self {
        Self::Object(Members(members))
    }
}
