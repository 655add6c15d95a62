//! Whole records outside the log: what is written here is kept, sealed by whoever keeps it, until it is in the log.
//!
//! Two lines for each record, in the words of a leaf: its clear part, and what of it is sealed there, or nothing.

use chartgate_values::Secret;

use super::clear::{Clear, has_exact_numbers, push_clear};
use super::hidden::{Hidden, ToHide};
use super::{EncodeError, MAX_LEAF};
use crate::record::Record;

/// Room that a leaf has beside its clear part: for its own members, and for the name of a file with the rest.
const BESIDE_CLEAR: usize = 256;

/// Writes records, all of which the log takes.
///
/// # Errors
/// [`EncodeError`] if it would not take one of them.
pub fn write(records: &[Record]) -> Result<Secret<Vec<u8>>, EncodeError> {
    let mut text = Vec::new();
    for record in records {
        if !has_exact_numbers(record) {
            return Err(EncodeError::NumberTooLarge);
        }
        let begin = text.len();
        push_clear(record, &mut text);
        if text.len().saturating_sub(begin) > MAX_LEAF.saturating_sub(BESIDE_CLEAR) {
            return Err(EncodeError::TooLong);
        }
        text.push(b'\n');
        if let Some(hidden) = ToHide::of(record) {
            hidden.push_json(&mut text);
        }
        text.push(b'\n');
    }
    Ok(Secret::new(text))
}

/// Reads them; none if that is not what was written.
#[must_use]
pub fn read(text: &[u8]) -> Option<Vec<Record>> {
    let mut lines = text.strip_suffix(b"\n")?.split(|byte| *byte == b'\n');
    let mut records = Vec::new();
    while let Some(clear) = lines.next() {
        let record = serde_json::from_slice::<Clear<'_>>(clear).ok()?.into_record()?;
        records.push(match lines.next()? {
            b"" => record,
            hidden => Hidden::from_json(hidden)?.join(record),
        });
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use chartgate_values::{Phi, Timestamp};

    use super::*;
    use crate::record::{Event, Outcome};

    #[test]
    fn records_are_read_as_they_were_written() {
        let bare = Record::new(Event::Logout, Outcome::Allow, Timestamp::EPOCH);
        let mut full = Record { session: Some("s\n1".to_owned()), ..bare.clone() };
        full.actor.roles = vec!["nurse".to_owned()];
        full.resource = Some(Phi::new("a\nb".to_owned()));
        full.source_ip = Some(Phi::new("2001:db8::1".parse().unwrap()));
        full.detail.insert("factor".to_owned(), Phi::new("phone".to_owned()));
        let records = [full, bare];
        let text = write(&records).unwrap();
        assert_eq!(read(text.expose()).unwrap(), records);
        let text = text.expose();
        for cut in 1..text.len() {
            let read = read(&text[..cut]);
            assert!(read.is_none_or(|read| read == records[..1]), "{cut}");
        }
        assert!(read(b"").is_none() && read(b"\n").is_none() && read(b"{}\n\n").is_none());
    }

    #[test]
    fn what_the_log_would_not_take_is_not_written() {
        let mut record = Record::new(Event::Logout, Outcome::Allow, Timestamp::EPOCH);
        record.response.count = Some(1 << 53);
        assert_eq!(write(&[record.clone()]).unwrap_err(), EncodeError::NumberTooLarge);
        record.response.count = None;
        record.session = Some("x".repeat(MAX_LEAF));
        assert_eq!(write(&[record]).unwrap_err(), EncodeError::TooLong);
    }
}
