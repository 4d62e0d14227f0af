//! What is wrong with Services and Nodes, and who says what of it.

use super::objects::{Changed, NODE, SERVICE};

pub struct Wrong {
    pub changed: Changed,
    pub field: &'static str,
    /// What the API server says of the field.
    pub told: &'static str,
    /// What `trigon check` says of it.
    pub checked: &'static str,
}

/// Both say the same.
pub const fn wrong(
    object: &'static str,
    from: &'static str,
    to: &'static str,
    field: &'static str,
    told: &'static str,
) -> Wrong {
    Wrong { changed: Changed { object, from, to }, field, told, checked: told }
}

impl Wrong {
    /// The API server has words of its own for it.
    pub const fn but_checked(self, checked: &'static str) -> Self {
        Self { checked, ..self }
    }
}

pub const SERVICES: &[Wrong] = &[
    wrong(
        SERVICE,
        "dsr: \"true\"",
        "dsr: \"yes\"",
        "metadata.annotations[trigon.dev/dsr]",
        "`yes` is not a value of it; write one of `true`, `false`",
    ),
    wrong(
        SERVICE,
        "delivery: auto",
        "delivery: gre",
        "metadata.annotations[trigon.dev/delivery]",
        "`gre` is not a value of it; write one of `auto`, `l2`, `ipip`, `gue`",
    ),
    wrong(
        SERVICE,
        "delivery: auto",
        "backends: pods",
        "metadata.annotations[trigon.dev/backends]",
        "`pods` is not a value of it; write `bare`, or remove the annotation",
    ),
    wrong(
        SERVICE,
        "delivery: auto",
        "health-check: tcp",
        "metadata.annotations[trigon.dev/health-check]",
        "only bare servers are checked; nodes are probed; remove it, or write trigon.dev/backends: bare",
    ),
    wrong(
        SERVICE,
        "delivery: auto",
        "backends: bare\n    trigon.dev/health-check: https:/live",
        "metadata.annotations[trigon.dev/health-check]",
        "`https:/live` is not a value of it; write one of `tcp`, `http:/PATH`, `icmp`, `none`",
    ),
    wrong(
        SERVICE,
        "delivery: auto",
        "backends: bare\n    trigon.dev/health-check: http:live",
        "metadata.annotations[trigon.dev/health-check]",
        "`live` is not a path that can be asked for; write http:/PATH, of visible ASCII characters, at most 1024",
    ),
    wrong(
        SERVICE,
        "delivery: auto",
        "backends: bare\n    trigon.dev/health-check: 'http:/a b'",
        "metadata.annotations[trigon.dev/health-check]",
        "`/a b` is not a path that can be asked for; write http:/PATH",
    ),
    wrong(
        SERVICE,
        "delivery: auto\nspec:\n  type: LoadBalancer\n  loadBalancerClass: trigon.dev/lb\n  ports:\n  - {name: http, port: 80, protocol: TCP}",
        "backends: bare\n    trigon.dev/health-check: tcp\nspec:\n  type: LoadBalancer\n  loadBalancerClass: trigon.dev/lb\n  ports:\n  - {name: dns, port: 53, protocol: UDP}",
        "metadata.annotations[trigon.dev/health-check]",
        "`tcp` asks none of its ports: they are all UDP; write icmp, or none",
    ),
    wrong(
        SERVICE,
        "trigon.dev/delivery: auto",
        "trigon.dev/new-flows-per-second: \"0\"",
        "metadata.annotations[trigon.dev/new-flows-per-second]",
        "`0` is not a number of flows; write a number from 1 to 4294967295, or remove the annotation",
    ),
    wrong(
        SERVICE,
        "trigon.dev/delivery: auto",
        "trigon.dev/new-flows-per-second: \"4294967296\"",
        "metadata.annotations[trigon.dev/new-flows-per-second]",
        "`4294967296` is not a number of flows; write a number from 1 to 4294967295",
    ),
    wrong(
        SERVICE,
        "trigon.dev/delivery: auto",
        "trigon.dev/new-flows-per-second: many",
        "metadata.annotations[trigon.dev/new-flows-per-second]",
        "`many` is not a number of flows; write",
    ),
];

/// What the controller refuses: to agents, and to `trigon check`, only addresses that a Service has matter.
pub const REQUESTS: &[(Changed, &str)] = &[
    (
        Changed {
            object: SERVICE,
            from: "trigon.dev/delivery: auto",
            to: "trigon.dev/load-balancer-ips: web.example",
        },
        "metadata.annotations[trigon.dev/load-balancer-ips]: `web.example` is not an IP address; write an address such as",
    ),
    (
        Changed {
            object: SERVICE,
            from: "trigon.dev/delivery: auto",
            to: "trigon.dev/load-balancer-ips: 192.0.2.1, 192.0.2.2",
        },
        "name at most one IPv4 and one IPv6 address",
    ),
];

pub const NODES: &[Wrong] = &[
    wrong(
        NODE,
        "director: \"true\"",
        "director: maybe",
        "metadata.labels[trigon.dev/director]",
        "`maybe` is not a value of this label; write \"true\", or remove the label",
    ),
    wrong(
        NODE,
        "node-address: 10.0.0.1",
        "node-address: ''",
        "metadata.annotations[trigon.dev/node-address]",
        "`` is not an IP address; write an address such as 192.0.2.10 or 2001:db8::10",
    ),
    wrong(
        NODE,
        "node-address: 10.0.0.1",
        "node-address: node1.example",
        "metadata.annotations[trigon.dev/node-address]",
        "`node1.example` is not an IP address; write an address such as",
    ),
    wrong(
        NODE,
        "node-address: 10.0.0.1",
        "node-address: '10.0.0.1,10.0.0.2'",
        "metadata.annotations[trigon.dev/node-address]",
        "name at most one IPv4 and one IPv6 address",
    ),
];
