//! Tools of others that get the log: how far they are, and letting one go on behind a record that it does not take.

use chartgate_audit::data_keys::Month;
use chartgate_audit::record::Event;
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::outward::refusal;
use crate::store::StoreError;
use crate::store::audit_exports::ExportCursor;

impl Administrator {
    pub(super) fn list_exports(&self) -> Result<Value, CommandError> {
        let now = self.clock.now();
        let size = self.reading.reader.checkpoint().ok().map(|checkpoint| checkpoint.size());
        Ok(json!(self.exports.iter().map(|export| export.told(now, size)).collect::<Vec<_>>()))
    }

    /// The exports that have not had all records of a month.
    pub(super) fn unread(&self, month: &Month) -> Result<Vec<String>, CommandError> {
        let mut unread = Vec::new();
        for export in self.exports.iter() {
            // One that never began has had nothing, and is asked for nothing.
            let Some(cursor) = self.cursor(&export.name)? else { continue };
            if self.refusal(&cursor).map_or(true, |refusal| refusal.is_some()) {
                // What it has had of this log nobody knows.
                unread.push(export.name.clone());
                continue;
            }
            // What cannot be read was not handed on either.
            let first = self.reading.reader.entry(cursor.next);
            if first.map_or(true, |first| first.is_some_and(|first| Month::of(first.record.time) <= *month)) {
                unread.push(export.name.clone());
            }
        }
        Ok(unread)
    }

    /// Lets an export go on at a record, wherever it is before it.
    pub(super) async fn skip_export(&self, by: Operator, name: &str, to: u64) -> Result<Value, CommandError> {
        let unknown = || CommandError::Unknown { kind: "export", name: name.to_owned() };
        let export = self.exports.get(name).ok_or_else(unknown)?;
        let cursor = self.cursor(name)?.ok_or_else(unknown)?;
        let read = |error| CommandError::Invalid(format!("the log: {error}"));
        let checkpoint = self.reading.reader.checkpoint().map_err(read)?;
        let log = self.reading.reader.key().to_string();
        let (next, size) = (cursor.next, checkpoint.size());
        // One that is not of this log may go on anywhere in it, and so may one of which that cannot be read.
        let is_of_it = matches!(self.refusal(&cursor), Ok(None));
        if to > size || (is_of_it && to <= next) {
            return Err(CommandError::Invalid(format!(
                "`{name}` gets {next} next, and the log has {size} records: it can go on between the two"
            )));
        }
        // What is not handed on is on record first.
        let mut record = self.record(by, Event::ExportSkipped, name);
        note(&mut record, "former", cursor.next);
        note(&mut record, "next", to);
        let _ = self.append(&record).await?;
        let moved = ExportCursor {
            name: name.to_owned(),
            log,
            next: to,
            size: checkpoint.size(),
            root: checkpoint.checkpoint().root.to_hex(),
        };
        let replaced = self.store.write(move |sql| {
            sql.forget_export_cursor(&moved.name)?;
            sql.set_export_cursor(&moved)
        });
        replaced.await.map_err(CommandError::Store)?;
        export.skip_to(to);
        Ok(json!({ "name": name, "next": to }))
    }

    fn refusal(&self, cursor: &ExportCursor) -> Result<Option<&'static str>, CommandError> {
        let reader = &self.reading.reader;
        let read = |error| CommandError::Invalid(format!("the log: {error}"));
        refusal(cursor, reader, reader.checkpoint().map_err(read)?.size()).map_err(read)
    }

    fn cursor(&self, name: &str) -> Result<Option<ExportCursor>, CommandError> {
        self.store.read(|sql| sql.export_cursor(name)).map_err(|error: StoreError| CommandError::Store(error))
    }
}
