//! `chartgate backup` and `chartgate restore`. `docs/backup.md`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chartgate_values::Clock as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::audit::verifier_key;
use super::print::{self, Output};
use crate::admin::Command;
use crate::admin::client::{give, own_uid};
use crate::backup::drill::{Drilled, drill};
use crate::backup::restore::{Restored, Wanted, restore};
use crate::clock::SystemClock;
use crate::config::Config;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct BackupWords {
    /// The folder that is made; it must not be there.
    #[arg(long, required = true)]
    out: Option<PathBuf>,
    #[command(subcommand)]
    word: Option<BackupWord>,
}

#[derive(Debug, Subcommand)]
enum BackupWord {
    /// Restore a backup aside, see that it holds and opens, and say how long that took and what would be lost.
    Drill {
        /// The backup.
        #[arg(long)]
        from: PathBuf,
        /// Where it is restored to and removed from again; without it, beside the backup.
        #[arg(long)]
        scratch: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(super) struct RestoreWords {
    /// The backup.
    #[arg(long)]
    from: PathBuf,
    /// The folder that is made of it; it must not be there.
    #[arg(long)]
    dir: PathBuf,
    /// The log's public key, or a file with it, as it is known elsewhere; without it, the one that lies in the backup.
    #[arg(long)]
    key: Option<String>,
    /// The newest checkpoint of the log that is known elsewhere, such as a witness's: says how much is lost.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
}

pub(super) fn carry_out(words: BackupWords, config: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let config = super::load(config)?;
    match (words.word, words.out) {
        (Some(BackupWord::Drill { from, scratch }), _) => try_out(config, &from, scratch, output),
        (None, Some(out)) => {
            // The gateway that runs has another working directory.
            let out = std::path::absolute(out)?;
            let answer =
                super::runtime()?.block_on(give(config, Command::BackupMake { out: out.clone() }))?;
            match output {
                Output::Json => print::answer(&answer, output),
                Output::Text => tell_backup(&answer, &out),
            }
            Ok(ExitCode::SUCCESS)
        }
        (None, None) => bail!("--out is missing"),
    }
}

fn tell_backup(answer: &Value, out: &Path) {
    let told = |name: &str| print::plain(answer.get(name).unwrap_or(&Value::Null));
    print::line(&format!(
        "{}: {} records of the log, {} files, {} bytes; backup {}",
        out.display(),
        told("records"),
        told("files"),
        told("bytes"),
        told("backup")
    ));
    tell_needs(answer.get("needs").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str));
}

fn tell_needs<'a>(needs: impl Iterator<Item = &'a str>) {
    print::line("Not in it, and needed to run what is restored from it. Keep these elsewhere:");
    for need in needs {
        print::line(&format!("  {need}"));
    }
}

fn try_out(
    config: Config,
    from: &Path,
    scratch: Option<PathBuf>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let from = std::path::absolute(from)?;
    let scratch = match scratch {
        Some(scratch) => scratch,
        None => {
            let name = from.file_name().with_context(|| format!("{} is no folder", from.display()))?;
            from.with_file_name(format!(".{}.drill", name.to_string_lossy()))
        }
    };
    let drilled = drill(&config, &from, &scratch, &SystemClock);
    let told = drilled.as_ref().map(tell_drill).map_err(|error| format!("{error:#}"));
    let drilled = drilled.map_err(|error| format!("{error:#}"));
    super::runtime()?.block_on(give(config, Command::BackupDrilled { from, drilled }))?;
    match (told, output) {
        (Ok((_, json)), Output::Json) => print::answer(&json, output),
        (Ok((text, _)), Output::Text) => print::line(&text),
        (Err(failure), _) => bail!("this backup would not do: {failure}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_drill(drilled: &Drilled) -> (String, Value) {
    let Drilled { id, made, size, after, milliseconds } = drilled;
    let took = Duration::from_millis(*milliseconds);
    let text = format!(
        "backup {id} of {made} holds, its keys open and its checkpoint over {size} records is the log's own\n\
         restored and tried in {took:?} (recovery time)\n\
         {after} records came after it, and would be lost (recovery point)"
    );
    let json = json!({
        "backup": id, "made": made, "records": size, "records_after": after, "milliseconds": milliseconds,
    });
    (text, json)
}

pub(super) fn restore_it(words: &RestoreWords, output: Output) -> anyhow::Result<ExitCode> {
    let key = words.key.as_deref().map(|key| verifier_key(Path::new(""), Some(key))).transpose()?;
    let wanted = Wanted {
        from: &words.from,
        dir: &words.dir,
        key,
        checkpoint: words.checkpoint.as_deref(),
        by: format!("local:{}", own_uid_now()?),
    };
    let restored = restore(&wanted, SystemClock.now())?;
    match output {
        Output::Json => print::answer(&to_json(&restored), output),
        Output::Text => tell_restored(&restored, words),
    }
    Ok(ExitCode::SUCCESS)
}

fn own_uid_now() -> anyhow::Result<u32> {
    super::runtime()?.block_on(async { own_uid() })
}

fn to_json(restored: &Restored) -> Value {
    let Restored { id, label, key, config, ended, known } = restored;
    json!({
        "backup": id.to_hex(), "made": label.made, "version": label.version, "signed_by": key.to_string(),
        "records": label.size, "records_known": known, "config": config.display().to_string(),
        "ended": { "sessions": ended.sessions, "grants": ended.grants, "keys": ended.keys, "links": ended.links },
        "needs": label.needs,
    })
}

fn tell_restored(restored: &Restored, words: &RestoreWords) {
    let Restored { id, label, key, config, ended, known } = restored;
    print::line(&format!("{}: backup {} of {}", words.dir.display(), id.to_hex(), label.made));
    if words.key.is_none() {
        print::line(&format!("It is signed by the key that lies in it. Compare: {key}"));
    }
    print::line(&format!("The log's {} records hold.", label.size));
    match known {
        Some(known) if *known > label.size => {
            let lost = known.saturating_sub(label.size);
            print::line(&format!("The log had {known} records at least: {lost} are lost here."));
        }
        Some(_) => {}
        None => print::line(
            "What came after it is lost here; a witness, exports or readers of the log may have it.",
        ),
    }
    print::line(&format!(
        "Ended: {} sessions, {} grants, {} one-time links and invitations, and {} keys with all that they signed. \
         Everybody signs in again.",
        ended.sessions, ended.grants, ended.links, ended.keys
    ));
    print::line(
        "As they were when the backup was made: who is shut out, passwords, client secrets, roles, who cares for whom. \
         Do again what was taken away since.",
    );
    tell_needs(label.needs.iter().map(String::as_str));
    print::line(&format!("Then: chartgate serve --config {}", config.display()));
}
