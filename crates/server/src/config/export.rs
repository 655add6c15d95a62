//! Tools of others that get the log: which, how much of it, and from when on.

use std::path::PathBuf;
use std::time::Duration;

use chartgate_audit::outward::Patients;
use chartgate_audit::outward::syslog::Format;
use chartgate_audit::record::Event;
use chartgate_protocol::webhook::WebhookKey;
use chartgate_values::Secret;
use http::Uri;

use super::section::{Reading, Section};
use super::{Tls, UpstreamAuth};

/// A tool that gets the log.
#[derive(Debug)]
pub(crate) struct Export {
    /// For metrics, commands and the cursor; unique.
    pub(crate) name: String,
    pub(crate) receiver: Receiver,
    /// The CA that signs its certificate, in place of the system's.
    pub(crate) ca: Option<PathBuf>,
    /// What we show it.
    pub(crate) certificate: Option<Tls>,
    pub(crate) patients: Patients,
    pub(crate) from: Beginning,
    /// How old a record that it has not had may be before somebody is told.
    pub(crate) lag_alert: Duration,
    /// Only these events; all, if none are listed.
    pub(crate) events: Vec<Event>,
}

/// What kind of tool, and where.
#[derive(Debug)]
pub(crate) enum Receiver {
    /// Syslog over TLS, RFC 5425.
    Syslog(SyslogReceiver),
    /// Events of OCSF over HTTPS.
    Ocsf(Box<OcsfReceiver>),
    /// AuditEvents to a FHIR server.
    Fhir(Box<HttpReceiver>),
    /// Log records to an OpenTelemetry collector.
    Otlp(Box<HttpReceiver>),
    /// Storage that speaks S3.
    S3(Box<S3Receiver>),
}

/// A bucket.
#[derive(Debug)]
pub(crate) struct S3Receiver {
    /// Of the bucket.
    pub(crate) url: Uri,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Secret<String>,
    /// What the names of objects begin with.
    pub(crate) prefix: String,
    /// How long the storage keeps an object from everybody.
    pub(crate) lock: Option<(ObjectLock, Duration)>,
    /// An object has so many records, or what came in so long.
    pub(crate) segment: (u64, Duration),
}

/// Who may remove an object before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ObjectLock {
    /// Nobody.
    Compliance,
    /// Whoever has a permission of its own for it.
    Governance,
}

impl ObjectLock {
    /// The name that S3 has for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Compliance => "COMPLIANCE",
            Self::Governance => "GOVERNANCE",
        }
    }
}

/// A server that is posted to.
#[derive(Debug)]
pub(crate) struct HttpReceiver {
    pub(crate) url: Uri,
    pub(crate) auth: UpstreamAuth,
}

/// A receiver of OCSF events.
#[derive(Debug)]
pub(crate) struct OcsfReceiver {
    pub(crate) http: HttpReceiver,
    /// By which it knows that they are ours.
    pub(crate) signing_secret: Option<Secret<String>>,
    pub(crate) batches: Batches,
}

/// What a batch of events looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Batches {
    /// A JSON array.
    Array,
    /// An event a line.
    Lines,
}

/// A syslog receiver.
#[derive(Debug)]
pub(crate) struct SyslogReceiver {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) format: Format,
    /// RFC 5424 section 7.2.2.
    pub(crate) enterprise: u32,
    /// The longest message, in bytes.
    pub(crate) longest: usize,
    pub(crate) closing: Closing,
}

/// What shows that a syslog receiver has read everything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Closing {
    /// The end of its side of the connection.
    End,
    /// Its `close_notify`, which nobody else can send. RFC 5425 section 4.4.
    Notified,
}

/// Where an export begins that has no cursor yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Beginning {
    /// With the first record.
    Start,
    /// With what comes.
    Now,
}

impl Receiver {
    /// The name of its kind.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Syslog(_) => "syslog",
            Self::Ocsf(_) => "ocsf",
            Self::Fhir(_) => "fhir",
            Self::Otlp(_) => "otlp",
            Self::S3(_) => "s3",
        }
    }

    /// Where it is, as people are told: without a path, which at some receivers is what admits us.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Syslog(to) => format!("{}:{}", to.host, to.port),
            Self::Ocsf(to) => server(&to.http.url),
            Self::Fhir(to) | Self::Otlp(to) => server(&to.url),
            Self::S3(to) => server(&to.url),
        }
    }
}

/// Scheme and authority alone.
fn server(url: &Uri) -> String {
    let [scheme, authority] = [url.scheme_str(), url.authority().map(|authority| authority.as_str())];
    format!("{}://{}", scheme.unwrap_or_default(), authority.unwrap_or_default())
}

impl Export {
    /// All that it does not print.
    pub(super) fn secrets(&self) -> Vec<&Secret<String>> {
        match &self.receiver {
            Receiver::Syslog(_) => Vec::new(),
            Receiver::Ocsf(to) => to.http.auth.secret().into_iter().chain(&to.signing_secret).collect(),
            Receiver::Fhir(to) | Receiver::Otlp(to) => to.auth.secret().into_iter().collect(),
            Receiver::S3(to) => vec![&to.secret_access_key],
        }
    }

    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section) -> Option<Self> {
        let line = section.line();
        let name = section.plain_name(reading, "name");
        let kind_line = section.line_of("kind");
        let receiver = match section.required_text(reading, "kind").as_deref() {
            Some("syslog") => syslog(reading, &mut section).map(Receiver::Syslog),
            Some("ocsf") => ocsf(reading, &mut section).map(Box::new).map(Receiver::Ocsf),
            Some("fhir") => http(reading, &mut section).map(Box::new).map(Receiver::Fhir),
            Some("otlp") => http(reading, &mut section).map(Box::new).map(Receiver::Otlp),
            Some("s3") => s3(reading, &mut section).map(Box::new).map(Receiver::S3),
            Some(other) => {
                let problem = format!("`{other}` is not one of syslog, ocsf, fhir, otlp, s3");
                reading.error(kind_line, section.key("kind"), problem);
                None
            }
            None => None,
        };
        let ca = section.path(reading, "ca");
        if let Some(ca) = ca.as_ref().filter(|ca| !ca.is_file()) {
            reading.error(line, section.key("ca"), format!("no file {}", ca.display()));
        }
        let certificate = section.optional_table(reading, "client_certificate");
        let certificate = certificate.and_then(|table| Tls::read(reading, table));
        let patients = section.parsed(reading, "patients").unwrap_or(Patients::Pseudonyms);
        let from_line = section.line_of("from");
        let from = match section.text(reading, "from").as_deref() {
            None | Some("now") => Beginning::Now,
            Some("start") => Beginning::Start,
            Some(other) => {
                reading.error(from_line, section.key("from"), format!("`{other}` is not one of now, start"));
                Beginning::Now
            }
        };
        let lag_alert = section.duration(reading, "lag_alert", ALERT, SHORTEST_ALERT..=LONGEST_ALERT);
        if let Some(Receiver::S3(to)) = &receiver
            && to.segment.1 >= lag_alert
        {
            let problem = "has to be longer than `segment_time`: what is gathered is not late";
            reading.error(line, section.key("lag_alert"), problem);
        }
        let events_line = section.line_of("events");
        let mut events = Vec::new();
        for text in section.texts(reading, "events") {
            match text.parse() {
                Ok(event) => events.push(event),
                Err(_) => {
                    let problem = format!("`{text}` is no event of docs/audit-format.md");
                    reading.error(events_line, section.key("events"), problem);
                }
            }
        }
        section.finish(reading);
        Some(Self { name: name?, receiver: receiver?, ca, certificate, patients, from, lag_alert, events })
    }
}

/// Names are given once.
pub(super) fn check_together(reading: &mut Reading<'_>, exports: &[Export]) {
    let mut known = std::collections::BTreeSet::new();
    for export in exports {
        if !known.insert(&export.name) {
            reading.error(0, "audit.export", format!("two exports are called `{}`", export.name));
        }
    }
}

fn syslog(reading: &mut Reading<'_>, section: &mut Section) -> Option<SyslogReceiver> {
    let line = section.line_of("address");
    let address = section.required_text(reading, "address");
    let found = address.and_then(|address| {
        let found = host_and_port(&address);
        if found.is_none() {
            let problem = format!("`{address}` has to be HOST:PORT; TLS is always spoken");
            reading.error(line, section.key("address"), problem);
        }
        found
    });
    let format = section.parsed(reading, "format").unwrap_or(Format::Rfc5424);
    let enterprise = section.number(reading, "enterprise_id", EXAMPLE_ENTERPRISE, 1..=ENTERPRISES);
    let longest = section.size(reading, "max_message", LONGEST_MESSAGE);
    if !(SHORTEST_LIMIT..=LONGEST_LIMIT).contains(&longest) {
        reading.error(section.line(), section.key("max_message"), "has to be from 2KiB to 1MiB");
    }
    let closing = section.choice(reading, "require_close_notify", [Closing::End, Closing::Notified]);
    let (host, port) = found?;
    Some(SyslogReceiver {
        host,
        port,
        format,
        enterprise: u32::try_from(enterprise).ok()?,
        longest: usize::try_from(longest).ok()?,
        closing,
    })
}

fn ocsf(reading: &mut Reading<'_>, section: &mut Section) -> Option<OcsfReceiver> {
    let http = http(reading, section);
    let line = section.line_of("signing_secret");
    let signing_secret = section.secret(reading, "signing_secret").filter(|secret| {
        let weak = WebhookKey::parse(secret).err();
        if let Some(weak) = weak {
            reading.error(line, section.key("signing_secret"), weak.to_string());
        }
        weak.is_none()
    });
    let batch_line = section.line_of("batch");
    let batches = match section.text(reading, "batch").as_deref() {
        None | Some("array") => Batches::Array,
        Some("lines") => Batches::Lines,
        Some(other) => {
            reading.error(batch_line, section.key("batch"), format!("`{other}` is not one of array, lines"));
            Batches::Array
        }
    };
    Some(OcsfReceiver { http: http?, signing_secret, batches })
}

/// Where a server is that is posted to, and as whom.
fn http(reading: &mut Reading<'_>, section: &mut Section) -> Option<HttpReceiver> {
    let table = section.optional_table(reading, "auth");
    let auth = UpstreamAuth::of(reading, table);
    let url = url(reading, section)?;
    Some(HttpReceiver { url, auth })
}

fn url(reading: &mut Reading<'_>, section: &mut Section) -> Option<Uri> {
    let line = section.line_of("url");
    let text = section.required_text(reading, "url")?;
    let good = text.parse().ok().filter(is_safe);
    if good.is_none() {
        let problem =
            "has to be an https URL without a name, a query or a fragment; plain http to this machine alone";
        reading.error(line, section.key("url"), problem);
    }
    good
}

fn s3(reading: &mut Reading<'_>, section: &mut Section) -> Option<S3Receiver> {
    let url = url(reading, section);
    let region = section.text(reading, "region").unwrap_or_else(|| "us-east-1".to_owned());
    let access_key_id = section.required_text(reading, "access_key_id");
    if !section.has("secret_access_key") {
        reading.error(section.line(), section.key("secret_access_key"), "is missing");
    }
    let secret_access_key = section.secret(reading, "secret_access_key");
    let line = section.line_of("prefix");
    let prefix = section.text(reading, "prefix").unwrap_or_else(|| "chartgate/".to_owned());
    // What needs no encoding, so that all sign the same.
    if !prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/".contains(&b)) || prefix.starts_with('/') {
        let problem =
            format!("`{prefix}` has to be letters, digits, `-`, `.`, `_` and `/`, and no `/` first");
        reading.error(line, section.key("prefix"), problem);
    }
    let lock_line = section.line_of("object_lock");
    let lock = match section.text(reading, "object_lock").as_deref() {
        None | Some("compliance") => Some(ObjectLock::Compliance),
        Some("governance") => Some(ObjectLock::Governance),
        Some("none") => None,
        Some(other) => {
            let problem = format!("`{other}` is not one of compliance, governance, none");
            reading.error(lock_line, section.key("object_lock"), problem);
            None
        }
    };
    let retention = section.duration(reading, "lock_retention", SIX_YEARS, DAY..=HUNDRED_YEARS);
    let records = section.number(reading, "segment_records", 4096, 1..=65_536);
    let time = section.duration(reading, "segment_time", SEGMENT_TIME, SHORTEST_ALERT..=DAY);
    Some(S3Receiver {
        url: url?,
        region,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        prefix,
        lock: lock.map(|lock| (lock, retention)),
        segment: (u64::try_from(records).ok()?, time),
    })
}

fn is_safe(url: &Uri) -> bool {
    let loopback = matches!(url.host(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let named = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let scheme = url.scheme_str();
    url.query().is_none() && !named && (scheme == Some("https") || (scheme == Some("http") && loopback))
}

fn host_and_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.:".contains(&b);
    let good = !host.is_empty() && host.bytes().all(plain);
    Some((good.then(|| host.to_owned())?, port.parse().ok().filter(|port| *port > 0)?))
}

const DAY: Duration = Duration::from_hours(24);
/// As `y` counts them: 365.25 days.
const SIX_YEARS: Duration = Duration::from_secs(6 * 31_557_600);
const HUNDRED_YEARS: Duration = Duration::from_secs(100 * 31_557_600);
const SEGMENT_TIME: Duration = Duration::from_mins(5);
const ALERT: Duration = Duration::from_mins(15);
const SHORTEST_ALERT: Duration = Duration::from_secs(1);
const LONGEST_ALERT: Duration = Duration::from_hours(24 * 7);
/// The number that RFC 5612 keeps for examples, as long as an installation has none of its own.
const EXAMPLE_ENTERPRISE: usize = 32473;
const ENTERPRISES: usize = u32::MAX as usize;
const LONGEST_MESSAGE: u64 = 8 << 10;
const SHORTEST_LIMIT: u64 = 2 << 10;
const LONGEST_LIMIT: u64 = 1 << 20;
