//! The sample FHIR server's records: in memory for reading, in a file so that the demo goes on where it ended.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use chartgate_values::Timestamp;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::export::Export;

/// All versions of all records.
pub(super) struct Records {
    by_type: RwLock<BTreeMap<String, BTreeMap<String, Vec<Version>>>>,
    file: Mutex<Connection>,
}

/// A record at one time; `None` where it was deleted.
#[derive(Clone)]
pub(super) struct Version {
    pub(super) number: u64,
    pub(super) updated: Timestamp,
    pub(super) resource: Option<Value>,
}

impl Records {
    /// Opens the file and reads what is in it.
    ///
    /// # Errors
    /// What the database says.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let file = Connection::open(path)?;
        file.pragma_update(None, "journal_mode", "WAL")?;
        file.execute_batch(
            "CREATE TABLE IF NOT EXISTS versions (type TEXT NOT NULL, id TEXT NOT NULL, number BIGINT NOT NULL, \
             updated BIGINT NOT NULL, resource TEXT, PRIMARY KEY (type, id, number)); \
             CREATE TABLE IF NOT EXISTS exports (id TEXT PRIMARY KEY, path TEXT NOT NULL, query TEXT NOT NULL, \
             asked_at BIGINT NOT NULL)",
        )?;
        let mut by_type = BTreeMap::<String, BTreeMap<String, Vec<Version>>>::new();
        {
            let text = "SELECT type, id, number, updated, resource FROM versions ORDER BY type, id, number";
            let mut statement = file.prepare(text)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let version = Version {
                    number: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(1),
                    updated: Timestamp::from_micros(row.get(3)?),
                    resource: row.get::<_, Option<String>>(4)?.and_then(|t| serde_json::from_str(&t).ok()),
                };
                by_type.entry(row.get(0)?).or_default().entry(row.get(1)?).or_default().push(version);
            }
        }
        Ok(Self { by_type: RwLock::new(by_type), file: Mutex::new(file) })
    }

    /// Whether nothing was ever stored.
    pub(super) fn is_empty(&self) -> bool {
        self.by_type.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Stores many records that are new, in one transaction.
    ///
    /// # Errors
    /// What the database says; then none is stored.
    pub(super) fn load(&self, resources: Vec<Value>, now: Timestamp) -> rusqlite::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = file.transaction()?;
        let mut new = Vec::new();
        for resource in resources {
            let (Some(kind), Some(id)) = (text(&resource, "resourceType"), text(&resource, "id")) else {
                continue;
            };
            let version = Version { number: 1, updated: now, resource: Some(with_meta(resource, 1, now)) };
            write(&transaction, &kind, &id, &version)?;
            new.push((kind, id, version));
        }
        transaction.commit()?;
        let mut by_type = self.by_type.write().unwrap_or_else(PoisonError::into_inner);
        for (kind, id, version) in new {
            by_type.entry(kind).or_default().insert(id, vec![version]);
        }
        Ok(())
    }

    /// Adds a version of each record, or none of any.
    ///
    /// # Errors
    /// [`PutError`].
    pub(super) fn put(&self, puts: Vec<Put>, now: Timestamp) -> Result<Vec<Version>, PutError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_type = self.by_type.write().unwrap_or_else(PoisonError::into_inner);
        let transaction = file.transaction().map_err(PutError::File)?;
        let mut new = Vec::with_capacity(puts.len());
        for Put { kind, id, resource, expected } in puts {
            let last = by_type.get(&kind).and_then(|records| records.get(&id)?.last());
            let fits = match expected {
                Expected::Whatever => true,
                Expected::Version(expected) => last.is_some_and(|last| last.number == expected),
                Expected::Nothing => last.is_none_or(|last| last.resource.is_none()),
            };
            if !fits {
                return Err(PutError::AnotherVersion);
            }
            let number = last.map_or(0, |last| last.number).saturating_add(1);
            let resource = resource.map(|resource| with_meta(resource, number, now));
            let version = Version { number, updated: now, resource };
            write(&transaction, &kind, &id, &version).map_err(PutError::File)?;
            new.push((kind, id, version));
        }
        transaction.commit().map_err(PutError::File)?;
        let add = |(kind, id, version): (String, String, Version)| {
            by_type.entry(kind).or_default().entry(id).or_default().push(version.clone());
            version
        };
        Ok(new.into_iter().map(add).collect())
    }

    /// All versions of a record, oldest first.
    pub(super) fn versions(&self, kind: &str, id: &str) -> Vec<Version> {
        let by_type = self.by_type.read().unwrap_or_else(PoisonError::into_inner);
        by_type.get(kind).and_then(|records| records.get(id)).cloned().unwrap_or_default()
    }

    /// All versions of all records of a type, with their ids, the newest first.
    pub(super) fn history(&self, kind: &str) -> Vec<(String, Version)> {
        let by_type = self.by_type.read().unwrap_or_else(PoisonError::into_inner);
        let records = by_type.get(kind).into_iter().flatten();
        let mut all: Vec<(String, Version)> = records
            .flat_map(|(id, versions)| versions.iter().map(|version| (id.clone(), version.clone())))
            .collect();
        all.sort_by(|(one_id, one), (other_id, other)| {
            (other.updated, other_id, other.number).cmp(&(one.updated, one_id, one.number))
        });
        all
    }

    /// The last version of every record of a type that was not deleted.
    pub(super) fn all(&self, kind: &str) -> Vec<Version> {
        let by_type = self.by_type.read().unwrap_or_else(PoisonError::into_inner);
        let records = by_type.get(kind).into_iter().flat_map(BTreeMap::values);
        records.filter_map(|versions| versions.last().filter(|v| v.resource.is_some()).cloned()).collect()
    }

    /// The last version until then of every record of a type that was not deleted at that time.
    pub(super) fn as_of(&self, kind: &str, at: Timestamp) -> Vec<Version> {
        let by_type = self.by_type.read().unwrap_or_else(PoisonError::into_inner);
        let records = by_type.get(kind).into_iter().flat_map(BTreeMap::values);
        let then = records.filter_map(|versions| versions.iter().rfind(|version| version.updated <= at));
        then.filter(|version| version.resource.is_some()).cloned().collect()
    }

    /// Keeps an export that was asked for.
    ///
    /// # Errors
    /// What the database says.
    pub(super) fn begin_export(&self, id: &str, export: &Export) -> rusqlite::Result<()> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.execute(
            "INSERT INTO exports (id, path, query, asked_at) VALUES (?1, ?2, ?3, ?4)",
            params![id, export.path, export.query, export.asked_at.as_micros()],
        )
        .map(drop)
    }

    /// An export that was asked for and not given up.
    pub(super) fn export(&self, id: &str) -> Option<Export> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let text = "SELECT path, query, asked_at FROM exports WHERE id = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Export {
                path: row.get(0)?,
                query: row.get(1)?,
                asked_at: Timestamp::from_micros(row.get(2)?),
            })
        };
        file.query_row(text, params![id], read).ok()
    }

    /// Gives an export up, and says whether there was one.
    ///
    /// # Errors
    /// What the database says.
    pub(super) fn end_export(&self, id: &str) -> rusqlite::Result<bool> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(file.execute("DELETE FROM exports WHERE id = ?1", params![id])? == 1)
    }

    /// The ids of all patients, in order.
    pub(super) fn patients(&self) -> Vec<String> {
        let ids = self.all("Patient").into_iter().filter_map(|v| v.resource.and_then(|r| text(&r, "id")));
        ids.collect()
    }

    /// All types that are stored.
    pub(super) fn types(&self) -> Vec<String> {
        self.by_type.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

/// A version that is to be added; without a resource, the record is deleted.
pub(super) struct Put {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) resource: Option<Value>,
    pub(super) expected: Expected,
}

/// What there has to be of a record before it is written.
#[derive(Clone, Copy)]
pub(super) enum Expected {
    Whatever,
    Version(u64),
    Nothing,
}

/// Why a record was not stored.
#[derive(Debug)]
pub(super) enum PutError {
    AnotherVersion,
    File(rusqlite::Error),
}

fn write(file: &Connection, kind: &str, id: &str, version: &Version) -> rusqlite::Result<()> {
    let number = i64::try_from(version.number).unwrap_or(i64::MAX);
    let resource = version.resource.as_ref().map(ToString::to_string);
    file.execute(
        "INSERT INTO versions (type, id, number, updated, resource) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![kind, id, number, version.updated.as_micros(), resource],
    )
    .map(drop)
}

fn with_meta(mut resource: Value, number: u64, now: Timestamp) -> Value {
    if let Value::Object(members) = &mut resource {
        let meta = members.entry("meta").or_insert_with(|| json!({}));
        if let Value::Object(meta) = meta {
            meta.insert("versionId".to_owned(), number.to_string().into());
            meta.insert("lastUpdated".to_owned(), now.to_string().into());
        }
    }
    resource
}

/// A text member of a record.
pub(super) fn text(resource: &Value, name: &str) -> Option<String> {
    resource.get(name).and_then(Value::as_str).map(str::to_owned)
}
