//! Being a mirror: `chartgate mirror`, on a host of its own, keeps a copy of a log as the gateway serves it at `/audit/`.
//!
//! It holds nothing that opens an entry. What it takes in is decided by [`chartgate_audit::mirror`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use chartgate_audit::mirror::{MirrorError, Mirrored, bring_up, claim};
use chartgate_audit::note::VerifierKey;
use chartgate_audit::storage::{Object, Objects as _};
use chartgate_values::Secret;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Full;
use tokio::runtime::Handle;

use crate::app::DataLock;
use crate::config::ClientCredentials;
use crate::journal_fs::ObjectFolder;
use crate::net::body;
use crate::net::client::HttpClient;
use crate::net::client_credentials::FetchedToken;

/// The longest file that is taken: a bundle has 256 entries of at most 32 KiB and their lengths, a blob 16 MiB and what
/// sealing adds.
const LONGEST: u64 = 17 << 20;
/// What the log was found to contradict: while the file is there nothing is asked, so that a timer does not ask for ever.
const CONTRADICTION: &str = "contradiction";
/// How long one may take.
const BODY_TIME: Duration = Duration::from_secs(120);

/// What a mirror is told at its start.
pub(crate) struct Options {
    /// Where the copy is kept.
    pub(crate) dir: PathBuf,
    /// The gateway.
    pub(crate) from: Uri,
    /// The log's key, had by another way than from the gateway.
    pub(crate) key: VerifierKey,
    /// The CA to trust in place of the system's.
    pub(crate) ca: Option<PathBuf>,
    /// A client of the gateway's with the role `auditor`.
    pub(crate) client_id: String,
    /// Its secret.
    pub(crate) client_secret: Secret<String>,
    /// How often to look; once if absent.
    pub(crate) every: Option<Duration>,
}

/// The log, as the gateway serves it to its auditors.
struct Served {
    client: HttpClient,
    base: String,
    token: FetchedToken,
}

/// Brings the copy up once, or again and again. `told` hears how each time went that went well.
///
/// # Errors
/// Why it could not start, or, whatever was asked for, that the log contradicts the copy: somebody has to look at both. The
/// only time, that it did not go well.
pub(crate) async fn run(options: Options, told: impl Fn(&Mirrored)) -> anyhow::Result<()> {
    let Options { dir, from, key, every, .. } = &options;
    if from.scheme_str() != Some("https") {
        bail!("--from `{from}`: a gateway is asked over https alone");
    }
    let folder = ObjectFolder::open(dir).with_context(|| format!("{}", dir.display()))?;
    // The one that the log itself would have, were this its folder.
    let _lock = DataLock::take_log(dir).with_context(|| format!("{}", dir.display()))?;
    claim(&folder, key)?;
    if let Ok(said) = folder.read(CONTRADICTION) {
        let (said, path) = (String::from_utf8_lossy(&said), dir.join(CONTRADICTION));
        bail!("{}: {}; remove the file once somebody has looked", path.display(), said.trim());
    }
    let served = Arc::new(Served::new(&options)?);
    // However this is ended, the copy stands: no signal is waited for.
    loop {
        match once(&served, dir, key).await? {
            Ok(mirrored) => told(&mirrored),
            Err(error) if error.is_contradiction() => {
                let said = format!("the log contradicts the copy: {error}");
                folder
                    .put(&[Object { path: CONTRADICTION.to_owned(), bytes: format!("{said}\n").into() }])?;
                bail!("{}: {said}", dir.display())
            }
            Err(error) if every.is_none() || !error.may_pass() => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "the copy was not brought up to date"),
        }
        let Some(every) = every else { return Ok(()) };
        tokio::time::sleep(*every).await;
    }
}

async fn once(
    served: &Arc<Served>,
    dir: &Path,
    key: &VerifierKey,
) -> anyhow::Result<Result<Mirrored, MirrorError>> {
    let (served, folder, key) = (Arc::clone(served), ObjectFolder::of_copy(dir), key.clone());
    let runtime = Handle::current();
    let brought = tokio::task::spawn_blocking(move || {
        bring_up(&folder, &key, &|path| runtime.block_on(served.read(path)))
    });
    Ok(brought.await?)
}

impl Served {
    fn new(options: &Options) -> anyhow::Result<Self> {
        let client = HttpClient::new(&options.from, options.ca.as_deref())?;
        let base = options.from.path().trim_end_matches('/').to_owned();
        let how = ClientCredentials {
            token_url: format!("{base}/token").parse()?,
            client_id: options.client_id.clone(),
            client_secret: Secret::new(options.client_secret.expose().clone()),
            scope: None,
        };
        let token = FetchedToken::new(&how, HttpClient::new(&options.from, options.ca.as_deref())?);
        Ok(Self { client, base, token })
    }

    /// One file of the log. A token that is believed no more is replaced once.
    async fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let refused = match self.ask(path).await? {
            (StatusCode::OK, content) => return Ok(content.into()),
            (StatusCode::UNAUTHORIZED, _) => self.ask(path).await?,
            other => other,
        };
        match refused {
            (StatusCode::OK, content) => Ok(content.into()),
            (StatusCode::NOT_FOUND, _) => Err(io::ErrorKind::NotFound.into()),
            (status, _) => Err(io::Error::other(format!("the gateway answers {}", status.as_u16()))),
        }
    }

    async fn ask(&self, path: &str) -> io::Result<(StatusCode, Bytes)> {
        let token = self.token.header().await.map_err(io::Error::other)?;
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = format!("{}/audit/{path}", self.base).parse().map_err(io::Error::other)?;
        request.headers_mut().insert(header::AUTHORIZATION, token.clone());
        let (head, content) = self.client.call(request).await.map_err(io::Error::other)?.into_parts();
        if head.status == StatusCode::UNAUTHORIZED {
            self.token.forget(&token);
        }
        let content = body::take(content, LONGEST, BODY_TIME).await.map_err(io::Error::other)?;
        Ok((head.status, content))
    }
}
