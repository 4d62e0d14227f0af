//! The error codes' names in the RFCs, and what an operator can do about each.

use super::notification::Code;

/// The name in the RFC: `OPEN Message Error: Bad Peer AS`.
pub fn error_name((code, subcode): Code) -> String {
    let family = CODES.iter().find(|(number, _)| *number == code);
    let Some((_, family)) = family else { return format!("Unknown Error {code}/{subcode}") };
    match find_code_entry((code, subcode)) {
        Some((_, "", _)) => (*family).to_owned(),
        Some((_, name, _)) => format!("{family}: {name}"),
        None => format!("{family}: unknown subcode {subcode}"),
    }
}

/// What an operator can do. The text is true whichever side sent the NOTIFICATION.
pub fn error_remedy(code: Code) -> &'static str {
    match find_code_entry(code) {
        Some((_, _, remedy)) => remedy,
        None => "Look up the code in the peer's documentation and its log.",
    }
}

fn find_code_entry(code: Code) -> Option<&'static (Code, &'static str, &'static str)> {
    REASONS.iter().find(|(of, _, _)| *of == code)
}

/// IANA: BGP Error (Notification) Codes
const CODES: [(u8, &str); 8] = [
    (1, "Message Header Error"),
    (2, "OPEN Message Error"),
    (3, "UPDATE Message Error"),
    (4, "Hold Timer Expired"),
    (5, "Finite State Machine Error"),
    (6, "Cease"),
    (7, "ROUTE-REFRESH Message Error"),
    (8, "Send Hold Timer Expired"),
];

const IMPLEMENTATION: &str = "One of the two speakers has a defect: capture the session with tcpdump and report it, \
                              with both versions.";
const NOT_BGP: &str = "Something other than a BGP speaker, or a middlebox, is at that address and port: check \
                       spec.peerAddress and spec.peerPort.";
const ATTRIBUTES: &str = "The peer does not accept a path attribute of ours: check what its log says, and \
                          communities, localPref and prepend of the BgpAdvertisements.";
const PEER_POLICY: &str = "The peer's configuration refuses us: check there that this node's address and AS are \
                           configured as a neighbour.";

/// IANA: the subcodes registries; RFC 4271, 4486, 6608, 7313, 8538, 9003, 9234, 9384, 9687.
const REASONS: &[(Code, &str, &str)] = &[
    ((1, 0), "", NOT_BGP),
    ((1, 1), "Connection Not Synchronized", NOT_BGP),
    ((1, 2), "Bad Message Length", NOT_BGP),
    ((1, 3), "Bad Message Type", NOT_BGP),
    ((2, 0), "", IMPLEMENTATION),
    (
        (2, 1),
        "Unsupported Version Number",
        "The peer does not speak BGP-4: upgrade it, or peer with another router.",
    ),
    (
        (2, 2),
        "Bad Peer AS",
        "The two sides disagree on an AS: compare spec.myASN and spec.peerASN (or dynamicASN) of the BgpPeer with \
         the neighbour's configuration on the router.",
    ),
    (
        (2, 3),
        "Bad BGP Identifier",
        "The router id is 0.0.0.0, or both sides of the same AS have the same: give each speaker its own \
         (spec.routerID of the BgpPeer).",
    ),
    (
        (2, 4),
        "Unsupported Optional Parameter",
        "The receiver does not know capabilities (RFC 5492), or an extension of OPEN: upgrade the router, or turn \
         the extension off there.",
    ),
    (
        (2, 5),
        "Authentication Failure",
        "Deprecated kind of authentication: use spec.password (TCP MD5) on both sides.",
    ),
    (
        (2, 6),
        "Unacceptable Hold Time",
        "Set spec.holdTime of the BgpPeer to what the router accepts: 0s, or 3s and more.",
    ),
    (
        (2, 7),
        "Unsupported Capability",
        "The router demands a capability or an address family that the other side lacks: enable IPv4 or IPv6 \
         unicast for this neighbour on the router.",
    ),
    (
        (2, 11),
        "Role Mismatch",
        "The router demands a BGP role (RFC 9234) of us, and we have none: remove it from this neighbour.",
    ),
    ((3, 0), "", ATTRIBUTES),
    ((3, 1), "Malformed Attribute List", IMPLEMENTATION),
    ((3, 2), "Unrecognized Well-known Attribute", IMPLEMENTATION),
    ((3, 3), "Missing Well-known Attribute", IMPLEMENTATION),
    ((3, 4), "Attribute Flags Error", IMPLEMENTATION),
    ((3, 5), "Attribute Length Error", IMPLEMENTATION),
    ((3, 6), "Invalid ORIGIN Attribute", IMPLEMENTATION),
    (
        (3, 7),
        "AS Routing Loop",
        "The router saw its own AS in our path: its AS and ours must differ, or be the same on both sides.",
    ),
    (
        (3, 8),
        "Invalid NEXT_HOP Attribute",
        "The router does not accept our address as next hop: it must be on a link that both share, or the peer \
         must be configured as multihop.",
    ),
    ((3, 9), "Optional Attribute Error", ATTRIBUTES),
    ((3, 10), "Invalid Network Field", IMPLEMENTATION),
    ((3, 11), "Malformed AS_PATH", ATTRIBUTES),
    (
        (4, 0),
        "",
        "Nothing was heard for the hold time: check that the link and the other speaker are alive, and that \
         spec.holdTime is not too short for it.",
    ),
    ((5, 0), "", IMPLEMENTATION),
    ((5, 1), "Receive Unexpected Message in OpenSent State", IMPLEMENTATION),
    ((5, 2), "Receive Unexpected Message in OpenConfirm State", IMPLEMENTATION),
    ((5, 3), "Receive Unexpected Message in Established State", IMPLEMENTATION),
    ((6, 0), "", "The session was ended on purpose: look into the log of the side that did."),
    (
        (6, 1),
        "Maximum Number of Prefixes Reached",
        "We announce more prefixes than the router allows us: raise its limit, or aggregate \
         (spec.aggregationLength of the BgpAdvertisement). The router may need the session cleared by hand.",
    ),
    (
        (6, 2),
        "Administrative Shutdown",
        "The session was shut down on purpose: start it again on the side that did.",
    ),
    (
        (6, 3),
        "Peer De-configured",
        "The side that ended it no longer has this peer in its configuration: add it again if it should be.",
    ),
    ((6, 4), "Administrative Reset", "Somebody has reset the session; it comes back by itself."),
    ((6, 5), "Connection Rejected", PEER_POLICY),
    ((6, 6), "Other Configuration Change", "The session's parameters were changed; it comes back by itself."),
    (
        (6, 7),
        "Connection Collision Resolution",
        "Both sides had opened a connection, and one was kept: nothing to do unless it recurs, then set passiveMode \
         on one side.",
    ),
    ((6, 8), "Out of Resources", "The router is short of memory or of sessions: free some there."),
    (
        (6, 9),
        "Hard Reset",
        "The session was ended on purpose, and its routes are not kept: see the reason within.",
    ),
    (
        (6, 10),
        "BFD Down",
        "BFD lost the other side: check the link between them, that BFD is enabled on both, and that its intervals \
         suit the path. The session returns once BFD is up.",
    ),
    ((7, 1), "Invalid Message Length", IMPLEMENTATION),
    (
        (8, 0),
        "",
        "The other side no longer reads what it is sent: it is overloaded or hangs; look at its load and log.",
    ),
];
