//! What the browser says of a ceremony: of which kind, for which challenge, where. Web Authentication Level 3 section 5.8.1.

use crate::base64url;
use crate::json::Object;

/// Deeper than what any browser writes.
const MAX_DEPTH: usize = 4;

/// Client data, as far as it is looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientData {
    /// `type`: `webauthn.create` or `webauthn.get`.
    pub kind: String,
    /// `challenge`.
    pub challenge: Vec<u8>,
    /// `origin`.
    pub origin: String,
    /// `crossOrigin`: whether the page stood in a frame of somebody else's.
    pub framed: Framed,
}

/// Whether a page stood in a frame of another origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framed {
    /// It did not.
    No,
    /// It did.
    Yes,
}

/// The bytes are no client data.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not client data")]
pub struct NotClientData;

impl ClientData {
    /// Reads it. Members that we do not know are passed over, as section 5.8.1.2 wants; one that comes twice is refused.
    ///
    /// # Errors
    /// [`NotClientData`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NotClientData> {
        let object = Object::parse(bytes, MAX_DEPTH).map_err(|_| NotClientData)?;
        let text = |name| {
            let text = object.string(name).map_err(|_| NotClientData)?;
            text.map(std::borrow::Cow::into_owned).ok_or(NotClientData)
        };
        let is_framed = object.read::<bool>("crossOrigin").map_err(|_| NotClientData)?.unwrap_or(false);
        Ok(Self {
            kind: text("type")?,
            challenge: base64url::decode(&text("challenge")?).map_err(|_| NotClientData)?,
            origin: text("origin")?,
            framed: if is_framed || object.get("topOrigin").is_some() { Framed::Yes } else { Framed::No },
        })
    }
}
