//! A connection to a server whose name may have several addresses. One that is dead does not use up the time of the others.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

/// A connection to the first address of this name that answers.
///
/// # Errors
/// If there is none, as the last of them says, or if none answers in time.
pub(crate) async fn reach(host: &str, port: u16, time: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    reach_at(&addresses, time).await
}

/// A connection to the first of these addresses that answers. Each has its share of the time that those before it left.
///
/// # Errors
/// As [`reach`].
pub(crate) async fn reach_at(addresses: &[SocketAddr], time: Duration) -> io::Result<TcpStream> {
    let begun = Instant::now();
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (number, address) in addresses.iter().enumerate() {
        let left = time.saturating_sub(begun.elapsed());
        let others = u32::try_from(addresses.len().saturating_sub(number)).unwrap_or(u32::MAX);
        match timeout(left.checked_div(others).unwrap_or(left), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;

    use super::*;

    #[tokio::test]
    async fn an_address_that_never_answers_leaves_time_for_the_next() {
        // Nobody takes what comes, and there is no room for more.
        let full = TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(1).unwrap();
        let dead = full.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(connected) = timeout(Duration::from_millis(200), TcpStream::connect(dead)).await {
            waiting.push(connected.unwrap());
        }
        let there = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = there.local_addr().unwrap();
        let (both, time) = ([dead, alive], Duration::from_secs(2));
        let reached = timeout(time, reach_at(&both, time)).await;
        assert_eq!(reached.unwrap().unwrap().peer_addr().unwrap(), alive);
        let refused = reach_at(&[], time).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
