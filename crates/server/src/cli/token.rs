//! `chartgate token revoke` and `inspect`.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chartgate_protocol::jose::inspect::{Inspector, Verdict};
use chartgate_protocol::jose::{AccessTokenVerifier, Algorithm, ExpectedAudience, KeySet};
use chartgate_values::{Clock as _, Timestamp};
use clap::Subcommand;

use super::print::{self, Output};
use crate::admin::Command;
use crate::admin::client::give;
use crate::clock::SystemClock;

#[derive(Debug, Subcommand)]
pub(super) enum TokenWord {
    /// Revoke an access token, by itself or its `jti`, or a refresh token with its grant.
    Revoke {
        /// The token or `jti`; `-` reads it from standard input.
        #[arg(allow_hyphen_values = true)]
        token: String,
    },
    /// Verify a token as a resource server would, and explain it.
    Inspect {
        /// The token; `-` reads it from standard input.
        token: Option<String>,
        /// The issuer's keys, as a JWK Set; without it, this gateway's.
        #[arg(long, requires = "issuer", requires = "audience")]
        jwks: Option<PathBuf>,
        #[arg(long)]
        issuer: Option<String>,
        #[arg(long)]
        audience: Option<String>,
        /// The present, in seconds since 1970.
        #[arg(long)]
        now: Option<i64>,
        /// An algorithm that is allowed; may be given several times.
        #[arg(long = "alg")]
        algorithms: Vec<Algorithm>,
        /// A file with a JSON object a line, with `id` and `token`; `-` is standard input.
        #[arg(long, conflicts_with = "token")]
        jsonl: Option<PathBuf>,
    },
}

pub(super) fn carry_out(word: TokenWord, config: &Path, output: Output) -> anyhow::Result<ExitCode> {
    match word {
        TokenWord::Revoke { token } => {
            let token = from_argument(&token)?;
            let config = super::load(config)?;
            crate::telemetry::quiet();
            let answer = super::runtime()?.block_on(give(config, Command::TokenRevoke { token }))?;
            print::answer(&answer, output);
            Ok(ExitCode::SUCCESS)
        }
        TokenWord::Inspect { token, jwks, issuer, audience, now, algorithms, jsonl } => {
            let (keys, issuer, audience) = match jwks {
                Some(path) => {
                    let text = std::fs::read(&path).with_context(|| format!("{}", path.display()))?;
                    let audience = ExpectedAudience::OneOf(audience.into_iter().collect());
                    (text, issuer.unwrap_or_default(), audience)
                }
                None => own(config, audience)?,
            };
            let keys = KeySet::parse(&keys).context("the key set")?;
            let mut verifier = AccessTokenVerifier::new(issuer, audience);
            if !algorithms.is_empty() {
                verifier.algorithms = algorithms;
            }
            let now = now.map_or_else(|| SystemClock.now(), Timestamp::from_unix);
            let inspector = Inspector { verifier: &verifier, keys: &keys, now };
            match (jsonl, token) {
                (Some(path), _) => lines(&inspector, &path),
                (None, Some(token)) => one(&inspector, &from_argument(&token)?, output),
                (None, None) => bail!("name a TOKEN, or --jsonl FILE"),
            }
        }
    }
}

/// This gateway's keys, for whatever it protects.
fn own(config: &Path, audience: Option<String>) -> anyhow::Result<(Vec<u8>, String, ExpectedAudience)> {
    let config = super::load(config)?;
    let issuer = config.issuer.clone();
    crate::telemetry::quiet();
    let answer = super::runtime()?.block_on(give(config, Command::Jwks))?;
    let audience = audience.map_or(ExpectedAudience::Any, |one| ExpectedAudience::OneOf(vec![one]));
    Ok((answer.to_string().into_bytes(), issuer, audience))
}

fn from_argument(token: &str) -> anyhow::Result<String> {
    if token != "-" {
        return Ok(token.to_owned());
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn one(inspector: &Inspector<'_>, token: &str, output: Output) -> anyhow::Result<ExitCode> {
    let verified = inspector.verifier.verify(
        token,
        inspector.keys,
        chartgate_protocol::jose::Presentation::BEARER,
        inspector.now,
    );
    match verified {
        Ok(claims) => {
            let claims = serde_json::to_value(&claims)?;
            match output {
                Output::Json => {
                    print::answer(&serde_json::json!({ "verdict": "accept", "claims": claims }), output)
                }
                Output::Text => {
                    print::line("accepted");
                    print::answer(&claims, output);
                    for name in ["iat", "exp", "auth_time"] {
                        if let Some(seconds) = claims.get(name).and_then(serde_json::Value::as_i64) {
                            print::line(&format!("{name} is {}", Timestamp::from_unix(seconds)));
                        }
                    }
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(rejection) => {
            match output {
                Output::Json => print::answer(
                    &serde_json::json!({ "verdict": "reject", "reason": rejection.reason() }),
                    output,
                ),
                Output::Text => print::line(&format!("refused ({}): {rejection}", rejection.reason())),
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

fn lines(inspector: &Inspector<'_>, path: &Path) -> anyhow::Result<ExitCode> {
    let mut reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("{}", path.display()))?;
        Box::new(BufReader::new(file))
    };
    let mut out = std::io::stdout().lock();
    let mut code = ExitCode::SUCCESS;
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if !text.trim_ascii().is_empty() {
            let verdict = inspector.line(text);
            if verdict.verdict == Verdict::Reject {
                code = ExitCode::FAILURE;
            }
            writeln!(out, "{}", serde_json::to_string(&verdict)?)?;
        }
        line.clear();
    }
    Ok(code)
}
