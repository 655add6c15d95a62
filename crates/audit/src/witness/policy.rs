//! Which witnesses must have seen a checkpoint before it is believed. C2SP tlog-policy.
//!
//! The file is octets: names are compared as such and shown, where they are no UTF-8, as well as that can be.

use std::collections::BTreeMap;

use crate::checkpoint::{SignedCheckpoint, parse_decimal};
use crate::note::{NoteError, VerifierKey};

/// A policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    /// In the order of the file, so that members stand before their groups.
    members: Vec<Member>,
    /// Which member has to be content; none for `quorum none`.
    quorum: Option<usize>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Member {
    name: Vec<u8>,
    what: What,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum What {
    Witness(VerifierKey),
    Group { threshold: usize, members: Vec<usize> },
}

/// The first line of a text that is no policy.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ParsePolicyError {
    /// From 1; the line behind the last for what is missing.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line. Clauses of C2SP tlog-policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Problem {
    /// "Character set".
    #[error("a control character other than tab and newline")]
    Control,
    /// "Policy file syntax and structure".
    #[error("not one of: log VKEY [URL], witness NAME VKEY [URL], group NAME all|any|K NAME..., quorum NAME")]
    Form,
    /// "Public key representation": an Ed25519 key, of type 0x01 for a log and 0x04 for a witness.
    #[error("not a verifier key of this kind that is known here")]
    Key,
    /// "Duplicate logs" and "duplicate witnesses ... are not allowed".
    #[error("this public key stands in the file already")]
    DuplicateKey,
    /// "Witnesses and groups share a single namespace", and `none` is predefined.
    #[error("this name is taken")]
    NameTaken,
    /// "A group definition can only refer to names defined on preceding lines", and so can the quorum.
    #[error("a name that no line before defines")]
    UnknownName,
    /// "Each defined name can be listed as a group member at most once".
    #[error("a name that is a member of a group already")]
    MemberTwice,
    /// "It is required that 1 <= k <= n".
    #[error("a threshold that is not from 1 to the number of members")]
    Threshold,
    /// "A policy file must include exactly one quorum line."
    #[error("there has to be exactly one quorum line")]
    Quorum,
    /// "Implementation limits".
    #[error("longer than is read here")]
    TooLarge,
}

/// What a policy says of a checkpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// Whether the quorum has cosigned it.
    pub met: bool,
    /// Each witness, by its name in the file.
    pub witnesses: Vec<Seen>,
}

/// Whether one witness has cosigned a checkpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// Its name in the policy.
    pub name: String,
    /// When, in seconds since 1970; or why not.
    pub at: Result<u64, NoteError>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`ParsePolicyError`] with the first line that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParsePolicyError> {
        let at = |line: usize, problem| ParsePolicyError { line, problem };
        if bytes.len() > LONGEST {
            return Err(at(1, Problem::TooLarge));
        }
        let mut building = Building::default();
        let mut lines = 0_usize;
        for line in bytes.split(|byte| *byte == b'\n') {
            lines = lines.saturating_add(1);
            building.take(line).map_err(|problem| at(lines, problem))?;
        }
        let Building { logs, members, quorum, .. } = building;
        let quorum = quorum.ok_or(at(lines.saturating_add(1), Problem::Quorum))?;
        Ok(Self { logs, members, quorum })
    }

    /// The keys of the logs that it is about; none if that is known from elsewhere.
    #[must_use]
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// Whether the quorum has cosigned `checkpoint`. A line of a witness that does not verify counts as none.
    #[must_use]
    pub fn judge(&self, checkpoint: &SignedCheckpoint) -> Verdict {
        let mut content: Vec<bool> = Vec::with_capacity(self.members.len());
        let mut witnesses = Vec::new();
        for Member { name, what } in &self.members {
            content.push(match what {
                What::Witness(key) => {
                    let at = checkpoint.cosigned_at(key);
                    witnesses.push(Seen { name: String::from_utf8_lossy(name).into_owned(), at });
                    at.is_ok()
                }
                What::Group { threshold, members } => {
                    let count = members.iter().filter(|member| content.get(**member) == Some(&true)).count();
                    count >= *threshold
                }
            });
        }
        let met = self.quorum.is_none_or(|member| content.get(member) == Some(&true));
        Verdict { met, witnesses }
    }
}

/// A policy of which not all lines were read.
#[derive(Default)]
struct Building {
    logs: Vec<VerifierKey>,
    members: Vec<Member>,
    names: BTreeMap<Vec<u8>, usize>,
    /// Which are in a group.
    taken: Vec<usize>,
    /// Outside: whether there was a line.
    quorum: Option<Option<usize>>,
}

impl Building {
    fn take(&mut self, line: &[u8]) -> Result<(), Problem> {
        if line.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
            return Err(Problem::Control);
        }
        let words: Vec<&[u8]> =
            line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => Ok(()),
            [word, ..] if word.starts_with(b"#") => Ok(()),
            [b"log", key] | [b"log", key, _] => self.log(key),
            [b"witness", name, key] | [b"witness", name, key, _] => self.witness(name, key),
            [b"group", name, threshold, members @ ..] if !members.is_empty() => {
                self.group(name, threshold, members)
            }
            [b"quorum", name] => self.quorum(name),
            _ => Err(Problem::Form),
        }
    }

    fn log(&mut self, key: &[u8]) -> Result<(), Problem> {
        let key = verifier_key(key).filter(|key| !key.is_witness()).ok_or(Problem::Key)?;
        if self.logs.iter().any(|known| known.wraps_same_key(&key)) {
            return Err(Problem::DuplicateKey);
        }
        self.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, name: &[u8], key: &[u8]) -> Result<(), Problem> {
        let key = verifier_key(key).filter(VerifierKey::is_witness).ok_or(Problem::Key)?;
        let same =
            |member: &Member| matches!(&member.what, What::Witness(known) if known.wraps_same_key(&key));
        if self.members.iter().any(same) {
            return Err(Problem::DuplicateKey);
        }
        self.define(name, What::Witness(key))
    }

    fn group(&mut self, name: &[u8], threshold: &[u8], names: &[&[u8]]) -> Result<(), Problem> {
        let mut members = Vec::with_capacity(names.len());
        for name in names {
            let member = *self.names.get(*name).ok_or(Problem::UnknownName)?;
            if self.taken.contains(&member) {
                return Err(Problem::MemberTwice);
            }
            self.taken.push(member);
            members.push(member);
        }
        let threshold = match threshold {
            b"all" => members.len(),
            b"any" => 1,
            number => {
                let number = std::str::from_utf8(number).ok().and_then(parse_decimal);
                let number = number.and_then(|number| usize::try_from(number).ok());
                number.filter(|number| (1..=members.len()).contains(number)).ok_or(Problem::Threshold)?
            }
        };
        self.define(name, What::Group { threshold, members })
    }

    fn define(&mut self, name: &[u8], what: What) -> Result<(), Problem> {
        if name == NONE || self.names.contains_key(name) {
            return Err(Problem::NameTaken);
        }
        if self.members.len() >= MOST_MEMBERS {
            return Err(Problem::TooLarge);
        }
        self.names.insert(name.to_owned(), self.members.len());
        self.members.push(Member { name: name.to_owned(), what });
        Ok(())
    }

    fn quorum(&mut self, name: &[u8]) -> Result<(), Problem> {
        if self.quorum.is_some() {
            return Err(Problem::Quorum);
        }
        let quorum =
            if name == NONE { None } else { Some(*self.names.get(name).ok_or(Problem::UnknownName)?) };
        self.quorum = Some(quorum);
        Ok(())
    }
}

fn verifier_key(word: &[u8]) -> Option<VerifierKey> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The predefined name for no witness at all.
const NONE: &[u8] = b"none";

/// "It is strongly recommended that an implementation supports at least up to 32 logs, 32 witnesses, and 32 groups."
const MOST_MEMBERS: usize = 1024;
const LONGEST: usize = 1 << 20;

#[cfg(test)]
mod tests;
