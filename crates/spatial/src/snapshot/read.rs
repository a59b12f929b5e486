//! Opening.

#![allow(unsafe_code)]

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::{Mmap, MmapMut};

use super::blocks::{Blocks, Part};
use super::format::{CHECKSUMS, Layout, MAX_HEAD, Section, decode};
use super::options::Scalars;
use super::{check_file, damaged, io};
use crate::cells::Side;
use crate::error::Error;
use crate::forest::Forest;
use crate::grid::TokenGrid;
use crate::storage::Storage;
use crate::store::{MAX_SLOTS, Ordered, Store};
use crate::tree::Tree;

/// How a snapshot is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOptions {
    /// Maps the file (`true`, the default) or reads it into memory.
    ///
    /// A mapped file must not be written to or cut short while the grid lives; [`TokenGrid::save`] to
    /// the same path does neither, it puts a new file in its place.
    pub mmap: bool,
    /// Which checksums to compute.
    pub verify: Verify,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { mmap: true, verify: Verify::Auto }
    }
}

/// Which checksums of a snapshot are computed, and when. Those of the header, the section table, the
/// options and the checksums themselves always are, when it is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verify {
    /// `Full` for a file of at most 64 MiB or one read into memory, otherwise `AsRead`.
    #[default]
    Auto,
    /// All of them, at once: reads the whole file.
    Full,
    /// That of every 16 KiB when something in them is first read. A call that has met damage answers
    /// with [`Error::Snapshot`], as do all that come after it; those that cannot fail give what the file
    /// has, and [`TokenGrid::intact`] tells.
    AsRead,
    /// No others. A flipped bit elsewhere may then change an answer, until [`TokenGrid::verify`] is
    /// called; it is no danger to the process.
    Layout,
}

/// The largest file that `Verify::Auto` reads whole.
const AUTO: usize = 64 << 20;

/// An open snapshot file.
pub(crate) struct File {
    path: PathBuf,
    blocks: Arc<Blocks>,
}

impl TokenGrid {
    /// Opens a snapshot. A mapped one answers at once, whatever its size; tokens inserted later are
    /// held in memory.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::NotAFile`]; [`Error::Snapshot`] naming the section for a file that is
    /// truncated, damaged or no snapshot; [`Error::NewerSnapshot`].
    pub fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self, Error> {
        let file = File::open(path.as_ref(), options.mmap)?;
        let verify = match options.verify {
            Verify::Auto if !options.mmap || file.len() <= AUTO => Verify::Full,
            Verify::Auto => Verify::AsRead,
            chosen => chosen,
        };
        if verify == Verify::Full {
            file.verify()?;
        }
        let grid = file.grid(verify)?;
        grid.intact()?;
        Ok(grid)
    }

    /// The bytes that were saved beside the tokens of the snapshot that the grid was opened from; empty
    /// if there were none. Their checksums are computed by this call.
    ///
    /// # Errors
    /// [`Error::Snapshot`] naming the section `attachment`.
    pub fn attachment(&self) -> Result<&[u8], Error> {
        let Some(file) = &self.file else { return Ok(&[]) };
        let Some(section) = file.section("attachment")? else { return Ok(&[]) };
        file.check(section)?;
        Ok(file.blocks.bytes(section))
    }

    /// How many bytes [`TokenGrid::attachment`] has; reads none of them.
    pub fn attachment_len(&self) -> usize {
        let sections = self.file.iter().flat_map(|file| file.blocks.sections());
        sections.filter(|section| section.name == "attachment").map(|section| section.len).sum()
    }

    /// Computes all checksums of the snapshot that the grid was opened from; nothing to do for a grid
    /// that was not.
    ///
    /// # Errors
    /// [`Error::Snapshot`] naming the section.
    pub fn verify(&self) -> Result<(), Error> {
        self.file.as_ref().map_or(Ok(()), File::verify)
    }

    /// Whether all that has been read so far of a snapshot opened with [`Verify::AsRead`] was as it was
    /// written. Reads nothing.
    ///
    /// # Errors
    /// [`Error::Snapshot`] naming the section.
    #[inline]
    pub fn intact(&self) -> Result<(), Error> {
        match &self.file {
            None => Ok(()),
            Some(file) => file.intact(),
        }
    }
}

impl File {
    fn open(path: &Path, mmap: bool) -> Result<Self, Error> {
        check_file(path, &std::fs::metadata(path).map_err(io(path))?)?;
        let mut file = std::fs::File::open(path).map_err(io(path))?;
        let len = file.metadata().map_err(io(path))?.len();
        let Ok(len) = usize::try_from(len) else {
            return Err(damaged(path, "header", "the file is larger than memory can address"));
        };
        let mut head = Vec::new();
        (&file).take(MAX_HEAD as u64).read_to_end(&mut head).map_err(io(path))?;
        let layout = decode(path, &head, len)?;
        let map = if mmap {
            // SAFETY: the map is read-only and private. Files are published by rename and not written
            // after, which `OpenOptions::mmap` asks of everyone else; bytes are only ever read as
            // plain numbers, and every index made of them is checked.
            unsafe { Mmap::map(&file) }.map_err(io(path))?
        } else {
            let mut memory = MmapMut::map_anon(len).map_err(io(path))?;
            file.rewind().and_then(|()| file.read_exact(&mut memory)).map_err(io(path))?;
            memory.make_read_only().map_err(io(path))?
        };
        if map.len() != len {
            return Err(damaged(path, "header", "the file changed its length meanwhile"));
        }
        Self::check_layout(path, map, layout)
    }

    /// Takes the checksums from the last section.
    fn check_layout(path: &Path, map: Mmap, layout: Layout) -> Result<Self, Error> {
        let Layout { mut sections, checksums_crc } = layout;
        let wrong = |problem: &str| damaged(path, CHECKSUMS, problem);
        let last = sections.pop().filter(|last| last.name == CHECKSUMS);
        let last = last.ok_or_else(|| wrong("missing"))?;
        if last.len != last.first_block * size_of::<u32>() {
            return Err(wrong("another number than there are blocks"));
        }
        let padded = last.offset..last.padded_end().unwrap_or(usize::MAX);
        if map.get(padded).map(crc32fast::hash) != Some(checksums_crc) {
            return Err(wrong("checksum mismatch"));
        }
        let blocks = Blocks::new(map, sections, last.offset..last.offset + last.len);
        Ok(Self { path: path.into(), blocks: Arc::new(blocks) })
    }

    /// The error for a section that is not as it must be.
    pub(crate) fn damaged(&self, section: &str, problem: String) -> Error {
        damaged(&self.path, section, problem)
    }

    fn len(&self) -> usize {
        self.blocks.len()
    }

    /// The checksums, and that the tree is one of these tokens.
    fn verify(&self) -> Result<(), Error> {
        self.blocks.sections().iter().try_for_each(|section| self.check(section))?;
        let (Some(ids), Some(slots)) = (self.section("ids")?, self.section("slots")?) else {
            return Ok(()); // which a grid cannot be made of
        };
        let len = ids.len / size_of::<u64>();
        let used = self.blocks.bytes(slots).as_chunks().0.iter().take(len);
        if used.into_iter().any(|&slot| u32::from_le_bytes(slot) as usize >= len) {
            return Err(self.damaged("slots", "no such token".into()));
        }
        Ok(())
    }

    #[inline]
    fn intact(&self) -> Result<(), Error> {
        match self.blocks.damaged() {
            None => Ok(()),
            Some(section) => Err(self.damaged(&section.name, "checksum mismatch".into())),
        }
    }

    fn check(&self, section: &Section) -> Result<(), Error> {
        let whole = self.blocks.check(section);
        whole.then_some(()).ok_or_else(|| self.damaged(&section.name, "checksum mismatch".into()))
    }

    fn section(&self, name: &str) -> Result<Option<&Section>, Error> {
        let mut found = self.blocks.sections().iter().filter(|section| section.name == name);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(damaged(&self.path, name, "there is more than one")),
            (found, None) => Ok(found),
        }
    }

    fn optional<T: Pod>(&self, name: &str, watched: bool) -> Result<Option<Storage<T>>, Error> {
        let Some(section) = self.section(name)? else { return Ok(None) };
        if !section.len.is_multiple_of(size_of::<T>()) {
            return Err(damaged(&self.path, name, "part of a value"));
        }
        Ok(Some(Storage::File(Part::new(&self.blocks, section, watched))))
    }

    fn required<T: Pod>(&self, name: &str, watched: bool) -> Result<Storage<T>, Error> {
        self.optional(name, watched)?.ok_or_else(|| damaged(&self.path, name, "missing"))
    }

    fn grid(self, verify: Verify) -> Result<TokenGrid, Error> {
        let wrong = |section: &str, problem: &str| damaged(&self.path, section, problem);
        let Some(section) = self.section("options")? else {
            return Err(wrong("options", "missing"));
        };
        self.check(section)?;
        let scalars = Scalars::decode(self.blocks.bytes(section))
            .ok_or_else(|| wrong("options", "not readable"))?;
        let len = usize::try_from(scalars.len).ok().filter(|&len| len <= MAX_SLOTS);
        let len = len.ok_or_else(|| wrong("options", "too many tokens"))?;

        let fits = |name: &str, found: usize| {
            if found == len { Ok(()) } else { Err(wrong(name, "wrong number of values")) }
        };
        let watched = verify == Verify::AsRead;
        let ids = self.required::<u64>("ids", watched)?;
        fits("ids", ids.len())?;
        let positions = self.required::<[f32; 8]>("positions", watched)?;
        fits("positions", positions.len())?;
        let weights = self.optional::<f32>("weights", watched)?;
        fits("weights", weights.as_ref().map_or(len, |weights| weights.len()))?;
        let fields = self.optional::<[f32; 2]>("fields", watched)?;
        fits("fields", fields.as_ref().map_or(len, |fields| fields.len()))?;
        let ordered = match self.optional::<u32>("by_id", watched)? {
            Some(by_id) => {
                fits("by_id", by_id.len())?;
                Ordered::ById(by_id)
            }
            None => Ordered::Dense { first: ids.get(0).copied().unwrap_or(0), len },
        };
        let field = match (self.optional("radii", watched)?, self.optional("reach", watched)?) {
            (Some(radii), Some(reach)) => Some([radii, reach]),
            (None, None) => None,
            _ => return Err(wrong("reach", "radii and reach come together")),
        };
        let slots = self.required::<crate::tree::Slots>("slots", watched)?;
        let (leaves, nodes) = (self.required("leaves", watched)?, self.required("nodes", watched)?);
        let tree = Tree::from_parts(len, leaves, slots, nodes, field, scalars.bounds)
            .ok_or_else(|| wrong("nodes", "the tree has another size than its tokens"))?;

        let mut grid = TokenGrid::new(scalars.options)
            .map_err(|error| wrong("options", &error.to_string()))?;
        grid.side = Side::new(scalars.cell_size, &grid.measure.scales);
        grid.extent = scalars.extent;
        grid.store = Store::mapped(ids, positions, weights, fields, ordered);
        grid.forest = Forest::with_tree(tree, grid.measure.scales);
        grid.file = Some(self);
        Ok(grid)
    }
}
