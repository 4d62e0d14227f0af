//! Is a program static? Read from its program headers (elf(5)).

use anyhow::{Context, Result, ensure};

/// Four bytes, then: 64 bits, little-endian.
const IDENT: &[u8] = b"\x7fELF\x02\x01";
const PT_INTERP: usize = 3;
/// Where the ELF header has the offset, the length in bytes and the number of program headers.
const PHOFF: usize = 32;
const PHENTSIZE: usize = 54;
const PHNUM: usize = 56;

/// The dynamic linker that a program asks for; None: it is static.
pub fn interpreter(elf: &[u8]) -> Result<Option<String>> {
    ensure!(elf.starts_with(IDENT), "not a 64-bit little-endian ELF file");
    let (offset, size, count) = (word(elf, PHOFF)?, half(elf, PHENTSIZE)?, half(elf, PHNUM)?);
    for index in 0..count {
        let header =
            elf.get(offset.saturating_add(index * size)..).context("a program header beyond the end")?;
        if half(header, 0)? == PT_INTERP && half(header, 2)? == 0 {
            let (start, len) = (word(header, 8)?, word(header, 32)?);
            let path = elf.get(start..start.saturating_add(len)).context("an interpreter beyond the end")?;
            return Ok(Some(String::from_utf8_lossy(path).trim_end_matches('\0').to_owned()));
        }
    }
    Ok(None)
}

fn half(bytes: &[u8], at: usize) -> Result<usize> {
    let bytes = bytes.get(at..at + 2).context("an ELF file that ends early")?;
    Ok(u16::from_le_bytes(bytes.try_into()?).into())
}

fn word(bytes: &[u8], at: usize) -> Result<usize> {
    let bytes = bytes.get(at..at + 8).context("an ELF file that ends early")?;
    Ok(u64::from_le_bytes(bytes.try_into()?).try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever runs tests is itself such a program.
    #[test]
    fn a_program_with_libraries_is_told() {
        let own = std::fs::read("/proc/self/exe").expect("our own program");
        let told = interpreter(&own).expect("an ELF file");
        assert!(told.as_ref().is_some_and(|path| path.contains("ld-linux")), "{told:?}");
    }

    #[test]
    fn a_static_one_and_broken_ones_are_told() {
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(IDENT);
        (elf[PHOFF], elf[PHENTSIZE], elf[PHNUM]) = (64, 56, 1);
        elf[64] = 1;
        assert_eq!(interpreter(&elf).expect("PT_LOAD alone"), None);
        elf[64] = 3;
        elf[64 + 8] = 250;
        elf[64 + 32] = 9;
        assert!(interpreter(&elf).is_err());
        for len in 0..64 {
            assert!(interpreter(&elf[..len]).is_err(), "{len}");
        }
        assert!(interpreter(b"#!/bin/sh\n").is_err());
    }
}
