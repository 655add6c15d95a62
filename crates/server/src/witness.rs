//! Being a witness: `chartgate witness`, on a host of its own, for the logs of others. C2SP tlog-witness.
//!
//! The folder holds the witness's key and, of each log, the last checkpoint: an origin, a size and a hash. Nothing of a
//! record ever comes here.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path as UrlPath, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartgate_audit::checkpoint::SignedCheckpoint;
use chartgate_audit::note::{VerifierKey, WitnessSigner};
use chartgate_audit::storage::{Object, Objects as _};
use chartgate_audit::tree::Hash;
use chartgate_audit::witness::{Refusal, WitnessState, add_checkpoint, log_id};
use chartgate_values::{Clock, Secret};
use http::{HeaderValue, StatusCode, header};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::app::DataLock;
use crate::clock::SystemClock;
use crate::config::Tls;
use crate::entropy::SystemEntropy;
use crate::journal_fs::ObjectFolder;
use crate::net::connections::Limits;
use crate::net::listen::{self, Asks, Connections};
use crate::net::tls::{self, Certificate};

/// Where the secret key is: the name, a newline, 32 bytes in base64, a newline.
const KEY: &str = "witness.key";
/// Where the public key is.
const VKEY: &str = "witness.vkey";
/// 63 hashes and a checkpoint with its signatures.
const LONGEST_REQUEST: usize = 64 << 10;

/// What a witness is told at its start.
pub(crate) struct Options {
    pub(crate) dir: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<Tls>,
    pub(crate) logs: Vec<VerifierKey>,
}

/// Makes a witness's folder and key.
///
/// # Errors
/// If there is a key already, the name cannot be one, or the disk says so.
pub(crate) fn init(dir: &Path, name: &str) -> anyhow::Result<VerifierKey> {
    let folder = ObjectFolder::open(dir).with_context(|| format!("{}", dir.display()))?;
    let _lock = DataLock::take(dir)?;
    match folder.read(KEY) {
        Ok(_) => bail!("{} has a key already", dir.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let (signer, seed) = WitnessSigner::generate(name, &mut SystemEntropy)?;
    let key = signer.verifier_key().clone();
    let secret = format!("{name}\n{}\n", STANDARD.encode(seed.expose()));
    folder.put(&[
        Object { path: KEY.to_owned(), bytes: secret.into_bytes() },
        Object { path: VKEY.to_owned(), bytes: format!("{key}\n").into_bytes() },
    ])?;
    Ok(key)
}

/// Runs until a signal.
///
/// # Errors
/// Why it could not start.
pub(crate) async fn serve(options: Options) -> anyhow::Result<()> {
    let Options { dir, listen, tls, logs } = options;
    if tls.is_none() && !listen.ip().is_loopback() {
        bail!("{listen} is no loopback address: give --tls-cert and --tls-key");
    }
    if let Some(key) = logs.iter().find(|key| key.is_witness()) {
        bail!("--log `{key}` is a witness's key, not a log's");
    }
    let _lock = DataLock::take(&dir).with_context(|| format!("{}", dir.display()))?;
    let folder = ObjectFolder::open(&dir)?;
    let signer = signer(&folder).with_context(|| format!("{}", dir.join(KEY).display()))?;
    tracing::info!(key = %signer.verifier_key(), logs = logs.len(), %listen, "witnessing");
    let witness = Arc::new(Witness { logs, signer, remembered: Mutex::new(Remembered(folder)) });
    let router = router(witness);
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let (stop, stopped) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = stop.send(true);
    });
    match tls {
        Some(files) => over_tls(listener, &files, router, stopped).await,
        None => over_loopback(listener, router, stopped).await,
    }
}

async fn over_tls(
    listener: TcpListener,
    files: &Tls,
    router: Router,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let tls = tls::server(Arc::new(Certificate::load(files)?))?;
    let limits = Limits {
        per_address: CONNECTIONS_PER_ADDRESS,
        idle: IDLE_TIME,
        stall: STALL_TIME,
        trusted: Vec::new(),
    };
    let handle = move |_peer, request: http::Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move {
            // INVARIANT: a router answers everything.
            router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {})
        }
    };
    let connections = Arc::new(Connections::new(limits));
    listen::https(listener, (tls, Asks::ForNothing), connections, handle, stopped).await;
    Ok(())
}

async fn over_loopback(
    listener: TcpListener,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let until = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    Ok(axum::serve(listener, router).with_graceful_shutdown(until).await?)
}

const CONNECTIONS_PER_ADDRESS: usize = 64;
const IDLE_TIME: std::time::Duration = std::time::Duration::from_secs(75);
const STALL_TIME: std::time::Duration = std::time::Duration::from_secs(20);

fn signer(folder: &ObjectFolder) -> anyhow::Result<WitnessSigner> {
    let text = Secret::new(String::from_utf8(folder.read(KEY)?)?);
    let (name, seed) = text.expose().trim_end().split_once('\n').context("not a name and a key")?;
    let seed = STANDARD.decode(seed)?;
    let seed = <[u8; 32]>::try_from(seed).map_err(|_| anyhow::anyhow!("not 32 bytes"))?;
    Ok(WitnessSigner::from_seed(name, &Secret::new(seed))?)
}

/// What requests work with.
struct Witness {
    logs: Vec<VerifierKey>,
    signer: WitnessSigner,
    /// One request at a time looks at it and replaces it.
    remembered: Mutex<Remembered>,
}

/// The last checkpoint of each log, in files.
struct Remembered(ObjectFolder);

fn path_of(id: &str) -> String {
    format!("logs/{id}")
}

impl WitnessState for Remembered {
    fn last(&self, origin: &str) -> io::Result<Option<Vec<u8>>> {
        match self.0.read(&path_of(&log_id(origin))) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remember(&mut self, checkpoint: &SignedCheckpoint) -> io::Result<()> {
        let path = path_of(&log_id(&checkpoint.checkpoint().origin));
        self.0.put(&[Object { path, bytes: checkpoint.note().as_bytes().to_vec() }])
    }
}

fn router(witness: Arc<Witness>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add))
        .route("/{log}/checkpoint", get(last))
        .layer(DefaultBodyLimit::max(LONGEST_REQUEST))
        .with_state(witness)
}

async fn add(State(witness): State<Arc<Witness>>, body: Bytes) -> Response {
    let done = tokio::task::spawn_blocking(move || {
        let mut remembered = witness.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemClock.now();
        let answer = add_checkpoint(&body, &witness.logs, &witness.signer, &mut *remembered, now);
        if let Err(refusal) = &answer {
            tell(refusal, &body);
        }
        answer
    });
    match done.await {
        Ok(Ok(line)) => (text("text/plain; charset=utf-8"), line).into_response(),
        Ok(Err(Refusal::Conflict { size, .. })) => {
            (StatusCode::CONFLICT, text("text/x.tlog.size"), format!("{size}\n")).into_response()
        }
        Ok(Err(refusal)) => StatusCode::from_u16(refusal.status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Operators learn of what a log should not ask. A signed checkpoint that contradicts an earlier one is proof, and kept
/// in the line: it holds nothing secret.
fn tell(refusal: &Refusal, body: &[u8]) {
    match refusal {
        Refusal::Conflict { forked: true, .. } | Refusal::Unproven(_) => {
            let request = String::from_utf8_lossy(body);
            tracing::error!(%refusal, %request, "a log was forked, or cannot prove that it was not");
        }
        Refusal::State(_) | Refusal::Remembered(_) => tracing::error!(%refusal, "nothing is cosigned"),
        Refusal::Conflict { .. } => tracing::info!(%refusal, "asked from another size"),
        Refusal::Malformed | Refusal::UnknownLog | Refusal::Unsigned | Refusal::NeedlessProof => {
            tracing::warn!(%refusal, "refused")
        }
    }
}

async fn last(State(witness): State<Arc<Witness>>, UrlPath(log): UrlPath<String>) -> Response {
    // Only the one spelling of a hash is looked up on disk.
    if Hash::from_hex(&log).is_err() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let read = tokio::task::spawn_blocking(move || {
        witness.remembered.lock().unwrap_or_else(PoisonError::into_inner).0.read(&path_of(&log))
    });
    match read.await {
        Ok(Ok(note)) => (text("text/plain; charset=utf-8"), note).into_response(),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => StatusCode::NOT_FOUND.into_response(),
        Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn text(content_type: &'static str) -> [(header::HeaderName, HeaderValue); 2] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]
}
