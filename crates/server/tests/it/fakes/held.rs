//! A way to a server whose answers can be held up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The way. It ends with its value.
pub(crate) struct Held {
    pub(crate) port: u16,
    is_open: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
    _connections: JoinSet<()>,
}

impl Held {
    /// Leads to the server on this port; open at first.
    pub(crate) async fn start(real: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_open, opened) = watch::channel(true);
        let waiting = Arc::<AtomicUsize>::default();
        let (held, mut connections) = (Arc::clone(&waiting), JoinSet::new());
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (mut opened, held) = (opened.clone(), Arc::clone(&held));
                open.spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    let server = TcpStream::connect(("127.0.0.1", real)).await.unwrap();
                    let (mut answers, mut questions) = server.into_split();
                    let asking = async { drop(copy(&mut from, &mut questions).await) };
                    let answering = async {
                        let mut bytes = vec![0; 64 << 10];
                        while let Ok(length @ 1..) = answers.read(&mut bytes).await {
                            held.fetch_add(1, Ordering::SeqCst);
                            if opened.wait_for(|open| *open).await.is_err() {
                                return;
                            }
                            held.fetch_sub(1, Ordering::SeqCst);
                            if to.write_all(&bytes[..length]).await.is_err() {
                                return;
                            }
                        }
                    };
                    tokio::join!(asking, answering);
                });
            }
        });
        Self { port, is_open, waiting, _connections: connections }
    }

    /// Holds up what is answered from now on, or lets it all go.
    pub(crate) fn open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }

    /// How many answers are held up now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}
