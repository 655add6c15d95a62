//! One walk through a whole text, which checks it and builds what is wanted of it.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, de};

use super::{DEEPEST, JsonError, Text};

/// What is kept of a value.
pub(super) trait Keep<'de>: Sized {
    fn null() -> Self;
    fn bool(value: bool) -> Self;
    fn number() -> Self;
    fn text(text: Cow<'de, str>) -> Self;
    fn array(items: Vec<Self>) -> Self;
    /// The members in their order, each name once.
    fn object(members: Vec<(Cow<'de, str>, Self)>) -> Self;
}

/// Nothing is kept.
impl<'de> Keep<'de> for () {
    fn null() {}
    fn bool(_: bool) {}
    fn number() {}
    fn text(_: Cow<'de, str>) {}
    fn array(_: Vec<()>) {}
    fn object(_: Vec<(Cow<'de, str>, ())>) {}
}

/// Walks a whole text. The outermost object or array has depth 1.
///
/// # Errors
/// [`JsonError`], by the first fault in the text; that a name comes twice is found at the end of its object.
pub(super) fn walk<'de, K: Keep<'de>>(text: &'de str, max_depth: usize) -> Result<K, JsonError> {
    let fault = Cell::new(JsonError::Syntax);
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Walk { levels: max_depth.min(DEEPEST), fault: &fault, keep: PhantomData };
    let kept = value.deserialize(&mut reader).map_err(|_| fault.get())?;
    reader.end().map_err(|_| fault.get())?;
    Ok(kept)
}

/// Walks a value of any type.
struct Walk<'f, K> {
    /// How many more levels of nesting are allowed.
    levels: usize,
    /// Where a fault is named that the reader's own error cannot carry.
    fault: &'f Cell<JsonError>,
    keep: PhantomData<K>,
}

impl<K> Clone for Walk<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Walk<'_, K> {}

impl<K> Walk<'_, K> {
    fn inward<E: de::Error>(self) -> Result<Self, E> {
        match self.levels.checked_sub(1) {
            Some(levels) => Ok(Self { levels, ..self }),
            None => Err(self.refuse(JsonError::TooDeep)),
        }
    }

    fn refuse<E: de::Error>(self, fault: JsonError) -> E {
        self.fault.set(fault);
        E::custom(fault)
    }
}

impl<'de, K: Keep<'de>> DeserializeSeed<'de> for Walk<'_, K> {
    type Value = K;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, K: Keep<'de>> Visitor<'de> for Walk<'_, K> {
    type Value = K;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<K, E> {
        Ok(K::null())
    }

    fn visit_bool<E>(self, value: bool) -> Result<K, E> {
        Ok(K::bool(value))
    }

    fn visit_u64<E>(self, _: u64) -> Result<K, E> {
        Ok(K::number())
    }

    fn visit_i64<E>(self, _: i64) -> Result<K, E> {
        Ok(K::number())
    }

    fn visit_f64<E>(self, _: f64) -> Result<K, E> {
        Ok(K::number())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<K, E> {
        Ok(K::text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<K, E> {
        Ok(K::text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<K, A::Error> {
        let inner = self.inward()?;
        let mut items = Vec::new();
        while let Some(item) = from.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(K::array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<K, A::Error> {
        let inner = self.inward()?;
        let mut members: Vec<(Cow<'de, str>, K)> = Vec::new();
        while let Some(name) = from.next_key::<Text<'de>>()? {
            members.push((name.0, from.next_value_seed(inner)?));
        }
        if repeats(&members) { Err(self.refuse(JsonError::DuplicateName)) } else { Ok(K::object(members)) }
    }
}

/// Whether a name comes twice.
pub(super) fn repeats<K>(members: &[(Cow<'_, str>, K)]) -> bool {
    if members.len() <= FEW {
        let mut seen = members;
        while let [(name, _), rest @ ..] = seen {
            if rest.iter().any(|(other, _)| other == name) {
                return true;
            }
            seen = rest;
        }
        return false;
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
}

/// So few names are compared each with each.
const FEW: usize = 16;
