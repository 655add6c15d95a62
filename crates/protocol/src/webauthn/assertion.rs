//! An assertion: what an authenticator signed, for whom and when. Web Authentication Level 3 sections 6.1, 6.3.3 and 7.2.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};

use super::client_data::{ClientData, Framed, NotClientData};
use super::cose::CoseKey;
use crate::base64url;
use crate::json::Object;

/// The longest text of an assertion that is looked at.
pub const MAX_ASSERTION: usize = 8 << 10;
/// Section 7.1: an id of a credential is no longer.
const MAX_ID: usize = 1023;
/// Deeper than what any browser writes; outputs of extensions are not looked at.
const MAX_DEPTH: usize = 8;

/// Bits of authenticator data, section 6.1.
const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const HAS_KEY: u8 = 1 << 6;
const HAS_EXTENSIONS: u8 = 1 << 7;
/// The digest, the flags and the counter.
const SHORTEST: usize = 37;

/// Who asks, as browsers and authenticators know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RelyingParty {
    /// The domain that passkeys are for.
    pub id: String,
    /// Where our pages are: the one origin.
    pub origin: String,
}

/// What a browser sends in answer: the text of `PublicKeyCredential.toJSON()` (section 5.1.9.2), of which nothing is believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assertion {
    /// Which credential it says it is of.
    pub credential_id: Vec<u8>,
    /// Whom the authenticator made it for, if it says so.
    pub user_handle: Option<Vec<u8>>,
    /// What is signed, and the signature.
    pub evidence: Evidence,
}

/// What somebody needs, beside the public key, to verify what was signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Evidence {
    /// What the authenticator says.
    pub authenticator_data: Vec<u8>,
    /// What the browser says, to the byte.
    pub client_data: Vec<u8>,
    /// Over the first, and the digest of the second.
    pub signature: Vec<u8>,
}

/// What the authenticator says in what it signed, and which was verified.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Signed {
    /// The flags.
    pub flags: Flags,
    /// How often this credential has signed, or zero where nobody counts.
    pub sign_count: u32,
}

/// The flags of authenticator data, as they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Flags(u8);

/// Why an assertion is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AssertionRefused {
    /// Section 5.1.9.2: it is not what browsers write.
    #[error("not an assertion")]
    Malformed,
    /// Section 7.2, step 10: `type` is another.
    #[error("client data is of another ceremony")]
    OtherCeremony,
    /// Step 11.
    #[error("signed for another challenge")]
    OtherChallenge,
    /// Steps 12 to 14: another origin, or in somebody else's frame.
    #[error("signed elsewhere")]
    OtherOrigin,
    /// Step 15.
    #[error("signed for another relying party")]
    OtherRelyingParty,
    /// Step 16.
    #[error("nobody was there")]
    UserNotPresent,
    /// Step 17.
    #[error("the authenticator did not verify who was there")]
    UserNotVerified,
    /// Step 18.
    #[error("backed up, but never to be")]
    Flags,
    /// Step 21.
    #[error("not signed by this key")]
    Signature,
}

impl Flags {
    /// The byte.
    #[must_use]
    pub fn byte(self) -> u8 {
        self.0
    }

    /// BE: whether the credential may be on several devices.
    #[must_use]
    pub fn is_backup_eligible(self) -> bool {
        self.has(BACKUP_ELIGIBLE)
    }

    /// BS: whether it is backed up now.
    #[must_use]
    pub fn is_backed_up(self) -> bool {
        self.has(BACKED_UP)
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

impl From<NotClientData> for AssertionRefused {
    fn from(NotClientData: NotClientData) -> Self {
        Self::Malformed
    }
}

impl Assertion {
    /// Reads what a browser sent.
    ///
    /// # Errors
    /// [`AssertionRefused::Malformed`].
    pub fn parse(text: &str) -> Result<Self, AssertionRefused> {
        if text.len() > MAX_ASSERTION {
            return Err(AssertionRefused::Malformed);
        }
        let object = Object::parse(text.as_bytes(), MAX_DEPTH).map_err(|_| AssertionRefused::Malformed)?;
        let kind = object.string("type").map_err(|_| AssertionRefused::Malformed)?;
        let credential_id = required(&object, "rawId")?;
        let same_id = required(&object, "id")?;
        let response = object.get("response").ok_or(AssertionRefused::Malformed)?;
        let response =
            Object::parse(response.as_bytes(), MAX_DEPTH).map_err(|_| AssertionRefused::Malformed)?;
        // Both are names of one thing, and whoever reads the one must not find another than who reads the other.
        let is_sound = kind.as_deref() == Some("public-key")
            && credential_id == same_id
            && (1..=MAX_ID).contains(&credential_id.len());
        if !is_sound {
            return Err(AssertionRefused::Malformed);
        }
        Ok(Self {
            credential_id,
            user_handle: match response.get("userHandle") {
                None | Some("null") => None,
                Some(_) => Some(required(&response, "userHandle")?),
            },
            evidence: Evidence {
                authenticator_data: required(&response, "authenticatorData")?,
                client_data: required(&response, "clientDataJSON")?,
                signature: required(&response, "signature")?,
            },
        })
    }
}

fn required(object: &Object<'_>, name: &str) -> Result<Vec<u8>, AssertionRefused> {
    let text = object.string(name).map_err(|_| AssertionRefused::Malformed)?;
    let text: Cow<'_, str> = text.ok_or(AssertionRefused::Malformed)?;
    base64url::decode(&text).map_err(|_| AssertionRefused::Malformed)
}

impl Evidence {
    /// The challenge that it says it is for.
    ///
    /// # Errors
    /// [`AssertionRefused::Malformed`].
    pub fn challenge(&self) -> Result<Vec<u8>, AssertionRefused> {
        Ok(ClientData::parse(&self.client_data)?.challenge)
    }

    /// Verifies that the holder of `key` signed `challenge`, for and at this relying party, and that the authenticator
    /// verified who was there. Section 7.2, steps 10 to 21. Whose the key is, and whether its counter has gone on, is for the
    /// caller to look at.
    ///
    /// # Errors
    /// [`AssertionRefused`], by the first step that fails.
    pub fn verify(
        &self,
        key: &CoseKey,
        party: &RelyingParty,
        challenge: &[u8],
    ) -> Result<Signed, AssertionRefused> {
        let client_data = ClientData::parse(&self.client_data)?;
        if client_data.kind != "webauthn.get" {
            return Err(AssertionRefused::OtherCeremony);
        }
        if client_data.challenge != challenge {
            return Err(AssertionRefused::OtherChallenge);
        }
        if client_data.origin != party.origin || client_data.framed == Framed::Yes {
            return Err(AssertionRefused::OtherOrigin);
        }
        let signed = self.said(party)?;
        let mut message = self.authenticator_data.clone();
        message.extend_from_slice(digest(&SHA256, &self.client_data).as_ref());
        key.verify(&message, &self.signature).map_err(|_| AssertionRefused::Signature)?;
        Ok(signed)
    }

    /// What the authenticator says, before anybody knows that it did.
    fn said(&self, party: &RelyingParty) -> Result<Signed, AssertionRefused> {
        let (head, rest) =
            self.authenticator_data.split_first_chunk::<SHORTEST>().ok_or(AssertionRefused::Malformed)?;
        let (whose, flags_and_count) = head.split_at(32);
        let [flags, count @ ..] = flags_and_count else { return Err(AssertionRefused::Malformed) };
        let flags = Flags(*flags);
        let sign_count = count.try_into().map(u32::from_be_bytes);
        let sign_count = sign_count.map_err(|_| AssertionRefused::Malformed)?;
        // Outputs of extensions are all that may follow. We ask for none, and look at none.
        if flags.has(HAS_KEY) || flags.has(HAS_EXTENSIONS) == rest.is_empty() {
            return Err(AssertionRefused::Malformed);
        }
        if whose != digest(&SHA256, party.id.as_bytes()).as_ref() {
            return Err(AssertionRefused::OtherRelyingParty);
        }
        if !flags.has(USER_PRESENT) {
            return Err(AssertionRefused::UserNotPresent);
        }
        if !flags.has(USER_VERIFIED) {
            return Err(AssertionRefused::UserNotVerified);
        }
        if flags.has(BACKED_UP) && !flags.has(BACKUP_ELIGIBLE) {
            return Err(AssertionRefused::Flags);
        }
        Ok(Signed { flags, sign_count })
    }
}

#[cfg(test)]
mod tests;
