//! Sockets: listening over TLS, draining, limits, and calling upstreams.

pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod listen;
pub(crate) mod origin;
pub(crate) mod path;
pub(crate) mod tls;
