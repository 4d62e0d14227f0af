//! A program on an interface.

use std::{fmt, str::FromStr};

use serde::Serialize;

/// Where in the stack the XDP program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// In the driver.
    #[default]
    Native,
    /// After the kernel made a socket buffer: any interface, but slow.
    Generic,
}

impl FromStr for XdpMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "native" => Ok(Self::Native),
            "generic" => Ok(Self::Generic),
            _ => Err(format!("{text} is neither native nor generic")),
        }
    }
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

/// A program on an interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Attachment {
    pub interface: String,
    pub mode: XdpMode,
    /// Was there a link, which now has a new program?
    pub adopted: bool,
}
