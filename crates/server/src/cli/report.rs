//! `chartgate audit report`: what the log says, for people who answer for it: as a page to read and print, as CSV, or as JSON
//! with the entry and its proof for each line.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartgate_audit::checkpoint::SignedCheckpoint;
use chartgate_audit::proof::TlogProof;
use chartgate_audit::reader::{Entry, Filter};
use chartgate_audit::record::{Event, MORE_PATIENTS, Outcome};
use chartgate_audit::tile::{TILE_SPAN, read_bundle};
use chartgate_values::{Clock as _, Phi, Timestamp};
use clap::{Args, Subcommand, ValueEnum};

use super::audit::{self, OpenLog};
use super::print;
use crate::clock::SystemClock;
pub(super) use render::csv_line;

mod access;
mod activity;
mod disclosures;
mod emergency;
mod picture;
mod render;
mod table;
mod zone;

pub(super) use table::{Column, Row};
pub(super) use zone::Zone;

#[derive(Debug, Subcommand)]
pub(super) enum ReportWord {
    /// Who saw this patient's record, or tried to.
    Access {
        /// Their id, such as pt-1023.
        #[arg(long, value_parser = audit::patient_id)]
        patient: String,
        #[command(flatten)]
        with: With,
    },
    /// To whom this patient's record was disclosed for other ends than treatment, payment and operations (45 CFR 164.528).
    Disclosures {
        /// Their id, such as pt-1023.
        #[arg(long, value_parser = audit::patient_id)]
        patient: String,
        #[command(flatten)]
        with: With,
    },
    /// All that one person did.
    User {
        /// Their name, as records have it.
        #[arg(long)]
        user: String,
        #[command(flatten)]
        with: With,
    },
    /// Each use of emergency access: why, what was done by it, and what came of its review.
    BreakGlass {
        #[command(flatten)]
        with: With,
    },
    /// What the gateway did, counted, for the regular review (45 CFR 164.308(a)(1)(ii)(D)).
    Activity {
        #[command(flatten)]
        with: With,
    },
}

impl ReportWord {
    /// Which report it is: what the record of its making is about.
    fn name(&self) -> &'static str {
        match self {
            Self::Access { .. } => "access",
            Self::Disclosures { .. } => "disclosures",
            Self::User { .. } => "user",
            Self::BreakGlass { .. } => "break-glass",
            Self::Activity { .. } => "activity",
        }
    }
}

/// How a report is made.
#[derive(Debug, Args)]
pub(super) struct With {
    /// Not before this time (RFC 3339).
    #[arg(long)]
    since: Option<Timestamp>,
    /// Before this time (RFC 3339).
    #[arg(long)]
    until: Option<Timestamp>,
    /// Where to write it; without it, to standard output.
    #[arg(long)]
    out: Option<PathBuf>,
    /// A page to read and print, one table, or everything with proofs.
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// In which time it is told: UTC or an offset such as +02:00.
    #[arg(long, default_value = "UTC", allow_hyphen_values = true)]
    time_zone: Zone,
    /// Which columns the tables of records have, in this order.
    #[arg(long, value_enum, value_delimiter = ',')]
    columns: Vec<Column>,
    /// Read every record instead of looking in the index, which nothing proves.
    #[arg(long)]
    scan: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Html,
    Csv,
    Json,
}

/// What a report is made from.
struct Source<'a> {
    log: &'a OpenLog,
    with: &'a With,
}

impl Source<'_> {
    /// The records that a filter admits, of the time that is asked for.
    fn find(&self, filter: Filter) -> anyhow::Result<Vec<Entry>> {
        self.find_whenever(&self.of_its_time(filter))
    }

    /// The same of all times.
    fn find_whenever(&self, filter: &Filter) -> anyhow::Result<Vec<Entry>> {
        self.each(filter).collect()
    }

    /// A filter that admits nothing but what is of the time that is asked for.
    fn of_its_time(&self, filter: Filter) -> Filter {
        Filter { since: self.with.since, until: self.with.until, ..filter }
    }

    /// The records that a filter admits, one after the other.
    fn each<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = anyhow::Result<Entry>> + 'a {
        let found = if self.with.scan { self.log.reader.search(filter) } else { self.log.search(filter) };
        found.map(|entry| Ok(entry?))
    }

    /// The columns that are asked for, or else these.
    fn columns(&self, usual: &[Column]) -> Vec<Column> {
        if self.with.columns.is_empty() { usual.to_vec() } else { self.with.columns.clone() }
    }

    /// A record as a row.
    fn row(&self, entry: &Entry, columns: &[Column]) -> Row {
        Row::of_record(entry, columns, &self.with.time_zone)
    }
}

pub(super) fn carry_out(word: &ReportWord, config: &Path) -> anyhow::Result<ExitCode> {
    let with = match word {
        ReportWord::Access { with, .. }
        | ReportWord::Disclosures { with, .. }
        | ReportWord::User { with, .. }
        | ReportWord::BreakGlass { with }
        | ReportWord::Activity { with } => with,
    };
    let log = audit::open(config, &format!("report/{}", word.name()), &format!("{word:?}"))?;
    let source = Source { log: &log, with };
    let mut report = match word {
        ReportWord::Access { patient, .. } => access::of_patient(&source, patient)?,
        ReportWord::Disclosures { patient, .. } => disclosures::of_patient(&source, patient)?,
        ReportWord::User { user, .. } => access::of_user(&source, user)?,
        ReportWord::BreakGlass { .. } => emergency::all(&source)?,
        ReportWord::Activity { .. } => activity::all(&source)?,
    };
    if report.rows_mut().next().is_none()
        && let Some(unknown) = unknown(&source, word)?
    {
        eprintln!("chartgate: {unknown}");
        report.facts.push(("Of any time".to_owned(), unknown));
    }
    let checkpoint = prove(&log, &mut report.rows_mut().collect::<Vec<_>>())?;
    report.facts.push(("Log".to_owned(), checkpoint.checkpoint().origin.clone()));
    report.facts.push(("Made".to_owned(), with.time_zone.show(SystemClock.now())));
    report
        .facts
        .push(("From".to_owned(), with.since.map_or("the beginning".to_owned(), |t| with.time_zone.show(t))));
    report.facts.push(("Until".to_owned(), with.until.map_or("now".to_owned(), |t| with.time_zone.show(t))));
    if let ReportWord::Access { .. } | ReportWord::Disclosures { .. } = word {
        report.facts.extend(exports_of_more(&source)?);
    }
    let without = log.months_without_key(with.since, with.until)?;
    if !without.is_empty() {
        let told =
            format!("{}: what they say of patients, if anything, is not in this report", without.join(", "));
        report.facts.push(("Months whose key is gone".to_owned(), told));
    }
    let how = if with.scan { "reading every record" } else { "the log's index; --scan reads every record" };
    report.facts.push(("Found by".to_owned(), how.to_owned()));
    let text = match with.format {
        Format::Html => render::html(&report, &checkpoint)?,
        Format::Csv => render::csv(&report),
        Format::Json => render::json(&report, &checkpoint),
    };
    match &with.out {
        None => print::line(text.trim_end()),
        Some(path) => {
            write_for_its_owner(path, &text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// That no record of any time names whom the report is of: then it says nothing of anybody, and the name may be wrong.
fn unknown(source: &Source<'_>, word: &ReportWord) -> anyhow::Result<Option<String>> {
    let (whom, filter) = match word {
        ReportWord::Access { patient, .. } | ReportWord::Disclosures { patient, .. } => {
            ("patient", Filter { patient: Some(Phi::new(patient.clone())), ..Filter::default() })
        }
        ReportWord::User { user, .. } => ("user", Filter { user: Some(user.clone()), ..Filter::default() }),
        ReportWord::BreakGlass { .. } | ReportWord::Activity { .. } => return Ok(None),
    };
    let is_known = !source.find_whenever(&Filter { limit: Some(1), ..filter })?.is_empty();
    Ok((!is_known)
        .then(|| format!("no record of any time names this {whom}: look at how the name is written")))
}

/// Exports of so many patients that their records do not name all: whose records they gave besides nobody can tell from the log.
fn exports_of_more(source: &Source<'_>) -> anyhow::Result<Option<(String, String)>> {
    let exports = source.of_its_time(Filter {
        event: Some(Event::Access),
        action: Some("export".to_owned()),
        outcome: Some(Outcome::Allow),
        ..Filter::default()
    });
    let mut of_more = Vec::new();
    for entry in source.each(&exports) {
        let entry = entry?;
        if entry.record.detail.contains_key(MORE_PATIENTS) {
            of_more.push(format!("#{}", entry.index));
        }
    }
    let told = format!("{}: this patient may be among those whom they do not name", of_more.join(", "));
    Ok((!of_more.is_empty()).then(|| ("Exports that do not name all their patients".to_owned(), told)))
}

/// Writes what nobody else on this machine is to read.
pub(super) fn write_for_its_owner(path: &Path, text: &str) -> anyhow::Result<()> {
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return std::fs::write(path, text).with_context(|| format!("{}", path.display()));
    }
    // A file that is there may be anybody's to read, or lead elsewhere: a new one takes its place.
    let name = path.file_name().with_context(|| format!("{} is no file", path.display()))?;
    let new = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(&new).and_then(|mut file| file.write_all(text.as_bytes()));
    let put = written.and_then(|()| std::fs::rename(&new, path));
    put.inspect_err(|_| drop(std::fs::remove_file(&new))).with_context(|| format!("{}", path.display()))
}

/// How long a report waits for its newest records to come under a checkpoint.
const COVERED_WITHIN: Duration = Duration::from_secs(10);

/// A checkpoint that this record is under.
pub(super) fn checkpoint_over(log: &OpenLog, last: Option<u64>) -> anyhow::Result<SignedCheckpoint> {
    let deadline = SystemClock.now().plus(COVERED_WITHIN);
    loop {
        let checkpoint = log.reader.checkpoint()?;
        if last.is_none_or(|last| last < checkpoint.size()) {
            return Ok(checkpoint);
        }
        if SystemClock.now() >= deadline {
            bail!("the newest records do not come under a checkpoint: is the gateway running?");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Puts entry and proof to each row that is a record, all under one checkpoint.
pub(super) fn prove(log: &OpenLog, rows: &mut [&mut Row]) -> anyhow::Result<SignedCheckpoint> {
    let last = rows.iter().filter_map(|row| row.index).max();
    let checkpoint = checkpoint_over(log, last)?;
    let mut bundle: Option<(u64, Vec<Vec<u8>>)> = None;
    for row in rows {
        let Some(index) = row.index else { continue };
        let (number, at) = (index / TILE_SPAN, usize::try_from(index % TILE_SPAN)?);
        if bundle.as_ref().is_none_or(|(kept, _)| *kept != number) {
            bundle = Some((number, read_bundle(&*log.objects, number, checkpoint.size())?));
        }
        let leaf = bundle.as_ref().and_then(|(_, entries)| entries.get(at));
        let leaf = leaf.with_context(|| format!("record {index} is not in its bundle"))?;
        let proof = TlogProof::prove(&*log.objects, index, checkpoint.clone())?;
        // What is told comes from the entry, so the proof has to be of that.
        proof.verify(leaf).with_context(|| format!("record {index} is not what the log's tree has"))?;
        row.entry = Some(STANDARD.encode(leaf));
        row.proof = Some(proof.to_string());
    }
    Ok(checkpoint)
}
