//! Bytes and text in, types out: JOSE, OAuth, OpenID Connect, SMART, FHIR.
//!
//! Nothing here reads a clock, opens a socket or decides on access: what comes in is judged by its own form
//! and by the arguments beside it.

pub mod base64url;
pub mod fhir;
pub mod form;
#[doc(hidden)]
pub mod fuzzing;
pub mod jose;
pub mod json;
pub mod language;
pub mod oauth;
pub mod oidc;
pub mod recovery_code;
pub mod revocations;
pub mod sigv4;
pub mod smart;
pub mod totp;
pub mod web_push;
pub mod webauthn;
pub mod webhook;
