//! `chartgate witness`: being a witness of logs, on a host of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use chartgate_audit::note::VerifierKey;
use clap::Subcommand;

use super::print;
use crate::config::Tls;
use crate::telemetry;
use crate::witness::{self, Options};

#[derive(Debug, Subcommand)]
pub(super) enum WitnessWord {
    /// Make a witness's folder and key, and print its verifier key, for the gateway's configuration and for policies.
    Init {
        /// Where.
        #[arg(long)]
        dir: PathBuf,
        /// Its name: where it is or who runs it, such as `witness.clinic.example`, without space or plus.
        #[arg(long)]
        name: String,
    },
    /// Run it: remember the last checkpoint of each log, and cosign only what extends that (C2SP tlog-witness).
    Serve {
        /// Its folder, as `witness init` made it.
        #[arg(long)]
        dir: PathBuf,
        /// Where to listen; without a certificate on this machine alone.
        #[arg(long)]
        listen: SocketAddr,
        /// The certificate, with its chain, in PEM.
        #[arg(long, requires = "tls_key")]
        tls_cert: Option<PathBuf>,
        /// Its private key, in PEM.
        #[arg(long, requires = "tls_cert")]
        tls_key: Option<PathBuf>,
        /// A log's verifier key, or a file with it, such as `log.vkey`; may be given several times.
        #[arg(long, required = true)]
        log: Vec<String>,
    },
}

pub(super) fn carry_out(word: WitnessWord) -> anyhow::Result<ExitCode> {
    match word {
        WitnessWord::Init { dir, name } => {
            print::line(&witness::init(&dir, &name)?.to_string());
        }
        WitnessWord::Serve { dir, listen, tls_cert, tls_key, log } => {
            telemetry::start();
            let tls = tls_cert.zip(tls_key);
            let tls = tls.map(|(certificate, private_key)| Tls { certificate, private_key });
            let logs = log.iter().map(|given| key(given)).collect::<anyhow::Result<_>>()?;
            super::runtime()?.block_on(witness::serve(Options { dir, listen, tls, logs }))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn key(given: &str) -> anyhow::Result<VerifierKey> {
    if let Ok(key) = given.parse() {
        return Ok(key);
    }
    let text = std::fs::read_to_string(given)
        .with_context(|| format!("--log `{given}` is neither a verifier key nor a file"))?;
    text.trim().parse().with_context(|| format!("--log `{given}`"))
}
