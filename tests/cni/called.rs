//! podnet as a runtime calls it, on a host of the test's own.

use std::io::Write;
use std::process::{Command, Stdio};

use podnet::cni::SpecVersion;
use serde_json::{Value, json};

use crate::host::{Host, text};
use crate::support::netns::TestNetns;
use crate::support::prerequisite;

/// Versions that podnet speaks as a plugin.
pub const VERSIONS: [SpecVersion; 5] = SpecVersion::OF_PLUGIN;

/// One call, to be changed before it is made.
pub struct Call<'a> {
    pub host: &'a Host,
    pub variables: Vec<(&'static str, String)>,
    pub stdin: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: i32,
    /// The one document on standard output; null when there was none.
    pub document: Value,
    pub stderr: String,
}

/// A host with podnet's own tools, or none, having said why.
pub fn host() -> Option<Host> {
    prerequisite::root_and(&["ip", "nft"]).then(Host::new)
}

pub fn netconf(version: SpecVersion) -> Value {
    json!({"cniVersion": version.as_str(), "name": "testnet", "type": "podnet"})
}

/// `conf` with more keys.
pub fn with(mut conf: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        conf[key] = value.clone();
    }
    conf
}

impl<'a> Call<'a> {
    pub fn new(host: &'a Host, verb: &str, netns: &str, conf: &Value) -> Self {
        let variables = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", "c1"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_NETNS", netns),
            ("CNI_PATH", "/usr/lib/cni"),
        ];
        let variables = variables.map(|(name, value)| (name, value.to_owned())).to_vec();
        Self { host, variables, stdin: conf.to_string().into_bytes() }
    }

    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_owned()));
        self
    }

    pub fn container(self, id: &str) -> Self {
        self.set("CNI_CONTAINERID", id)
    }

    pub fn command(&self) -> Command {
        let mut command = self.host.command(env!("CARGO_BIN_EXE_podnet"), &[]);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self) -> Answer {
        let mut child = self.host.netns.handle().run(|| self.command().spawn()).unwrap().unwrap();
        // It need not read it.
        let _ = child.stdin.take().unwrap().write_all(&self.stdin);
        let output = child.wait_with_output().unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let document = match stdout.trim() {
            "" => Value::Null,
            document => serde_json::from_str(document).unwrap_or_else(|error| panic!("{error}: {stdout}")),
        };
        Answer { status: output.status.code().unwrap_or(-1), document, stderr }
    }

    pub fn succeed(&self) -> Value {
        let answer = self.run();
        assert_eq!(answer.status, 0, "{:?}: {answer:#?}", self.variables);
        answer.document
    }

    /// It must fail, with this code and these words in an error object of the spec.
    pub fn refuse(&self, code: u32, words: &str) -> Value {
        let answer = self.run();
        let error = &answer.document;
        assert_ne!(answer.status, 0, "{:?}", self.variables);
        assert_eq!(error["code"], code, "{:?}: {error:#}", self.variables);
        let said = format!("{} {}", error["msg"].as_str().unwrap(), error["details"].as_str().unwrap_or_default());
        assert!(said.contains(words), "«{words}» in {said}");
        assert!(
            error["cniVersion"].as_str().is_some_and(|version| version.parse::<SpecVersion>().is_ok()),
            "{error:#}"
        );
        answer.document
    }
}

/// A pod's netns, and the calls for it.
pub struct Pod<'a> {
    pub host: &'a Host,
    pub netns: TestNetns,
    pub conf: Value,
}

impl<'a> Pod<'a> {
    pub fn new(host: &'a Host, conf: Value) -> Self {
        Self { host, netns: TestNetns::new(), conf }
    }

    pub fn call(&self, verb: &str, more: Value) -> Call<'a> {
        Call::new(self.host, verb, &self.netns.path(), &with(self.conf.clone(), more))
    }

    pub fn add(&self) -> Value {
        self.call("ADD", json!({})).succeed()
    }

    pub fn del(&self) {
        assert_eq!(self.call("DEL", json!({})).succeed(), Value::Null);
    }

    pub fn interfaces(&self) -> Vec<String> {
        let links = self.netns.ip_json("link");
        links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap().to_owned()).collect()
    }
}
