//! `chartgate audit`: reading, verifying and proving the log.

mod proof;
mod verify;
mod witnessed;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chartgate_audit::data_keys::{DataKeys, Month};
use chartgate_audit::note::{LogSigner, VerifierKey};
use chartgate_audit::open::VERIFIER_KEY;
use chartgate_audit::reader::{Entry, Filter, Reader};
use chartgate_audit::record::{Event, Outcome};
use chartgate_audit::storage::Objects;
use chartgate_values::{Clock as _, Phi, Timestamp};
use clap::{Args, Subcommand};

use super::print::{self, Output};
use super::report::{self, ReportWord};
use super::span::span;
use crate::admin::Command;
use crate::admin::client::give;
use crate::app::log_origin;
use crate::audit_index::{self, AuditIndex, Found, Place};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::journal_fs::{ObjectFolder, SegmentFolder};
use crate::secrets::Secrets;

#[derive(Debug, Subcommand)]
pub(super) enum AuditWord {
    /// Show the newest records, and further ones as they come.
    Tail {
        /// How many to begin with.
        #[arg(short = 'n', long, default_value_t = 10)]
        lines: usize,
        /// End instead of waiting for more.
        #[arg(long)]
        no_follow: bool,
    },
    /// Find records.
    Search(Box<Question>),
    /// Check the whole log offline: every entry, every tile, the signature, the journal's tail.
    Verify(Box<verify::Asked>),
    /// Write a proof that a record stands in the log, or look at one.
    Prove(Box<proof::Words>),
    /// Keep the log from being ended in any part, whatever its retention, until that is released.
    Hold {
        /// Why, such as the number of a case. It names no patient.
        #[arg(long)]
        reason: String,
    },
    /// All holds that there ever were.
    Holds,
    /// Release a hold.
    Release {
        /// The hold, as `audit holds` names it.
        id: String,
    },
    /// Destroy the keys of the months whose retention is over, and with them what the log says of patients in these months.
    /// Who did what when, and every proof, stay.
    Expire {
        /// Only say which months those are.
        #[arg(long)]
        dry_run: bool,
        /// Also what this export has not had yet; may be given several times.
        #[arg(long)]
        unread_by: Vec<String>,
        /// After a restore: the holds that were placed since the backup stand again.
        #[arg(long)]
        holds_stand: bool,
    },
    /// Tools of others that get the log: how far they are, and what holds them up.
    Exports,
    /// Let an export go on at a record, past one that it does not get over. What is passed over is on record.
    Skip {
        /// The export, as the configuration names it.
        name: String,
        /// The index of the record that it gets next.
        #[arg(long)]
        to: u64,
    },
    /// Print all records of a question, read from the log itself, a line of JSON each.
    Export {
        #[command(flatten)]
        question: Box<Question>,
        /// A table in place of it, for spreadsheets.
        #[arg(long)]
        csv: bool,
    },
    /// Reports for auditors and patients, each line with its proof.
    #[command(subcommand)]
    Report(Box<ReportWord>),
}

/// Which records.
#[derive(Debug, Args)]
pub(super) struct Question {
    /// Who did it, by their name; a client that acts for itself, by its own.
    #[arg(long)]
    user: Option<String>,
    /// Whose record it was: their id, such as pt-1023.
    #[arg(long, value_parser = patient_id)]
    patient: Option<String>,
    /// Through which client, by its name (`client_id`).
    #[arg(long)]
    client: Option<String>,
    /// What was done by one grant, such as that of emergency access.
    #[arg(long)]
    grant: Option<String>,
    /// The kind of act, such as access or login.failed.
    #[arg(long)]
    event: Option<Event>,
    /// What was done, such as read, search or update.
    #[arg(long)]
    action: Option<String>,
    /// A record such as Observation/17, or all of a type.
    #[arg(long)]
    resource: Option<String>,
    /// What it was for, such as TREAT.
    #[arg(long)]
    purpose: Option<String>,
    /// A policy that decided.
    #[arg(long)]
    policy: Option<String>,
    /// Why it was decided so: a code such as outside-scope.
    #[arg(long)]
    reason: Option<String>,
    /// One use of emergency access: all that was done by it, or about it.
    #[arg(long)]
    emergency: Option<String>,
    /// allow, deny or error.
    #[arg(long)]
    outcome: Option<Outcome>,
    /// Not before this time (RFC 3339).
    #[arg(long)]
    since: Option<Timestamp>,
    /// Before this time (RFC 3339).
    #[arg(long)]
    until: Option<Timestamp>,
    /// Only the newest so many.
    #[arg(long)]
    limit: Option<usize>,
    /// Read every record instead of looking in the index, which nothing proves.
    #[arg(long)]
    scan: bool,
}

/// A patient's id, as records have it; `Patient/` before it is left out.
pub(super) fn patient_id(text: &str) -> Result<String, &'static str> {
    match text.strip_prefix("Patient/").unwrap_or(text) {
        "" => Err("an id is wanted, such as pt-1023"),
        id if id.contains('/') => Err("a patient is named by the id alone, such as pt-1023"),
        id => Ok(id.to_owned()),
    }
}

impl Question {
    fn into_filter(self) -> Filter {
        Filter {
            user: self.user,
            patient: self.patient.map(Phi::new),
            client: self.client,
            grant: self.grant,
            event: self.event,
            action: self.action,
            resource: self.resource.map(Phi::new),
            purpose: self.purpose,
            policy: self.policy,
            reason: self.reason,
            emergency: self.emergency.map(Phi::new),
            outcome: self.outcome,
            since: self.since,
            until: self.until,
            limit: self.limit,
        }
    }
}

pub(super) fn carry_out(word: AuditWord, config: &Path, output: Output) -> anyhow::Result<ExitCode> {
    match word {
        AuditWord::Tail { lines, no_follow } => tail(config, lines, no_follow, output),
        AuditWord::Search(question) => search(config, *question, output),
        AuditWord::Verify(asked) => verify::check(&asked, config),
        AuditWord::Prove(words) => proof::carry_out(&words, config),
        AuditWord::Hold { reason } => tell(config, Command::AuditHold { reason }, output),
        AuditWord::Holds => tell(config, Command::AuditHolds, output),
        AuditWord::Release { id } => tell(config, Command::AuditRelease { id }, output),
        AuditWord::Expire { dry_run, unread_by, holds_stand } => {
            expire(config, Command::AuditExpire { only_say: dry_run, unread_by, holds_stand }, output)
        }
        AuditWord::Exports => tell(config, Command::AuditExports, output),
        AuditWord::Skip { name, to } => tell(config, Command::AuditSkip { name, to }, output),
        AuditWord::Export { question, csv } => export(config, *question, csv),
        AuditWord::Report(word) => report::carry_out(&word, config),
    }
}

fn tell(config: &Path, command: Command, output: Output) -> anyhow::Result<ExitCode> {
    let said = super::runtime()?.block_on(give(super::load(config)?, command))?;
    print::answer(&said, output);
    Ok(ExitCode::SUCCESS)
}

/// Beside the months it is told by which retention they were chosen: that of the gateway that runs, whatever the file has.
fn expire(config: &Path, command: Command, output: Output) -> anyhow::Result<ExitCode> {
    let said = super::runtime()?.block_on(give(super::load(config)?, command))?;
    let told = said.get("retention").and_then(serde_json::Value::as_u64).zip(said.get("months"));
    let (seconds, months) = told.context("the gateway did not tell what it ended")?;
    eprintln!("chartgate: what the log says of patients is kept for {} (`audit.retention`)", span(seconds));
    print::answer(months, output);
    Ok(ExitCode::SUCCESS)
}

fn search(config: &Path, question: Question, output: Output) -> anyhow::Result<ExitCode> {
    let shown = format!("{question:?}");
    let scan = question.scan;
    let filter = question.into_filter();
    let log = open(config, "search", &shown)?;
    log.tell_what_stays_closed(&filter)?;
    let found = if scan { log.reader.search(&filter) } else { log.search(&filter) };
    for entry in found {
        show(&entry?, output);
    }
    Ok(ExitCode::SUCCESS)
}

/// What stands in a line, whether somebody trusts the index or not.
fn export(config: &Path, question: Question, csv: bool) -> anyhow::Result<ExitCode> {
    let shown = format!("{question:?}");
    let filter = question.into_filter();
    let log = open(config, "export", &shown)?;
    log.tell_what_stays_closed(&filter)?;
    if csv {
        print::line(report::csv_line(COLUMNS.iter().map(|(name, _)| *name)).trim_end_matches('\n'));
    }
    for entry in log.reader.search(&filter) {
        let json = entry?.to_exposed_json();
        if csv {
            let value: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
            let cells: Vec<String> = COLUMNS
                .iter()
                .map(|(_, pointer)| value.pointer(pointer).filter(|found| !found.is_null()))
                .map(|found| found.map(print::plain).unwrap_or_default())
                .collect();
            print::line(report::csv_line(cells.iter().map(String::as_str)).trim_end_matches('\n'));
        } else {
            print::line(&json);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The columns of a table, and where they stand in a record.
const COLUMNS: [(&str, &str); 20] = [
    ("index", "/index"),
    ("time", "/time"),
    ("event", "/event"),
    ("outcome", "/outcome"),
    ("sub", "/actor/sub"),
    ("client_id", "/actor/client_id"),
    ("roles", "/actor/roles"),
    ("action", "/action"),
    ("resource", "/resource"),
    ("patients", "/patients"),
    ("purpose_of_use", "/purpose_of_use"),
    ("policies", "/decision/policies"),
    ("reason", "/decision/reason"),
    ("ip", "/source/ip"),
    ("route", "/route"),
    ("status", "/response/status"),
    ("count", "/response/count"),
    ("withheld", "/withheld"),
    ("session", "/session"),
    ("request_id", "/request_id"),
];

fn tail(config: &Path, lines: usize, no_follow: bool, output: Output) -> anyhow::Result<ExitCode> {
    let log = open(config, "tail", &format!("{lines}"))?;
    let newest = Filter { limit: Some(lines), ..Filter::default() };
    let mut last = None;
    for entry in log.search(&newest) {
        let entry = entry?;
        last = Some(entry.index);
        show(&entry, output);
    }
    let mut next = match last {
        Some(last) => last.saturating_add(1),
        // Of what was there none was asked for.
        None => {
            let mut there = log.reader.entries(log.reader.checkpoint()?.size());
            there.by_ref().try_for_each(|entry| entry.map(drop))?;
            there.position()
        }
    };
    if no_follow {
        return Ok(ExitCode::SUCCESS);
    }
    while print::is_read() {
        std::thread::sleep(Duration::from_millis(500));
        let mut entries = log.reader.entries(next);
        for entry in entries.by_ref() {
            show(&entry?, output);
        }
        next = entries.position();
    }
    Ok(ExitCode::SUCCESS)
}

/// The log, for somebody who reads.
pub(super) struct OpenLog {
    pub(super) reader: Reader,
    pub(super) objects: Arc<dyn Objects>,
    pub(super) keys: Arc<DataKeys>,
    /// Where to look first; none if there is no index of this log.
    index: Option<AuditIndex>,
}

impl OpenLog {
    /// The records that a filter admits.
    pub(super) fn search<'a>(&'a self, filter: &'a Filter) -> Found<'a> {
        audit_index::search(&self.reader, self.index.as_ref(), filter)
    }

    /// The months of a time of which there is no key: destroyed, or none was needed.
    pub(super) fn months_without_key(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> anyhow::Result<Vec<String>> {
        let Some(first) = self.reader.entry(0)? else { return Ok(Vec::new()) };
        let there = self.keys.months()?;
        let now = SystemClock.now();
        let mut time = since.unwrap_or(first.record.time).max(first.record.time);
        let end = until.unwrap_or(now).min(now);
        let mut without = Vec::new();
        while time < end {
            let month = Month::of(time);
            time = month.end();
            if !there.contains(&month) {
                without.push(month.to_string());
            }
        }
        Ok(without)
    }

    /// Says, beside what is found, of which months nothing can be.
    fn tell_what_stays_closed(&self, filter: &Filter) -> anyhow::Result<()> {
        if !filter.asks_for_sealed() {
            return Ok(());
        }
        let without = self.months_without_key(filter.since, filter.until)?;
        if !without.is_empty() {
            eprintln!(
                "chartgate: without the key of {}: nothing of such a month is found by patient, resource or emergency",
                without.join(", ")
            );
        }
        Ok(())
    }
}

/// The log, once it is noted that somebody reads.
pub(super) fn open(config: &Path, what: &str, question: &str) -> anyhow::Result<OpenLog> {
    let command = Command::AuditRead { what: what.to_owned(), question: question.to_owned() };
    super::runtime()?.block_on(give(super::load(config)?, command)).context("reading the log is recorded")?;
    let config = super::load(config)?;
    let objects: Arc<dyn Objects> = Arc::new(ObjectFolder::open(&config.audit.dir)?);
    let secrets = Secrets::load(&config)?;
    let keys = Arc::new(DataKeys::new(Arc::clone(&objects), &secrets.master)?);
    let key = own_key(&config, &secrets)?;
    let index = AuditIndex::open_to_search(&Place::new(&config.audit.index, &key, &secrets.master)?);
    let segments = Arc::new(SegmentFolder::of_copy(&config.audit.dir));
    let reader = Reader::new(Arc::clone(&objects), segments, key, Some(Arc::clone(&keys)));
    Ok(OpenLog { reader, objects, keys, index })
}

/// One record, once it is noted that somebody reads it.
pub(super) fn record(config: &Path, index: u64) -> anyhow::Result<Entry> {
    let log = open(config, "record", &index.to_string())?;
    let found = log.reader.entries(index).next().transpose()?.filter(|entry| entry.index == index);
    found.with_context(|| format!("there is no record {index}"))
}

pub(super) fn show(entry: &Entry, output: Output) {
    let json = entry.to_exposed_json();
    match output {
        Output::Json => print::line(&json),
        Output::Text => print::line(&sentence(&json)),
    }
}

/// One line for people: when, what, who, through what, on whose record, how it ended and why.
fn sentence(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let text = |pointer: &str| {
        let found = value.pointer(pointer).filter(|found| !found.is_null());
        found.map(print::plain).filter(|text| !text.is_empty())
    };
    let mut parts = vec![
        format!("{:>6}", text("/index").unwrap_or_default()),
        text("/time").unwrap_or_default(),
        format!("{:5}", text("/outcome").unwrap_or_default()),
        text("/event").unwrap_or_default(),
    ];
    for (name, pointer) in [
        ("", "/actor/sub"),
        ("via ", "/actor/client_id"),
        ("", "/action"),
        ("", "/resource"),
        ("patients ", "/patients"),
        ("status ", "/response/status"),
        ("withheld ", "/withheld"),
        ("by ", "/decision/policies"),
        ("because ", "/decision/reason"),
        ("from ", "/source/ip"),
    ] {
        parts.extend(text(pointer).map(|found| format!("{name}{found}")));
    }
    parts.join("  ")
}

/// The public key of the gateway's own log, whatever stands in the log's folder.
fn own_key(config: &Config, secrets: &Secrets) -> anyhow::Result<VerifierKey> {
    Ok(LogSigner::from_seed(&log_origin(config), &secrets.log_seed)?.verifier_key().clone())
}

/// The key that is given, as text or file, or the one in the log's folder.
pub(super) fn verifier_key(dir: &Path, given: Option<&str>) -> anyhow::Result<VerifierKey> {
    let text = match given {
        Some(text) if text.parse::<VerifierKey>().is_ok() => text.to_owned(),
        Some(file) => std::fs::read_to_string(file)
            .with_context(|| format!("--key `{file}` is neither a verifier key nor a file"))?,
        None => {
            let read = ObjectFolder::of_copy(dir).read(VERIFIER_KEY);
            let bytes = read.with_context(|| format!("{}", dir.join(VERIFIER_KEY).display()))?;
            String::from_utf8(bytes).context("the verifier key")?
        }
    };
    text.trim().parse().context("the verifier key")
}
