//! The memory of a segment: made, mapped and sealed by the producer, checked and mapped by the consumer.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

use rustix::fs::{fstat, ftruncate};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

use super::error::{Attempt, HandoverError};
use super::frame::Carrier;
use super::place::Place;

/// Where a server makes its segments.
#[derive(Debug, Clone)]
pub(super) enum Store {
    /// Anonymous memory that is passed as a descriptor. It has no name, so a crash leaves none of it.
    #[cfg(target_os = "linux")]
    Memfd,
    /// Files in a private directory.
    Files(Arc<Place>),
}

impl Store {
    /// Removes what has a name.
    pub(super) fn tear_down(&self) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Memfd => {}
            Self::Files(place) => place.tear_down(),
        }
    }
}

/// The pages of a segment, not mapped.
#[derive(Debug)]
pub(super) struct Backing {
    fd: OwnedFd,
    file: Option<(Arc<Place>, String)>,
}

impl Backing {
    pub(super) fn create(store: &Store) -> Result<Self, HandoverError> {
        match store {
            #[cfg(target_os = "linux")]
            Store::Memfd => {
                use rustix::fs::{MemfdFlags, memfd_create};
                let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
                // Kernels before 6.3 do not know NOEXEC_SEAL.
                let fd = memfd_create(c"ottava-segment", flags | MemfdFlags::NOEXEC_SEAL)
                    .or_else(|_| memfd_create(c"ottava-segment", flags))
                    .attempt("make a memory segment")?;
                Ok(Self { fd, file: None })
            }
            Store::Files(place) => {
                let (name, fd) = place.file()?;
                Ok(Self { fd, file: Some((place.clone(), name)) })
            }
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn carrier(&self) -> Carrier {
        match &self.file {
            Some((_, name)) => Carrier::File(name.clone()),
            None => Carrier::Attached,
        }
    }

    pub(super) fn resize(&self, bytes: u64) -> Result<(), HandoverError> {
        ftruncate(&self.fd, bytes).attempt("size a segment")
    }

    /// Makes content and size final, for every process and for good. Files cannot be sealed; their consumer copies.
    pub(super) fn seal(&self) -> Result<(), HandoverError> {
        #[cfg(target_os = "linux")]
        if self.file.is_none() {
            rustix::fs::fcntl_add_seals(&self.fd, required_seals()).attempt("seal a segment")?;
        }
        Ok(())
    }

    /// Makes the size final, and the content changeable through mappings that exist already only.
    fn seal_size(&self) -> Result<(), HandoverError> {
        #[cfg(target_os = "linux")]
        if self.file.is_none() {
            use rustix::fs::SealFlags;
            let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE;
            rustix::fs::fcntl_add_seals(&self.fd, seals).attempt("seal the size of a segment")?;
        }
        Ok(())
    }
}

impl Drop for Backing {
    fn drop(&mut self) {
        if let Some((place, name)) = &self.file {
            place.remove(name);
        }
    }
}

/// A segment that its producer writes: pages and a writable mapping of them.
///
/// Its address stays valid, and reading and writing there sound, as long as any clone of the `Arc` around it lives.
#[derive(Debug)]
pub struct Memory {
    pub(super) backing: Backing,
    start: NonNull<u8>,
    /// What may be used.
    bytes: usize,
    /// What is mapped, at least as much.
    mapped: usize,
    /// How many bytes at its beginning are in huge pages.
    huge: usize,
    /// The addresses that it has: of the mapping, and around it those that were reserved to align it.
    addresses: Range<usize>,
}

/// A huge page of the systems that have them.
const HUGE: usize = 2 << 20;

/// As much as is got at once for a table that may turn out smaller, or never come.
pub(super) const AHEAD: usize = 64 << 20;

/// How many bytes of a segment of `bytes` bytes are worth huge pages, of which the last may be half empty.
fn huge_part(bytes: usize) -> usize {
    if cfg!(target_os = "linux") { bytes.saturating_add(HUGE / 2) / HUGE * HUGE } else { 0 }
}

// SAFETY: the mapping belongs to no thread; whoever dereferences the address answers for races on what is there.
unsafe impl Send for Memory {}
// SAFETY: as above; `&Memory` itself reads nothing through the address.
unsafe impl Sync for Memory {}

impl Memory {
    pub(super) fn create(store: &Store, bytes: usize) -> Result<Self, HandoverError> {
        Self::create_for(store, bytes, bytes.min(AHEAD))
    }

    /// Memory of `bytes` bytes, of which the first `used` are sure to be used.
    fn create_for(store: &Store, bytes: usize, used: usize) -> Result<Self, HandoverError> {
        let backing = Backing::create(store)?;
        let huge = if backing.file.is_none() { huge_part(used) } else { 0 };
        let mapped = bytes.max(huge);
        backing.resize(mapped as u64)?;
        #[cfg(target_os = "linux")]
        if backing.file.is_some() {
            use rustix::fs::{FallocateFlags, fallocate};
            // A file system that is full says so now; a write through the mapping would kill the process.
            let room = fallocate(&backing.fd, FallocateFlags::empty(), 0, bytes as u64);
            if room != Err(rustix::io::Errno::OPNOTSUPP) {
                room.attempt("allocate a segment file")?;
            }
        }
        let (access, what) = (ProtFlags::READ | ProtFlags::WRITE, "map a segment");
        let (mut at, mut around, mut flags) = (null_mut(), None, MapFlags::SHARED);
        if huge > 0 {
            let room = mapped.saturating_add(HUGE);
            // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing.
            let free =
                unsafe { mmap_anonymous(null_mut(), room, ProtFlags::empty(), MapFlags::PRIVATE) }
                    .attempt(what)?;
            at = free.wrapping_byte_add(free.align_offset(HUGE));
            around = Some(free as usize..free as usize + room);
            flags |= MapFlags::FIXED;
        }
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing, nor does one in the midst of what was
        // reserved for it: there is a huge page more than it needs. (Should it fail, what was reserved is lost, which costs nothing.)
        let start = unsafe { mmap(at, mapped, access, flags, &backing.fd, 0) }.attempt(what)?;
        let addresses = around.unwrap_or(start as usize..start as usize + mapped);
        let start = NonNull::new(start.cast())
            .ok_or(HandoverError::System { what, source: io::ErrorKind::Other.into() })?;
        let mut memory = Self { backing, start, bytes, mapped, huge: 0, addresses };
        if huge > 0 && memory.gather(huge) {
            memory.huge = huge;
        }
        Ok(memory)
    }

    /// Has the first `bytes` bytes, zeros so far, in huge pages; whether that succeeded.
    ///
    /// Pages that are mapped, swapped for a private mapping, sealed, mapped again and freed one by one cost more than to copy
    /// what is in them. Systems seldom give huge pages to shared memory unasked.
    #[cfg(target_os = "linux")]
    fn gather(&self, bytes: usize) -> bool {
        for at in (0..bytes).step_by(HUGE) {
            // Only what is begun is gathered.
            self.zero(at..at + 1);
        }
        // SAFETY: our own mapping, of which no byte changes. Kernels before 6.1 do not know it.
        unsafe { libc::madvise(self.start.as_ptr().cast(), bytes, libc::MADV_COLLAPSE) == 0 }
    }

    /// Elsewhere there is no way to ask for them.
    #[cfg(not(target_os = "linux"))]
    fn gather(&self, _bytes: usize) -> bool {
        false
    }

    /// As [`Memory::create`], in huge pages, which a forked child does not have; none where there are none, and beyond [`AHEAD`]:
    /// where memory is in pieces, hundreds of megabytes take longer to gather than to write.
    pub(super) fn create_huge(store: &Store, bytes: usize) -> Result<Option<Self>, HandoverError> {
        if matches!(store, Store::Files(_)) || huge_part(bytes) == 0 || bytes > AHEAD {
            return Ok(None);
        }
        let memory = Self::create_for(store, bytes, bytes)?;
        memory.forbid_forks()?;
        Ok((memory.huge > 0).then_some(memory))
    }

    /// As [`Memory::create`], anonymous, with pages that are there before they are written. A forked child does not have it,
    /// which would keep it from being sealed.
    #[cfg(target_os = "linux")]
    pub(super) fn create_warm(bytes: usize) -> Result<Self, HandoverError> {
        use rustix::fs::{FallocateFlags, fallocate};
        let memory = Self::create(&Store::Memfd, bytes)?;
        memory.forbid_forks()?;
        fallocate(&memory.backing.fd, FallocateFlags::empty(), 0, memory.mapped as u64)
            .attempt("allocate a segment")?;
        let start = memory.start.as_ptr().cast();
        // SAFETY: our own mapping, of which no byte changes. Kernels before 5.14 do not know it, and map page by page later.
        let _ = unsafe { madvise(start, memory.mapped, Advice::LinuxPopulateWrite) };
        Ok(memory)
    }

    /// Keeps the mapping from children that are forked from now on.
    pub(super) fn forbid_forks(&self) -> Result<(), HandoverError> {
        #[cfg(target_os = "linux")]
        // SAFETY: our own mapping, of which no byte changes.
        unsafe { madvise(self.start.as_ptr().cast(), self.mapped, Advice::LinuxDontFork) }
            .attempt("map a segment")?;
        Ok(())
    }

    /// Lets forked children have the mapping, as they have others: they may help to fill it.
    pub(super) fn allow_forks(&self) {
        #[cfg(target_os = "linux")]
        // SAFETY: our own mapping, of which no byte changes.
        let _ = unsafe { madvise(self.start.as_ptr().cast(), self.mapped, Advice::LinuxDoFork) };
    }

    /// Gives back the pages behind the first `bytes` bytes, which nothing may have a view of. A huge page stays whole: to
    /// split it costs more than it holds.
    pub(super) fn truncate(&mut self, bytes: usize) -> Result<(), HandoverError> {
        if bytes < self.bytes {
            let kept = if bytes < self.huge { bytes.next_multiple_of(HUGE) } else { bytes };
            self.backing.resize(kept as u64)?;
            self.bytes = bytes;
        }
        Ok(())
    }

    /// As [`Memory::create`], for a table of `used` bytes, with room for `bytes`, of fixed size, and closed to new writers.
    pub(super) fn create_slot(
        store: &Store,
        bytes: usize,
        used: usize,
    ) -> Result<Self, HandoverError> {
        let memory = Self::create_for(store, bytes, used.min(AHEAD))?;
        memory.backing.seal_size()?;
        Ok(memory)
    }

    /// Start of the mapping; aligned to a page.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it is empty, which it never is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Copies `bytes` to `at`. The caller has checked the bounds; they are checked again.
    pub(super) fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at.checked_add(bytes.len()).is_some_and(|end| end <= self.bytes));
        // SAFETY: in bounds by the assertion; the mapping is writable, and `bytes` is not part of it because no
        // reference into a writable segment leaves `SegmentWriter`, which is borrowed mutably while it writes.
        unsafe {
            self.start.add(at).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        }
    }

    pub(super) fn zero(&self, range: Range<usize>) {
        assert!(range.start <= range.end && range.end <= self.bytes);
        // SAFETY: in bounds by the assertion; otherwise as in `write`.
        unsafe {
            self.start.add(range.start).write_bytes(0, range.len());
        }
    }

    /// The number of bits set among the first `count` at `range`.
    pub(super) fn count_bits(&self, range: Range<usize>, count: usize) -> usize {
        let mut bits = vec![0; count.div_ceil(8)];
        self.read(range.start, &mut bits);
        arrow_buffer::BooleanBuffer::new(bits.into(), 0, count).count_set_bits()
    }

    /// The offset of `width` bytes that is stored at `at`.
    pub(super) fn offset_at(&self, at: usize, width: usize) -> usize {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes[..width]);
        usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(usize::MAX)
    }

    fn read(&self, at: usize, bytes: &mut [u8]) {
        assert!(at.checked_add(bytes.len()).is_some_and(|end| end <= self.bytes));
        let length = bytes.len();
        // SAFETY: in bounds by the assertion; `bytes` is not part of the mapping, as in `write`.
        unsafe {
            self.start.add(at).copy_to_nonoverlapping(NonNull::from(bytes).cast(), length);
        }
    }

    /// Writes what is here to the pages of another.
    pub(super) fn copy_to(&self, other: &Backing) -> Result<(), HandoverError> {
        // A huge page, so that what is read into is small.
        let mut piece = vec![0; HUGE.min(self.bytes)];
        let mut at = 0;
        while at < self.bytes {
            let length = piece.len().min(self.bytes - at);
            self.read(at, &mut piece[..length]);
            let mut sent = 0;
            while sent < length {
                match rustix::io::write(&other.fd, &piece[sent..length]) {
                    Ok(n) => sent += n,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(err) => return Err(err).attempt("write a segment"),
                }
            }
            at += length;
        }
        Ok(())
    }

    /// Ends writing: swaps the shared mapping for a private one and seals the pages.
    ///
    /// Views that still exist stay valid: they see what was written, and what they write from now on is theirs alone.
    pub(super) fn freeze(&self) -> Result<(), HandoverError> {
        forget_recency(self.start, self.mapped);
        // SAFETY: replaces exactly our own mapping, atomically, by one of the same pages, length and protection, so
        // every address in use stays mapped and keeps its content.
        unsafe {
            mmap(
                self.start.as_ptr().cast(),
                self.mapped,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::FIXED,
                &self.backing.fd,
                0,
            )
        }
        .attempt("freeze a segment")?;
        self.backing.seal()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: our own addresses, given back in one piece, so that nobody else's mapping can be among them; every view of the
        // mapping holds the `Arc` around `self`, so none is left.
        let _ = unsafe { munmap(self.addresses.start as *mut c_void, self.addresses.len()) };
    }
}

/// The seals without which a sealed segment is not mapped.
#[cfg(target_os = "linux")]
pub(super) fn required_seals() -> rustix::fs::SealFlags {
    use rustix::fs::SealFlags;
    SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL
}

/// A segment that its consumer reads.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: read-only memory that belongs to no thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a descriptor that holds all seals, so that its content and size are final. Anything else is refused unmapped.
    #[cfg(target_os = "linux")]
    pub(super) fn sealed(fd: &OwnedFd, bytes: usize) -> Result<Self, HandoverError> {
        check_seals(fd, required_seals())?;
        let size = size_for(fd, bytes)?;
        // Kernels before 6.7 do not map write-sealed memory as shared; a private mapping that nobody writes shares the
        // same pages. Nor is it populated: pages come by sixteens where they are read, which is cheaper than one by one.
        Self::map(fd, size, MapFlags::PRIVATE)
    }

    /// Maps a slot of a trusted producer. Its size must be sealed if the system can do so; its content is the
    /// producer's to change while the slot is not handed over.
    pub(super) fn slot(fd: &OwnedFd, is_file: bool) -> Result<Self, HandoverError> {
        #[cfg(target_os = "linux")]
        if !is_file {
            use rustix::fs::SealFlags;
            check_seals(fd, SealFlags::SHRINK | SealFlags::GROW)?;
        }
        let _ = is_file;
        let size = fstat(fd).attempt("inspect a segment")?.st_size;
        let bytes = usize::try_from(size)
            .ok()
            .filter(|&n| n > 0)
            .ok_or_else(|| HandoverError::protocol("a slot without memory"))?;
        Self::map(fd, bytes, MapFlags::SHARED)
    }

    fn map(fd: &OwnedFd, bytes: usize, flags: MapFlags) -> Result<Self, HandoverError> {
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing.
        let start = unsafe { mmap(null_mut(), bytes, ProtFlags::READ, flags, fd, 0) }
            .attempt("map a received segment")?;
        let start = NonNull::new(start.cast()).ok_or(HandoverError::System {
            what: "map a received segment",
            source: io::ErrorKind::Other.into(),
        })?;
        Ok(Self { start, bytes })
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn len(&self) -> usize {
        self.bytes
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        forget_recency(self.start, self.bytes);
        // SAFETY: our own mapping; every buffer over it holds the `Arc` around `self`.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// Says that pages were used once, which spares the kernel to note for each, when it is unmapped, that it was used.
fn forget_recency(start: NonNull<u8>, bytes: usize) {
    // SAFETY: a mapping of the caller's own, of which no byte changes. That it may fail changes nothing either.
    let _ = unsafe { madvise(start.as_ptr().cast(), bytes, Advice::Sequential) };
}

#[cfg(target_os = "linux")]
fn check_seals(fd: &OwnedFd, required: rustix::fs::SealFlags) -> Result<(), HandoverError> {
    use rustix::fs::SealFlags;
    // What is not memory made for sealing answers EINVAL: it has no seals at all.
    let seals = rustix::fs::fcntl_get_seals(fd).unwrap_or(SealFlags::empty());
    let missing = required - seals;
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.iter_names().map(|(name, _)| name.to_ascii_lowercase());
    Err(HandoverError::NotSealed { missing: names.collect::<Vec<_>>().join(", ") })
}

/// The size of the memory of a segment of `bytes` bytes: as many, or up to the end of a huge page.
#[cfg(target_os = "linux")]
fn size_for(fd: &OwnedFd, bytes: usize) -> Result<usize, HandoverError> {
    let size = fstat(fd).attempt("inspect a segment")?.st_size;
    let known = usize::try_from(size).ok().filter(|_| bytes > 0);
    if let Some(size) =
        known.filter(|&n| n == bytes || Some(n) == bytes.checked_next_multiple_of(HUGE))
    {
        return Ok(size);
    }
    Err(HandoverError::protocol(format!("its segment has {size} bytes, announced were {bytes}")))
}

/// Reads a file of `bytes` bytes into memory of our own, aligned for any column.
pub(super) fn copy_file(
    fd: &OwnedFd,
    bytes: usize,
) -> Result<arrow_buffer::MutableBuffer, HandoverError> {
    let mut copy = arrow_buffer::MutableBuffer::from_len_zeroed(bytes);
    let mut filled = 0;
    while filled < bytes {
        match rustix::io::read(fd, &mut copy.as_slice_mut()[filled..]) {
            Ok(0) => return Err(HandoverError::malformed("file", "truncated while it was read")),
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(err) => return Err(err).attempt("read a segment file"),
        }
    }
    Ok(copy)
}
