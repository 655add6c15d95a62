//! Schema versions: numbered files, each run once, in one transaction with its number.

use rusqlite::Connection;

use super::StoreError;

const FILES: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_logout_requests.sql"),
    include_str!("migrations/0003_device_authorizations.sql"),
    include_str!("migrations/0004_pushed_requests.sql"),
    include_str!("migrations/0005_exchanged_tokens.sql"),
    include_str!("migrations/0006_keys.sql"),
    include_str!("migrations/0007_care_of_others.sql"),
    include_str!("migrations/0008_bound_refresh_tokens.sql"),
    include_str!("migrations/0009_status_lists.sql"),
    include_str!("migrations/0010_logout_notices.sql"),
    include_str!("migrations/0011_backchannel_requests.sql"),
    include_str!("migrations/0012_key_usage.sql"),
    include_str!("migrations/0013_client_documents.sql"),
    include_str!("migrations/0014_actors_of_exchanges.sql"),
    include_str!("migrations/0015_launches.sql"),
    include_str!("migrations/0016_registrations.sql"),
    include_str!("migrations/0017_emergency.sql"),
    include_str!("migrations/0018_exports.sql"),
    include_str!("migrations/0019_legal_holds.sql"),
    include_str!("migrations/0020_audit_exports.sql"),
    include_str!("migrations/0021_care_sources.sql"),
    include_str!("migrations/0022_watch.sql"),
    include_str!("migrations/0023_restores.sql"),
    include_str!("migrations/0024_backup_mark.sql"),
    include_str!("migrations/0025_second_factors.sql"),
    include_str!("migrations/0026_identity_providers.sql"),
    include_str!("migrations/0027_session_agents.sql"),
    include_str!("migrations/0028_passkeys.sql"),
    include_str!("migrations/0029_told_changes.sql"),
    include_str!("migrations/0030_half_sign_ins_elsewhere.sql"),
    include_str!("migrations/0031_phones.sql"),
    include_str!("migrations/0032_decided.sql"),
    include_str!("migrations/0033_signed_in_elsewhere.sql"),
    include_str!("migrations/0034_own_word.sql"),
    include_str!("migrations/0035_attested_passkeys.sql"),
    include_str!("migrations/0036_deeds.sql"),
    include_str!("migrations/0037_recoveries.sql"),
    include_str!("migrations/0038_known.sql"),
    include_str!("migrations/0039_used_on_record.sql"),
    include_str!("migrations/0040_signed_out_elsewhere.sql"),
    include_str!("migrations/0041_ordered_refresh_tokens.sql"),
    include_str!("migrations/0042_unused_documents.sql"),
    include_str!("migrations/0043_outbox.sql"),
    include_str!("migrations/0044_redeemed_grants.sql"),
    include_str!("migrations/0045_shut_out.sql"),
    include_str!("migrations/0046_findings_kept.sql"),
    include_str!("migrations/0047_networks_of_requests.sql"),
];

/// Brings the schema up to date.
///
/// # Errors
/// [`StoreError::TooNew`] if the database was written by a later version; else what the database says.
pub(super) fn run(connection: &mut Connection) -> Result<(), StoreError> {
    apply(connection, FILES)
}

fn apply(connection: &mut Connection, files: &[&str]) -> Result<(), StoreError> {
    connection.execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")?;
    let known = i64::try_from(files.len()).unwrap_or(i64::MAX);
    let found: i64 =
        connection.query_row("SELECT COALESCE(MAX(version), 0) FROM schema_version", [], |row| row.get(0))?;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (number, text) in (1_i64..).zip(files).skip_while(|(number, _)| *number <= found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(text)?;
        transaction.execute("INSERT INTO schema_version (version) VALUES (?1)", [number])?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refresh_tokens_from_before_they_were_ordered_are_kept() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "foreign_keys", "ON").unwrap();
        apply(&mut connection, &FILES[..40]).unwrap();
        let before = "INSERT INTO grants (id, client_id, subject, content, created_at) VALUES ('g', 'app', 'dana', '{}', 1);
            INSERT INTO refresh_tokens VALUES ('used', 'g', 'app', 9, 5, NULL, 'next', 'a', 6, NULL);
            INSERT INTO refresh_tokens VALUES ('next', 'g', 'app', 9, NULL, 7, NULL, 'b', 8, '{\"jkt\":\"k\"}');";
        connection.execute_batch(before).unwrap();
        apply(&mut connection, FILES).unwrap();
        let text = "SELECT digest, grant_id, client_id, expires_at, consumed_at, revoked_at, successor, access_token,
                    access_expires_at, cnf FROM refresh_tokens ORDER BY access_token";
        let mut statement = connection.prepare(text).unwrap();
        let rows = statement.query_map([], |row| {
            (0..10).map(|column| row.get(column)).collect::<Result<Vec<rusqlite::types::Value>, _>>()
        });
        let found: Vec<String> = rows.unwrap().map(|row| format!("{:?}", row.unwrap())).collect();
        let text = |text: &str| format!("Text({text:?})");
        let [used, next, g, app, a, b] = ["used", "next", "g", "app", "a", "b"].map(text);
        let cnf = text(r#"{"jkt":"k"}"#);
        assert_eq!(
            found,
            [
                format!("[{used}, {g}, {app}, Integer(9), Integer(5), Null, {next}, {a}, Integer(6), Null]"),
                format!("[{next}, {g}, {app}, Integer(9), Null, Integer(7), Null, {b}, Integer(8), {cnf}]"),
            ]
        );
    }

    #[test]
    fn clients_by_documents_from_before_are_unused_unless_somebody_said_yes() {
        let mut connection = Connection::open_in_memory().unwrap();
        // Names and people stand in tables of their own.
        connection.pragma_update(None, "foreign_keys", "OFF").unwrap();
        apply(&mut connection, &FILES[..41]).unwrap();
        let before = "INSERT INTO clients (client_id, settings, created_at, removed_at) VALUES
                ('https://a.example/used', '{}', 1, NULL), ('https://a.example/bad', '{}', 2, NULL),
                ('https://a.example/removed', '{}', 3, 9), ('other', '{}', 4, NULL);
            INSERT INTO client_documents VALUES ('https://a.example/used', 5, 6), ('https://a.example/removed', 7, 8);
            INSERT INTO consents VALUES ('dana', 'https://a.example/used', 'openid', 5);";
        connection.execute_batch(before).unwrap();
        apply(&mut connection, FILES).unwrap();
        let text = "SELECT client_id, fetched_at, fresh_until, added_at, used_at FROM client_documents ORDER BY added_at";
        let mut statement = connection.prepare(text).unwrap();
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                (1..5).map(|column| row.get(column)).collect::<Result<Vec<Option<i64>>, _>>()?,
            ))
        });
        let found: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
        assert_eq!(
            found,
            [
                ("https://a.example/used".to_owned(), vec![Some(5), Some(6), Some(1), Some(1)]),
                ("https://a.example/bad".to_owned(), vec![None, None, Some(2), None]),
            ]
        );
    }
}
