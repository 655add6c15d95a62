//! Signing keys.

use chartgate_audit::record::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::live::keys::Haste;

/// How keys are to change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Rotation {
    /// The next keys take over, if everybody knows them.
    Planned,
    /// Also if somebody may not.
    Now,
    /// Somebody else may have this key, or those that sign: they end with all that they signed.
    Emergency { kid: Option<String> },
}

impl Administrator {
    pub(super) fn list_keys(&self) -> Value {
        json!(self.keys.current().list)
    }

    /// The public keys, as `/jwks` has them.
    pub(super) fn jwks(&self) -> Value {
        serde_json::from_str(&self.keys.current().jwks).unwrap_or_default()
    }

    /// Lets the next keys sign from now on.
    pub(super) async fn rotate_keys(&self, by: Operator, how: Rotation) -> Result<Value, CommandError> {
        let haste = match how {
            Rotation::Planned => Haste::Planned,
            Rotation::Now => Haste::Now,
            Rotation::Emergency { kid } => return self.condemn_keys(by, kid.as_deref()).await,
        };
        let plan = self.keys.plan(haste)?;
        for change in &plan {
            let mut record = self.record(by, Event::KeyRotated, &change.former);
            note(&mut record, "algorithm", change.purpose.algorithm());
            note(&mut record, "next", &change.next);
            let _ = self.append(&record).await?;
        }
        self.keys.rotate(plan).await?;
        Ok(self.list_keys())
    }

    /// Ends keys with all that they signed. It is done first: a log that cannot be written must keep nobody in.
    async fn condemn_keys(&self, by: Operator, kid: Option<&str>) -> Result<Value, CommandError> {
        let record = |kid: &str| self.record(by, Event::KeyCompromised, kid);
        self.keys.condemn(kid, &self.outbox, record).await?;
        Ok(self.list_keys())
    }
}
