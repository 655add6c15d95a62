//! The command line: words in, one of our values out, and the printing of answers. CONTRACT.md section 1.

mod audit;
mod backup;
mod evidence;
mod invitation;
mod login;
mod mirror;
mod operate;
mod policy;
pub(crate) mod print;
mod registration;
mod report;
mod span;
#[cfg(test)]
mod tests;
mod token;
mod witness;

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chartgate_access::ids::Subject;
use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::{demo, telemetry};
use operate::Operate;
use print::Output;

#[derive(Debug, Parser)]
#[command(
    name = "chartgate",
    version = crate::crypto_module::VERSION,
    about = "HIPAA access gateway: signs people, apps and agents in, stands in \
    front of patient records, and proves its log"
)]
struct Words {
    /// The configuration file [default: ./chartgate.toml].
    #[arg(
        long,
        global = true,
        env = "CHARTGATE_CONFIG",
        default_value = "chartgate.toml",
        hide_default_value = true
    )]
    config: PathBuf,
    /// How data is printed.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(subcommand)]
    command: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Everything on one machine, with invented patients.
    Demo {
        /// Where everything is kept.
        #[arg(long, default_value = "demo")]
        dir: PathBuf,
        /// Where to listen; port 0 takes a free one and keeps it.
        #[arg(long, default_value = "127.0.0.1:8443")]
        listen: SocketAddr,
        /// Write what scripts need, once the gateway answers.
        #[arg(long)]
        ready_file: Option<PathBuf>,
        /// Load this folder of FHIR R4 bundles in place of the invented patients.
        #[arg(long)]
        data: Option<PathBuf>,
        /// Give this person an authenticator application, whose secret the ready file tells; may be repeated.
        #[arg(long = "second-factor", value_name = "NAME")]
        second_factors: Vec<Subject>,
    },
    /// Start a deployment: configuration, keys, policies, the first administrator.
    Init {
        /// Where.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// The public base URL.
        #[arg(long, default_value = "https://localhost:8443")]
        issuer: String,
    },
    /// Run the gateway.
    Serve,
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigWord),
    #[command(flatten)]
    Operate(Operate),
    /// Tokens.
    #[command(subcommand)]
    Token(token::TokenWord),
    /// Policies.
    #[command(subcommand)]
    Policy(policy::PolicyWord),
    /// The audit log.
    #[command(subcommand)]
    Audit(audit::AuditWord),
    /// Being a witness of logs: on another host than the gateway's, such as the privacy officer's.
    #[command(subcommand)]
    Witness(witness::WitnessWord),
    /// Keep a copy of a log, which says nothing of patients: on another host than the gateway's.
    Mirror(mirror::MirrorWords),
    /// Sign in at a terminal, through the browser.
    Login(login::LoginWords),
    /// The HIPAA evidence pack: for each safeguard what is in force, what shows it, and what is missing.
    Evidence(evidence::EvidenceWords),
    /// Make a backup of the gateway, running or not, and try one out.
    Backup(backup::BackupWords),
    /// Restore a backup into a new folder. What was issued before ends: everybody signs in again.
    Restore(backup::RestoreWords),
    /// A database client through the gateway (a later release).
    Connect {
        /// Which database, and what its client is given.
        words: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigWord {
    /// Say everything that is wrong, with line and key.
    Check,
}

/// Words that say nothing together, though each may be said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUsage(String);

/// Runs what the command line says.
pub(crate) fn run() -> ExitCode {
    let words = Words::parse();
    let code = carry_out(words).unwrap_or_else(|error| {
        eprintln!("chartgate: {error:#}");
        if error.is::<WrongUsage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
    });
    match print::unprinted() {
        None => code,
        // Whoever reads a part of it is not to take it for all.
        Some(error) => {
            eprintln!("chartgate: what was to be printed is not all there: {error}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(words: Words) -> anyhow::Result<ExitCode> {
    let Words { config, output, command } = words;
    match command {
        Word::Demo { dir, listen, ready_file, data, second_factors } => {
            telemetry::start();
            let options = demo::Options { dir, listen, ready_file, data, second_factors };
            runtime()?.block_on(demo::run(options))?;
            Ok(ExitCode::SUCCESS)
        }
        Word::Init { dir, issuer } => crate::install::init(&dir, &issuer).map(|()| ExitCode::SUCCESS),
        Word::Serve => {
            telemetry::start();
            let (config, runtime) = (load(&config)?, runtime()?);
            let served = runtime.block_on(serve(config));
            // All that has an end to come to has come to it. What was broken off, a backup for one, ends with the process.
            runtime.shutdown_background();
            served?;
            Ok(ExitCode::SUCCESS)
        }
        Word::Config(ConfigWord::Check) => check(&config).map(|()| ExitCode::SUCCESS),
        Word::Operate(operate) => {
            telemetry::quiet();
            runtime()?.block_on(operate::carry_out(load(&config)?, operate, output))?;
            Ok(ExitCode::SUCCESS)
        }
        Word::Token(word) => token::carry_out(word, &config, output),
        Word::Policy(word) => {
            telemetry::quiet();
            policy::carry_out(word, &config, output)
        }
        Word::Audit(word) => {
            telemetry::quiet();
            audit::carry_out(word, &config, output)
        }
        Word::Witness(word) => witness::carry_out(word),
        Word::Mirror(words) => mirror::carry_out(words, output),
        Word::Evidence(words) => {
            telemetry::quiet();
            evidence::carry_out(&words, &config)
        }
        Word::Backup(words) => {
            telemetry::quiet();
            backup::carry_out(words, &config, output)
        }
        Word::Restore(words) => {
            telemetry::quiet();
            backup::restore_it(&words, output)
        }
        Word::Connect { .. } => anyhow::bail!("`connect` is not built yet"),
        Word::Login(words) => {
            runtime()?.block_on(login::carry_out(words, &load(&config)?))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let lock = crate::admin::client::take_for_gateway(&config.data_dir).await?;
    let listeners = crate::serve::Listeners::bind(&config).await?;
    let app = tokio::task::spawn_blocking(move || crate::app::App::open(config, lock)).await??;
    crate::serve::run(app, listeners, || Ok(())).await
}

/// Reads the configuration and what it names, and says everything for which `serve` would not start.
fn check(path: &Path) -> anyhow::Result<()> {
    telemetry::quiet();
    let config = load(path)?;
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let errors = crate::app::check::errors(&config);
    if !errors.is_empty() {
        return Err(wrong(path, &errors));
    }
    for warning in crate::app::check::warnings(&config) {
        eprintln!("chartgate: warning: {}: {warning}", path.display());
    }
    print::line(&format!("{}: no errors", path.display()));
    Ok(())
}

/// Reads the configuration, or says everything that is wrong with it.
fn load(path: &Path) -> anyhow::Result<Config> {
    Config::load(path).map_err(|errors| wrong(path, &errors))
}

fn wrong(path: &Path, errors: &[impl Display]) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(|error| format!("{}: {error}", path.display())).collect();
    anyhow::anyhow!("the configuration has errors\n{}", lines.join("\n"))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
