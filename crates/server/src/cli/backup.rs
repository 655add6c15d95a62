//! `chartgate backup` and `chartgate restore`. `docs/backup.md`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chartgate_audit::backup::Place;
use chartgate_values::Clock as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::audit::verifier_key;
use super::print::{self, Output};
use crate::admin::Command;
use crate::admin::client::{give, own_uid};
use crate::backup::drill::{Drilled, drill};
use crate::backup::elsewhere::Elsewhere;
use crate::backup::folder::remove_left;
use crate::backup::restore::{Restored, Wanted, restore};
use crate::backup::since::Since;
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
    /// The log's public key, or a file with it, as it is known elsewhere.
    #[arg(long, required_unless_present = "trust_the_key_inside")]
    key: Option<String>,
    /// Believe the key that lies in the backup: whoever wrote the backup may have put it there.
    #[arg(long, conflicts_with = "key")]
    trust_the_key_inside: bool,
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
    let drilled = match scratch {
        Some(scratch) => drill(&config, &from, &scratch, &SystemClock),
        None => {
            let name = from.file_name().with_context(|| format!("{} is no folder", from.display()))?;
            let scratch = from.with_file_name(format!(".{}.drill", name.to_string_lossy()));
            remove_left(&scratch).and_then(|()| drill(&config, &from, &scratch, &SystemClock))
        }
    };
    let told = drilled.as_ref().map(tell_drill).map_err(|error| format!("{error:#}"));
    let drilled = drilled.map_err(|error| format!("{error:#}"));
    let noted = super::runtime()?.block_on(give(config, Command::BackupDrilled { from, drilled }));
    match (told, output) {
        (Ok((_, json)), Output::Json) => print::answer(&json, output),
        (Ok((text, _)), Output::Text) => print::line(&text),
        (Err(failure), _) => match &noted {
            Ok(_) => bail!("this backup would not do: {failure}"),
            Err(error) => bail!("this backup would not do: {failure}\nand that is not on record: {error:#}"),
        },
    }
    noted.context("the drill is not on record")?;
    Ok(ExitCode::SUCCESS)
}

fn tell_drill(drilled: &Drilled) -> (String, Value) {
    let Drilled { id, made, size, after, milliseconds } = drilled;
    let took = Duration::from_millis(*milliseconds);
    let text = format!(
        "backup {id} of {made} holds, its keys open and its checkpoint over {size} records is the log's own\n\
         restored and tried in {took:?} (time to restore, from this medium on this machine)\n\
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
    let Restored { id, label, key, config, elsewhere, since, known, .. } = restored;
    let (elsewhere, unreadable) = match elsewhere {
        Elsewhere::Known(parts) => {
            let shown = |(place, path, own): &(Place, PathBuf, PathBuf)| json!({ "part": place, "configured": path.display().to_string(), "is": own.display().to_string() });
            (parts.iter().map(shown).collect(), None)
        }
        Elsewhere::Unknown(why) => (Vec::new(), Some(why)),
    };
    json!({
        "backup": id.to_hex(), "made": label.made, "version": label.version, "signed_by": key.to_string(),
        "records": label.size, "records_known": known, "config": config.display().to_string(),
        "begun": label.begun, "since": since, "needs": label.needs, "elsewhere": elsewhere,
        "config_unreadable": unreadable,
    })
}

fn tell_restored(restored: &Restored, words: &RestoreWords) {
    let Restored { id, label, key, config, elsewhere, since, known, .. } = restored;
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
    print::line(
        "Its first start ends every session, grant, one-time link and invitation, and the signing keys with all that they \
         signed, and puts that on record. Everybody signs in again.",
    );
    print::line(&format!(
        "As they were when the backup was begun, which is record {} of the log: who is shut out, passwords, client secrets, \
         roles, who cares for whom, holds on the log. Do again what was taken away from there on.",
        label.begun
    ));
    tell_since(since);
    tell_needs(label.needs.iter().map(String::as_str));
    tell_next(elsewhere, config);
}

fn tell_since(since: &[Since]) {
    if since.is_empty() {
        return;
    }
    print::line(
        "The log in it knows of these, and what was restored may not. Look at each (`chartgate audit search --since TIME`):",
    );
    for Since { index, event, time, by } in since.iter().take(SHOWN) {
        let by = by.as_deref().unwrap_or("somebody");
        print::line(&format!("  {index} {time} {event} by {by}"));
    }
    if let Some(more) = since.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        print::line(&format!("  and {more} more; --output json lists all"));
    }
}

/// How many acts are listed for a reader.
const SHOWN: usize = 50;

/// What to start, unless that would be something else than what was restored.
fn tell_next(elsewhere: &Elsewhere, config: &Path) {
    match elsewhere {
        Elsewhere::Known(parts) if parts.is_empty() => {
            print::line(&format!("Then: chartgate serve --config {}", config.display()));
        }
        Elsewhere::Known(parts) => {
            print::line(&format!(
                "Do not start it yet: {}, or the environment, names other places, and what lies there would run:",
                config.display()
            ));
            for (place, path, own) in parts {
                print::line(&format!("  {place}: {}, restored as {}", path.display(), own.display()));
            }
        }
        Elsewhere::Unknown(why) => print::line(&format!(
            "Do not start it yet: {} cannot be read, so it is not known what would run: {why}",
            config.display()
        )),
    }
}
