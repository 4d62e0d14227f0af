//! A BGP route as BIRD or FRR shows it.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::Value;

/// One path to a prefix.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Route {
    /// By which session it came: BIRD's protocol, FRR's peer.
    pub from: String,
    /// Global, then link-local, where both were told.
    pub next_hops: Vec<IpAddr>,
    pub as_path: Vec<u32>,
    /// `65001:100`
    pub communities: BTreeSet<String>,
    /// `65001:1:2`
    pub large_communities: BTreeSet<String>,
    pub local_pref: Option<u32>,
    pub med: Option<u32>,
    /// Kept from a session that is down (RFC 4724).
    pub stale: bool,
}

/// `birdc show route all for PREFIX`: a line for each path, attributes below it.
pub fn parse_bird_routes(text: &str) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for line in text.lines() {
        if let Some((from, flags)) = parse_heading(line) {
            routes.push(Route { from, stale: flags.contains('s'), ..Route::default() });
        } else if let (Some(route), Some((name, value))) = (routes.last_mut(), line.trim().split_once(": ")) {
            set_attribute(route, name, value);
        }
    }
    routes
}

/// `192.0.2.10/32  unicast [director1 12:00:00.000] * (100) [AS65001i]`: the
/// session, and the flags between the brackets. `unreachable`, if the next hop is.
fn parse_heading(line: &str) -> Option<(String, String)> {
    let (_, rest) = line.split_once("unicast [").or_else(|| line.split_once("unreachable ["))?;
    let (inside, flags) = rest.split_once(']')?;
    let flags = flags.split('(').next().unwrap_or_default();
    Some((inside.split(' ').next()?.to_owned(), flags.to_owned()))
}

fn set_attribute(route: &mut Route, name: &str, value: &str) {
    match name {
        "BGP.as_path" => route.as_path = parse_as_path(value),
        "BGP.next_hop" => route.next_hops = value.split(' ').filter_map(|word| word.parse().ok()).collect(),
        "BGP.local_pref" => route.local_pref = value.trim().parse().ok(),
        "BGP.med" => route.med = value.trim().parse().ok(),
        "BGP.community" => route.communities = parse_communities(value),
        "BGP.large_community" => route.large_communities = parse_communities(value),
        _ => {}
    }
}

/// `(65001,100) (65001, 1, 2)`, with colons.
fn parse_communities(value: &str) -> BTreeSet<String> {
    let tuples = value.split(')').filter_map(|tuple| tuple.split_once('('));
    tuples.map(|(_, tuple)| tuple.replace(' ', "").replace(',', ":")).collect()
}

fn parse_as_path(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// `show bgp ipv4 unicast PREFIX json`
pub fn parse_frr_routes(answer: &Value) -> Vec<Route> {
    answer["paths"].as_array().into_iter().flatten().map(parse_frr_path).collect()
}

fn parse_frr_path(path: &Value) -> Route {
    let words = |value: &Value| -> BTreeSet<String> {
        value["string"].as_str().unwrap_or_default().split_whitespace().map(ToOwned::to_owned).collect()
    };
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let hops = path["nexthops"].as_array().into_iter().flatten();
    Route {
        from: path["peer"]["peerId"].as_str().unwrap_or_default().to_owned(),
        next_hops: hops.filter_map(|hop| hop["ip"].as_str()?.parse().ok()).collect(),
        as_path: parse_as_path(path["aspath"]["string"].as_str().unwrap_or_default()),
        communities: words(&path["community"]),
        large_communities: words(&path["largeCommunity"]),
        local_pref: number(&path["locPrf"]),
        med: number(&path["med"]).or_else(|| number(&path["metric"])),
        stale: path["stale"] == true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BIRD: &str = "\
BIRD 2.0.12 ready.
Table master4:
192.0.2.10/32        unicast [director1 17:05:01.123 from 10.77.1.2] * (100) [AS65001i]
\tvia 10.77.1.2 on director1
\tType: BGP univ
\tBGP.origin: IGP
\tBGP.as_path: 65001 65001
\tBGP.next_hop: 10.77.1.2
\tBGP.med: 7
\tBGP.local_pref: 200
\tBGP.community: (65001,100) (65535,0)
\tBGP.large_community: (65001, 1, 2)
                     unicast [director2 17:05:02.123] s (100) [AS65001i]
\tvia 10.77.2.2 on director2
\tBGP.next_hop: fd77:1::2 fe80::1
";

    #[test]
    fn reads_all_paths_of_bird() {
        let routes = parse_bird_routes(BIRD);
        assert_eq!(routes.len(), 2);
        assert_eq!(routes[0].from, "director1");
        assert_eq!(routes[0].as_path, [65001, 65001]);
        assert_eq!((routes[0].med, routes[0].local_pref), (Some(7), Some(200)));
        assert_eq!(routes[0].communities, ["65001:100", "65535:0"].map(String::from).into());
        assert_eq!(routes[0].large_communities, ["65001:1:2"].map(String::from).into());
        assert!(!routes[0].stale && routes[1].stale);
        assert_eq!(routes[1].next_hops.len(), 2);
    }

    #[test]
    fn reads_all_paths_of_frr() {
        let answer = json!({"prefix": "192.0.2.10/32", "paths": [{
            "aspath": {"string": "65001 65001"}, "metric": 7, "locPrf": 200,
            "community": {"string": "65001:100 gracefulShutdown"},
            "largeCommunity": {"string": "65001:1:2"},
            "nexthops": [{"ip": "10.77.1.2"}], "peer": {"peerId": "10.77.1.2"}, "stale": true,
        }]});
        let routes = parse_frr_routes(&answer);
        assert_eq!(routes[0].as_path, [65001, 65001]);
        assert_eq!((routes[0].med, routes[0].local_pref, routes[0].stale), (Some(7), Some(200), true));
        assert!(routes[0].communities.contains("gracefulShutdown"));
    }
}
