//! Whatever is given to the decoders: they answer, never panic, and what they take they can write again.

use podnet::cni::args::{self, Args};
use podnet::cni::netconf::{Network, PodnetConf};
use podnet::cni::{AddResult, Invocation, SpecVersion, Verb};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// JSON of any shape, with the protocol's own keys among the others.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[ -~]{0,12}", Just("10.0.0.1/24".to_owned()), Just("fd00::1/64".to_owned()), ".{0,6}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..6).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let known = [
        "cniVersion",
        "cniVersions",
        "name",
        "type",
        "plugins",
        "capabilities",
        "ipam",
        "prevResult",
        "runtimeConfig",
        "args",
        "cni",
        "ips",
        "interfaces",
        "routes",
        "dns",
        "address",
        "gateway",
        "interface",
        "dst",
        "gw",
        "mac",
        "mtu",
        "pool",
        "ipMasq",
        "ipv6",
        "logFile",
        "dataDir",
        "agent",
        "disableCheck",
        "disableGC",
        "loadOnlyInlinedPlugins",
        "cni.dev/valid-attachments",
        "containerID",
        "ifname",
        "ip4",
        "ip6",
        "ip",
        "version",
        "code",
        "msg",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => "[a-zA-Z-]{0,8}"]
}

/// An object with a version and a name, so that the rest is looked at.
fn netconf() -> impl Strategy<Value = Value> {
    let version = prop::sample::select(SpecVersion::ALL.map(SpecVersion::as_str).to_vec());
    (version, prop::collection::vec((key(), any_json()), 0..8)).prop_map(|(version, pairs)| {
        let mut object: Map<String, Value> = pairs.into_iter().collect();
        object.insert("cniVersion".into(), version.into());
        object.entry("name").or_insert("n".into());
        Value::Object(object)
    })
}

fn result() -> impl Strategy<Value = AddResult> {
    let net = |v6: bool| {
        let prefix = if v6 { 0..=128_u8 } else { 0..=32 };
        (any::<u128>(), prefix).prop_map(move |(bits, prefix)| {
            let address = if v6 {
                std::net::Ipv6Addr::from_bits(bits).into()
            } else {
                std::net::IpAddr::V4(std::net::Ipv4Addr::from_bits(bits as u32))
            };
            format!("{address}/{prefix}")
        })
    };
    let net = any::<bool>().prop_flat_map(net);
    let interface = ("[a-z0-9]{1,15}", any::<u16>(), "(/run/netns/[a-z]{1,5})?")
        .prop_map(|(name, mtu, sandbox)| json!({"name": name, "mtu": mtu, "sandbox": sandbox}));
    let ip = (net.clone(), prop::option::of(-1..4_i64))
        .prop_map(|(address, interface)| json!({"address": address, "interface": interface}));
    let route = (net, any::<u16>(), prop::option::of(any::<u32>()))
        .prop_map(|(dst, mtu, table)| json!({"dst": dst, "mtu": mtu, "table": table}));
    let list = |item: BoxedStrategy<Value>| prop::collection::vec(item, 0..4);
    (list(interface.boxed()), list(ip.boxed()), list(route.boxed())).prop_map(|(interfaces, ips, routes)| {
        let value = json!({"interfaces": interfaces, "ips": ips, "routes": routes});
        AddResult::decode(value, SpecVersion::NEWEST).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Network::parse(&bytes);
        let _ = PodnetConf::parse(&bytes);
    }

    #[test]
    fn json_is_answered(value in any_json()) {
        let bytes = value.to_string().into_bytes();
        let _ = Network::parse(&bytes);
        let _ = PodnetConf::parse(&bytes);
        let _ = AddResult::decode(value, SpecVersion::NEWEST);
    }

    #[test]
    fn a_network_that_is_taken_can_be_read_from_what_the_cache_keeps(value in netconf()) {
        if let Ok(network) = Network::parse(value.to_string().as_bytes()) {
            let again = Network::parse(&network.bytes).unwrap();
            prop_assert_eq!(&again.plugins, &network.plugins);
            prop_assert_eq!((again.name, again.version), (network.name, network.version));
        }
    }

    #[test]
    fn a_netconf_is_taken_with_all_its_keys_or_refused_with_a_code_of_the_spec(value in netconf()) {
        match PodnetConf::parse(value.to_string().as_bytes()) {
            Ok(conf) => prop_assert_eq!(Value::Object(conf.object), value),
            Err(refusal) => prop_assert!(matches!(refusal.code.0, 1 | 2 | 6 | 7), "{}", refusal),
        }
    }

    #[test]
    fn a_result_survives_each_version_that_can_say_it(result in result()) {
        let newest = result.encode(SpecVersion::NEWEST).unwrap();
        prop_assert_eq!(&AddResult::decode(newest, SpecVersion::V0_1_0).unwrap(), &result);
        for version in SpecVersion::ALL {
            match result.encode(version) {
                Ok(value) => {
                    let once = AddResult::decode(value.clone(), SpecVersion::NEWEST).unwrap();
                    prop_assert_eq!(once.encode(version).unwrap(), value);
                }
                Err(_) => prop_assert!(version < SpecVersion::V0_3_0 && result.ips.is_empty()),
            }
        }
    }

    #[test]
    fn arguments_are_answered(text in ".{0,60}") {
        let _ = Args::parse(&text);
    }

    #[test]
    fn pairs_are_handed_on_as_they_came(pairs in prop::collection::vec(("[A-Za-z0-9_]{1,8}", "[A-Za-z0-9_.:/-]{0,8}"), 0..6)) {
        prop_assert_eq!(args::pairs(&args::join(&pairs)).unwrap(), pairs);
    }

    #[test]
    fn an_environment_is_taken_or_refused_with_code_4(
        verb in prop::sample::select(Verb::ALL.map(Verb::as_str).to_vec()),
        id in "[A-Za-z0-9_./-]{0,5}", ifname in "[a-z0-9/:. ]{0,17}", netns in "(/run/netns/a)?", arguments in "[A-Z=;a-z0-9]{0,12}",
    ) {
        let variables = [("CNI_COMMAND", verb.to_owned()), ("CNI_CONTAINERID", id.clone()), ("CNI_IFNAME", ifname.clone()),
                         ("CNI_NETNS", netns), ("CNI_ARGS", arguments), ("CNI_PATH", "/p".into())];
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        match Invocation::read(get) {
            Ok(call) => {
                if let Some(owner) = call.owner {
                    prop_assert!(!owner.container_id().contains('/') && !owner.ifname().contains('/'));
                    prop_assert!(owner.ifname().len() <= 15);
                }
            }
            Err(refusal) => prop_assert_eq!(refusal.code.0, 4),
        }
    }
}
