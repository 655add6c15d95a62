//! OpenID Connect beside OAuth.

pub mod logout;
