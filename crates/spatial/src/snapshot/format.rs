//! The layout of a snapshot file. All numbers are little-endian.
//!
//! | bytes | header |
//! |---|---|
//! | 0..8 | `OTTAVA8D` |
//! | 8..12 | version |
//! | 12..16 | number of sections |
//! | 16..24 | length of the file |
//! | 24..28 | CRC-32 of the section table |
//! | 28..32 | CRC-32 of the section `checksums` with its padding |
//! | 32..60 | 0 |
//! | 60..64 | CRC-32 of the bytes before |
//!
//! The section table follows: 64 bytes a section.
//!
//! | bytes | section |
//! |---|---|
//! | 0..24 | name, filled up with 0 |
//! | 24..32 | offset in the file, a multiple of 64 |
//! | 32..40 | length |
//! | 40..64 | 0 |
//!
//! The sections follow in the order of the table without a gap, each padded with 0 to a multiple of
//! 64 bytes, to the end of the file. The last one, `checksums`, holds the CRC-32 of each block of the
//! others: 16 KiB from the beginning of the section, or what is left of it and its padding.

use std::ops::Range;

use std::path::Path;

use super::damaged;
use crate::error::Error;

pub(crate) const MAGIC: [u8; 8] = *b"OTTAVA8D";

/// Raised by every change of the layout of a section.
pub(crate) const VERSION: u32 = 2;

/// The size of the header, of an entry of the table, and the alignment of sections.
pub(crate) const UNIT: usize = 64;

/// The bytes that have a checksum of their own: few, because the first look at any of them reads them all.
pub(crate) const BLOCK: usize = 1 << 14;

/// The section with the checksums of the others.
pub(crate) const CHECKSUMS: &str = "checksums";

/// The most sections a file may have.
const MAX_SECTIONS: usize = 64;

/// The most bytes that the header and the table have.
pub(crate) const MAX_HEAD: usize = UNIT * (MAX_SECTIONS + 1);

/// An entry of the section table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) offset: usize,
    pub(crate) len: usize,
    /// The number of its first block, those of the sections before counted.
    pub(crate) first_block: usize,
}

impl Section {
    /// The end of the section with its padding.
    pub(crate) fn padded_end(&self) -> Option<usize> {
        self.offset.checked_add(self.len)?.checked_next_multiple_of(UNIT)
    }

    /// The numbers of its blocks.
    pub(crate) fn blocks(&self) -> Range<usize> {
        self.first_block..self.first_block + self.len.div_ceil(BLOCK)
    }
}

/// What the header and the table say.
pub(crate) struct Layout {
    pub(crate) sections: Vec<Section>,
    /// The CRC-32 of the section [`CHECKSUMS`] with its padding.
    pub(crate) checksums_crc: u32,
}

/// The header and the table of a file of `file_len` bytes.
pub(crate) fn encode(layout: &Layout, file_len: usize) -> Vec<u8> {
    let sections = &layout.sections;
    let mut table = Vec::with_capacity(UNIT * sections.len());
    for section in sections {
        let mut entry = [0; UNIT];
        entry[..section.name.len()].copy_from_slice(section.name.as_bytes());
        entry[24..32].copy_from_slice(&(section.offset as u64).to_le_bytes());
        entry[32..40].copy_from_slice(&(section.len as u64).to_le_bytes());
        table.extend(entry);
    }
    let mut header = [0; UNIT];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&(sections.len() as u32).to_le_bytes());
    header[16..24].copy_from_slice(&(file_len as u64).to_le_bytes());
    header[24..28].copy_from_slice(&crc32fast::hash(&table).to_le_bytes());
    header[28..32].copy_from_slice(&layout.checksums_crc.to_le_bytes());
    let crc = crc32fast::hash(&header[..60]);
    header[60..].copy_from_slice(&crc.to_le_bytes());
    [&header[..], &table].concat()
}

/// Checks the header and the table of a file of `file_len` bytes that begins with `head`: [`MAX_HEAD`] bytes, or the whole file.
pub(crate) fn decode(path: &Path, head: &[u8], file_len: usize) -> Result<Layout, Error> {
    let wrong = |problem: &str| damaged(path, "header", problem);
    let Some(header) = head.first_chunk::<UNIT>() else {
        return Err(wrong("the file ends in it"));
    };
    if header[..8] != MAGIC {
        return Err(wrong("this is not a snapshot"));
    }
    if u32_at(header, 60) != crc32fast::hash(&header[..60]) {
        return Err(wrong("checksum mismatch"));
    }
    let version = u32_at(header, 8);
    if version > VERSION {
        return Err(Error::NewerSnapshot { path: path.into(), found: version, supported: VERSION });
    }
    if version != VERSION {
        return Err(wrong("its version is older than any that can be read"));
    }
    if u64_at(header, 16) != file_len as u64 {
        return Err(wrong("the file has another length than it was written with"));
    }
    let count = u32_at(header, 12) as usize;
    let wrong = |problem: &str| damaged(path, "sections", problem);
    if count > MAX_SECTIONS {
        return Err(wrong("too many"));
    }
    let Some(table) = head.get(UNIT..UNIT * (count + 1)) else {
        return Err(wrong("the file ends in it"));
    };
    if crc32fast::hash(table) != u32_at(header, 24) {
        return Err(wrong("checksum mismatch"));
    }
    let mut sections = Vec::with_capacity(count);
    let (mut end, mut first_block) = (UNIT * (count + 1), 0);
    for entry in table.chunks_exact(UNIT) {
        let name = entry[..24].split(|&byte| byte == 0).next().unwrap_or_default();
        let section = Section {
            name: String::from_utf8_lossy(name).into_owned(),
            offset: usize::try_from(u64_at(entry, 24)).map_err(|_| wrong("too large"))?,
            len: usize::try_from(u64_at(entry, 32)).map_err(|_| wrong("too large"))?,
            first_block,
        };
        if section.offset != end {
            return Err(wrong("out of place"));
        }
        end = section.padded_end().ok_or_else(|| wrong("too large"))?;
        first_block = section.blocks().end;
        sections.push(section);
    }
    if end != file_len {
        return Err(wrong("out of place"));
    }
    Ok(Layout { sections, checksums_crc: u32_at(header, 28) })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}
