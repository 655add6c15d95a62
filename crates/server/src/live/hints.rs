//! ID tokens of ours that come back as hints. OpenID Connect Core section 3.1.2.1, RP-Initiated Logout section 2, CIBA Core
//! section 7.1.

use std::time::Duration;

use chartgate_protocol::jose::claims::IdTokenClaims;
use chartgate_protocol::jose::{Algorithm, ExpectedAudience, ExpiryRule, IdTokenVerifier};
use chartgate_values::Timestamp;

use super::keys::KeyRing;

/// What an ID token says that we made, expired or not: it names somebody, and what they may do is asked again. `None` if we did
/// not make it, or not for this audience.
pub(crate) fn read(
    issuer: &str,
    keys: &KeyRing,
    audience: ExpectedAudience,
    token: &str,
    now: Timestamp,
) -> Option<IdTokenClaims> {
    let verifier = IdTokenVerifier {
        issuer: issuer.to_owned(),
        audience,
        algorithms: Algorithm::ALL.to_vec(),
        expiry: ExpiryRule::Ignored,
        skew: Duration::ZERO,
    };
    verifier.verify(token, &keys.current().verifying, now).ok()
}
