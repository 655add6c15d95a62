//! An upstream whose answers are long, have no end, or break off: written to the socket by hand.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The length of `/long`.
pub(crate) const LONG: usize = 5 << 20;
/// What comes of `/broken` before it breaks off; it promised more.
pub(crate) const BROKEN: usize = 2 << 20;
/// The one event of `/events`, again and again.
pub(crate) const EVENT: &str = "data: something happened to somebody\n\n";

/// The server. It ends with its value.
pub(crate) struct Streaming {
    pub(crate) port: u16,
    ended: Arc<Mutex<Vec<String>>>,
    _connections: JoinSet<()>,
}

impl Streaming {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ended = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&ended);
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, Arc::clone(&kept)));
            }
        });
        Self { port, ended, _connections: connections }
    }

    /// The paths whose answers somebody hung up on, so far.
    pub(crate) fn hung_up_on(&self) -> Vec<String> {
        self.ended.lock().unwrap().clone()
    }
}

/// What `/long` says: no two pages are alike.
pub(crate) fn long() -> Vec<u8> {
    (0..LONG).map(|place| u8::try_from((place ^ (place >> 12)) & 0xff).unwrap()).collect()
}

async fn serve(mut stream: TcpStream, ended: Arc<Mutex<Vec<String>>>) {
    while let Some(path) = head(&mut stream).await {
        if answer(&mut stream, &path).await.is_err() {
            ended.lock().unwrap().push(path);
            return;
        }
    }
}

/// The last part of the path that is asked for.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(text).unwrap();
    let target = text.split([' ', '?']).nth(1).unwrap();
    Some(target.rsplit('/').next().unwrap().to_owned())
}

async fn answer(stream: &mut TcpStream, path: &str) -> io::Result<()> {
    let text = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n";
    let chunked = format!("{text}transfer-encoding: chunked\r\n\r\n");
    match path {
        "long" => {
            stream.write_all(format!("{text}content-length: {LONG}\r\n\r\n").as_bytes()).await?;
            stream.write_all(&long()).await
        }
        "broken" => {
            stream.write_all(format!("{text}content-length: {LONG}\r\n\r\n").as_bytes()).await?;
            stream.write_all(&long()[..BROKEN]).await?;
            stream.shutdown().await
        }
        "short" => {
            stream.write_all(chunked.as_bytes()).await?;
            chunk(stream, b"not long").await?;
            stream.write_all(b"0\r\n\r\n").await
        }
        "hesitant" => {
            stream.write_all(chunked.as_bytes()).await?;
            chunk(stream, b"first, ").await?;
            tokio::time::sleep(Duration::from_millis(1500)).await;
            chunk(stream, b"then").await?;
            stream.write_all(b"0\r\n\r\n").await
        }
        "endless" => {
            stream.write_all(chunked.as_bytes()).await?;
            loop {
                chunk(stream, &[b'x'; 64 << 10]).await?;
            }
        }
        "events" => {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            loop {
                chunk(stream, EVENT.as_bytes()).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        "upgrade" => {
            let head =
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
            stream.write_all(head.as_bytes()).await
        }
        other => panic!("{other}"),
    }
}

async fn chunk(stream: &mut TcpStream, content: &[u8]) -> io::Result<()> {
    stream.write_all(format!("{:x}\r\n", content.len()).as_bytes()).await?;
    stream.write_all(content).await?;
    stream.write_all(b"\r\n").await
}
