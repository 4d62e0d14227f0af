//! A server's record of its clients' addresses.

use std::{
    collections::HashSet,
    fs::File,
    io::Write,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use anyhow::{Context, Result};

/// A file with one address a line, each once.
pub struct SourceLog {
    seen: HashSet<IpAddr>,
    file: Option<File>,
}

impl SourceLog {
    /// Without a path, nothing is written.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let create = |path: &Path| File::create(path).with_context(|| format!("creating {}", path.display()));
        Ok(Self { seen: HashSet::new(), file: path.map(create).transpose()? })
    }

    pub fn note(&mut self, from: SocketAddr) -> Result<()> {
        let address = from.ip().to_canonical();
        match &mut self.file {
            Some(file) if self.seen.insert(address) => {
                writeln!(file, "{address}").context("writing a source")
            }
            _ => Ok(()),
        }
    }
}
