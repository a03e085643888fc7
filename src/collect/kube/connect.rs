//! kube's client, with its TLS and its credentials, over a connection that is there already.

use std::io;
use std::sync::{Arc, Mutex};

use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::ConfigExt;
use kube::{Client, Config};
use tokio::net::TcpStream;
use tower::{BoxError, ServiceBuilder};

/// The connection that showed the server to be there is the first that the client uses: one that was only opened and
/// closed would be an error in the server's log, each time that podnet runs. It may run a credential plugin, and so may
/// block.
pub fn client(config: &Config, host: String, port: u16, open: TcpStream) -> Result<Client, kube::Error> {
    let open = Arc::new(Mutex::new(Some(open)));
    let connector = tower::service_fn(move |_: http::Uri| {
        let (host, open) = (host.clone(), open.clone());
        async move {
            let first = open.lock().ok().and_then(|mut open| open.take());
            let stream = match first {
                Some(stream) => stream,
                None => TcpStream::connect((host.as_str(), port)).await?,
            };
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    let https = config.rustls_https_connector_with_connector(connector)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(legacy::Client::builder(TokioExecutor::new()).build(https));
    Ok(Client::new(service, config.default_namespace.clone()))
}
