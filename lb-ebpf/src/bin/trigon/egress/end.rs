//! The end of a connection, as its endpoint tells it.
//!
//! An entry of `NODE_FLOWS` stays when its connection is over, since what the client still has to acknowledge goes
//! to the same endpoint. If the client then uses its port again, that endpoint may be the wrong one: it may drain,
//! or its process may have ended.

use lb_common::maps::{Reply, ReplyKey};

use crate::{
    dry_run,
    maps::{self, NODE_FLOWS},
};

/// Notes that the endpoint sends a FIN or an RST: the next SYN with another sequence number begins the flow anew
/// (`node::known`).
///
/// A FIN of the endpoint's is enough. The client that opens another connection from its port has none there any
/// more; and what the client sends proves nothing: anybody could send a FIN or an RST in its name, and a SYN after
/// it.
///
/// Not inlined: other replies have no use for its stack.
#[inline(never)]
pub fn note(key: &ReplyKey, reply: &Reply) {
    let flow = reply.flow(key);
    // None if it has gone to another endpoint since, which has said nothing.
    let Some(found) = maps::flow_of_reply(key, &flow) else { return };
    if !found.has_ended() {
        // A whole entry: Linux 5.10 has no atomic OR, and another CPU may be filling the element with another flow.
        let _ = dry_run::remember(&NODE_FLOWS, &flow, &found.with_end(true));
    }
}
