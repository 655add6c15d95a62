//! The gateway's own credential towards an upstream. The caller's never travels.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::config::UpstreamAuth;

/// The `Authorization` header for an upstream, if it wants one.
pub(crate) fn header(auth: &UpstreamAuth) -> Option<HeaderValue> {
    let text = match auth {
        UpstreamAuth::None => return None,
        UpstreamAuth::Bearer(token) => format!("Bearer {}", token.expose()),
        UpstreamAuth::Basic { username, password } => {
            format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.expose())))
        }
    };
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
