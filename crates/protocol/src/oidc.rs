//! OpenID Connect beside OAuth.

pub mod back_channel_logout;
pub mod ciba;
pub mod logout;
