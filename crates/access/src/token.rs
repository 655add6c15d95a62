//! Access tokens: what they say, and when they are no longer believed.

pub mod access_token;
pub mod binding;
pub mod revocation;
