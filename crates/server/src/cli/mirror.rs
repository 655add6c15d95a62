//! `chartgate mirror`: keeping a copy of a log on a host of its own.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chartgate_values::Secret;
use clap::Args;
use http::Uri;
use serde_json::json;

use super::operate;
use super::print::{self, Output};
use crate::mirror::{self, Options};
use crate::telemetry;

#[derive(Debug, Args)]
pub(super) struct MirrorWords {
    /// Where the copy is kept.
    #[arg(long)]
    dir: PathBuf,
    /// The gateway, by its issuer.
    #[arg(long)]
    from: Uri,
    /// The log's verifier key, or a file with it: had by another way than from the gateway.
    #[arg(long)]
    log: String,
    /// A client of the gateway's with the role `auditor`.
    #[arg(long, default_value = "mirror")]
    client_id: String,
    /// A file with its secret.
    #[arg(long)]
    client_secret_file: PathBuf,
    /// The CA to trust in place of the system's, in PEM.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Seconds between two looks.
    #[arg(long, default_value = "60", value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Bring the copy up once and end.
    #[arg(long, conflicts_with = "every")]
    once: bool,
}

pub(super) fn carry_out(words: MirrorWords, output: Output) -> anyhow::Result<ExitCode> {
    let client_secret = Secret::new(operate::first_line(&words.client_secret_file)?);
    let options = Options {
        dir: words.dir,
        from: words.from,
        key: super::witness::key(&words.log)?,
        ca: words.ca,
        client_id: words.client_id,
        client_secret,
        every: (!words.once).then(|| Duration::from_secs(words.every)),
    };
    if words.once {
        telemetry::quiet();
    } else {
        telemetry::start();
    }
    super::runtime()?.block_on(mirror::run(options, |mirrored| {
        let (records, new) = (mirrored.checkpoint.size(), mirrored.new);
        match (words.once, output) {
            (true, Output::Json) => print::answer(&json!({ "records": records, "new": new }), output),
            (true, Output::Text) => print::line(&format!("{records} records, {new} of them new")),
            (false, _) => tracing::info!(records, new, "the copy is up to date"),
        }
    }))?;
    Ok(ExitCode::SUCCESS)
}
