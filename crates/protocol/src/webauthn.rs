//! What passkeys sign, and who else can verify it. W3C Web Authentication Level 3, sections 5.8.1, 6.1 and 7.2.
//!
//! Registering is webauthn-rs's, in the server. What is here reads an assertion with one reading alone and verifies it by
//! aws-lc-rs: the server asks both. It is also all that somebody needs who verifies later, elsewhere, what a person
//! approved: a public key, and the four pieces of [`Evidence`].

mod assertion;
#[cfg(any(test, feature = "testing"))]
pub mod authenticator;
mod client_data;
mod cose;

pub use assertion::{Assertion, AssertionRefused, Evidence, Flags, MAX_ASSERTION, RelyingParty, Signed};
pub use client_data::{ClientData, NotClientData};
pub use cose::{CoseKey, NotACoseKey};
