//! Solicited-node multicast groups. A switch or the network card may drop solicitations
//! to a group that nobody has joined, so the kernel joins them for us, and tells routers
//! and switches (MLD, RFC 3810).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::Ipv6Addr,
};

use socket2::{Domain, Protocol, Socket, Type};

/// Groups per socket: its memberships have to fit into `net.core.optmem_max`.
const PER_SOCKET: usize = 128;

/// The groups joined on one interface.
pub struct MulticastGroups {
    ifindex: u32,
    sockets: Vec<Membership>,
}

struct Membership {
    socket: Socket,
    groups: BTreeSet<Ipv6Addr>,
}

impl MulticastGroups {
    pub fn new(ifindex: u32) -> Self {
        Self { ifindex, sockets: Vec::new() }
    }

    /// Joins these groups and leaves all others; returns the first error.
    pub fn set_groups(&mut self, wanted: &BTreeSet<Ipv6Addr>) -> io::Result<()> {
        let mut result = Ok(());
        let mut missing: BTreeMap<_, _> = wanted.iter().map(|group| (*group, ())).collect();
        for membership in &mut self.sockets {
            for group in &membership.groups {
                if missing.remove(group).is_none() {
                    // An error is ignored: the membership may be gone with the interface.
                    let _ = membership.socket.leave_multicast_v6(group, self.ifindex);
                }
            }
            membership.groups.retain(|group| wanted.contains(group));
        }
        self.sockets.retain(|membership| !membership.groups.is_empty());
        for group in missing.keys() {
            result = result.and(self.join_group(*group));
        }
        result
    }

    fn join_group(&mut self, group: Ipv6Addr) -> io::Result<()> {
        let free = self.sockets.iter_mut().position(|membership| membership.groups.len() < PER_SOCKET);
        let at = match free {
            Some(at) => at,
            None => {
                let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
                self.sockets.push(Membership { socket, groups: BTreeSet::new() });
                self.sockets.len() - 1
            }
        };
        let membership = &mut self.sockets[at];
        membership.socket.join_multicast_v6(&group, self.ifindex)?;
        membership.groups.insert(group);
        Ok(())
    }
}
