//! The sample FHIR server itself, called past the gateway: what others write there.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::gateway::Gateway;

/// The port of the sample server in a demo's configuration.
pub(crate) fn port(gateway: &Gateway) -> u16 {
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    config.split("http://127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().parse().unwrap()
}

/// Stores a record there, under the id that it says.
pub(crate) async fn put(gateway: &Gateway, port: u16, record: &Value) {
    let text = |name: &str| record[name].as_str().unwrap().to_owned();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let credential = std::fs::read_to_string(gateway.folder().join("secrets/fhir-upstream")).unwrap();
    let request = Request::builder()
        .method(Method::PUT)
        .uri(format!("/fhir/{}/{}", text("resourceType"), text("id")))
        .header("host", "127.0.0.1")
        .header("authorization", format!("Bearer {}", credential.trim()))
        .header("content-type", "application/fhir+json")
        .body(Full::<Bytes>::from(record.to_string()))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(status < 300, "{status} {}", String::from_utf8_lossy(&body));
}
