//! Solicited-node multicast groups: without a member of the group, a switch or
//! the network card may keep solicitations from us. Joined by the kernel, which
//! tells routers and switches so (MLD, RFC 3810).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::Ipv6Addr,
};

use socket2::{Domain, Protocol, Socket, Type};

/// A socket's memberships have to fit in `net.core.optmem_max`.
const PER_SOCKET: usize = 128;

/// On one interface.
pub struct Groups {
    ifindex: u32,
    sockets: Vec<Member>,
}

struct Member {
    socket: Socket,
    groups: BTreeSet<Ipv6Addr>,
}

impl Groups {
    pub fn new(ifindex: u32) -> Self {
        Self { ifindex, sockets: Vec::new() }
    }

    /// Be in these and no others; the first error of those that there were.
    pub fn set(&mut self, wanted: &BTreeSet<Ipv6Addr>) -> io::Result<()> {
        let mut result = Ok(());
        let mut missing: BTreeMap<_, _> = wanted.iter().map(|group| (*group, ())).collect();
        for member in &mut self.sockets {
            for group in &member.groups {
                if missing.remove(group).is_none() {
                    // It may be gone with the interface.
                    let _ = member.socket.leave_multicast_v6(group, self.ifindex);
                }
            }
            member.groups.retain(|group| wanted.contains(group));
        }
        self.sockets.retain(|member| !member.groups.is_empty());
        for group in missing.keys() {
            result = result.and(self.join(*group));
        }
        result
    }

    fn join(&mut self, group: Ipv6Addr) -> io::Result<()> {
        let free = self.sockets.iter_mut().position(|member| member.groups.len() < PER_SOCKET);
        let at = match free {
            Some(at) => at,
            None => {
                let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
                self.sockets.push(Member { socket, groups: BTreeSet::new() });
                self.sockets.len() - 1
            }
        };
        let member = &mut self.sockets[at];
        member.socket.join_multicast_v6(&group, self.ifindex)?;
        member.groups.insert(group);
        Ok(())
    }
}
