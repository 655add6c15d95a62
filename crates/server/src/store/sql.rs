//! The few words in which the store speaks SQL: portable text, positional parameters (`?1`), typed columns.

use chartgate_values::Timestamp;
use rusqlite::types::{FromSql, ToSqlOutput, Value as SqliteValue, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql, params_from_iter};

use super::StoreError;

/// A connection in a transaction, or for reading.
pub(crate) struct Sql<'c> {
    connection: &'c Connection,
}

/// A parameter.
pub(crate) enum Value<'v> {
    Null,
    Integer(i64),
    Text(&'v str),
    Blob(&'v [u8]),
}

/// A row of an answer.
pub(crate) struct Row<'r, 's> {
    row: &'r rusqlite::Row<'s>,
    table: &'static str,
}

impl<'c> Sql<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection }
    }

    /// Runs a statement and says how many rows it touched.
    pub(super) fn execute(&self, text: &str, parameters: &[Value<'_>]) -> Result<usize, StoreError> {
        Ok(self.statement(text)?.execute(params_from_iter(parameters))?)
    }

    /// The rows of an answer, each made into a value by `read`. `table` is for messages.
    pub(super) fn query<T>(
        &self,
        table: &'static str,
        text: &str,
        parameters: &[Value<'_>],
        read: impl Fn(&Row<'_, '_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.statement(text)?;
        let mut rows = statement.query(params_from_iter(parameters))?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push(read(&Row { row, table })?);
        }
        Ok(out)
    }

    /// The first row of an answer, if there is any.
    pub(super) fn first<T>(
        &self,
        table: &'static str,
        text: &str,
        parameters: &[Value<'_>],
        read: impl Fn(&Row<'_, '_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.statement(text)?;
        let found = statement
            .query_row(params_from_iter(parameters), |row| Ok(read(&Row { row, table })))
            .optional()?;
        found.transpose()
    }

    pub(super) fn statement(&self, text: &str) -> Result<CachedStatement<'_>, StoreError> {
        Ok(self.connection.prepare_cached(text)?)
    }
}

impl Row<'_, '_> {
    /// A column as it is.
    pub(super) fn get<T: FromSql>(&self, column: &'static str) -> Result<T, StoreError> {
        Ok(self.row.get(column)?)
    }

    /// A column whose text has to parse.
    pub(super) fn parse<T: std::str::FromStr>(&self, column: &'static str) -> Result<T, StoreError> {
        let text: String = self.get(column)?;
        text.parse().map_err(|_| self.inconsistent(column))
    }

    /// The same, where it may be absent.
    pub(super) fn parse_optional<T: std::str::FromStr>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let text: Option<String> = self.get(column)?;
        text.map(|text| text.parse().map_err(|_| self.inconsistent(column))).transpose()
    }

    /// A column that holds JSON.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        let text: String = self.get(column)?;
        serde_json::from_str(&text).map_err(|_| self.inconsistent(column))
    }

    /// The same, where it may be absent.
    pub(super) fn json_optional<T: serde::de::DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let text: Option<String> = self.get(column)?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| self.inconsistent(column))).transpose()
    }

    /// A column that holds microseconds since the epoch.
    pub(super) fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::from_micros(self.get(column)?))
    }

    /// The same, where it may be absent.
    pub(super) fn time_optional(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    /// A column holds what it cannot.
    pub(super) fn inconsistent(&self, column: &'static str) -> StoreError {
        StoreError::Inconsistent { table: self.table, column }
    }
}

/// Makes JSON of a value of ours.
pub(super) fn json(value: &impl serde::Serialize, table: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Inconsistent { table, column: "(json)" })
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(SqliteValue::Null),
            Self::Integer(number) => ToSqlOutput::Owned(SqliteValue::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Self::Text(text)
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(text: &'v String) -> Self {
        Self::Text(text)
    }
}

impl<'v> From<&'v [u8]> for Value<'v> {
    fn from(bytes: &'v [u8]) -> Self {
        Self::Blob(bytes)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(time: Timestamp) -> Self {
        Self::Integer(time.as_micros())
    }
}

impl<'v, T: Into<Value<'v>>> From<Option<T>> for Value<'v> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}
