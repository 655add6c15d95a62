//! Names that were ever given. RFC 9700 section 4.15: no client is taken for a person.

use chartgate_values::Timestamp;

use super::{Sql, StoreError};

/// Whose name it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SubjectKind {
    User,
    Client,
}

/// Takes a name that was never given before.
pub(super) fn take(
    sql: &Sql<'_>,
    name: &str,
    kind: SubjectKind,
    now: Timestamp,
) -> Result<Taken, StoreError> {
    let kind = match kind {
        SubjectKind::User => "user",
        SubjectKind::Client => "client",
    };
    let text = "INSERT INTO subjects (name, kind, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    match sql.execute(text, &[name.into(), kind.into(), now.into()])? {
        0 => Ok(Taken::Before),
        _ => Ok(Taken::Now),
    }
}

/// Whether a name was free.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Taken {
    Now,
    Before,
}
