//! Whether a cursor is of the log that is there. A log that was put back to how it stood before, or another one in its place,
//! would be handed on from the wrong record.

use std::io;

use chartgate_audit::reader::{ReadError, Reader};
use chartgate_audit::tile::TileError;

use crate::store::audit_exports::ExportCursor;

/// Why a cursor is not of this log, whose last checkpoint has `size` records, as a stable code; none if it is.
///
/// # Errors
/// If the log's tree cannot be read just now: that says nothing of whose cursor it is.
pub(crate) fn refusal(
    cursor: &ExportCursor,
    reader: &Reader,
    size: u64,
) -> Result<Option<&'static str>, ReadError> {
    if cursor.log != reader.key().to_string() {
        return Ok(Some("cursor-of-another-log"));
    }
    if cursor.next > size || cursor.size > size {
        return Ok(Some("cursor-beyond-the-log"));
    }
    let is_ours = match reader.root_at(cursor.size) {
        Ok(root) => root.to_hex() == cursor.root,
        // A log that has no tree of that size never had a checkpoint of it either.
        Err(ReadError::Tile(TileError::Unreadable { source, .. }))
            if source.kind() == io::ErrorKind::NotFound =>
        {
            false
        }
        Err(error) => return Err(error),
    };
    Ok((!is_ours).then_some("cursor-of-another-history"))
}
