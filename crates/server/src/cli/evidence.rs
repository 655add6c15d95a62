//! `chartgate evidence`: for each safeguard of 45 CFR 164 what is in force, what shows it, and what is missing; as a page and
//! as JSON, with a statement of both that the log's key has signed.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use askama::Template;
use chartgate_audit::checkpoint::SignedCheckpoint;
use chartgate_audit::note::{LogSigner, VerifierKey};
use chartgate_audit::reader::{Entry, Filter};
use chartgate_audit::statement;
use chartgate_audit::tree::Hash;
use chartgate_values::{Clock as _, Timestamp};
use clap::Args;
use serde_json::{Value, json};

use super::audit::{self, OpenLog};
use super::policy::{TestRun, run_tests};
use super::print;
use super::report::{Column, Row, Zone, checkpoint_over, prove, write_for_its_owner};
use crate::admin::Command;
use crate::admin::client::ask_running;
use crate::admin::in_force::Settings;
use crate::app::log_origin;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::secrets::Secrets;
use safeguards::Known;
use seen::{Kind, Seen};

mod safeguards;
mod seen;

#[derive(Debug, Args)]
pub(super) struct EvidenceWords {
    /// Into which folder the pack goes.
    #[arg(long, required_unless_present = "check")]
    out: Option<PathBuf>,
    /// Take the place of a pack that is there.
    #[arg(long, requires = "out")]
    force: bool,
    /// What the log shows from this time on (RFC 3339); without it, from its beginning.
    #[arg(long)]
    since: Option<Timestamp>,
    /// Until this time (RFC 3339).
    #[arg(long)]
    until: Option<Timestamp>,
    /// In which time it is told: UTC or an offset such as +02:00.
    #[arg(long, default_value = "UTC", allow_hyphen_values = true)]
    time_zone: Zone,
    /// Look at a pack in place of making one: whether it is as it was signed. Needs the log's public key alone.
    #[arg(long, conflicts_with_all = ["out", "force", "since", "until"])]
    check: Option<PathBuf>,
    /// The log's public key, or the file that has it.
    #[arg(long, requires = "check")]
    key: Option<String>,
}

/// One safeguard.
pub(super) struct Safeguard {
    id: &'static str,
    /// Where it stands.
    cite: &'static str,
    /// Standard, required or addressable.
    kind: &'static str,
    title: &'static str,
    in_force: Vec<String>,
    shows: Vec<Shown>,
    counts: Vec<Counted>,
    missing: Vec<String>,
}

/// Records that show something.
struct Shown {
    what: String,
    count: u64,
    /// The newest of them.
    rows: Vec<Row>,
    kind: Kind,
}

/// Counts that show something.
struct Counted {
    what: &'static str,
    counts: Vec<(String, u64)>,
}

impl Safeguard {
    fn new(id: &'static str, cite: &'static str, kind: &'static str, title: &'static str) -> Self {
        Self {
            id,
            cite,
            kind,
            title,
            in_force: Vec::new(),
            shows: Vec::new(),
            counts: Vec::new(),
            missing: Vec::new(),
        }
    }

    fn force(&mut self, sentence: String) {
        self.in_force.push(sentence);
    }

    fn show(&mut self, what: &str, kind: &Kind) {
        self.shows.push(Shown {
            what: what.to_owned(),
            count: kind.count,
            rows: Vec::new(),
            kind: kind.clone(),
        });
    }

    fn count(&mut self, what: &'static str, counts: &BTreeMap<String, u64>) {
        let counts = counts.iter().map(|(name, count)| (name.clone(), *count)).collect();
        self.counts.push(Counted { what, counts });
    }

    fn miss(&mut self, sentence: String) {
        self.missing.push(sentence);
    }

    fn miss_if(&mut self, is_missing: bool, sentence: String) {
        if is_missing {
            self.missing.push(sentence);
        }
    }

    fn to_json(&self) -> Value {
        let record = |row: &Row| json!({ "record": row.index, "cells": row.cells, "entry": row.entry, "proof": row.proof });
        let shown = |shown: &Shown| {
            let records: Vec<Value> = shown.rows.iter().map(record).collect();
            json!({ "what": shown.what, "count": shown.count, "newest": records })
        };
        let counted = |counted: &Counted| {
            let counts: BTreeMap<&str, u64> =
                counted.counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
            json!({ "what": counted.what, "counts": counts })
        };
        json!({
            "id": self.id, "cite": self.cite, "kind": self.kind, "title": self.title, "in_force": self.in_force,
            "shows": self.shows.iter().map(shown).collect::<Vec<_>>(),
            "counts": self.counts.iter().map(counted).collect::<Vec<_>>(), "missing": self.missing,
        })
    }
}

/// The pack as a page.
#[derive(Template)]
#[template(path = "evidence.html")]
struct Page<'a> {
    facts: &'a [(&'static str, String)],
    safeguards: &'a [Safeguard],
    checkpoint: &'a str,
}

const HTML: &str = "evidence.html";
const JSON: &str = "evidence.json";
const NOTE: &str = "evidence.note";
/// What the signed statement says that it is.
const KIND: &str = "chartgate-evidence/v1";
/// Nothing of a patient: a pack is handed to others.
const COLUMNS: [Column; 5] = [Column::Time, Column::Who, Column::Event, Column::Outcome, Column::Why];

pub(super) fn carry_out(words: &EvidenceWords, config: &Path) -> anyhow::Result<ExitCode> {
    match (&words.check, &words.out) {
        (Some(dir), _) => check(dir, words.key.as_deref(), config),
        (None, Some(out)) => make(words, out, config),
        (None, None) => bail!("--out is missing"),
    }
}

fn make(words: &EvidenceWords, out: &Path, file: &Path) -> anyhow::Result<ExitCode> {
    // A pack was signed, and may be all that is left of what it shows: like a backup it is not written over.
    let there = [HTML, JSON, NOTE]
        .map(|name| out.join(name))
        .into_iter()
        .find(|name| name.symlink_metadata().is_ok());
    if let (Some(name), false) = (there, words.force) {
        bail!("{} is there already; nothing was made: name another folder, or say --force", name.display());
    }
    let config = super::load(file)?;
    let told = super::runtime()?.block_on(ask_running(&config, &Command::InForce))?;
    let settings: Settings = serde_json::from_value(told)?;
    let log = audit::open(file, "evidence", &format!("{words:?}"))?;
    let now = SystemClock.now();
    // What is counted is under a checkpoint (to read the log was one record more), and comes from the log itself: the index
    // beside it proves nothing.
    let counted = checkpoint_over(&log, Some(settings.log.records))?.size();
    let filter = Filter { since: words.since, until: words.until, ..Filter::default() };
    let mut seen = Seen::default();
    for entry in log.reader.search(&filter) {
        let entry = entry?;
        if entry.index < counted {
            seen.add(&entry);
        }
    }
    let tests = run_tests(&settings.policies.folder);
    let known = Known {
        settings: &settings,
        seen: &seen,
        now,
        end: words.until.map_or(now, |until| until.min(now)),
        tests: tests.as_ref().ok(),
    };
    let mut safeguards = safeguards::all(&known);
    let checkpoint = prove_all(&log, &mut safeguards, &words.time_zone)?;
    let zone = &words.time_zone;
    let facts = [
        ("Gateway", settings.issuer.clone()),
        ("Version", settings.version.clone()),
        ("Made", zone.show(now)),
        ("From", words.since.map_or("the beginning".to_owned(), |time| zone.show(time))),
        ("Until", words.until.map_or("now".to_owned(), |time| zone.show(time))),
        ("Counted", format!("{} records of this time, of the {counted} under a checkpoint", seen.records)),
        ("Safeguards", missing(&safeguards)),
    ];
    let page = Page { facts: &facts, safeguards: &safeguards, checkpoint: checkpoint.note() }.render()?;
    let named: BTreeMap<&str, &String> = facts.iter().map(|(name, value)| (*name, value)).collect();
    let json = json!({
        "about": named, "settings": settings, "checkpoint": checkpoint.note(),
        "safeguards": safeguards.iter().map(Safeguard::to_json).collect::<Vec<_>>(),
    })
    .to_string();
    let files = [(HTML, page), (JSON, json)];
    let lines = std::iter::once(format!("made {now}"))
        .chain(files.iter().map(|(name, text)| named_hash(name, text.as_bytes())));
    let signer = LogSigner::from_seed(&log_origin(&config), &Secrets::load(&config)?.log_seed)?;
    let note = statement::sign(&signer, KIND, &lines.collect::<Vec<_>>())?;
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true).mode(0o700).create(out).with_context(|| format!("{}", out.display()))?;
    for (name, text) in files.iter().map(|(name, text)| (*name, text)).chain([(NOTE, &note)]) {
        write_for_its_owner(&out.join(name), text)?;
    }
    print::line(&format!("{}: {}", out.join(HTML).display(), missing(&safeguards)));
    Ok(ExitCode::SUCCESS)
}

fn missing(safeguards: &[Safeguard]) -> String {
    let lacking = safeguards.iter().filter(|safeguard| !safeguard.missing.is_empty()).count();
    format!("{lacking} of {} lack something", safeguards.len())
}

/// Puts the newest records with their proofs to what they show.
fn prove_all(log: &OpenLog, safeguards: &mut [Safeguard], zone: &Zone) -> anyhow::Result<SignedCheckpoint> {
    let mut shows: Vec<&mut Shown> =
        safeguards.iter_mut().flat_map(|safeguard| &mut safeguard.shows).collect();
    for shown in &mut shows {
        let row = |entry: &Entry| Row::of_record(entry, &COLUMNS, zone);
        shown.rows = shown.kind.newest.iter().map(row).collect();
    }
    let mut rows: Vec<&mut Row> = shows.into_iter().flat_map(|shown| &mut shown.rows).collect();
    prove(log, &mut rows)
}

fn named_hash(name: &str, bytes: &[u8]) -> String {
    format!("sha256 {} {name}", Hash::of(&[bytes]).to_hex())
}

/// Whether a pack is as it was signed.
fn check(dir: &Path, key: Option<&str>, config: &Path) -> anyhow::Result<ExitCode> {
    let key = key_of(key, config)?;
    let read =
        |name: &str| std::fs::read(dir.join(name)).with_context(|| format!("{}", dir.join(name).display()));
    let lines =
        statement::open(&read(NOTE)?, &key, KIND).with_context(|| format!("{}", dir.join(NOTE).display()))?;
    for name in [HTML, JSON] {
        if !lines.contains(&named_hash(name, &read(name)?)) {
            bail!("{} is not what was signed", dir.join(name).display());
        }
    }
    let made = lines.first().map(String::as_str).unwrap_or_default();
    print::line(&format!("as {} signed it, {made}", key.name()));
    Ok(ExitCode::SUCCESS)
}

fn key_of(key: Option<&str>, config: &Path) -> anyhow::Result<VerifierKey> {
    let dir = match key {
        Some(_) => PathBuf::new(),
        None => Config::load(config).map(|config| config.audit.dir).map_err(|_| {
            anyhow::anyhow!("--key is missing, and there is no configuration that says where the log is")
        })?,
    };
    audit::verifier_key(&dir, key)
}
