//! How segments are laid out: a header, then batches, each chained to all before it by a running hash, and marked with the
//! journal's key.
//! `docs/audit-format.md` describes the bytes.

use chartgate_values::mac::{MARK_BYTES, MarkingKey};

use crate::tile::Entries;
use crate::tree::Hash;

/// When a record counts as written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Durability {
    /// Once the disk says that it would survive a power cut.
    Fsync,
    /// Once the operating system has it: it survives the gateway's end, not a power cut.
    Os,
}

/// How far the journal is known: what the next batch must say of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Point {
    /// The index of the next record.
    pub(crate) next_index: u64,
    /// The number of the next batch.
    pub(crate) next_batch: u64,
    /// The hash over all batches so far.
    pub(crate) chain: Hash,
}

impl Point {
    /// A journal that begins at `index`.
    pub(crate) fn beginning_at(index: u64) -> Self {
        Self { next_index: index, next_batch: 0, chain: Hash::from_bytes([0; Hash::LENGTH]) }
    }
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u64,
    pub(crate) durability: Durability,
    /// Where the journal stood when this segment was taken into use.
    pub(crate) start: Point,
}

impl SegmentHeader {
    pub(crate) const LENGTH: usize = 80;
    const CHECKED: usize = 72;

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(&SEGMENT_MAGIC);
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.start.next_index.to_be_bytes());
        out.extend_from_slice(&self.start.next_batch.to_be_bytes());
        let durability: u64 = match self.durability {
            Durability::Fsync => 1,
            Durability::Os => 2,
        };
        out.extend_from_slice(&durability.to_be_bytes());
        out.extend_from_slice(self.start.chain.as_bytes());
        let check = check::<8>(out.get(from..).unwrap_or_default());
        out.extend_from_slice(&check);
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (checked, rest) = bytes.split_at_checked(Self::CHECKED)?;
        let check_of_it = check::<8>(checked);
        let mut fields = Fields(checked);
        let magic = fields.take()?;
        let number = u64::from_be_bytes(fields.take()?);
        let next_index = u64::from_be_bytes(fields.take()?);
        let next_batch = u64::from_be_bytes(fields.take()?);
        let durability = match u64::from_be_bytes(fields.take()?) {
            1 => Durability::Fsync,
            2 => Durability::Os,
            _ => return None,
        };
        let chain = Hash::from_bytes(fields.take()?);
        let sound = magic == SEGMENT_MAGIC && rest.starts_with(&check_of_it);
        sound.then_some(Self { number, durability, start: Point { next_index, next_batch, chain } })
    }
}

/// What a batch says of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BatchHeader {
    /// Bytes of the body.
    pub(crate) length: u32,
    count: u32,
    first_index: u64,
    number: u64,
    /// The running hash with this batch in it.
    chain: Hash,
    /// The mark of the running hash, which nobody can make who has not the journal's key. Versions that had none wrote batches
    /// without.
    mark: Option<[u8; MARK_BYTES]>,
}

impl BatchHeader {
    /// Bytes of the header of a batch that is written.
    pub(crate) const LENGTH: usize = Self::UNMARKED_LENGTH + MARK_BYTES;
    /// Bytes of the header of a batch that an earlier version wrote.
    pub(super) const UNMARKED_LENGTH: usize = 64;
    const CHECK: usize = 4;

    /// The header with which `bytes` begin.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (length, is_marked) = match *bytes.first_chunk()? {
            MARKED_BATCH => (Self::LENGTH, true),
            UNMARKED_BATCH => (Self::UNMARKED_LENGTH, false),
            _ => return None,
        };
        let (checked, rest) = bytes.split_at_checked(length.saturating_sub(Self::CHECK))?;
        if !rest.starts_with(&check::<{ Self::CHECK }>(checked)) {
            return None;
        }
        let mut fields = Fields(checked);
        let _: [u8; 4] = fields.take()?;
        Some(Self {
            length: u32::from_be_bytes(fields.take()?),
            count: u32::from_be_bytes(fields.take()?),
            first_index: u64::from_be_bytes(fields.take()?),
            number: u64::from_be_bytes(fields.take()?),
            chain: Hash::from_bytes(fields.take()?),
            mark: if is_marked { Some(fields.take()?) } else { None },
        })
    }

    /// Bytes of this header.
    pub(crate) fn own_length(&self) -> usize {
        if self.is_marked() { Self::LENGTH } else { Self::UNMARKED_LENGTH }
    }

    /// Whether it says who wrote it.
    pub(super) fn is_marked(&self) -> bool {
        self.mark.is_some()
    }

    /// Where the journal stands behind `body`, if this is the batch that `point` waits for, every byte is as it was written
    /// and, where the key is at hand and the batch is marked, it was written by who has the key.
    pub(crate) fn verify(&self, point: &Point, body: &[u8], key: Option<&MarkingKey>) -> Option<Point> {
        let count =
            Entries::of(body).try_fold(0_usize, |count, entry| entry.map(|_| count.saturating_add(1)));
        let expected = Self::of(point, count.ok()?, body, self.mark)?;
        if let (Some(key), Some(mark)) = (key, &self.mark) {
            key.check(&marked_text(&expected.chain), mark).ok()?;
        }
        (expected == *self).then(|| expected.behind())
    }

    /// The header of the batch that comes at `point`. A mark stands behind the hash that it marks, and is not in it.
    fn of(point: &Point, count: usize, body: &[u8], mark: Option<[u8; MARK_BYTES]>) -> Option<Self> {
        let mut header = Self {
            length: u32::try_from(body.len()).ok()?,
            count: u32::try_from(count).ok().filter(|count| *count > 0)?,
            first_index: point.next_index,
            number: point.next_batch,
            chain: point.chain,
            mark,
        };
        header.chain = Hash::of(&[point.chain.as_bytes(), &header.hashed(), body]);
        Some(header)
    }

    /// Where the journal stands behind this batch.
    fn behind(&self) -> Point {
        Point {
            next_index: self.first_index.saturating_add(u64::from(self.count)),
            next_batch: self.number.saturating_add(1),
            chain: self.chain,
        }
    }

    /// The fields that the running hash covers.
    fn hashed(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LENGTH);
        out.extend_from_slice(if self.is_marked() { &MARKED_BATCH } else { &UNMARKED_BATCH });
        out.extend_from_slice(&self.length.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&self.first_index.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
        out
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = self.hashed();
        out.extend_from_slice(self.chain.as_bytes());
        out.extend_from_slice(self.mark.as_ref().map_or(&[], <[u8; MARK_BYTES]>::as_slice));
        let check = check::<{ Self::CHECK }>(&out);
        out.extend_from_slice(&check);
        out
    }
}

/// The header of the batch of `count` entries that comes at `point`, marked with `key`, and where the journal stands behind it;
/// none if they are none or too many or too long.
pub(super) fn batch_header(
    point: &Point,
    count: usize,
    body: &[u8],
    key: &MarkingKey,
) -> Option<(Vec<u8>, Point)> {
    let mut header = BatchHeader::of(point, count, body, Some([0; MARK_BYTES]))?;
    header.mark = Some(key.mark(&marked_text(&header.chain)));
    Some((header.encode(), header.behind()))
}

/// What of a batch is marked.
fn marked_text(chain: &Hash) -> Vec<u8> {
    [b"batch".as_slice(), chain.as_bytes()].concat()
}

/// No magic can occur in a leaf, which is UTF-8.
const SEGMENT_MAGIC: [u8; 8] = *b"\xf7CGSEG1\xf7";
const UNMARKED_BATCH: [u8; 4] = *b"\xf7CGB";
const MARKED_BATCH: [u8; 4] = *b"\xf7CGM";

/// The start of the SHA-256 hash: tells what was written from what was not.
fn check<const N: usize>(bytes: &[u8]) -> [u8; N] {
    Hash::of(&[bytes]).as_bytes().first_chunk().copied().unwrap_or([0; N])
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
pub(super) mod tests;
