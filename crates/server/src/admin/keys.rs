//! Signing keys.

use chartgate_audit::record::Event;
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator};

impl Administrator {
    pub(super) fn list_keys(&self) -> Value {
        json!(self.keys.current().list)
    }

    /// The public keys, as `/jwks` has them.
    pub(super) fn jwks(&self) -> Value {
        serde_json::from_str(&self.keys.current().jwks).unwrap_or_default()
    }

    /// Lets the next key sign from now on.
    pub(super) async fn rotate_keys(&self, by: Operator) -> Result<Value, CommandError> {
        let former = self.keys.current().signing.kid().to_owned();
        let _ = self.append(&self.record(by, Event::KeyRotated, former)).await?;
        self.keys.rotate().await?;
        Ok(self.list_keys())
    }
}
