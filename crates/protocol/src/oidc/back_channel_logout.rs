//! What a client is told when a session ends. OpenID Connect Back-Channel Logout 1.0 section 2.4.

use std::time::Duration;

use chartgate_values::Timestamp;
use serde::Serialize;

use crate::jose::claims::NumericDate;

/// `typ` of a logout token, so that it is taken for nothing else.
pub const LOGOUT_TYPE: &str = "logout+jwt";

/// The claims of a logout token. It never has a `nonce`: section 2.4 forbids it, lest it is taken for an ID token.
#[derive(Clone, Debug, Serialize)]
pub struct LogoutTokenClaims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    jti: String,
    iat: NumericDate,
    exp: NumericDate,
    events: Events,
}

#[derive(Clone, Debug, Serialize)]
struct Events {
    #[serde(rename = "http://schemas.openid.net/event/backchannel-logout")]
    logout: Nothing,
}

/// `{}`.
#[derive(Clone, Debug, Serialize)]
struct Nothing {}

impl LogoutTokenClaims {
    /// Of this issuer for this client: that this session of this subject ended. Good from this time for so long.
    #[must_use]
    pub fn new(
        iss: String,
        aud: String,
        sub: String,
        sid: String,
        jti: String,
        (now, life): (Timestamp, Duration),
    ) -> Self {
        let (iat, exp) = (now.into(), now.plus(life).into());
        Self { iss, aud, sub, sid, jti, iat, exp, events: Events { logout: Nothing {} } }
    }
}
