//! Whether a cursor is of the log that is there. A log that was put back to how it stood before, or another one in its place,
//! would be handed on from the wrong record.

use chartgate_audit::reader::Reader;

use crate::store::audit_exports::ExportCursor;

/// Why a cursor is not of this log, whose last checkpoint has `size` records, as a stable code; none if it is.
pub(crate) fn refusal(cursor: &ExportCursor, reader: &Reader, size: u64) -> Option<&'static str> {
    if cursor.log != reader.key().to_string() {
        return Some("cursor-of-another-log");
    }
    if cursor.next > size || cursor.size > size {
        return Some("cursor-beyond-the-log");
    }
    // A log that has no tree of that size never had a checkpoint of it either.
    let is_ours = reader.root_at(cursor.size).is_ok_and(|root| root.to_hex() == cursor.root);
    (!is_ours).then_some("cursor-of-another-history")
}
