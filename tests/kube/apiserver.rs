//! A stand-in for the Kubernetes API server: TLS with a certificate authority of its own, objects as a real cluster
//! wrote them, paging, field selectors, bearer tokens; and everything that can come instead of an answer.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::support::scratch::Scratch;

pub const TOKEN: &str = "t0ken-0f-the-test";
const USER: &str = "system:serviceaccount:kube-system:podnet";

/// What comes to a question instead of its answer.
#[derive(Clone, Debug)]
pub enum Instead {
    Status(u16, &'static str),
    /// A status with `Retry-After`, that many times; then the answer.
    Again {
        status: u16,
        seconds: u64,
        times: usize,
    },
    /// No Status object: the page of a proxy.
    Page(u16, &'static str),
    /// A body of success that is none of this API's.
    Body(&'static str),
    /// The head and half of the body that it promised.
    CutOff,
    /// The head, and then a byte now and then for ever.
    Trickle,
    Silence,
    Close,
}

/// A question as it came.
#[derive(Clone, Debug)]
pub struct Question {
    pub method: String,
    pub path: String,
    pub query: String,
}

#[derive(Default)]
struct Cluster {
    /// Path of the collection → its objects.
    objects: Vec<(String, Vec<Value>)>,
    /// The beginning of a path → what comes instead.
    instead: Vec<(String, Instead)>,
    asked: Vec<Question>,
    /// Served versions of `cilium.io`, with their resources.
    served: Vec<(&'static str, Vec<&'static str>)>,
    page: Option<usize>,
    /// Pages asked for with a token that is no longer known.
    expired: usize,
}

#[derive(Clone)]
pub struct ApiServer {
    address: SocketAddr,
    authority: String,
    cluster: Arc<Mutex<Cluster>>,
}

fn recorded(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/kube").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

impl ApiServer {
    /// With the objects of a real cluster of two nodes, `vm` and `vm2`.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (authority, config) = certificates();
        let server = Self { address: listener.local_addr().unwrap(), authority, cluster: Arc::default() };
        let core = ["pods", "nodes"];
        let mut cluster = Cluster {
            served: vec![
                ("v2", vec!["ciliumnodes", "ciliumendpoints", "ciliumidentities"]),
                ("v2alpha1", vec!["ciliumpodippools"]),
            ],
            ..Cluster::default()
        };
        for plural in core {
            cluster.objects.push((format!("/api/v1/{plural}"), items(&recorded(&format!("{plural}.json")))));
        }
        for (version, resources) in cluster.served.clone() {
            for plural in resources {
                let objects = items(&recorded(&format!("{plural}.json")));
                cluster.objects.push((format!("/apis/cilium.io/{version}/{plural}"), objects));
            }
        }
        *server.cluster.lock().unwrap() = cluster;
        let cluster = server.cluster.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, cluster) = (config.clone(), cluster.clone());
                thread::spawn(move || serve(stream, config, &cluster));
            }
        });
        server
    }

    /// What comes instead of the answer to every path that begins so; with a `?` at its end, to lists alone.
    pub fn instead(&self, path: &str, instead: Instead) -> &Self {
        self.cluster.lock().unwrap().instead.push((path.to_owned(), instead));
        self
    }

    /// Changes the objects of one collection.
    pub fn change(&self, path: &str, change: impl Fn(&mut Vec<Value>)) -> &Self {
        let mut cluster = self.cluster.lock().unwrap();
        match cluster.objects.iter_mut().find(|(known, _)| known == path) {
            Some((_, objects)) => change(objects),
            None => {
                let mut objects = Vec::new();
                change(&mut objects);
                cluster.objects.push((path.to_owned(), objects));
            }
        }
        self
    }

    /// Serves these of Cilium's resources and no others; their objects stay under the paths that they are at.
    pub fn serves(&self, served: Vec<(&'static str, Vec<&'static str>)>) -> &Self {
        self.cluster.lock().unwrap().served = served;
        self
    }

    /// At most so many objects a page.
    pub fn pages_of(&self, objects: usize) -> &Self {
        self.cluster.lock().unwrap().page = Some(objects);
        self
    }

    /// Forgets so many times what a page's token belonged to.
    pub fn forgets(&self, times: usize) -> &Self {
        self.cluster.lock().unwrap().expired = times;
        self
    }

    pub fn asked(&self) -> Vec<Question> {
        self.cluster.lock().unwrap().asked.clone()
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The certificate of its authority.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// A kubeconfig with a token.
    pub fn kubeconfig(&self, scratch: &Scratch) -> String {
        self.kubeconfig_with(scratch, &json!({"token": TOKEN}))
    }

    pub fn kubeconfig_with(&self, scratch: &Scratch, user: &Value) -> String {
        kubeconfig(scratch, &self.url(), Some(&self.authority), user)
    }
}

/// One whose context is called «test»; YAML is a superset of JSON.
pub fn kubeconfig(scratch: &Scratch, server: &str, authority: Option<&str>, user: &Value) -> String {
    let authority = authority.map(|pem| {
        scratch.write("ca.crt", pem);
        json!({"server": server, "certificate-authority": "ca.crt"})
    });
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "here", "cluster": authority.unwrap_or_else(|| json!({"server": server}))}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "here", "user": "me"}}],
    });
    scratch.write("kubeconfig", &config.to_string());
    scratch.text("kubeconfig")
}

fn items(list: &Value) -> Vec<Value> {
    list["items"].as_array().unwrap().clone()
}

/// A certificate authority, and the server's certificate by it.
fn certificates() -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (authority.pem(), Arc::new(config))
}

/// One connection; a client that goes away is no concern of the server's.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, cluster: &Mutex<Cluster>) {
    let Ok(connection) = ServerConnection::new(config) else { return };
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    while let Ok(Some((question, token))) = read(&mut stream) {
        let answer = {
            let mut cluster = cluster.lock().unwrap();
            cluster.asked.push(question.clone());
            cluster.answer(&question, token.as_deref())
        };
        if write(stream.get_mut(), answer).is_err() {
            return;
        }
    }
}

fn read(stream: &mut impl BufRead) -> std::io::Result<Option<(Question, Option<String>)>> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let (mut token, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_lowercase().as_str() {
            "authorization" => token = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let question = Question { method, path: path.to_owned(), query: query.replace("%3D", "=").replace("%2C", ",") };
    Ok(Some((question, token)))
}

enum Answer {
    Told(u16, String, Option<u64>),
    Instead(Instead, String),
}

fn write(stream: &mut impl Write, answer: Answer) -> std::io::Result<()> {
    let head = |status: u16, length: usize, more: &str| {
        format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n"
        )
    };
    match answer {
        Answer::Told(status, body, retry) => {
            let retry = retry.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
            stream.write_all(format!("{}{body}", head(status, body.len(), &retry)).as_bytes())?;
        }
        Answer::Instead(Instead::CutOff, body) => {
            let half = &body[..body.len() / 2];
            stream.write_all(format!("{}{half}", head(200, body.len(), "")).as_bytes())?;
            stream.flush()?;
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        Answer::Instead(Instead::Trickle, _) => {
            stream.write_all(head(200, 1 << 20, "").as_bytes())?;
            loop {
                stream.write_all(b" ")?;
                stream.flush()?;
                thread::sleep(Duration::from_millis(50));
            }
        }
        Answer::Instead(Instead::Silence, _) => thread::sleep(Duration::from_secs(60)),
        Answer::Instead(_, _) => return Err(std::io::ErrorKind::ConnectionReset.into()),
    }
    stream.flush()
}

impl Cluster {
    fn answer(&mut self, question: &Question, token: Option<&str>) -> Answer {
        if token != Some(&format!("Bearer {TOKEN}")) {
            return status(401, "Unauthorized");
        }
        let target = format!("{}?{}", question.path, question.query);
        let fits = |(path, _): &&mut (String, Instead)| target.starts_with(path.as_str());
        if let Some((_, instead)) = self.instead.iter_mut().find(fits) {
            match instead {
                Instead::Status(code, message) => return status(*code, message),
                Instead::Page(code, text) => return Answer::Told(*code, (*text).to_owned(), None),
                Instead::Body(text) => return Answer::Told(200, (*text).to_owned(), None),
                Instead::Again { times: 0, .. } => {}
                Instead::Again { status, seconds, times } => {
                    *times -= 1;
                    let body = json!({"kind": "Status", "code": status, "message": "too many requests"}).to_string();
                    return Answer::Told(*status, body, Some(*seconds));
                }
                other => {
                    let other = other.clone();
                    let Answer::Told(_, body, _) = self.tell(question) else {
                        return Answer::Instead(other, String::new());
                    };
                    return Answer::Instead(other, body);
                }
            }
        }
        self.tell(question)
    }

    fn tell(&mut self, question: &Question) -> Answer {
        let path = question.path.as_str();
        if path == "/version" {
            return told(&json!({"major": "1", "minor": "33", "gitVersion": "v1.33.2"}));
        }
        if path == "/apis/cilium.io" && !self.served.is_empty() {
            let version = |(version, _): &(&str, Vec<&str>)| json!({"groupVersion": format!("cilium.io/{version}"), "version": version});
            return told(
                &json!({"kind": "APIGroup", "name": "cilium.io", "versions": self.served.iter().rev().map(version).collect::<Vec<_>>()}),
            );
        }
        for (version, resources) in &self.served {
            if path == format!("/apis/cilium.io/{version}") {
                let named = |name: &&str| json!({"name": name, "kind": "Whatever", "namespaced": false, "verbs": ["get", "list"]});
                return told(
                    &json!({"kind": "APIResourceList", "resources": resources.iter().map(named).collect::<Vec<_>>()}),
                );
            }
        }
        // /…/namespaces/NAMESPACE/PLURAL/NAME, /…/PLURAL/NAME and /…/PLURAL
        let words: Vec<&str> = path.split('/').collect();
        let (collection, namespace, name) = match words.iter().position(|word| *word == "namespaces") {
            Some(at) => {
                (format!("{}/{}", words[..at].join("/"), words[at + 2]), Some(words[at + 1]), words.get(at + 3))
            }
            None => match self.objects.iter().any(|(known, _)| known == path) {
                true => (path.to_owned(), None, None),
                false => (words[..words.len() - 1].join("/"), None, words.last()),
            },
        };
        let Some((_, objects)) = self.objects.iter().find(|(known, _)| *known == collection) else {
            return status(404, "the server could not find the requested resource");
        };
        let mut objects = objects.clone();
        objects.retain(|object| namespace.is_none_or(|own| object["metadata"]["namespace"] == own));
        match name {
            Some(name) => {
                let found = objects.iter().find(|object| object["metadata"]["name"] == **name);
                found.map_or_else(|| status(404, &format!("{collection} \"{name}\" not found")), told)
            }
            None => self.list(question, objects),
        }
    }

    fn list(&mut self, question: &Question, mut objects: Vec<Value>) -> Answer {
        let parameter = |name: &str| {
            question.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        if let Some((field, value)) = parameter("fieldSelector").as_deref().and_then(|text| text.split_once('=')) {
            let pointer = format!("/{}", field.replace('.', "/"));
            objects.retain(|object| object.pointer(&pointer).is_some_and(|own| own == value));
        }
        let from: usize = match parameter("continue") {
            Some(_) if self.expired > 0 => {
                self.expired -= 1;
                return status(410, "The provided continue parameter is too old");
            }
            Some(token) => token.parse().unwrap(),
            None => 0,
        };
        let limit =
            self.page.unwrap_or(usize::MAX).min(parameter("limit").map_or(usize::MAX, |text| text.parse().unwrap()));
        let next = (from.saturating_add(limit) < objects.len()).then(|| (from + limit).to_string());
        let page: Vec<Value> = objects.into_iter().skip(from).take(limit).collect();
        told(
            &json!({"kind": "List", "metadata": {"resourceVersion": "1", "continue": next.unwrap_or_default()}, "items": page}),
        )
    }
}

fn told(body: &Value) -> Answer {
    Answer::Told(200, body.to_string(), None)
}

fn status(code: u16, message: &str) -> Answer {
    Answer::Told(
        code,
        json!({"kind": "Status", "status": "Failure", "code": code, "message": message}).to_string(),
        None,
    )
}

/// What RBAC says.
pub fn forbidden(verb: &str, resource: &str, group: &str) -> Instead {
    let text = format!(
        "{resource} is forbidden: User \"{USER}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" at the cluster scope"
    );
    Instead::Status(403, Box::leak(text.into_boxed_str()))
}
