//! The files of a cluster, and the next hops of its nodes.

use std::{
    fs,
    io::Result,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use lb_userspace::neigh::{Mac, NextHop, NextHops, Reach};

use crate::layout::{endpoint_address, node_address, node_of, vip};

/// The index of the interface that all nodes are at.
pub const DEVICE: u32 = 2;

pub struct Site {
    dir: PathBuf,
    /// The nodes of each Service's endpoints.
    services: Vec<Vec<usize>>,
    nodes: usize,
    macs: Vec<u8>,
}

impl Site {
    /// Writes a file for each node and each Service with its slice.
    pub fn write(dir: &Path, services: usize, endpoints: usize, nodes: usize) -> Result<Self> {
        let nodes_of = |service| (0..endpoints).map(|n| node_of(service, n, nodes)).collect();
        let services: Vec<Vec<usize>> = (0..services).map(nodes_of).collect();
        let site = Self { dir: dir.to_owned(), services, nodes, macs: vec![1; 1 << 16] };
        fs::write(dir.join("director.yaml"), node_text("director", [10, 1, 0, 1].into(), true))?;
        for node in 0..nodes {
            site.write_node(node)?;
        }
        for service in 0..site.services.len() {
            site.write_service(service)?;
        }
        Ok(site)
    }

    /// An endpoint of a Service moves to another node. Returns the name of the file.
    pub fn change_endpoint(&mut self, service: usize) -> Result<String> {
        let node = &mut self.services[service][0];
        *node = (*node + 1) % self.nodes;
        self.write_service(service)
    }

    pub fn add_node(&mut self) -> Result<String> {
        self.nodes += 1;
        self.write_node(self.nodes - 1)
    }

    /// The next hops after one machine has got another network card.
    pub fn change_hop(&mut self, node: usize) -> NextHops {
        self.macs[node] += 1;
        self.hops()
    }

    pub fn hops(&self) -> NextHops {
        let node = |node: usize| (IpAddr::from(node_address(node)), Reach::Via(next_hop(self.mac_of(node))));
        let own = (IpAddr::from([10, 1, 0, 1]), Reach::Local);
        (0..self.nodes).map(node).chain([own]).collect()
    }

    /// Of a node's network card.
    pub fn mac_of(&self, node: usize) -> Mac {
        let [_, _, high, low] = node_address(node).octets();
        [2, 0, 0, high, low, self.macs[node]]
    }

    fn write_node(&self, node: usize) -> Result<String> {
        self.write_file(
            format!("node-{node}.yaml"),
            node_text(&format!("n{node}"), node_address(node), false),
        )
    }

    fn write_service(&self, service: usize) -> Result<String> {
        self.write_file(format!("service-{service}.yaml"), service_text(service, &self.services[service]))
    }

    fn write_file(&self, name: String, text: String) -> Result<String> {
        fs::write(self.dir.join(&name), text)?;
        Ok(name)
    }
}

fn next_hop(mac: Mac) -> NextHop {
    NextHop {
        ifindex: DEVICE,
        interface: "uplink".into(),
        device: DEVICE,
        tags: Vec::new(),
        source: IpAddr::from([10, 1, 0, 1]),
        on_link: true,
        gateway: None,
        mtu: 1_600,
        src_mac: [2; 6],
        dst_mac: Some(mac),
        is_silent: false,
    }
}

fn node_text(name: &str, address: Ipv4Addr, director: bool) -> String {
    format!(
        "apiVersion: v1
kind: Node
metadata:
  name: {name}
  labels:
    kubernetes.io/hostname: {name}
    trigon.dev/director: \"{director}\"
status:
  addresses:
  - type: InternalIP
    address: {address}
"
    )
}

fn service_text(service: usize, nodes: &[usize]) -> String {
    let vip = vip(service);
    let endpoint = |(n, node): (usize, &usize)| {
        let address = endpoint_address(service * nodes.len() + n);
        format!(
            "- addresses: [\"{address}\"]
  nodeName: n{node}
  conditions: {{ready: true, serving: true, terminating: false}}
  targetRef: {{kind: Pod, name: s{service}-{n}, namespace: default}}
"
        )
    };
    let endpoints: String = nodes.iter().enumerate().map(endpoint).collect();
    format!(
        "apiVersion: v1
kind: Service
metadata:
  name: s{service}
  namespace: default
  labels:
    app: s{service}
  annotations:
    trigon.dev/dsr: \"true\"
spec:
  type: LoadBalancer
  loadBalancerClass: trigon.dev/lb
  selector:
    app: s{service}
  ports:
  - name: http
    port: 80
    targetPort: 8080
status:
  loadBalancer:
    ingress:
    - ip: {vip}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: s{service}-1
  namespace: default
  labels:
    kubernetes.io/service-name: s{service}
addressType: IPv4
ports:
- name: http
  port: 8080
endpoints:
{endpoints}"
    )
}
