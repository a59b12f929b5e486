//! Saving.

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
#[cfg(unix)]
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use bytemuck::NoUninit;

use super::format::{BLOCK, CHECKSUMS, Layout, Section, UNIT, encode};
use super::options::Scalars;
use super::{check_file, io};
use crate::error::Error;
use crate::grid::TokenGrid;
use crate::tree::{NEVER, Tree};

/// Values gathered before they are written.
const GATHER: usize = 1 << 13;

impl TokenGrid {
    /// Saves the grid to a file, in place of one that may be there: a reader finds the old file or
    /// the new one, whole, whenever the process is stopped. Cached connections are not saved.
    ///
    /// A file that is replaced passes its permissions on, but not its owner, so none to act as the owner. Through a symbolic link,
    /// the file that it leads to is replaced; what is no file never is. What is copied from a snapshot
    /// that the grid was opened from is verified first, so that damage is not given new checksums.
    ///
    /// The new file is `.ottava-*.tmp` in the same folder until it is whole. It stays there if the
    /// process is killed meanwhile, and may be deleted.
    ///
    /// A grid that has changed since its bulk load is merged into one tree on the way, on the current
    /// rayon pool; call [`TokenGrid::optimize`] before to keep that tree.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::NotAFile`]; [`Error::Snapshot`] naming the damaged section of the file
    /// that the grid was opened from. What was there is then unchanged.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.save_with(path, &[])
    }

    /// [`TokenGrid::save`], with bytes of the caller's beside the tokens: see
    /// [`TokenGrid::attachment`].
    ///
    /// # Errors
    /// As [`TokenGrid::save`].
    pub fn save_with(&self, path: impl AsRef<Path>, attachment: &[u8]) -> Result<(), Error> {
        self.save_until(path, attachment, &NEVER)
    }

    /// As [`TokenGrid::save_with`], which ends soon after another thread sets `cancel`, but when the system only has to write out
    /// what it was given.
    ///
    /// # Errors
    /// As [`TokenGrid::save`]; [`Error::Cancelled`], and what was there is unchanged.
    pub fn save_until(
        &self,
        path: impl AsRef<Path>,
        attachment: &[u8],
        cancel: &AtomicBool,
    ) -> Result<(), Error> {
        let path = path.as_ref();
        let old = std::fs::metadata(path).ok();
        if let Some(old) = &old {
            check_file(path, old)?;
        }
        self.verify()?;
        let path = &target(path).map_err(io(path))?;
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".ottava-").suffix(".tmp");
        let old = old.map(|old| readable_by(&old.permissions()));
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        options.mode(old.as_ref().map_or(0o666, PermissionsExt::mode)); // less the umask
        // `tempfile_in` would wrap the error, and hide its number.
        let mut file = builder.make_in(folder, |path| options.open(path)).map_err(io(path))?;
        self.write(file.as_file_mut(), attachment, cancel).map_err(|error| {
            // No call of the system ends like this: those that do are made again.
            match error.kind() {
                ErrorKind::Interrupted => Error::Cancelled,
                _ => io(path)(error),
            }
        })?;
        if let Some(old) = old {
            file.as_file().set_permissions(old).map_err(io(path))?;
        }
        file.as_file().sync_all().map_err(io(path))?;
        file.persist(path).map_err(|error| io(path)(error.error))?;
        #[cfg(unix)]
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io(path))?;
        Ok(())
    }

    fn write(
        &self,
        file: &mut File,
        attachment: &[u8],
        cancel: &AtomicBool,
    ) -> std::io::Result<()> {
        // Slots in the file are dense: the live ones, in order.
        let slots: Vec<u32> = self.store.iter().collect();
        let tree = match self.forest.single() {
            Some(tree) if self.store.alive_bits().is_none() => Arc::clone(tree),
            _ => {
                let mut entries = self.forest.entries(self.store.alive());
                for entry in &mut entries {
                    entry.slot = slots.partition_point(|&slot| slot < entry.slot) as u32;
                }
                let scales = &self.measure.scales;
                let (tree, done) = Tree::build_until(&mut entries, scales, true, cancel);
                done.then_some(Arc::new(tree)).ok_or(ErrorKind::Interrupted)?
            }
        };
        let scalars = Scalars {
            options: self.options.clone(),
            cell_size: self.cell_size(),
            extent: tree.extent(),
            bounds: tree.bounds,
            len: slots.len() as u64,
        };
        let mut out = Writer::new(file, cancel);
        let store = &self.store;
        out.section("options", |out| out.put(&scalars.encode()))?;
        out.section("ids", |out| out.gather(&slots, |slot| store.id(slot)))?;
        out.section("positions", |out| out.gather(&slots, |slot| *store.position(slot)))?;
        if store.weights.is_some() {
            out.section("weights", |out| out.gather(&slots, |slot| store.weight(slot)))?;
        }
        if store.fields.is_some() {
            out.section("fields", |out| {
                out.gather(&slots, |slot| {
                    let field = store.field(slot);
                    [field.radius, field.strength]
                })
            })?;
        }
        let dense = |pair: &[u32]| store.id(pair[0]).checked_add(1) == Some(store.id(pair[1]));
        if !slots.windows(2).all(dense) {
            let mut by_id: Vec<u32> = (0..slots.len() as u32).collect();
            by_id.sort_unstable_by_key(|&row| store.id(slots[row as usize]));
            out.section("by_id", |out| out.put(&by_id))?;
        }
        out.section("leaves", |out| out.put(tree.leaves.raw()))?;
        out.section("slots", |out| out.put(tree.slots.raw()))?;
        out.section("nodes", |out| out.put(tree.nodes.raw()))?;
        if let (Some(radii), Some(reach)) = (&tree.radii, &tree.reach) {
            out.section("radii", |out| out.put(radii.raw()))?;
            out.section("reach", |out| out.put(reach.raw()))?;
        }
        if !attachment.is_empty() {
            out.section("attachment", |out| out.put(attachment))?;
        }
        out.finish()
    }
}

/// Permissions to read, write and execute, without those to act as the owner of the file, who may be another one now.
fn readable_by(permissions: &Permissions) -> Permissions {
    #[cfg(unix)]
    return Permissions::from_mode(permissions.mode() & 0o777);
    #[cfg(not(unix))]
    return permissions.clone();
}

/// Where a symbolic link leads, whether or not there is a file; another path is its own target.
fn target(path: &Path) -> std::io::Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..40 {
        let Ok(next) = std::fs::read_link(&target) else { return Ok(target) };
        target = target.parent().unwrap_or(Path::new("")).join(next);
    }
    path.canonicalize() // which says that they go round in a circle
}

/// A piece is flushed to the disk while the next is written.
const PIECE: usize = 1 << 22;

/// Asks the system for what has been written so far, on a thread of its own.
struct Flush {
    wanted: SyncSender<()>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Flush {
    fn start(file: &File) -> std::io::Result<Self> {
        let file = file.try_clone()?;
        let (wanted, asked) = sync_channel(1);
        let flush = move || asked.iter().try_for_each(|()| file.sync_data());
        let thread = thread::Builder::new().name("ottava-flush".into()).spawn(flush)?;
        Ok(Self { wanted, thread })
    }

    /// What failed here, the system does not report again to who syncs the file later.
    fn finish(self) -> std::io::Result<()> {
        drop(self.wanted);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Room for the header and this many sections is left before the sections are known.
struct Writer<'a> {
    file: &'a mut File,
    sections: Vec<Section>,
    /// Of the blocks that are whole.
    checksums: Vec<u32>,
    /// Of the block that is being written.
    crc: crc32fast::Hasher,
    /// Bytes of that block.
    filled: usize,
    at: usize,
    flush: Option<Flush>,
    cancel: &'a AtomicBool,
}

/// Sections that a file has room for in its table; those not used are empty and have no name.
const TABLE: usize = 16;

impl<'a> Writer<'a> {
    fn new(file: &'a mut File, cancel: &'a AtomicBool) -> Self {
        Self {
            file,
            sections: Vec::new(),
            checksums: Vec::new(),
            crc: crc32fast::Hasher::new(),
            filled: 0,
            at: UNIT * (TABLE + 1),
            flush: None,
            cancel,
        }
    }

    fn section(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Self) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let offset = self.at;
        if self.sections.is_empty() {
            self.file.seek(SeekFrom::Start(offset as u64))?;
        }
        let first_block = self.checksums.len();
        write(self)?;
        let len = self.at - offset;
        self.put(&vec![0_u8; self.at.next_multiple_of(UNIT) - self.at])?;
        if self.filled > 0 {
            self.end_block();
        }
        self.sections.push(Section { name: name.into(), offset, len, first_block });
        Ok(())
    }

    fn put<T: NoUninit>(&mut self, values: &[T]) -> std::io::Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        for bytes in bytes.chunks(1 << 20) {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(ErrorKind::Interrupted.into());
            }
            self.sum(bytes); // while the piece is in the cache
            self.file.write_all(bytes)?;
            let before = self.at / PIECE;
            self.at += bytes.len();
            if self.at / PIECE > before {
                self.flush();
            }
        }
        Ok(())
    }

    fn sum(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (block, rest) = bytes.split_at((BLOCK - self.filled).min(bytes.len()));
            self.crc.update(block);
            self.filled += block.len();
            if self.filled == BLOCK {
                self.end_block();
            }
            bytes = rest;
        }
    }

    fn end_block(&mut self) {
        self.checksums.push(std::mem::take(&mut self.crc).finalize());
        self.filled = 0;
    }

    /// Without a thread for it, the system flushes when it likes.
    fn flush(&mut self) {
        self.flush = self.flush.take().or_else(|| Flush::start(self.file).ok());
        if let Some(flush) = &self.flush {
            let _ = flush.wanted.try_send(()); // one that waits takes this piece along
        }
    }

    fn gather<T: NoUninit>(
        &mut self,
        slots: &[u32],
        value: impl Fn(u32) -> T,
    ) -> std::io::Result<()> {
        let mut values = Vec::with_capacity(GATHER);
        for slots in slots.chunks(GATHER) {
            values.clear();
            values.extend(slots.iter().map(|&slot| value(slot)));
            self.put(&values)?;
        }
        Ok(())
    }

    fn finish(mut self) -> std::io::Result<()> {
        while self.sections.len() < TABLE - 1 {
            self.section("", |_| Ok(()))?;
        }
        let checksums = std::mem::take(&mut self.checksums);
        let first_block = checksums.len();
        let mut bytes = bytemuck::cast_slice::<u32, u8>(&checksums).to_vec();
        let len = bytes.len();
        bytes.resize(len.next_multiple_of(UNIT), 0);
        let name = CHECKSUMS.into();
        self.sections.push(Section { name, offset: self.at, len, first_block });
        self.put(&bytes)?;
        if let Some(flush) = self.flush.take() {
            flush.finish()?;
        }
        self.file.seek(SeekFrom::Start(0))?;
        let checksums_crc = crc32fast::hash(&bytes);
        self.file.write_all(&encode(&Layout { sections: self.sections, checksums_crc }, self.at))
    }
}
