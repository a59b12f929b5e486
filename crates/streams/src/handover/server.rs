//! The producer's end: options, and the calls that any thread may make.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::SchemaRef;

use super::address::Address;
use super::error::{Attempt, HandoverError};
use super::fingerprint::{difference, fingerprint};
use super::layout::Layout;
use super::listener::{Listener, default_directory};
use super::manager::{Manager, Outcome, Pages, Permit};
use super::memory::{Backing, Memory};
use super::sink::{CountingSink, FileSink, MemorySink};
use super::sync::lock;
use super::token::Token;
use super::writer::SegmentWriter;

/// Most slots of a server; so many frames fit into any socket buffer, so that sending one never waits.
const MAX_SLOTS: usize = 64;

/// What the control plane runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A Unix socket in a private directory, segments in anonymous memory.
    #[cfg(target_os = "linux")]
    Unix,
    /// An ephemeral port of 127.0.0.1, segments in files of a private directory.
    Tcp,
}

/// How a [`Server`] listens and what it sends.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    pub(super) schema: Option<SchemaRef>,
    pub(super) transport: Transport,
    pub(super) slots: usize,
    pub(super) deadline: Duration,
    pub(super) directory: Option<PathBuf>,
    pub(super) trusted: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ServerOptions {
    /// Any schema, a Unix socket on Linux and TCP elsewhere, 8 slots, 5 seconds for a handshake, sealed mode.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schema: None,
            #[cfg(target_os = "linux")]
            transport: Transport::Unix,
            #[cfg(not(target_os = "linux"))]
            transport: Transport::Tcp,
            slots: 8,
            deadline: Duration::from_secs(5),
            directory: None,
            trusted: false,
        }
    }

    /// Sends tables of this schema only, and admits only consumers that expect it or any.
    #[must_use]
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Chooses what the control plane runs on.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// How many tables may be under construction or unacknowledged at a time, 1 to 64.
    #[must_use]
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots;
        self
    }

    /// How long a connection may take to introduce itself, or to complete a frame that it began.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Where to make the private directory. By default `/dev/shm` if there is one, else the directory for temporary files.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Keeps a ring of slots mapped on both sides and has contents not validated.
    ///
    /// # Safety
    ///
    /// The consumer reads what this process writes without looking at it. Every process that gets the token must be
    /// one of the same program, and nothing may write a slot through an old view after it was handed over.
    #[must_use]
    #[allow(unsafe_code)]
    pub unsafe fn trusted(mut self) -> Self {
        self.trusted = true;
        self
    }
}

/// The producer: hands tables to one consumer at a time. All methods may be called from any thread.
///
/// One thread of its own watches the sockets. It ends with [`Server::close`] or on drop. In sealed mode on Linux it also
/// gets memory for one more table of the last size ready, up to 64 MiB, when a table was acknowledged.
#[derive(Debug)]
pub struct Server {
    manager: Arc<Manager>,
    address: Address,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    /// Starts to listen, after sweeping what servers that crashed have left in the directory.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Option`], [`HandoverError::Address`] if the directory's path is too long for a socket, or
    /// [`HandoverError::System`].
    pub fn bind(options: ServerOptions) -> Result<Self, HandoverError> {
        if !(1..=MAX_SLOTS).contains(&options.slots) {
            let (value, max) = (options.slots as u64, MAX_SLOTS as u64);
            return Err(HandoverError::Option { option: "slots", value, min: 1, max });
        }
        let directory = options.directory.clone().unwrap_or_else(default_directory);
        let listener = Listener::bind(options.transport, &directory)?;
        let address = listener.address.clone();
        let manager = Arc::new(Manager::new(&options, &listener)?);
        let thread = thread::Builder::new()
            .name("ottava-handover".to_owned())
            .spawn({
                let manager = manager.clone();
                move || manager.run(&listener)
            })
            .attempt("start a thread")?;
        Ok(Self { manager, address, thread: Mutex::new(Some(thread)) })
    }

    /// Where consumers connect to.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A new token, which admits one consumer, once.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Closed`], [`HandoverError::System`].
    pub fn token(&self) -> Result<Token, HandoverError> {
        self.manager.issue_token()
    }

    /// Whether a consumer is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.manager.is_connected()
    }

    /// Waits for a consumer; `timeout` `None` waits forever, zero not at all.
    ///
    /// # Errors
    ///
    /// [`HandoverError::WouldBlock`], [`HandoverError::Timeout`], [`HandoverError::Closed`].
    pub fn wait_connected(&self, timeout: Option<Duration>) -> Result<(), HandoverError> {
        self.manager.wait_connected(timeout)
    }

    /// Why the last consumer was cut off, if it was: it broke the protocol, or died.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.manager.fault()
    }

    /// Tables sent and not acknowledged yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.manager.outstanding()
    }

    /// A descriptor that becomes readable when a call that would have blocked is worth another try; for event loops.
    /// Call [`Server::hush`] before that try.
    #[must_use]
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.manager.watch()
    }

    /// Makes [`Server::bell`] unreadable until something changes.
    pub fn hush(&self) {
        self.manager.hush();
    }

    /// Room for a table of `rows` rows whose columns are written where the consumer will read them.
    ///
    /// `capacity` gives, for each column of variable length, the bytes of all its values together. Waits for a free slot;
    /// `timeout` `None` waits forever, zero not at all.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Schema`] if the server sends another schema, [`HandoverError::Column`] for a column that cannot be
    /// born in a segment, [`HandoverError::WouldBlock`], [`HandoverError::Timeout`], [`HandoverError::Closed`],
    /// [`HandoverError::System`].
    pub fn segment(
        &self,
        schema: &SchemaRef,
        rows: usize,
        capacity: impl Fn(&str) -> Option<usize>,
        timeout: Option<Duration>,
    ) -> Result<Segment, HandoverError> {
        self.check_schema(schema)?;
        let layout = Layout::new(schema, rows, capacity)?;
        let permit = self.manager.take_slot(timeout)?;
        let (memory, fresh) = permit.memory(layout.bytes())?;
        Ok(Segment { writer: SegmentWriter::new(memory, layout, fresh), permit })
    }

    /// Copies a table into a segment, once; dictionaries are copied twice. Waits for a free slot as [`Server::segment`] does.
    ///
    /// # Errors
    ///
    /// As [`Server::segment`]; [`HandoverError::Schema`] if a batch has another schema.
    pub fn pack(
        &self,
        schema: &SchemaRef,
        batches: &[RecordBatch],
        timeout: Option<Duration>,
    ) -> Result<Parcel, HandoverError> {
        self.check_schema(schema)?;
        if batches.iter().any(|batch| batch.schema_ref().fields() != schema.fields()) {
            let reason = "a batch has another schema than its table".to_owned();
            return Err(HandoverError::Schema { reason });
        }
        let permit = self.manager.take_slot(timeout)?;
        match self.manager.trusted {
            true => pack_trusted(permit, schema, batches),
            false => self.pack_sealed(permit, schema, batches),
        }
    }

    fn pack_sealed(
        &self,
        permit: Permit,
        schema: &SchemaRef,
        batches: &[RecordBatch],
    ) -> Result<Parcel, HandoverError> {
        let spare = self.manager.spare.take();
        let mut packed = spare.map_or(Ok(None), |spare| self.freeze(spare, schema, batches))?;
        if packed.is_none() {
            let mut count = CountingSink::default();
            write_file(&mut count, schema, batches)?;
            if let Some(memory) = Memory::create_huge(&self.manager.store, count.bytes)? {
                packed = self.freeze(memory, schema, batches)?;
            }
        }
        if let Some((pages, bytes)) = packed {
            return Ok(Parcel { permit, pages: Some(pages), bytes: bytes as u64 });
        }
        let backing = Backing::create(&self.manager.store)?;
        let mut sink = FileSink::new(&backing);
        write_file(&mut sink, schema, batches)?;
        let bytes = sink.finish().attempt("write a segment")?;
        backing.seal()?;
        self.manager.spare.expect(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(Parcel { permit, pages: Some(Pages::Unmapped(backing)), bytes })
    }

    /// Copies a table into memory and seals that; none if it does not fit.
    fn freeze(
        &self,
        mut memory: Memory,
        schema: &SchemaRef,
        batches: &[RecordBatch],
    ) -> Result<Option<(Pages, usize)>, HandoverError> {
        let Some(bytes) = fill(&memory, schema, batches)? else { return Ok(None) };
        memory.truncate(bytes)?;
        // A child that was forked in the wrong moment may have it mapped; what was never mapped can be sealed always.
        if memory.freeze().is_err() {
            return Ok(None);
        }
        self.manager.spare.expect(bytes);
        Ok(Some((Pages::Mapped(Arc::new(memory)), bytes)))
    }

    /// Sends a parcel; waits for a consumer if there is none. Where it fails with [`HandoverError::WouldBlock`] or
    /// [`HandoverError::Timeout`] the parcel is as it was and may be sent again.
    ///
    /// # Errors
    ///
    /// Those two, [`HandoverError::Closed`] also if the parcel was sent already, [`HandoverError::System`].
    pub fn deliver(
        &self,
        parcel: &mut Parcel,
        timeout: Option<Duration>,
    ) -> Result<Receipt, HandoverError> {
        let outcome =
            self.manager.deliver(&mut parcel.permit, &mut parcel.pages, parcel.bytes, timeout)?;
        Ok(Receipt { manager: self.manager.clone(), outcome })
    }

    /// Completes a segment and sends it. On failure the segment is dropped; [`Segment::finish`] and [`Server::deliver`]
    /// leave room for another try.
    ///
    /// # Errors
    ///
    /// As [`Server::deliver`].
    pub fn commit(
        &self,
        segment: Segment,
        timeout: Option<Duration>,
    ) -> Result<Receipt, HandoverError> {
        self.deliver(&mut segment.finish()?, timeout)
    }

    /// Packs a table and sends it; `timeout` covers both.
    ///
    /// # Errors
    ///
    /// As [`Server::pack`] and [`Server::deliver`].
    pub fn send(
        &self,
        schema: &SchemaRef,
        batches: &[RecordBatch],
        timeout: Option<Duration>,
    ) -> Result<Receipt, HandoverError> {
        let start = Instant::now();
        let mut parcel = self.pack(schema, batches, timeout)?;
        let left = timeout.map(|all| match all.is_zero() {
            true => all,
            // Never zero, which would not be a timeout.
            false => all.saturating_sub(start.elapsed()).max(Duration::from_nanos(1)),
        });
        self.deliver(&mut parcel, left)
    }

    /// Sends no more: tells the consumer, and waits up to `timeout` until it has let go of what it holds. [`Server::close`] is left
    /// to do.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Timeout`] if tables are unacknowledged still.
    pub fn finish(&self, timeout: Duration) -> Result<(), HandoverError> {
        self.manager.finish(timeout)
    }

    /// Finishes, as [`Server::finish`] does, then closes. In a forked child, it changes nothing for the parent.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Timeout`] if tables are unacknowledged still. It is closed all the same.
    pub fn close(&self, timeout: Duration) -> Result<(), HandoverError> {
        if self.manager.is_forked() {
            // The thread is the parent's: there is nothing to join here, nor to detach.
            if let Ok(mut thread) = self.thread.try_lock() {
                std::mem::forget(thread.take());
            }
            return Ok(());
        }
        let settled = self.manager.finish(timeout);
        self.manager.stop();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
            // Receipts may outlive the server, its files must not.
            self.manager.store.tear_down();
        }
        settled
    }

    fn check_schema(&self, schema: &SchemaRef) -> Result<(), HandoverError> {
        if let Some(field) = schema.fields().iter().find(|field| field.name().contains('\0')) {
            return Err(HandoverError::column(field.name(), "a name holds no null character"));
        }
        match &self.manager.schema {
            Some(own) if self.manager.fingerprint != fingerprint(schema) => {
                Err(HandoverError::Schema { reason: difference(own, schema) })
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.close(Duration::ZERO);
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell()
    }
}

fn pack_trusted(
    permit: Permit,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<Parcel, HandoverError> {
    if let Some(memory) = permit.slot_memory()?
        && let Some(bytes) = fill(&memory, schema, batches)?
    {
        return Ok(Parcel { permit, pages: Some(Pages::Mapped(memory)), bytes: bytes as u64 });
    }
    let mut count = CountingSink::default();
    write_file(&mut count, schema, batches)?;
    let (memory, _) = permit.memory(count.bytes)?;
    let bytes = fill(&memory, schema, batches)?.unwrap_or(0);
    Ok(Parcel { permit, pages: Some(Pages::Mapped(memory)), bytes: bytes as u64 })
}

/// Writes a table into memory; the number of its bytes, or `None` if they do not fit.
fn fill(
    memory: &Memory,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<Option<usize>, HandoverError> {
    let mut sink = MemorySink::new(memory, batches);
    match write_file(&mut sink, schema, batches) {
        Ok(()) => {
            sink.finish();
            Ok(Some(sink.bytes()))
        }
        Err(_) if sink.is_full() => Ok(None),
        Err(err) => Err(err),
    }
}

fn write_file<W: std::io::Write>(
    sink: W,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<(), HandoverError> {
    let failed = |err: arrow_schema::ArrowError| match err {
        arrow_schema::ArrowError::IoError(_, source) => {
            HandoverError::System { what: "write a segment", source }
        }
        arrow_schema::ArrowError::InvalidArgumentError(text)
            if text.starts_with("Dictionary replacement") =>
        {
            let reason = "a column has another dictionary in each batch; give it one for all (in pyarrow: table.unify_dictionaries())";
            HandoverError::Schema { reason: reason.to_owned() }
        }
        other => HandoverError::Schema { reason: other.to_string() },
    };
    let mut writer = FileWriter::try_new(sink, schema).map_err(failed)?;
    for batch in batches {
        writer.write(batch).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

/// A table under construction in the memory that will be handed over; see [`SegmentWriter`] for its columns.
#[derive(Debug)]
pub struct Segment {
    writer: SegmentWriter,
    permit: Permit,
}

impl Segment {
    /// Completes the table. Views of its columns that still exist show what was written; writing through them changes
    /// nothing any more in sealed mode, and must not happen in trusted mode.
    ///
    /// # Errors
    ///
    /// [`HandoverError::System`] if the segment cannot be sealed.
    pub fn finish(mut self) -> Result<Parcel, HandoverError> {
        let bytes = self.writer.finish() as u64;
        let memory = self.writer.memory;
        let pages = match self.permit.is_trusted() || memory.freeze().is_ok() {
            true => Pages::Mapped(memory),
            // A child that was forked meanwhile has it mapped. It can write there, but not in a copy.
            false => Pages::Unmapped(self.permit.sealed_copy(&memory)?),
        };
        Ok(Parcel { permit: self.permit, pages: Some(pages), bytes })
    }
}

impl std::ops::Deref for Segment {
    type Target = SegmentWriter;

    fn deref(&self) -> &SegmentWriter {
        &self.writer
    }
}

impl std::ops::DerefMut for Segment {
    fn deref_mut(&mut self) -> &mut SegmentWriter {
        &mut self.writer
    }
}

/// A complete table in a segment, ready to be sent.
#[derive(Debug)]
pub struct Parcel {
    permit: Permit,
    pages: Option<Pages>,
    bytes: u64,
}

impl Parcel {
    /// Size of the segment in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What becomes of a table that was sent.
#[derive(Debug, Clone)]
pub struct Receipt {
    manager: Arc<Manager>,
    outcome: Arc<Outcome>,
}

impl Receipt {
    /// Whether the consumer has acknowledged the table by letting go of it, or is gone.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// Waits until the consumer has let go of the table; `timeout` `None` waits forever, zero not at all.
    ///
    /// # Errors
    ///
    /// [`HandoverError::PeerGone`] if the consumer left without: whether it has seen the table is not known.
    /// [`HandoverError::WouldBlock`], [`HandoverError::Timeout`].
    pub fn wait(&self, timeout: Option<Duration>) -> Result<(), HandoverError> {
        match self.manager.wait_settled(&self.outcome, timeout)? {
            true => Ok(()),
            false => Err(HandoverError::PeerGone { what: "it did not acknowledge the table" }),
        }
    }
}
