//! Passwords that are not to be set: those that attackers try first, those that a place adds, and those that are made of names.
//! NIST SP 800-63B-4 section 3.1.1.2.
//!
//! The list that ships is a Golomb-coded set: each of its passwords is a number below `count * 2^16`, taken from its SHA-256; the
//! numbers stand in their order, each as the distance from the one before: how often 2^16 goes into it in ones and a zero, and
//! the rest in 16 bits. What is not in it is taken for something that is once in 65,536 times a look-up, of which a password
//! takes four at the most.

use std::collections::BTreeSet;

use chartgate_audit::tree::Hash;
use unicode_normalization::UnicodeNormalization as _;

/// Made of `data/common-passwords.txt.gz` by a test.
static COMMON: &[u8] = include_bytes!("../../data/common-passwords.bin");
/// Bits of the rest of a distance.
const REST: u32 = 16;
/// What remains of a password without names has to be so long.
const SHORTEST_REST: usize = 8;
/// Shorter parts of names are parts of much else.
const SHORTEST_NAME: usize = 3;
/// And shorter words are too, once digits are taken off.
const SHORTEST_CORE: usize = 4;

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listed {
    /// It is one that many have.
    Common,
    /// It is one that this place does not want.
    OfThisPlace,
    /// It is made of the person's name or the service's.
    Names,
}

/// Passwords that a place does not want, beside those that nobody should have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Blocklist {
    own: BTreeSet<u64>,
}

impl Blocklist {
    /// With the lines of a text: a password each. Empty ones count for nothing.
    #[must_use]
    pub fn with_lines(text: &str) -> Self {
        let lines = text.lines().map(normal).filter(|line| !line.is_empty());
        Self { own: lines.map(|line| number(&line)).collect() }
    }

    /// Whether a password is on a list, or is made of these names.
    ///
    /// # Errors
    /// [`Listed`].
    pub fn check(&self, password: &str, names: &[&str]) -> Result<(), Listed> {
        let forms = forms(password);
        if forms.iter().any(|form| is_common(form)) {
            return Err(Listed::Common);
        }
        if forms.iter().any(|form| self.own.contains(&number(form))) {
            return Err(Listed::OfThisPlace);
        }
        if is_of_names(&normal(password), names) {
            return Err(Listed::Names);
        }
        Ok(())
    }
}

/// One spelling of what looks alike.
fn normal(text: &str) -> String {
    text.trim().nfkc().flat_map(char::to_lowercase).collect()
}

/// What is looked up of a password: itself, what it repeats, and what is left of either without what people put before and
/// behind.
fn forms(password: &str) -> BTreeSet<String> {
    let whole = normal(password);
    let core = whole.trim_matches(|letter: char| !letter.is_alphabetic()).to_owned();
    let repeated = [repeated(&whole).to_owned(), repeated(&core).to_owned()];
    let is_word = |form: &String| form.chars().count() >= SHORTEST_CORE;
    [whole, core].into_iter().chain(repeated).filter(is_word).collect()
}

/// The part of which a text is repetitions, or all of it.
fn repeated(text: &str) -> &str {
    let parts = text.char_indices().map(|(at, _)| text.split_at(at).0).filter(|part| !part.is_empty());
    let mut whole = parts.filter(|part| text.split(*part).all(str::is_empty));
    whole.next().unwrap_or(text)
}

/// Whether little is left of a password once names are taken out of it.
fn is_of_names(password: &str, names: &[&str]) -> bool {
    let names: Vec<String> = names.iter().map(|name| normal(name)).collect();
    let mut parts: Vec<&str> = names
        .iter()
        .flat_map(|name| {
            std::iter::once(name.as_str()).chain(name.split(|letter: char| !letter.is_alphanumeric()))
        })
        .filter(|part| part.chars().count() >= SHORTEST_NAME)
        .collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    let mut rest = password.to_owned();
    for part in parts {
        rest = rest.replace(part, " ");
    }
    rest != password && rest.chars().filter(|letter| letter.is_alphabetic()).count() < SHORTEST_REST
}

fn number(word: &str) -> u64 {
    let hash = Hash::of(&[word.as_bytes()]);
    hash.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A number for a set of so many, evenly.
fn place(word: &str, count: u32) -> u64 {
    let range = u128::from(count) << REST;
    u64::try_from(u128::from(number(word)).saturating_mul(range) >> 64).unwrap_or(u64::MAX)
}

fn is_common(word: &str) -> bool {
    let mut bits = Bits::of(COMMON);
    let count = bits.take(u32::BITS).and_then(|count| u32::try_from(count).ok()).unwrap_or_default();
    let wanted = place(word, count);
    let mut at = 0_u64;
    for _ in 0..count {
        let Some(distance) = bits.distance() else { return false };
        at = at.saturating_add(distance);
        if at >= wanted {
            return at == wanted;
        }
    }
    false
}

/// Bits of bytes, the high ones first.
struct Bits<'a> {
    bytes: std::slice::Iter<'a, u8>,
    /// Those that come next, the first of them at the top.
    next: u64,
    held: u32,
}

impl<'a> Bits<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter(), next: 0, held: 0 }
    }

    /// Holds at least 57 of them, as long as there are so many.
    fn fill(&mut self) {
        while let Some(room) = 56_u32.checked_sub(self.held)
            && let Some(byte) = self.bytes.next()
        {
            self.next |= u64::from(*byte) << room;
            self.held = self.held.saturating_add(u8::BITS);
        }
    }

    fn skip(&mut self, bits: u32) -> Option<()> {
        self.held = self.held.checked_sub(bits)?;
        self.next = self.next.checked_shl(bits)?;
        Some(())
    }

    /// At most 32 of them as a number.
    fn take(&mut self, bits: u32) -> Option<u64> {
        self.fill();
        let number = self.next.checked_shr(u64::BITS.checked_sub(bits)?)?;
        self.skip(bits).map(|()| number)
    }

    fn distance(&mut self) -> Option<u64> {
        self.fill();
        let times = self.next.leading_ones();
        self.skip(times.saturating_add(1))?;
        Some(u64::from(times) << REST | self.take(REST)?)
    }
}

#[cfg(test)]
mod tests;
