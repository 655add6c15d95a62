//! Sockets: listening over TLS, draining, limits, and calling upstreams.

pub(crate) mod access_token;
pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod client_credentials;
pub(crate) mod connections;
pub(crate) mod cookie;
pub(crate) mod credential;
pub(crate) mod door;
pub(crate) mod flow;
pub(crate) mod listen;
pub(crate) mod mail;
pub(crate) mod origin;
pub(crate) mod path;
pub(crate) mod reach;
pub(crate) mod reserve;
pub(crate) mod shares;
pub(crate) mod throttle;
pub(crate) mod tls;
