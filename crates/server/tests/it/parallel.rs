//! The same request many times at once: races were found by nothing else.

use crate::gateway::Gateway;
use crate::wire::{Answer, Call, Connection};

/// As many as the corpus asks for.
pub(crate) const FIFTY: usize = 50;

/// Sends so many requests at the same moment, each over a connection that is open already.
pub(crate) async fn at_once(gateway: &Gateway, count: usize, call: impl Fn(usize) -> Call) -> Vec<Answer> {
    let mut connections = Vec::new();
    for number in 0..count {
        connections.push((Connection::open(gateway).await, call(number)));
    }
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|(mut connection, call)| tokio::spawn(async move { connection.send(call).await }))
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}
