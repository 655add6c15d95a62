//! `chartgate token revoke` and `inspect`.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use chartgate_protocol::jose::inspect::{Inspector, Verdict};
use chartgate_protocol::jose::{AccessTokenVerifier, Algorithm, ExpectedAudience, KeySet};
use chartgate_values::{Clock as _, Timestamp};
use clap::Subcommand;
use serde_json::{Value, json};

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
    /// Verify a token as a resource server would, and explain it. This gateway's own are refused once they were revoked; with
    /// `--jwks` or `--jsonl` nobody is asked whether they were.
    Inspect {
        /// The token; `-` reads it from standard input.
        #[arg(required_unless_present = "jsonl")]
        token: Option<String>,
        /// The issuer's keys, as a JWK Set; without it, this gateway's.
        #[arg(long, requires = "issuer", requires = "audience")]
        jwks: Option<PathBuf>,
        /// Who has to have issued it: `iss`.
        #[arg(long, requires = "jwks")]
        issuer: Option<String>,
        /// Whom it has to be for: `aud`; without it and without `--jwks`, whatever of this gateway's it is for.
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

pub(super) fn carry_out(word: TokenWord, file: &Path, output: Output) -> anyhow::Result<ExitCode> {
    match word {
        TokenWord::Revoke { token } => {
            let token = from_argument(&token)?;
            print::answer(&ask(file, Command::TokenRevoke { token })?, output);
            Ok(ExitCode::SUCCESS)
        }
        TokenWord::Inspect { token, jwks, issuer, audience, now: at, algorithms, jsonl } => {
            let is_ours = jwks.is_none();
            let (keys, issuer, audience) = match jwks {
                Some(path) => {
                    let text = std::fs::read(&path).with_context(|| format!("{}", path.display()))?;
                    let audience = ExpectedAudience::OneOf(audience.into_iter().collect());
                    (text, issuer.unwrap_or_default(), audience)
                }
                None => own(file, audience)?,
            };
            let keys = KeySet::parse(&keys).context("the key set")?;
            let mut verifier = AccessTokenVerifier::new(issuer, audience);
            if !algorithms.is_empty() {
                verifier.algorithms = algorithms;
            }
            let now = at.map_or_else(|| SystemClock.now(), Timestamp::from_unix);
            // At another time than now nobody knows what will have been ended.
            let asks = is_ours && at.is_none();
            let inspector = Inspector { verifier: &verifier, keys: &keys, now };
            match (jsonl, token) {
                (Some(path), _) => lines(&inspector, &path),
                (None, token) => {
                    let token = from_argument(&token.unwrap_or_default())?;
                    one(&inspector, &token, asks.then_some(file), output)
                }
            }
        }
    }
}

/// This gateway's keys, for whatever it protects.
fn own(file: &Path, audience: Option<String>) -> anyhow::Result<(Vec<u8>, String, ExpectedAudience)> {
    let issuer = super::load(file)?.issuer;
    let answer = ask(file, Command::Jwks)?;
    let audience = audience.map_or(ExpectedAudience::Any, |one| ExpectedAudience::OneOf(vec![one]));
    Ok((answer.to_string().into_bytes(), issuer, audience))
}

/// What the gateway answers.
fn ask(file: &Path, command: Command) -> anyhow::Result<Value> {
    let config = super::load(file)?;
    crate::telemetry::quiet();
    super::runtime()?.block_on(give(config, command))
}

fn from_argument(token: &str) -> anyhow::Result<String> {
    if token != "-" {
        return Ok(token.to_owned());
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Tells of one token; of one that holds by itself, whether the gateway of `file` still believes it.
fn one(
    inspector: &Inspector<'_>,
    token: &str,
    file: Option<&Path>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let verified = inspector.verifier.verify(
        token,
        inspector.keys,
        chartgate_protocol::jose::Presentation::BEARER,
        inspector.now,
    );
    if let (Ok(_), Some(file)) = (&verified, file) {
        let standing = ask(file, Command::TokenStanding { token: token.to_owned() })?;
        if let Some(ended) = standing.get("ended").and_then(Value::as_str) {
            match output {
                Output::Json => print::answer(&json!({ "verdict": "reject", "reason": "revoked" }), output),
                Output::Text => print::line(&format!("refused (revoked): {ended}")),
            }
            return Ok(ExitCode::FAILURE);
        }
    }
    match verified {
        Ok(claims) => {
            let claims = serde_json::to_value(&claims)?;
            match output {
                Output::Json => print::answer(&json!({ "verdict": "accept", "claims": claims }), output),
                Output::Text => {
                    print::line("accepted");
                    print::answer(&claims, output);
                    for name in ["iat", "exp", "auth_time"] {
                        if let Some(seconds) = claims.get(name).and_then(Value::as_i64) {
                            print::line(&format!("{name} is {}", Timestamp::from_unix(seconds)));
                        }
                    }
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(rejection) => {
            match output {
                Output::Json => {
                    print::answer(&json!({ "verdict": "reject", "reason": rejection.reason() }), output)
                }
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
