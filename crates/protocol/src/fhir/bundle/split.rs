//! A bundle taken apart piece by piece: each entry by itself, and what stands around them. HL7 FHIR 4.0.1, bundle.html.
//!
//! What cuts knows strings and nesting and nothing else. It cuts where only white space, commas and the brackets of the
//! list of entries can stand, which it takes as JSON has them; all else is in an entry or around them, and is read strictly
//! there. So a text that is no JSON as a whole has a part that is none.

use super::{NextPage, is_of_kind, list, next_page};
use crate::fhir::base::BaseUrls;
use crate::fhir::resource::{BadAnswer, MAX_DEPTH};
use crate::json::{JsonError, Object, read_string};

/// The deepest nesting of an entry, which stands in a list in a bundle.
pub(crate) const ENTRY_DEPTH: usize = MAX_DEPTH - 2;
/// The most that may stand around the entries, in bytes.
const MOST_AROUND: usize = 1 << 20;

/// Takes a bundle apart.
pub struct Splitter {
    entries: Entries,
    at: At,
    /// What stands around the entries, with an empty list in their place.
    around: Vec<u8>,
    /// The entry that has begun, where it is kept.
    begun: Vec<u8>,
    /// How long it is so far.
    length: usize,
    longest: usize,
}

/// What becomes of entries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entries {
    /// Each is given out whole.
    Given,
    /// Each is measured.
    Measured,
}

/// What stands around the entries says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outline {
    /// How many records the upstream counts.
    pub total: Option<u64>,
    /// The page after this one.
    pub next: Option<NextPage>,
    /// How long the longest entry is, in bytes.
    pub longest: usize,
}

#[derive(Clone, Copy)]
enum At {
    /// Around the entries, so deep.
    Around(usize, Member, Quoted),
    /// In the list of entries, in none.
    List(Comes),
    /// In an entry.
    Entry(Kind),
}

/// What comes next in the outermost object.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Member {
    /// A name, which began there.
    Name(usize),
    /// The value of the list of entries.
    Entries,
    /// Anything else.
    Other,
}

/// Whether this is in a string.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Quoted {
    No,
    Yes,
    /// Behind a backslash.
    Escape,
}

/// What comes next in the list.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Comes {
    /// An entry, or its end.
    First,
    /// An entry.
    Entry,
    /// A comma, or its end.
    Comma,
}

#[derive(Clone, Copy)]
enum Kind {
    /// An object or a list, of which so many levels are open, or a string.
    Closed(usize, Quoted),
    /// What ends where something else begins.
    Open,
}

impl Splitter {
    /// Begins with a bundle.
    #[must_use]
    pub fn new(entries: Entries) -> Self {
        Self {
            entries,
            at: At::Around(0, Member::Other, Quoted::No),
            around: Vec::new(),
            begun: Vec::new(),
            length: 0,
            longest: 0,
        }
    }

    /// Takes the next piece, and gives each entry that ends in it.
    ///
    /// # Errors
    /// [`BadAnswer`].
    pub fn push(&mut self, piece: &[u8], mut give: impl FnMut(&[u8])) -> Result<(), BadAnswer> {
        let mut rest = piece;
        while let Some((&byte, after)) = rest.split_first() {
            rest = match self.at {
                At::Around(depth, member, quoted) => {
                    self.around(byte, depth, member, quoted)?;
                    after
                }
                At::List(comes) => match byte {
                    b' ' | b'\t' | b'\n' | b'\r' => after,
                    b']' if comes != Comes::Entry => {
                        self.around.push(byte);
                        self.at = At::Around(1, Member::Other, Quoted::No);
                        after
                    }
                    b',' if comes == Comes::Comma => {
                        self.at = At::List(Comes::Entry);
                        after
                    }
                    b',' | b']' | b'}' | b':' => return Err(SYNTAX),
                    _ if comes == Comes::Comma => return Err(SYNTAX),
                    _ => {
                        self.at = At::Entry(Kind::of(byte));
                        rest
                    }
                },
                At::Entry(kind) => {
                    let (own, after, then) = kind.scan(rest);
                    self.length = self.length.saturating_add(own.len());
                    self.longest = self.longest.max(self.length);
                    let is_whole = matches!(then, At::List(_));
                    match self.entries {
                        Entries::Measured => {}
                        Entries::Given if is_whole && self.begun.is_empty() => give(own),
                        Entries::Given => self.begun.extend_from_slice(own),
                    }
                    if is_whole {
                        if !self.begun.is_empty() {
                            give(&std::mem::take(&mut self.begun));
                        }
                        self.length = 0;
                    }
                    self.at = then;
                    after
                }
            };
        }
        Ok(())
    }

    /// Ends it: what stands around the entries of a bundle of this kind.
    ///
    /// # Errors
    /// [`BadAnswer`], also where it ended too early.
    pub fn end(self, kind: &str, bases: &BaseUrls) -> Result<Outline, BadAnswer> {
        let around = Object::parse(&self.around, MAX_DEPTH)?;
        is_of_kind(&around, kind)?;
        // A list that was not cut out would be dropped without a word.
        if !list(&around, "entry")?.is_empty() {
            return Err(BadAnswer::OtherBundle);
        }
        Ok(Outline {
            total: around.read("total").ok().flatten(),
            next: next_page(&around, bases)?,
            longest: self.longest,
        })
    }

    fn around(&mut self, byte: u8, depth: usize, member: Member, quoted: Quoted) -> Result<(), BadAnswer> {
        if self.around.len() >= MOST_AROUND {
            return Err(BadAnswer::TooMuchAround);
        }
        let begins = self.around.len();
        self.around.push(byte);
        self.at = match (quoted, byte) {
            (Quoted::Escape, _) => At::Around(depth, member, Quoted::Yes),
            (Quoted::Yes, b'\\') => At::Around(depth, member, Quoted::Escape),
            (Quoted::Yes, b'"') => At::Around(depth, member, Quoted::No),
            (Quoted::Yes, _) => At::Around(depth, member, Quoted::Yes),
            (Quoted::No, b'"') => {
                // What a member is called is known at its colon.
                let member = if depth == 1 { Member::Name(begins) } else { member };
                At::Around(depth, member, Quoted::Yes)
            }
            (Quoted::No, b':') if depth == 1 => {
                let member = if self.is_entries(member) { Member::Entries } else { Member::Other };
                At::Around(depth, member, Quoted::No)
            }
            (Quoted::No, b'[') if depth == 1 && member == Member::Entries => At::List(Comes::First),
            (Quoted::No, b'{' | b'[') => At::Around(depth.saturating_add(1), Member::Other, Quoted::No),
            (Quoted::No, b'}' | b']') => {
                At::Around(depth.checked_sub(1).ok_or(SYNTAX)?, Member::Other, Quoted::No)
            }
            (Quoted::No, b' ' | b'\t' | b'\n' | b'\r') => At::Around(depth, member, Quoted::No),
            (Quoted::No, _) => At::Around(depth, Member::Other, Quoted::No),
        };
        Ok(())
    }

    /// Whether the name that has just ended is that of the list of entries, however it is written.
    fn is_entries(&self, member: Member) -> bool {
        let Member::Name(from) = member else { return false };
        let name = self.around.get(from..).and_then(|name| std::str::from_utf8(name).ok());
        let name = name.and_then(|name| name.strip_suffix(':')).map(|name| name.trim_end_matches(SPACE));
        name.and_then(|name| read_string(name).ok()).is_some_and(|name| name == "entry")
    }
}

impl Kind {
    fn of(first: u8) -> Self {
        match first {
            b'{' | b'[' | b'"' => Self::Closed(0, Quoted::No),
            _ => Self::Open,
        }
    }

    /// What of a text is the entry's, what comes after that, and where that is.
    fn scan(self, text: &[u8]) -> (&[u8], &[u8], At) {
        let (mut depth, mut quoted) = match self {
            Self::Closed(depth, quoted) => (depth, quoted),
            Self::Open => {
                let ends = |byte: &u8| matches!(byte, b',' | b']' | b' ' | b'\t' | b'\n' | b'\r');
                return match text.iter().position(ends) {
                    Some(end) => cut(text, end, At::List(Comes::Comma)),
                    None => cut(text, text.len(), At::Entry(self)),
                };
            }
        };
        for (at, byte) in text.iter().enumerate() {
            match (quoted, byte) {
                (Quoted::Escape, _) => quoted = Quoted::Yes,
                (Quoted::Yes, b'\\') => quoted = Quoted::Escape,
                (Quoted::Yes, b'"') => quoted = Quoted::No,
                (Quoted::Yes, _) => continue,
                (Quoted::No, b'"') => quoted = Quoted::Yes,
                (Quoted::No, b'{' | b'[') => depth = depth.saturating_add(1),
                (Quoted::No, b'}' | b']') => depth = depth.saturating_sub(1),
                (Quoted::No, _) => continue,
            }
            if depth == 0 && quoted == Quoted::No {
                return cut(text, at.saturating_add(1), At::List(Comes::Comma));
            }
        }
        cut(text, text.len(), At::Entry(Self::Closed(depth, quoted)))
    }
}

fn cut(text: &[u8], at: usize, then: At) -> (&[u8], &[u8], At) {
    let (own, after) = text.split_at_checked(at).unwrap_or((text, &[]));
    (own, after, then)
}

const SYNTAX: BadAnswer = BadAnswer::Json(JsonError::Syntax);
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

#[cfg(test)]
mod tests;
