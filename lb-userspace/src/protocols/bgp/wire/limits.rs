//! Limits of messages.

/// Bytes of the header: marker, length and type (RFC 4271, section 4.1).
pub const HEADER: usize = 19;
/// Bytes of the longest message (RFC 4271, section 4).
pub const MAX_MESSAGE: usize = 4096;

/// Why a message of ours can't be sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("the message would have {0} bytes, more than {MAX_MESSAGE}")]
    TooLong(usize),
    #[error("{0}")]
    Unencodable(String),
}
