//! Unary gRPC over a unix socket, with hand-written messages: proto3 skips the fields that we leave out, and
//! nobody needs protoc to build podnet.

use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::Error;

/// 5,000 containers with their specs come to some 40 MiB.
const LARGEST_ANSWER: usize = 64 << 20;

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Nothing {}

/// A connection to one socket.
pub struct Client {
    channel: Channel,
    socket: PathBuf,
    runtime: &'static str,
}

impl Client {
    /// The connection is tried first on its own, so that «forbidden» and «nobody there» keep their names.
    pub async fn connect(socket: &Path, runtime: &'static str) -> Result<Self, Error> {
        let probe = UnixStream::connect(socket).await;
        probe.map_err(|source| Error::Connect { socket: socket.to_owned(), source })?;
        let path = socket.to_owned();
        let connector = tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector);
        Ok(Self { channel, socket: socket.to_owned(), runtime })
    }

    /// Calls `method` (`/package.Service/Method`), with containerd's namespace header where one is given.
    pub async fn call<Q, A>(&self, method: &'static str, question: Q, namespace: Option<&str>) -> Result<A, Error>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut request = Request::new(question);
        if let Some(name) = namespace.and_then(|name| name.parse().ok()) {
            request.metadata_mut().insert("containerd-namespace", name);
        }
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
        let answer = async {
            grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            grpc.unary(request, PathAndQuery::from_static(method), ProstCodec::<Q, A>::default()).await
        };
        match answer.await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(self.refused(status)),
        }
    }

    fn refused(&self, status: Status) -> Error {
        let source = match status.code() {
            Code::Unimplemented => "it has no such service".into(),
            _ if status.message().is_empty() => status.code().description().into(),
            _ => status.message().to_owned().into(),
        };
        Error::Protocol { socket: self.socket.clone(), runtime: self.runtime, source }
    }
}
