//! Whether a token that holds by itself is still believed here.

use chartgate_protocol::jose::{AccessTokenVerifier, ExpectedAudience, Presentation};
use serde_json::{Value, json};

use super::{Administrator, CommandError};
use crate::live::tokens::traits_of;

impl Administrator {
    /// What ended a token before its time, under `ended`; null if nothing did. Of one that does not hold by itself nothing is
    /// known.
    pub(super) fn token_standing(&self, token: &str) -> Result<Value, CommandError> {
        let keys = self.keys.current();
        let verifier = AccessTokenVerifier::new(self.issuer.clone(), ExpectedAudience::Any);
        let verified = keys.signed_within(token).and_then(|signed| {
            verifier.verify_signed(&signed, &keys.verifying, Presentation::ASKED_ABOUT, self.clock.now())
        });
        let (claims, kid) = verified.map_err(|cause| {
            CommandError::Invalid(format!("not a token of ours that is still good: {cause}"))
        })?;
        let foreign = || CommandError::Invalid("a claim has a foreign form".to_owned());
        let traits = traits_of(&claims, kid).ok_or_else(foreign)?;
        Ok(json!({ "ended": self.cut_offs.check(&traits).err().map(|revoked| revoked.to_string()) }))
    }
}
