//! Making the demo's folder at its first start, and running it.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chartgate_access::ids::Subject;
use chartgate_values::{Clock, Entropy, Secret};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::fhir_server::{self, FhirServer};
use super::stored::Records;
use super::{Options, bundles, certificates, guide, patients, people};
use crate::app::{App, DataLock};
use crate::cli::print;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::entropy::{SystemEntropy, opaque_secret};
use crate::install;
use crate::install::beginning::{self, Beginning};
use crate::secrets::write_new;
use crate::serve::{self, Listeners};

/// Runs the demo until it is stopped.
///
/// # Errors
/// Why it cannot.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let dir = std::path::absolute(&options.dir)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let file = beginning::file(&dir);
    let beginning = Beginning::of(&dir)?;
    let (config, held, (begun, lock)) = match beginning {
        Some(beginning) => {
            let written = beginning.file();
            let held = prepare(&dir, &written, options.listen).await?;
            let config = install::read(&written)?;
            let (begun, lock) = beginning.into_lock(&config.data_dir)?;
            (config, Some(held), (Some(begun), lock))
        }
        None => {
            let config = install::read(&file)?;
            let lock = DataLock::take(&config.data_dir).context("is another demo running on this folder?")?;
            (config, None, (None, lock))
        }
    };
    drop(held);
    let sample = bind_sample(&config).await?;
    let listeners = Listeners::bind(&config).await?;
    let records = records(&dir, options.data.as_deref(), &*clock)?;
    let config = match &begun {
        Some(begun) => {
            watch(&dir, &records.patients())?;
            install::keys(&config)?;
            // By the time that it is read once more it has its name.
            Config { file, ..install::read(&begun.file())? }
        }
        None => config,
    };
    serve_sample(&dir, sample, Arc::clone(&records), clock)?;
    let metrics = listeners.metrics()?;
    let app = tokio::task::spawn_blocking(move || App::open(config, lock)).await??;
    let known = dir.join("secrets/people.json");
    let cast = match begun {
        Some(begun) => {
            let cast = cast(&app, &records.patients(), &options.second_factors).await?;
            write_new(&known, cast.to_string().as_bytes())?;
            begun.finish()?;
            cast
        }
        None => {
            let text = std::fs::read_to_string(&known).with_context(|| {
                format!(
                    "the demo in {} is not whole: remove it and begin anew ({})",
                    dir.display(),
                    known.display()
                )
            })?;
            serde_json::from_str(&text)?
        }
    };
    let issuer = app.config.issuer.clone();
    let ready = ready(&dir, &app.config, &cast, metrics);
    serve::run(app, listeners, move || announce(&dir, &issuer, options.ready_file.as_deref(), &ready)).await
}

/// Adds people and clients, and gives what scripts need to know of them.
async fn cast(app: &App, patients: &[String], second_factors: &[Subject]) -> anyhow::Result<Value> {
    let people = people::people(patients);
    let is_known = |name: &&Subject| people.iter().any(|person| person.name == name.as_str());
    if let Some(stranger) = second_factors.iter().find(|name| !is_known(name)) {
        bail!("nobody of the demo is called `{stranger}`");
    }
    let users = people::add_people(&app.administrator, &people, second_factors).await?;
    let clients = people::add_clients(&app.administrator).await?;
    Ok(json!({ "users": users, "clients": clients, "patients": patients }))
}

/// Makes folders, certificate and configuration, with ports that stay the same. Gives back what holds them, so that nobody
/// takes one before the gateway does.
async fn prepare(dir: &Path, file: &Path, listen: SocketAddr) -> anyhow::Result<[TcpListener; 3]> {
    install::folders(dir)?;
    let held_https = bind_free(listen).await?;
    let https = held_https.local_addr()?;
    let held_sample = bind_beside(https.port()).await?;
    let sample = held_sample.local_addr()?;
    let held_metrics = bind_beside(https.port()).await?;
    let metrics = held_metrics.local_addr()?;
    let host = if https.ip().is_loopback() || https.ip().is_unspecified() {
        "localhost".to_owned()
    } else {
        https.ip().to_string()
    };
    let issuer = format!("https://{host}:{}", https.port());
    certificates::self_signed(dir, &format!("{host}:{}", https.port()))?;
    write_new(&dir.join("secrets/fhir-upstream"), opaque_secret().expose().as_bytes())?;
    for (list, _) in people::watched(&[]) {
        write_new(&dir.join(format!("secrets/watched-{list}")), b"")?;
    }
    let mut text = String::from("# Made by `chartgate demo`.\n");
    write!(
        text,
        r#"issuer   = "{issuer}"
data_dir = "data"

[listen]
https   = "{https}"
metrics = "{metrics}"

[tls]
certificate = "tls/cert.pem"
private_key = "tls/key.pem"

[approvals]
command_line = true

[policy]
dir = "policies"

[watch.bulk_reads]
patients = 20

[watch.vip]
patients_file = "secrets/watched-vip"

[watch.canary]
patients_file = "secrets/watched-canary"

[[watch.off_hours]]
roles     = ["billing"]
from      = "07:00"
until     = "19:00"
time_zone = "UTC"

[[route]]
name          = "fhir"
kind          = "fhir"
path          = "/fhir"
upstream      = "http://{sample}{base}"
upstream_auth = {{ bearer = {{ file = "secrets/fhir-upstream" }} }}
care_from     = ["table", "care-team", "encounter", "appointment"]
"#,
        base = fhir_server::BASE
    )?;
    std::fs::write(file, text).with_context(|| format!("{}", file.display()))?;
    Ok([held_https, held_sample, held_metrics])
}

/// Writes whom the demo watches: the configuration is to be read again with them.
fn watch(dir: &Path, patients: &[String]) -> anyhow::Result<()> {
    for (list, patient) in people::watched(patients) {
        let path = dir.join(format!("secrets/watched-{list}"));
        let text = patient.map(|id| format!("{id}\n")).unwrap_or_default();
        std::fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
    }
    Ok(())
}

/// Binds a free port, where none is named. Below those that systems give to outgoing connections, for it is kept, and one
/// of them would be taken now and then.
async fn bind_free(wanted: SocketAddr) -> anyhow::Result<TcpListener> {
    if wanted.port() == 0 {
        let entropy: &mut dyn Entropy = &mut SystemEntropy;
        for _ in 0..TRIES {
            let port = LOWEST_PORT.saturating_add(u16::from_be_bytes(entropy.bytes()) % PORTS);
            if let Ok(listener) = TcpListener::bind((wanted.ip(), port)).await {
                return Ok(listener);
            }
        }
    }
    TcpListener::bind(wanted).await.with_context(|| format!("cannot listen on {wanted}"))
}

/// Binds a free port of this machine alone: one of those after the gateway's, or any.
async fn bind_beside(https: u16) -> anyhow::Result<TcpListener> {
    for port in (1..=NEIGHBOURS).filter_map(|step| https.checked_add(step)) {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return Ok(listener);
        }
    }
    bind_free(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
}

const NEIGHBOURS: u16 = 2;
const TRIES: u32 = 32;
const LOWEST_PORT: u16 = 16_000;
const PORTS: u16 = 16_000;

/// The sample records: those that are there, or bundles, or invented ones.
fn records(dir: &Path, data: Option<&Path>, clock: &dyn Clock) -> anyhow::Result<Arc<Records>> {
    let records = Records::open(&dir.join("data/sample-fhir.db"))?;
    if records.is_empty() {
        let resources = match data {
            Some(folder) => bundles::load(folder)?,
            None => patients::invent(),
        };
        records.load(resources, clock.now())?;
    }
    Ok(Arc::new(records))
}

async fn bind_sample(config: &Config) -> anyhow::Result<TcpListener> {
    let route = config.routes.first().context("the demo's route is not in its configuration")?;
    let address = route.upstream.authority().context("the demo's upstream has no address")?.as_str();
    TcpListener::bind(address).await.with_context(|| format!("the sample server cannot use {address}"))
}

fn serve_sample(
    dir: &Path,
    listener: TcpListener,
    records: Arc<Records>,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let path = dir.join("secrets/fhir-upstream");
    let credential = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let server = FhirServer {
        records,
        credential: Secret::new(credential.trim().to_owned()),
        clock,
        base: format!("http://{address}{}", fhir_server::BASE),
    };
    tokio::spawn(fhir_server::serve(listener, Arc::new(server)));
    Ok(())
}

/// What scripts need: CONTRACT.md section 4.
fn ready(dir: &Path, config: &Config, cast: &Value, metrics: Option<SocketAddr>) -> Value {
    let part = |name: &str| cast.get(name).cloned().unwrap_or_default();
    let admin = cast.pointer("/users/0").cloned().unwrap_or_default();
    json!({
        "issuer": config.issuer,
        "fhir_base": format!("{}/fhir", config.issuer),
        "ca_file": dir.join("tls/ca.pem"),
        "config_file": dir.join("chartgate.toml"),
        "audit_dir": config.audit.dir,
        "metrics": metrics.map(|address| format!("http://{address}")),
        "admin": { "username": admin.get("username"), "password": admin.get("password") },
        "users": part("users"),
        "clients": part("clients"),
        "patients": part("patients"),
    })
}

/// Writes the ready file, whole, and prints the guide.
fn announce(dir: &Path, issuer: &str, ready_file: Option<&Path>, ready: &Value) -> anyhow::Result<()> {
    let own = dir.join("ready.json");
    for path in std::iter::once(own.as_path()).chain(ready_file) {
        let mut hidden = path.as_os_str().to_owned();
        hidden.push(".new");
        let hidden = PathBuf::from(hidden);
        let _ = std::fs::remove_file(&hidden);
        write_new(&hidden, serde_json::to_string_pretty(ready)?.as_bytes())?;
        std::fs::rename(&hidden, path).with_context(|| format!("{}", path.display()))?;
    }
    print::line(&guide::guide(dir, issuer, ready));
    Ok(())
}
