//! Bytes and text in, types out: JOSE, OAuth, SMART, FHIR. No policy, no clock, no sockets, no randomness.

pub mod form;
pub mod oauth;
pub mod smart;
