//! OpenID Connect beside OAuth.

pub mod back_channel_logout;
pub mod ciba;
pub mod claims_request;
pub mod logout;
pub mod provider;
