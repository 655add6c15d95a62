//! Leaves that wait to be written, laid out as the batch that they become: what is written is what was gathered.

use chartgate_values::mac::MarkingKey;
use futures_channel::oneshot;

use super::frame::{BatchHeader, Point, SegmentHeader, batch_header};
use super::{AppendError, Batch, Mark};
use crate::leaf::EncodedLeaf;
use crate::storage::Object;
use crate::tile::{BundleError, Entries, push_entry};

/// The answer to one append.
pub(super) type Reply = oneshot::Sender<Result<u64, AppendError>>;

/// Who waits for a leaf, and what its commit brings about.
pub(super) struct Waiting {
    pub(super) mark: Mark,
    pub(super) reply: Reply,
    blob: Option<Object>,
}

/// A batch that grows until it is written.
pub(super) struct Gathered {
    /// Room for both headers, then the leaves, each behind its length.
    bytes: Vec<u8>,
    waiting: Vec<Waiting>,
}

/// Where the leaves begin.
const BODY: usize = SegmentHeader::LENGTH + BatchHeader::LENGTH;

impl Gathered {
    /// An empty one for about so many bytes of leaves.
    pub(super) fn with_room(body: usize) -> Self {
        let mut bytes = Vec::with_capacity(BODY.saturating_add(body));
        bytes.resize(BODY, 0);
        Self { bytes, waiting: Vec::new() }
    }

    /// Adds a leaf.
    pub(super) fn push(&mut self, leaf: EncodedLeaf, mark: Mark, reply: Reply) -> Result<(), BundleError> {
        push_entry(&mut self.bytes, &leaf.bytes)?;
        self.waiting.push(Waiting { mark, reply, blob: leaf.blob });
        Ok(())
    }

    /// How many leaves there are.
    pub(super) fn count(&self) -> usize {
        self.waiting.len()
    }

    /// How many bytes they take in a segment.
    pub(super) fn length(&self) -> usize {
        self.body().len()
    }

    fn body(&self) -> &[u8] {
        self.bytes.get(BODY..).unwrap_or_default()
    }

    /// The files that leaves name.
    pub(super) fn blobs(&self) -> Vec<Object> {
        self.waiting.iter().filter_map(|waiting| waiting.blob.clone()).collect()
    }

    /// Takes out the leaves that name files, and gives back who waits for them.
    pub(super) fn take_out_naming(&mut self) -> Vec<Waiting> {
        let all = std::mem::replace(self, Self::with_room(0));
        let mut naming = Vec::new();
        // INVARIANT: what is there was added as an entry, so it is one and can be added again.
        let entries = Entries::of(all.bytes.get(BODY..).unwrap_or_default()).map_while(Result::ok);
        for (waiting, entry) in all.waiting.into_iter().zip(entries) {
            if waiting.blob.is_none() && push_entry(&mut self.bytes, entry).is_ok() {
                self.waiting.push(waiting);
            } else {
                naming.push(waiting);
            }
        }
        naming
    }

    /// What to write of the batch that comes at `point`, behind the header of the segment if it is its first, and where the
    /// journal then stands; none if the batch has no encoding.
    pub(super) fn frame(
        &mut self,
        point: &Point,
        segment: Option<SegmentHeader>,
        key: &MarkingKey,
    ) -> Option<(&[u8], Point)> {
        let (header, behind) = batch_header(point, self.waiting.len(), self.body(), key)?;
        let mut headers = Vec::with_capacity(BODY);
        if let Some(segment) = segment {
            segment.encode(&mut headers);
        }
        headers.extend(header);
        let from = BODY.checked_sub(headers.len())?;
        self.bytes.get_mut(from..BODY)?.copy_from_slice(&headers);
        Some((self.bytes.get(from..)?, behind))
    }

    /// What was written, as it is read again, and who waits for it.
    pub(super) fn written(self, first_index: u64) -> (Batch, Vec<Waiting>) {
        (Batch::new(first_index, self.bytes, BODY), self.waiting)
    }

    /// Refuses all.
    pub(super) fn refuse(self) {
        refuse(self.waiting);
    }
}

pub(super) fn refuse(waiting: Vec<Waiting>) {
    for waiting in waiting {
        let _ = waiting.reply.send(Err(AppendError::Unwritable));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::journal_key;

    fn gathered(leaves: &[(&str, Option<&str>)]) -> Gathered {
        let mut gathered = Gathered::with_room(0);
        for (leaf, blob) in leaves {
            let blob = blob.map(|path| Object { path: path.to_owned(), bytes: Vec::new() });
            let leaf = EncodedLeaf { bytes: leaf.as_bytes().to_vec(), blob };
            gathered.push(leaf, Mark::Neither, oneshot::channel().0).unwrap();
        }
        gathered
    }

    #[test]
    fn leaves_that_name_files_are_taken_out_and_the_others_stay_in_order() {
        let mut all = gathered(&[("a", None), ("bb", Some("blob/b")), ("c", None), ("d", Some("blob/d"))]);
        assert_eq!(
            all.blobs().iter().map(|blob| blob.path.as_str()).collect::<Vec<_>>(),
            ["blob/b", "blob/d"]
        );
        assert_eq!((all.take_out_naming().len(), all.count(), all.length()), (2, 2, 6));
        assert_eq!(all.written(0).0.entries().collect::<Vec<_>>(), [b"a", b"c"]);
    }

    #[test]
    fn a_batch_is_framed_behind_the_header_of_a_segment_or_without() {
        let start = Point::beginning_at(7);
        let segment = SegmentHeader { number: 3, durability: super::super::Durability::Fsync, start };
        let mut one = gathered(&[("one", None)]);
        let key = journal_key();
        let (alone, behind) =
            one.frame(&start, None, &key).map(|(bytes, behind)| (bytes.to_vec(), behind)).unwrap();
        let (first, _) = one.frame(&start, Some(segment), &key).unwrap();
        assert_eq!(SegmentHeader::parse(first), Some(segment));
        assert_eq!(first[SegmentHeader::LENGTH..], alone);
        let header = BatchHeader::parse(&alone).unwrap();
        assert_eq!(header.verify(&start, &alone[BatchHeader::LENGTH..], Some(&key)), Some(behind));
        assert!(gathered(&[]).frame(&start, None, &key).is_none(), "a batch has a leaf");
    }

    #[test]
    fn a_leaf_that_no_batch_can_hold_is_not_taken() {
        let mut gathered = gathered(&[("a", None)]);
        let leaf = EncodedLeaf { bytes: vec![b'x'; 65_536], blob: None };
        assert!(gathered.push(leaf, Mark::Neither, oneshot::channel().0).is_err());
        assert_eq!((gathered.count(), gathered.length()), (1, 3));
    }
}
