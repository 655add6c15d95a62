//! For services that take Chartgate's tokens: a tower layer that verifies them and follows their revocation.
//!
//! ```no_run
//! # use axum::{Extension, Router, routing::get};
//! # use chartgate_verify::{Caller, Settings, Verifier};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::new("https://gate.example.org", "https://lab.example.org", "lab", "its secret");
//! let verifier = Verifier::start(settings).await?;
//! let app: Router = Router::new()
//!     .route("/results", get(|Extension(caller): Extension<Caller>| async move { caller.claims.sub.to_string() }))
//!     .layer(verifier.require("lab.read"));
//! # Ok(()) }
//! ```
//!
//! Signature, claims, cut-offs and scopes are looked at for each request, none of which calls the issuer: keys and
//! cut-offs are followed in the background. Where the feed of cut-offs is older than its limit, or the keys are, everything
//! is denied. A token that is bound to a key is refused unless the service checks proofs ([`Settings::proofs_for`]).

mod clock;
mod cut_offs;
mod follow;
mod https;
mod issuer;
mod layer;
mod proofs;
mod settings;
mod state;
mod verifier;

pub use https::CallError;
pub use issuer::IssuerError;
pub use layer::{RequireToken, TokenService};
pub use settings::Settings;
pub use verifier::{Caller, Refused, StartError, Verifier};
