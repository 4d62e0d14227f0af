//! Packets as the tests write them: from the outside in, with all lengths and
//! checksums computed in full. Shares no code with the programs under test.

mod checksum;
mod frame;
mod gue;
mod icmp;
mod ip;
mod transport;
mod verify;

pub use checksum::sum;
pub use frame::{ETH_LEN, Macs, Tag, ethernet, frame, tagged, untagged};
pub use gue::Gue;
pub use icmp::Icmp;
pub use ip::{Extension, Ip, Payload};
pub use transport::{ACK, FIN, RST, SEQUENCE, SYN, Transport};
pub use verify::verify_frame_checksums;
