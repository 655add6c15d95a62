//! Listening: accept, handshake, serve, drain.
//!
//! Every phase has its own time limit, for hyper's begin only once it has seen the protocol: accept to handshake,
//! handshake to the first byte of a request head, head to its end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::connections::{self, Activity, Addresses, Going, Limits};
use super::door::{Door, ShownCertificate};
use crate::in_place::in_place;

/// A TLS handshake, and the first bytes after it, may take this long.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// A request head may take this long.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// A request head may have this many bytes.
const HEAD_BYTES: usize = 64 << 10;
/// Requests of one connection under way at the same time. HTTP/2 has no more streams open, but one that its client resets is
/// over for HTTP/2 while what it began goes on to its end.
const AT_ONCE: u32 = 128;
/// Connections at the same time that are only sent on to HTTPS.
const REDIRECTED: u32 = 256;
/// Open requests may take this long to finish when we go down.
const DRAIN_TIME: Duration = Duration::from_secs(20);

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) door: Door,
}

/// Whether a listener asks for certificates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asks {
    ForNothing,
    ForCertificates,
}

/// The connections of all listeners, which share what the machine allows.
pub(crate) struct Connections {
    most: u32,
    places: Arc<Semaphore>,
    addresses: Addresses,
    limits: Arc<Limits>,
}

impl Connections {
    pub(crate) fn new(limits: Limits) -> Self {
        let most = connections::most();
        let places = Arc::new(Semaphore::new(most as usize));
        Self { most, places, addresses: Addresses::default(), limits: Arc::new(limits) }
    }
}

/// Serves HTTPS until `stop` turns true, then finishes what is open.
pub(crate) async fn https<H, F>(
    listener: TcpListener,
    (tls, asks): (ServerConfig, Asks),
    connections: Arc<Connections>,
    handle: H,
    mut stop: watch::Receiver<bool>,
) where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let Connections { most, places, addresses, limits } = &*connections;
    let builder = builder();
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: give others time to close.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Too many of one address: closed before it costs a handshake.
        let Some(counted) = addresses.admit(address.ip(), limits) else { continue };
        let (acceptor, builder, handle) = (acceptor.clone(), builder.clone(), handle.clone());
        let (limits, stop) = (Arc::clone(limits), stop.clone());
        let turns = Arc::new(Semaphore::new(AT_ONCE as usize));
        tokio::spawn(async move {
            let held = Arc::new((place, counted));
            let Some(stream) = handshake(&acceptor, stream).await else { return };
            let peer = Peer { address, door: door(&stream, asks) };
            let activity = Activity::new();
            let requests = activity.clone();
            let service = service_fn(move |request| {
                let under_way = requests.begin();
                let turn = Arc::clone(&turns).try_acquire_owned().ok();
                let answer = turn
                    .map(|turn| ToItsEnd::begin(|| handle(peer.clone(), request), (Arc::clone(&held), turn)));
                async move {
                    let response = match answer {
                        Some(answer) => answer.await,
                        None => status_only(StatusCode::SERVICE_UNAVAILABLE),
                    };
                    Ok::<_, Infallible>(response.map(|body| Going::new(body, under_way)))
                }
            });
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            connections::drive(connection, |open| open.graceful_shutdown(), activity, &limits, stop).await;
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIME, places.acquire_many(*most)).await.is_err() {
        tracing::warn!("connections were still open when the time to drain was over");
    }
}

/// What was begun has to end with its record, and a revocation in force: hyper drops the future when the client hangs
/// up, and what is left of it then goes on as a task of its own, which holds what its connection held and its turn.
struct ToItsEnd<F: Handling, H: Held> {
    begun: Option<Pin<Box<F>>>,
    held: Option<H>,
}

/// What is held until a request has ended.
trait Held: Send + Unpin + 'static {}

impl<H: Send + Unpin + 'static> Held for H {}

/// The handling of one request.
trait Handling: Future<Output = Response<Body>> + Send + 'static {}

impl<F: Future<Output = Response<Body>> + Send + 'static> Handling for F {}

impl<F: Handling, H: Held> ToItsEnd<F, H> {
    fn begin(begin: impl FnOnce() -> F, held: H) -> Self {
        Self { begun: Some(in_place(begin)), held: Some(held) }
    }
}

impl<F: Handling, H: Held> Future for ToItsEnd<F, H> {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response<Body>> {
        let Some(mut begun) = self.begun.take() else { return Poll::Pending };
        // What panics, as nothing should, is not gone on with, and nothing of it leaves.
        match catch_unwind(AssertUnwindSafe(|| begun.as_mut().poll(context))) {
            Ok(Poll::Pending) => {
                self.begun = Some(begun);
                Poll::Pending
            }
            Ok(answered) => answered,
            Err(_) => Poll::Ready(status_only(StatusCode::INTERNAL_SERVER_ERROR)),
        }
    }
}

fn status_only(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

impl<F: Handling, H: Held> Drop for ToItsEnd<F, H> {
    fn drop(&mut self) {
        if let Some(rest) = self.begun.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let held = self.held.take();
            runtime.spawn(async move {
                rest.await;
                drop(held);
            });
        }
    }
}

/// What a connection's client showed.
fn door(stream: &tokio_rustls::server::TlsStream<TcpStream>, asks: Asks) -> Door {
    match asks {
        Asks::ForNothing => Door::Main,
        Asks::ForCertificates => {
            let shown = stream.get_ref().1.peer_certificates().and_then(ShownCertificate::of);
            Door::Mutual(shown.map(Arc::new))
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_streams(AT_ONCE)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let _ = stream.set_nodelay(true);
    let mut stream = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await.ok()?.ok()?;
    // Wait for the first byte here: hyper's own time limit starts only once it knows the protocol.
    let first = std::future::poll_fn(|context| {
        use tokio::io::AsyncBufRead as _;
        std::pin::Pin::new(&mut stream).poll_fill_buf(context).map_ok(|bytes| !bytes.is_empty())
    });
    match tokio::time::timeout(HANDSHAKE_TIME, first).await {
        Ok(Ok(true)) => Some(stream),
        Ok(Ok(false) | Err(_)) | Err(_) => None,
    }
}

/// Answers plain HTTP with a redirect to the same place over HTTPS, until `stop` turns true.
pub(crate) async fn redirect(listener: TcpListener, issuer: String, mut stop: watch::Receiver<bool>) {
    let issuer: Arc<str> = issuer.into();
    let places = Arc::new(Semaphore::new(REDIRECTED as usize));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (issuer, builder) = (Arc::clone(&issuer), builder());
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(move |request: Request<Incoming>| {
                let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
                let answer = Response::builder()
                    .status(StatusCode::PERMANENT_REDIRECT)
                    .header(http::header::LOCATION, format!("{issuer}{target}"))
                    .body(Body::empty());
                async move { answer }
            });
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            let _ = tokio::time::timeout(HANDSHAKE_TIME, connection).await;
        });
    }
}
