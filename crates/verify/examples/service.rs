//! A service that takes Chartgate's tokens, in five lines: `README.md` of this crate says how to run it.

use std::env::var;
use std::error::Error;
use std::io::Write as _;

use axum::routing::get;
use axum::{Extension, Router};
use chartgate_verify::{Caller, Settings, Verifier};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut settings =
        Settings::new(var("ISSUER")?, var("AUDIENCE")?, var("CLIENT_ID")?, var("CLIENT_SECRET")?);
    if let Ok(file) = var("CA_FILE") {
        settings = settings.ca_file(file);
    }
    if let Ok(base_url) = var("BASE_URL") {
        settings = settings.proofs_for(base_url);
    }
    if let Ok(seconds) = var("FEED_LIMIT") {
        settings = settings.feed_limit(std::time::Duration::from_secs(seconds.parse()?));
    }
    let verifier = Verifier::start(settings).await?;
    let app = Router::new().route("/results", get(results)).layer(verifier.require("lab.read"));
    let listener = tokio::net::TcpListener::bind(var("LISTEN").unwrap_or("127.0.0.1:0".to_owned())).await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    axum::serve(listener, app).await?;
    Ok(())
}

async fn results(Extension(caller): Extension<Caller>) -> String {
    format!("results for {}\n", caller.claims.sub)
}
