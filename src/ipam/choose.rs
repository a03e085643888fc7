//! Which pool a pod's addresses come from: the flag, the netconf, CNI_ARGS, the pod's annotations
//! as Cilium's multi-pool reads them, or the default pool.

use std::collections::BTreeMap;

use super::pool::DEFAULT_POOL;

/// For both families.
pub const IP_POOL: &str = "ipam.cilium.io/ip-pool";
/// For one family; it goes before [`IP_POOL`].
pub const IPV4_POOL: &str = "ipam.cilium.io/ipv4-pool";
pub const IPV6_POOL: &str = "ipam.cilium.io/ipv6-pool";
/// `"true"`: rather no address than one of the default pool.
pub const REQUIRE_POOL_MATCH: &str = "ipam.cilium.io/require-pool-match";

/// What was asked for, and where.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    pub flag: Option<&'a str>,
    pub netconf: Option<&'a str>,
    pub cni_args: Option<&'a str>,
    pub annotations: Option<&'a BTreeMap<String, String>>,
}

/// Who named the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Flag,
    Netconf,
    CniArgs,
    Annotation,
    Default,
}

/// The pool of each family; none where the pod names one for the other family only and will not
/// have the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub ipv4: Option<String>,
    pub ipv6: Option<String>,
    pub origin: Origin,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pod asks for a pool of its own ({REQUIRE_POOL_MATCH}: \"true\") but names none ({IP_POOL})")]
pub struct NoMatch;

/// The first of flag, netconf, CNI_ARGS, annotations and default that names a pool. An empty name
/// counts as none.
pub fn choose(wishes: &Wishes<'_>) -> Result<Choice, NoMatch> {
    let named = [(wishes.flag, Origin::Flag), (wishes.netconf, Origin::Netconf), (wishes.cni_args, Origin::CniArgs)];
    let first = named.into_iter().find_map(|(name, origin)| Some((name.filter(|name| !name.is_empty())?, origin)));
    if let Some((name, origin)) = first {
        return Ok(Choice { ipv4: Some(name.to_owned()), ipv6: Some(name.to_owned()), origin });
    }
    by_annotation(wishes.annotations)
}

fn by_annotation(annotations: Option<&BTreeMap<String, String>>) -> Result<Choice, NoMatch> {
    let value = |key: &str| annotations?.get(key).map(String::as_str).filter(|name| !name.is_empty());
    let (ipv4, ipv6) = (value(IPV4_POOL).or(value(IP_POOL)), value(IPV6_POOL).or(value(IP_POOL)));
    let origin = if ipv4.or(ipv6).is_some() { Origin::Annotation } else { Origin::Default };
    let fallback = if value(REQUIRE_POOL_MATCH) == Some("true") { None } else { Some(DEFAULT_POOL) };
    let (ipv4, ipv6) = (ipv4.or(fallback), ipv6.or(fallback));
    if ipv4.or(ipv6).is_none() {
        return Err(NoMatch);
    }
    Ok(Choice { ipv4: ipv4.map(str::to_owned), ipv6: ipv6.map(str::to_owned), origin })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn chosen(ipv4: &str, ipv6: &str, origin: Origin) -> Result<Choice, NoMatch> {
        let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        Ok(Choice { ipv4: named(ipv4), ipv6: named(ipv6), origin })
    }

    #[test]
    fn the_nearest_wish_wins() {
        let map = annotations(&[(IP_POOL, "d")]);
        let all = Wishes { flag: Some("a"), netconf: Some("b"), cni_args: Some("c"), annotations: Some(&map) };
        assert_eq!(choose(&all), chosen("a", "a", Origin::Flag));
        assert_eq!(choose(&Wishes { flag: None, ..all }), chosen("b", "b", Origin::Netconf));
        assert_eq!(choose(&Wishes { flag: None, netconf: Some(""), ..all }), chosen("c", "c", Origin::CniArgs));
        let annotated = Wishes { annotations: Some(&map), ..Wishes::default() };
        assert_eq!(choose(&annotated), chosen("d", "d", Origin::Annotation));
        assert_eq!(choose(&Wishes::default()), chosen("default", "default", Origin::Default));
    }

    #[test]
    fn annotations_are_read_as_cilium_reads_them() {
        let choose =
            |pairs: &[(&str, &str)]| choose(&Wishes { annotations: Some(&annotations(pairs)), ..Wishes::default() });
        assert_eq!(choose(&[(IPV4_POOL, "x"), (IP_POOL, "y")]), chosen("x", "y", Origin::Annotation));
        assert_eq!(choose(&[(IPV6_POOL, "x")]), chosen("default", "x", Origin::Annotation));
        assert_eq!(choose(&[(REQUIRE_POOL_MATCH, "true")]), Err(NoMatch));
        assert_eq!(choose(&[(REQUIRE_POOL_MATCH, "true"), (IPV4_POOL, "x")]), chosen("x", "", Origin::Annotation));
        assert_eq!(choose(&[(REQUIRE_POOL_MATCH, "true"), (IP_POOL, "x")]), chosen("x", "x", Origin::Annotation));
        assert_eq!(choose(&[(REQUIRE_POOL_MATCH, "false")]), chosen("default", "default", Origin::Default));
    }
}
