//! Entry bundles: entries one after the other, each behind its length as a big-endian `u16`.

/// The longest entry that a bundle can hold, in bytes.
pub const MAX_ENTRY: usize = u16::MAX as usize;

/// Bytes that are not an entry bundle, or an entry that fits in none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BundleError {
    /// The bytes end within an entry.
    #[error("the bundle ends within entry {0}")]
    CutShort(usize),
    /// An entry is longer than its length field can say.
    #[error("an entry is longer than 65535 bytes")]
    TooLong,
}

/// The entries of a bundle.
///
/// # Errors
/// [`BundleError::CutShort`] if the bytes end within an entry.
pub fn parse_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    Entries::of(bundle).collect()
}

/// The entries of a bundle, one after the other; an error is the last.
pub(crate) struct Entries<'a> {
    rest: &'a [u8],
    count: usize,
}

impl<'a> Entries<'a> {
    pub(crate) fn of(bundle: &'a [u8]) -> Self {
        Self { rest: bundle, count: 0 }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<&'a [u8], BundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((entry, rest)) = split_entry(self.rest) else {
            self.rest = &[];
            return Some(Err(BundleError::CutShort(self.count)));
        };
        self.rest = rest;
        self.count = self.count.saturating_add(1);
        Some(Ok(entry))
    }
}

fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// Adds an entry to the end of a bundle.
///
/// # Errors
/// [`BundleError::TooLong`] if no bundle can hold it; the bundle is unchanged then.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), BundleError> {
    let length = u16::try_from(entry.len()).map_err(|_| BundleError::TooLong)?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}
