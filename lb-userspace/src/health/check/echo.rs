//! Echo requests and replies: RFC 792, RFC 4443 section 4. Pure.

use lb_common::checksum;

/// Bytes of a token: what the server has to send back.
const TOKEN_LEN: usize = 20;
const ICMP_LEN: usize = 8;
/// One byte more than the longest answer, which has an IPv4 header with options before it.
pub const BUFFER_LEN: usize = 60 + ICMP_LEN + TOKEN_LEN + 1;

pub type Token = [u8; TOKEN_LEN];

/// Identifies the server and the round: all servers answer from the same VIP.
pub fn make_token(secret: u64, mark: u32, sequence: u64) -> Token {
    let mut token = [0; TOKEN_LEN];
    token[..8].copy_from_slice(&secret.to_be_bytes());
    token[8..12].copy_from_slice(&mark.to_be_bytes());
    token[12..].copy_from_slice(&sequence.to_be_bytes());
    token
}

/// The ICMP message. In IPv6, its checksum is left to the kernel.
pub fn encode_request(is_v4: bool, token: &Token) -> Vec<u8> {
    let mut message = vec![if is_v4 { 8 } else { 128 }, 0, 0, 0];
    // Identifier and sequence number are for people who read captures: not used here.
    message.extend(&token[10..12]);
    message.extend(&token[18..]);
    message.extend(token);
    if is_v4 {
        let words = message.chunks_exact(2).map(|pair| u64::from(u16::from_ne_bytes([pair[0], pair[1]])));
        let check = !checksum::fold(words.sum());
        message[2..4].copy_from_slice(&check.to_ne_bytes());
    }
    message
}

/// Is this, as a raw socket gives it, the answer to the request? The kernel has
/// verified checksums.
pub fn is_answer(is_v4: bool, packet: &[u8], request: &[u8]) -> bool {
    // A raw socket of IPv4 gives the IP header too.
    let header = if is_v4 { packet.first().map_or(0, |first| usize::from(first & 0xf) * 4) } else { 0 };
    let kind = if is_v4 { 0 } else { 129 };
    packet.get(header..).is_some_and(|message| {
        message.len() == request.len() && message[..2] == [kind, 0] && message[4..] == request[4..]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The server's answer, as a raw socket gives it.
    fn answer_to(is_v4: bool, request: &[u8]) -> Vec<u8> {
        let header = if is_v4 { vec![0x45; 20] } else { Vec::new() };
        let mut answer = [header.clone(), request.to_vec()].concat();
        answer[header.len()] = if is_v4 { 0 } else { 129 };
        answer
    }

    #[test]
    fn an_answer_is_for_one_server_and_one_round() {
        for is_v4 in [true, false] {
            let ask = |secret, mark, sequence| encode_request(is_v4, &make_token(secret, mark, sequence));
            let asked = ask(1, 2, 3);
            assert!(is_answer(is_v4, &answer_to(is_v4, &asked), &asked));
            for other in [ask(9, 2, 3), ask(1, 9, 3), ask(1, 2, 9)] {
                assert!(!is_answer(is_v4, &answer_to(is_v4, &other), &asked));
            }
        }
    }

    #[test]
    fn other_packets_are_no_answer() {
        for is_v4 in [true, false] {
            let asked = encode_request(is_v4, &make_token(1, 2, 3));
            let answer = answer_to(is_v4, &asked);
            for len in 0..answer.len() {
                assert!(!is_answer(is_v4, &answer[..len], &asked), "{len} bytes");
            }
            assert!(!is_answer(is_v4, &[answer, vec![0]].concat(), &asked));
            // The request itself, as a machine sees it that has the VIP too.
            assert!(!is_answer(is_v4, &[vec![0x45; 20], asked.clone()].concat(), &asked));
            assert!(!is_answer(is_v4, &asked, &asked));
        }
    }

    #[test]
    fn the_checksum_of_ipv4_is_right() {
        let message = encode_request(true, &make_token(0x1234_5678_9abc_def0, 0x0007_30d5, u64::MAX));
        let words = message.chunks_exact(2).map(|pair| u64::from(u16::from_ne_bytes([pair[0], pair[1]])));
        assert_eq!(checksum::fold(words.sum()), 0xffff);
    }
}
