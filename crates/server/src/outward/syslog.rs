//! Syslog over TLS, RFC 5425.
//!
//! The protocol acknowledges nothing. What shows that a receiver has read all is the end of its side of the connection after
//! ours has ended: so each batch has a connection, whose handshake the session of the one before makes short. A receiver that
//! dies with something unread resets the connection instead, and one that had closed before our bytes came does so when they
//! come, a round trip later: so the connection has to stay without an error for some round trips after its end. What it has read
//! and not stored is given to it again, for the cursor rests some seconds behind.

use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use chartgate_audit::outward::syslog::Syslog;
use chartgate_audit::outward::{Shown, Source};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Failure;
use crate::config::{self, Closing, SyslogReceiver};
use crate::net::reach::reach;
use crate::net::tls;

/// How long a connection may take to open, its handshake included.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How long a receiver may take over a batch.
const WRITE_TIME: Duration = Duration::from_secs(60);
/// How long it may take to read what is on the way and to end its side.
const CLOSE_TIME: Duration = Duration::from_secs(30);
/// How long a connection has to stay without an error after its end.
const SHORTEST_REST: Duration = Duration::from_millis(20);
const LONGEST_REST: Duration = Duration::from_secs(2);
/// What fails before there is a connection.
const CONNECT: &str = "connect";

/// A syslog receiver.
pub(crate) struct SyslogSender {
    host: String,
    port: u16,
    name: ServerName<'static>,
    connector: TlsConnector,
    closing: Closing,
    messages: Syslog,
}

impl SyslogSender {
    pub(super) fn new(to: &SyslogReceiver, export: &config::Export, source: Source) -> anyhow::Result<Self> {
        let ca = export.ca.as_deref();
        let tls = match &export.certificate {
            Some(own) => tls::client_presenting(ca, own)?,
            None => tls::client(ca)?,
        };
        Ok(Self {
            host: to.host.clone(),
            port: to.port,
            name: ServerName::try_from(to.host.clone())?,
            connector: TlsConnector::from(Arc::new(tls)),
            closing: to.closing,
            messages: Syslog { format: to.format, enterprise: to.enterprise, longest: to.longest, source },
        })
    }

    pub(super) async fn deliver(&mut self, entries: &[Shown]) -> Result<(), Failure> {
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| self.messages.frames(entry)).flatten().collect();
        if bytes.is_empty() {
            return Ok(());
        }
        let (mut stream, trip) =
            timed(CONNECT_TIME, self.connect()).await.map_err(|error| failed(CONNECT, &error))?;
        let written = async {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            // It ended before we did: not for having read all.
            not_ended(&mut stream).await?;
            // `close_notify`, and the end of our side.
            stream.shutdown().await
        };
        timed(WRITE_TIME, written).await.map_err(|error| failed("write", &error))?;
        let closed = async {
            until_closed(&mut stream, self.closing).await?;
            // The reset by a receiver that had closed before our bytes came is still on its way.
            tokio::time::sleep(trip.saturating_mul(2).clamp(SHORTEST_REST, LONGEST_REST)).await;
            stream.get_ref().0.take_error()?.map_or(Ok(()), Err)
        };
        timed(CLOSE_TIME, closed).await.map_err(|error| failed("close", &error))
    }

    /// A connection, and how long a round trip takes, at the most.
    async fn connect(&self) -> io::Result<(TlsStream<TcpStream>, Duration)> {
        let begun = Instant::now();
        let tcp = reach(&self.host, self.port, CONNECT_TIME).await?;
        let trip = begun.elapsed();
        tcp.set_nodelay(true)?;
        Ok((self.connector.connect(self.name.clone(), tcp).await?, trip))
    }
}

/// Fails if the receiver's side has ended already, as far as we know. What it says is not for us.
async fn not_ended(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    let mut unread = [0; 256];
    std::future::poll_fn(|context| {
        loop {
            let mut buffer = ReadBuf::new(&mut unread);
            match std::pin::Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Pending => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
    })
    .await
}

/// Waits for the end of the receiver's side. What it says before, if anything, is not for us: RFC 5425 has no answers.
async fn until_closed(stream: &mut TlsStream<TcpStream>, wanted: Closing) -> io::Result<()> {
    let mut unread = [0; 256];
    loop {
        match stream.read(&mut unread).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // The connection ended in order, which a receiver that had something unread cannot do; but without
            // `close_notify`, so that whoever is in between could have ended it.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && wanted == Closing::End => {
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
}

async fn timed<T>(time: Duration, act: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(time, act).await {
        Ok(done) => done,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// A stable code for what went wrong: where, and of which kind. Once there is a connection, less may get through.
fn failed(during: &str, error: &io::Error) -> Failure {
    let what = match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            "reset"
        }
        io::ErrorKind::UnexpectedEof => "cut-off",
        io::ErrorKind::TimedOut => "too-slow",
        io::ErrorKind::InvalidData => "tls",
        _ => "failed",
    };
    let code = format!("{during}-{what}");
    // TLS 1.3 section 4.4: what a server thinks of our certificate comes once we are connected, whatever we send.
    let is_away = during == CONNECT || error.kind() == io::ErrorKind::InvalidData;
    if is_away { Failure::away(code) } else { Failure::not_taken(code) }
}
