//! The consumer's end.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow_schema::SchemaRef;
use rustix::process::{Pid, getpid};

use super::address::Address;
use super::bell::Bell;
use super::check::Limits;
use super::error::{Attempt, HandoverError};
use super::fingerprint::{ANY, difference, fingerprint};
use super::frame::{Carrier, Frame, VERSION};
use super::link::{Link, Received, after, readable, wait};
use super::listener::{connect, watch_process};
use super::memory::{Mapping, copy_file};
use super::place::{open_file, open_private};
use super::read::Last;
use super::sync::lock;
use super::table::{Lease, ReceivedPages, Table};
use super::token::{Role, Token, random};

/// What a [`Client`] accepts.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    schema: Option<SchemaRef>,
    limits: Limits,
    deadline: Duration,
    awake: Duration,
    trusted: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientOptions {
    /// Any schema, default limits, 5 seconds for the handshake, waits asleep, sealed mode.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schema: None,
            limits: Limits::default(),
            deadline: Duration::from_secs(5),
            awake: Duration::ZERO,
            trusted: false,
        }
    }

    /// Accepts tables of this schema only.
    #[must_use]
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Bounds on what a segment may hold.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long the handshake may take, and the completion of a frame that has begun.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long a wait for the next table is spent awake, at most, before it is spent asleep. A processor is busy meanwhile, giving
    /// way to others, but none has to be woken when the table comes, which often takes longer than all the rest.
    #[must_use]
    pub fn awake(mut self, awake: Duration) -> Self {
        self.awake = awake;
        self
    }

    /// Keeps the slots of the producer mapped and takes the contents of its tables on trust.
    ///
    /// # Safety
    ///
    /// The producer must be a process of the same program: what it writes is not validated, and it can write it still.
    #[must_use]
    pub unsafe fn trusted(mut self) -> Self {
        self.trusted = true;
        self
    }
}

/// The consumer: receives tables from one server. All methods may be called from any thread.
#[derive(Debug)]
pub struct Client {
    connection: Arc<Connection>,
    intake: Mutex<Intake>,
    process: Option<OwnedFd>,
    options: ClientOptions,
    closed: AtomicBool,
    wake: Bell,
}

/// What outlives the client as long as a table does.
#[derive(Debug)]
pub(super) struct Connection {
    link: Link,
    owner: Pid,
    slots: usize,
    held: Mutex<HashMap<u32, u64>>,
}

#[derive(Debug)]
struct Intake {
    directory: Option<OwnedFd>,
    memories: HashMap<u32, Arc<Mapping>>,
    schema: [u8; 32],
    seen: Option<SchemaRef>,
    last: Last,
    idle: Option<Instant>,
    ended: bool,
    broken: bool,
}

impl Client {
    /// Connects and proves to know `token`; the server proves the same, so that nobody who took its place is believed.
    ///
    /// # Errors
    ///
    /// [`HandoverError::System`] if nobody listens, [`HandoverError::Handshake`] if the token is wrong or spent,
    /// [`HandoverError::Refused`], [`HandoverError::Schema`], [`HandoverError::Timeout`].
    pub fn connect(
        address: &Address,
        token: &Token,
        options: ClientOptions,
    ) -> Result<Self, HandoverError> {
        let deadline = after(Instant::now(), options.deadline);
        let link = connect(address, deadline)?;
        let nonce = random()?;
        let expected = options.schema.as_ref().map_or(ANY, |schema| fingerprint(schema));
        link.post(&Frame::Hello {
            version: VERSION,
            trusted: options.trusted,
            nonce,
            proof: token.proof(Role::Client, &nonce),
            schema: expected,
        })?;
        let (slots, schema, directory) = match await_answer(&link, deadline)? {
            Frame::Welcome { trusted, slots, proof, schema, directory } => {
                if !token.proves(Role::Server, &nonce, &proof) || trusted != options.trusted {
                    let what = "the server does not know the token";
                    return Err(HandoverError::Handshake { what });
                }
                (slots, schema, directory)
            }
            Frame::Refused { refusal } => return Err(HandoverError::Refused(refusal)),
            _ => return Err(HandoverError::protocol("a frame out of place")),
        };
        if !(1..=64).contains(&slots) {
            return Err(HandoverError::protocol(format!("{slots} slots")));
        }
        if expected != ANY && schema != ANY && schema != expected {
            return Err(HandoverError::Schema { reason: "the server's is another one".into() });
        }
        let directory = match &directory[..] {
            [] => None,
            path => Some(open_private(Path::new(OsStr::from_bytes(path)))?),
        };
        let intake = Intake {
            directory,
            memories: HashMap::new(),
            schema: if expected == ANY { schema } else { expected },
            seen: None,
            last: Last::default(),
            idle: None,
            ended: false,
            broken: false,
        };
        let process = matches!(address, Address::Unix(_)).then(|| watch_process(&link)).flatten();
        let connection =
            Connection { link, owner: getpid(), slots: slots as usize, held: Mutex::default() };
        Ok(Self {
            connection: Arc::new(connection),
            intake: Mutex::new(intake),
            process,
            options,
            closed: AtomicBool::new(false),
            wake: Bell::new().attempt("make an event")?,
        })
    }

    /// The next table; `None` when the producer has said that there are no more. `timeout` `None` waits forever, zero not at
    /// all.
    ///
    /// # Errors
    ///
    /// [`HandoverError::WouldBlock`], [`HandoverError::Timeout`], [`HandoverError::Closed`] (also in a forked child, as the tables
    /// are its parent's), and [`HandoverError::PeerGone`] if the producer went away without a word. What a hostile producer can cause
    /// ([`HandoverError::Protocol`], [`HandoverError::Malformed`], [`HandoverError::NotSealed`],
    /// [`HandoverError::TooLarge`], [`HandoverError::Schema`]) also ends the connection, and the table at hand is not
    /// acknowledged.
    pub fn recv(&self, timeout: Option<Duration>) -> Result<Option<Table>, HandoverError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut dead = false;
        if self.connection.is_forked() {
            return Err(HandoverError::Closed);
        }
        loop {
            let mut intake = lock(&self.intake);
            // Looked at with the lock held, so that nothing is taken after the goodbye.
            if self.closed.load(Ordering::Acquire) {
                return Err(HandoverError::Closed);
            }
            if intake.ended {
                return Ok(None);
            }
            if intake.broken {
                return Err(HandoverError::Closed);
            }
            match self.take(&mut intake, dead) {
                Ok(None) if intake.ended => return Ok(None),
                Ok(None) => {}
                Ok(Some(table)) => {
                    intake.idle = None;
                    return Ok(Some(table));
                }
                Err(err) => {
                    intake.broken = true;
                    // Cut off before the table at hand is dropped, so that its release is not sent.
                    self.connection.cut();
                    return Err(err);
                }
            }
            let partial = self.connection.link.partial_since();
            let until = partial.map(|since| after(since, self.options.deadline));
            let awake = self.options.awake > Duration::ZERO
                && intake.idle.get_or_insert_with(Instant::now).elapsed() < self.options.awake;
            drop(intake);
            let what = "no table has arrived";
            if timeout == Some(Duration::ZERO) {
                // What it sent before it died is read first.
                dead = self.is_producer_dead()?;
                if dead {
                    continue;
                }
                return Err(HandoverError::WouldBlock { what });
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(HandoverError::Timeout { what });
            }
            if awake {
                std::thread::yield_now();
                continue;
            }
            let mut fds = vec![readable(self.connection.link.fd()), readable(self.wake.fd())];
            fds.extend(self.process.iter().map(|process| readable(process.as_fd())));
            wait(&mut fds, [deadline, until].into_iter().flatten().min())?;
            // What it sent before it died is read first.
            dead = fds.get(2).is_some_and(|fd| !fd.revents().is_empty());
        }
    }

    /// A descriptor that is readable when a table or the end may have arrived; for event loops, which look at
    /// [`Client::process_fd`], too.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.connection.link.fd()
    }

    /// A descriptor that becomes readable when the process of the producer ends, which its socket does not say as long as a forked
    /// child of it has that. `None` where the system has no such thing, and over TCP.
    #[must_use]
    pub fn process_fd(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref().map(AsFd::as_fd)
    }

    /// Tables received whose slots this process still holds; none in a forked child.
    #[must_use]
    pub fn held(&self) -> usize {
        if self.connection.is_forked() { 0 } else { lock(&self.connection.held).len() }
    }

    /// Takes no more tables and wakes who waits for one. Tables at hand stay valid and are acknowledged when they are let
    /// go of; tables that were not received never are. In a forked child, it changes nothing for the parent.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) || self.connection.is_forked() {
            return;
        }
        // Who waits has not got the lock; who takes a table has it until that counts as held.
        self.wake.ring();
        let _intake = lock(&self.intake);
        self.connection.leave();
    }

    fn is_producer_dead(&self) -> Result<bool, HandoverError> {
        let Some(process) = &self.process else { return Ok(false) };
        let mut fds = [readable(process.as_fd())];
        wait(&mut fds, Some(Instant::now()))?;
        Ok(!fds[0].revents().is_empty())
    }

    /// What the socket has: a table, or nothing, or the end, which sets `ended`.
    fn take(&self, intake: &mut Intake, dead: bool) -> Result<Option<Table>, HandoverError> {
        let link = &self.connection.link;
        match link.receive()? {
            Received::Frame(Frame::Segment { slot, generation, bytes, carrier }, fd) => {
                self.open(intake, slot, generation, bytes, carrier, fd).map(Some)
            }
            Received::Frame(Frame::Goodbye, None) => {
                intake.ended = true;
                Ok(None)
            }
            Received::Frame(..) => Err(HandoverError::protocol("a frame out of place")),
            Received::End => Err(HandoverError::PeerGone { what: "its socket is closed" }),
            Received::Nothing if dead => Err(HandoverError::PeerGone { what: "its process ended" }),
            Received::Nothing => {
                let late = |since: Instant| since.elapsed() >= self.options.deadline;
                if link.partial_since().is_some_and(late) {
                    return Err(HandoverError::PeerGone {
                        what: "it did not complete a frame in time",
                    });
                }
                link.flush()?;
                Ok(None)
            }
        }
    }

    fn open(
        &self,
        intake: &mut Intake,
        slot: u32,
        generation: u64,
        bytes: u64,
        carrier: Carrier,
        fd: Option<OwnedFd>,
    ) -> Result<Table, HandoverError> {
        let limits = &self.options.limits;
        if bytes > limits.bytes {
            return Err(HandoverError::TooLarge { bytes, limit: limits.bytes });
        }
        let bytes = usize::try_from(bytes)
            .map_err(|_| HandoverError::TooLarge { bytes, limit: usize::MAX as u64 })?;
        if slot as usize >= self.connection.slots {
            return Err(HandoverError::protocol(format!("slot {slot}, which does not exist")));
        }
        if lock(&self.connection.held).contains_key(&slot) {
            return Err(HandoverError::protocol(format!("slot {slot} again, which is not free")));
        }
        let pages = self.pages(intake, slot, bytes, carrier, fd)?;
        lock(&self.connection.held).insert(slot, generation);
        let lease = Lease { connection: self.connection.clone(), slot, generation, pages };
        // SAFETY: who asked for trusted mode vouched for the producer; in sealed mode nothing is taken on trust.
        let read =
            unsafe { Table::read(lease, bytes, limits, self.options.trusted, &mut intake.last) };
        let table = read.inspect_err(|_| self.connection.cut())?;
        if intake.schema != ANY && intake.seen.as_ref() != Some(table.schema()) {
            if fingerprint(table.schema()) != intake.schema {
                self.connection.cut();
                let reason = match &self.options.schema {
                    Some(own) => difference(own, table.schema()),
                    None => "a table has another one than was agreed on".to_owned(),
                };
                return Err(HandoverError::Schema { reason });
            }
            intake.seen = Some(table.schema().clone());
        }
        Ok(table)
    }

    fn pages(
        &self,
        intake: &mut Intake,
        slot: u32,
        bytes: usize,
        carrier: Carrier,
        fd: Option<OwnedFd>,
    ) -> Result<ReceivedPages, HandoverError> {
        let is_file = matches!(carrier, Carrier::File(_));
        let fd = match (carrier, fd) {
            (Carrier::Known, None) => None,
            #[cfg(target_os = "linux")]
            (Carrier::Attached, Some(fd)) => Some(fd),
            (Carrier::File(name), None) => {
                let directory = intake.directory.as_ref();
                let directory = directory
                    .ok_or_else(|| HandoverError::protocol("a file without a directory"))?;
                let exact = (!self.options.trusted).then_some(bytes as u64);
                Some(open_file(directory, &name, exact)?)
            }
            _ => return Err(HandoverError::protocol("a segment without memory, or with two")),
        };
        let mapping = match (self.options.trusted, fd) {
            (true, Some(fd)) => {
                let mapping = Arc::new(Mapping::slot(&fd, is_file)?);
                intake.memories.insert(slot, mapping.clone());
                mapping
            }
            (true, None) => {
                let known = intake.memories.get(&slot).cloned();
                known.ok_or_else(|| HandoverError::protocol("a slot that was never shared"))?
            }
            (false, Some(fd)) if is_file => {
                return Ok(ReceivedPages::Own(copy_file(&fd, bytes)?.into()));
            }
            #[cfg(target_os = "linux")]
            (false, Some(fd)) => Arc::new(Mapping::sealed(&fd, bytes)?),
            _ => return Err(HandoverError::protocol("shared memory, which sealed mode excludes")),
        };
        if bytes > mapping.len() {
            return Err(HandoverError::protocol("a segment longer than its memory"));
        }
        Ok(ReceivedPages::Shared(mapping))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }
}

impl Connection {
    /// Whether this is the copy of a forked child, which has a copy of every table; but connection and slots are its parent's.
    fn is_forked(&self) -> bool {
        getpid() != self.owner
    }

    /// Gives a slot back.
    pub(super) fn release(&self, slot: u32, generation: u64) {
        if self.is_forked() {
            return;
        }
        // Locked until it is said, so that `leave` says before it that the slot is held, or after it that it is not.
        let mut held = lock(&self.held);
        held.remove(&slot);
        // A producer that is gone wants nothing back.
        let _ = self.link.post(&Frame::Release { slot, generation });
    }

    /// Says that no more tables are taken, and drops those that were not.
    fn leave(&self) {
        let held = lock(&self.held);
        let mask = held.keys().fold(0, |mask, slot| mask | 1 << slot);
        let _ = self.link.post(&Frame::Leave { held: mask });
        drop(held);
        for _ in 0..self.slots {
            if !matches!(self.link.receive(), Ok(Received::Frame(..))) {
                break;
            }
        }
    }

    /// Ends the connection in both directions.
    fn cut(&self) {
        let _ = rustix::net::shutdown(self.link.fd(), rustix::net::Shutdown::Both);
    }
}

fn await_answer(link: &Link, deadline: Instant) -> Result<Frame, HandoverError> {
    loop {
        match link.receive()? {
            Received::Frame(frame, None) => return Ok(frame),
            Received::Frame(..) => {
                return Err(HandoverError::protocol("a descriptor out of place"));
            }
            Received::End => {
                let what = "the server closed the connection: the token is wrong or spent, or it is shutting down";
                return Err(HandoverError::Handshake { what });
            }
            Received::Nothing => {}
        }
        if Instant::now() >= deadline {
            return Err(HandoverError::Timeout { what: "the server did not answer the handshake" });
        }
        wait(&mut [readable(link.fd())], Some(deadline))?;
    }
}
