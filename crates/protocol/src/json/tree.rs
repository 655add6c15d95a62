//! A value that can be changed. What nobody touches keeps its text: a decimal's precision is part of its value in FHIR
//! (datatypes.html#decimal), and a reader of numbers would lose it.

use std::cmp::Ordering;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::pointer::position;
use super::{Object, read, read_string};

/// A value. Its text was checked before.
#[derive(Clone)]
pub(super) enum Tree<'a> {
    /// As it came.
    Text(&'a RawValue),
    /// An array that somebody looked into.
    Array(Vec<Self>),
    /// An object that somebody looked into, its members in their order.
    Object(Vec<(String, Self)>),
}

/// There is nothing at this place, or nothing can be put there.
pub(super) struct NoPlace;

impl<'a> Tree<'a> {
    /// Looks one level into it. Nobody looks twice: a whole tree is read once, however often it is asked.
    fn open(&mut self) {
        let Self::Text(raw) = self else { return };
        let text: &'a str = raw.get();
        let opened = match text.as_bytes().first() {
            Some(b'[') => read::<Vec<&'a RawValue>>(text)
                .ok()
                .map(|items| Self::Array(items.into_iter().map(Self::Text).collect())),
            Some(b'{') => read::<Object<'a>>(text).ok().map(|object| {
                let own = |(name, value): (&str, &'a RawValue)| (name.to_owned(), Self::Text(value));
                Self::Object(object.iter().map(own).collect())
            }),
            _ => None,
        };
        if let Some(opened) = opened {
            *self = opened;
        }
    }

    fn child(&mut self, step: &str) -> Option<&mut Self> {
        self.open();
        match self {
            Self::Text(_) => None,
            Self::Array(items) => items.get_mut(position(step)?),
            Self::Object(members) => {
                members.iter_mut().find(|(name, _)| name == step).map(|(_, value)| value)
            }
        }
    }

    /// What stands at a place.
    pub(super) fn at(&mut self, steps: &[String]) -> Result<&mut Self, NoPlace> {
        steps.iter().try_fold(self, |tree, step| tree.child(step)).ok_or(NoPlace)
    }

    /// Puts a value at a place. RFC 6902 section 4.1: a member is set, an item is inserted, `-` is behind the last.
    pub(super) fn add(&mut self, steps: &[String], value: Self) -> Result<(), NoPlace> {
        let Some((last, way)) = steps.split_last() else {
            *self = value;
            return Ok(());
        };
        let parent = self.at(way)?;
        parent.open();
        match parent {
            Self::Text(_) => Err(NoPlace),
            Self::Array(items) => {
                let at = if last == "-" { Some(items.len()) } else { position(last) };
                let at = at.filter(|at| *at <= items.len()).ok_or(NoPlace)?;
                items.insert(at, value);
                Ok(())
            }
            Self::Object(members) => {
                match members.iter_mut().find(|(name, _)| name == last) {
                    Some((_, own)) => *own = value,
                    None => members.push((last.clone(), value)),
                }
                Ok(())
            }
        }
    }

    /// Takes what stands at a place away. RFC 6902 section 4.2.
    pub(super) fn remove(&mut self, steps: &[String]) -> Result<Self, NoPlace> {
        let (last, way) = steps.split_last().ok_or(NoPlace)?;
        let parent = self.at(way)?;
        parent.open();
        match parent {
            Self::Text(_) => Err(NoPlace),
            Self::Array(items) => {
                let at = position(last).filter(|at| *at < items.len()).ok_or(NoPlace)?;
                Ok(items.remove(at))
            }
            Self::Object(members) => {
                let at = members.iter().position(|(name, _)| name == last).ok_or(NoPlace)?;
                Ok(members.remove(at).1)
            }
        }
    }

    /// Whether two values are the same: RFC 6902 section 4.6.
    pub(super) fn is_same(&mut self, other: &mut Self) -> bool {
        self.open();
        other.open();
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => is_same_scalar(a.get(), b.get()),
            (Self::Array(a), Self::Array(b)) => {
                a.len() == b.len() && a.iter_mut().zip(b).all(|(a, b)| a.is_same(b))
            }
            (Self::Object(a), Self::Object(b)) => {
                // Side by side in the order of their names, which are unique: `a_b` is compared with `a_b` alone.
                let by_name = |x: &(String, Self), y: &(String, Self)| -> Ordering { x.0.cmp(&y.0) };
                let (mut a, mut b): (Vec<_>, Vec<_>) = (a.iter_mut().collect(), b.iter_mut().collect());
                a.sort_by(|x, y| by_name(x, y));
                b.sort_by(|x, y| by_name(x, y));
                let same =
                    |(a, b): (&mut (String, Self), &mut (String, Self))| a.0 == b.0 && a.1.is_same(&mut b.1);
                a.len() == b.len() && a.into_iter().zip(b).all(same)
            }
            (Self::Text(_), _) | (Self::Array(_), _) | (Self::Object(_), _) => false,
        }
    }

    /// How many bytes its text has, or a few less.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Text(raw) => raw.get().len(),
            Self::Array(items) => items.iter().fold(2, |sum, item| sum.saturating_add(item.weight())),
            Self::Object(members) => members
                .iter()
                .fold(2, |sum, (name, value)| sum.saturating_add(name.len()).saturating_add(value.weight())),
        }
    }

    /// How many levels of it are open: so deep can a walk through it get.
    pub(super) fn levels(&self) -> usize {
        let deepest = match self {
            Self::Text(_) => return 0,
            Self::Array(items) => items.iter().map(Self::levels).max(),
            Self::Object(members) => members.iter().map(|(_, value)| value.levels()).max(),
        };
        deepest.unwrap_or_default().saturating_add(1)
    }
}

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(raw) => raw.serialize(serializer),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

fn is_same_scalar(a: &str, b: &str) -> bool {
    let is_text = |text: &str| text.starts_with('"');
    if is_text(a) && is_text(b) {
        return a == b || matches!((read_string(a), read_string(b)), (Ok(a), Ok(b)) if a == b);
    }
    a == b || matches!((Decimal::read(a), Decimal::read(b)), (Some(a), Some(b)) if a == b)
}

/// A number by its value: so many digits times a power of ten.
#[derive(Eq, PartialEq)]
struct Decimal {
    negative: bool,
    /// Without zeros at either end; none is nought.
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn read(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let kept = digits.trim_end_matches('0');
        if kept.is_empty() {
            return Some(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        let dropped = i64::try_from(digits.len().checked_sub(kept.len())?).ok()?;
        let behind = i64::try_from(fraction.len()).ok()?;
        let exponent = power.parse::<i64>().ok()?.checked_add(dropped)?.checked_sub(behind)?;
        Some(Self { negative, digits: kept.to_owned(), exponent })
    }
}
