//! The state of a server and the thread that watches its sockets.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow_schema::SchemaRef;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, getpid};

use super::bell::Bell;
use super::error::{Attempt, HandoverError};
use super::fingerprint::{ANY, fingerprint};
use super::frame::{Carrier, Frame, Refusal, VERSION};
use super::link::{Link, Received, after, readable, wait};
use super::listener::{Listener, watch_process};
use super::memory::{Backing, Memory, Store};
use super::server::{ServerOptions, Transport};
use super::slots::Slots;
use super::spare::Spare;
use super::sync::lock;
use super::token::{Role, Token};

/// Most connections that have not introduced themselves; the oldest makes room for the next.
const MAX_PENDING: usize = 32;

/// Most consumers that have said goodbye and still hold tables.
const MAX_PEERS: usize = 16;

/// A slot's memory is made this much larger than asked for, in steps, so that a slightly larger table fits again.
const SLOT_STEP: usize = 1 << 21;

/// What became of a table: open, released by its consumer, or lost with it.
#[derive(Debug, Default)]
pub(super) struct Outcome(AtomicU8);

impl Outcome {
    pub(super) fn get(&self) -> Option<bool> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            settled => Some(settled == 1),
        }
    }

    fn settle(&self, released: bool) {
        self.0.store(if released { 1 } else { 2 }, Ordering::Release);
    }
}

/// The pages of a complete table.
#[derive(Debug)]
pub(super) enum Pages {
    Mapped(Arc<Memory>),
    Unmapped(Backing),
}

impl Pages {
    fn backing(&self) -> &Backing {
        match self {
            Self::Mapped(memory) => &memory.backing,
            Self::Unmapped(backing) => backing,
        }
    }
}

/// A slot in the hands of the producer; given back on drop.
#[derive(Debug)]
pub(super) struct Permit {
    manager: Arc<Manager>,
    slot: Option<usize>,
}

impl Permit {
    pub(super) fn is_trusted(&self) -> bool {
        self.manager.trusted
    }

    /// Memory for a table of `bytes` bytes, and whether it is all zeros.
    pub(super) fn memory(&self, bytes: usize) -> Result<(Arc<Memory>, bool), HandoverError> {
        if !self.manager.trusted {
            let spare = self.manager.spare.take().filter(|memory| memory.len() >= bytes);
            let mut memory = match spare {
                Some(memory) => memory,
                None => Memory::create(&self.manager.store, bytes)?,
            };
            memory.truncate(bytes)?;
            memory.allow_forks();
            self.manager.spare.expect(bytes);
            return Ok((Arc::new(memory), true));
        }
        match self.slot_memory()?.filter(|memory| memory.len() >= bytes) {
            Some(memory) => Ok((memory, false)),
            None => Ok((self.new_slot_memory(bytes)?, true)),
        }
    }

    /// The content of `memory` in pages of its own, sealed.
    pub(super) fn sealed_copy(&self, memory: &Memory) -> Result<Backing, HandoverError> {
        let copy = Backing::create(&self.manager.store)?;
        memory.copy_to(&copy)?;
        copy.seal()?;
        Ok(copy)
    }

    /// Trusted mode: the memory of this slot, unless somebody looks at it still.
    pub(super) fn slot_memory(&self) -> Result<Option<Arc<Memory>>, HandoverError> {
        let slot = self.slot.ok_or(HandoverError::Closed)?;
        let state = lock(&self.manager.state);
        let memory = state.lots[slot].memory.as_ref();
        Ok(memory.filter(|memory| Arc::strong_count(memory) == 1).cloned())
    }

    fn new_slot_memory(&self, bytes: usize) -> Result<Arc<Memory>, HandoverError> {
        let slot = self.slot.ok_or(HandoverError::Closed)?;
        let room = bytes
            .checked_next_multiple_of(SLOT_STEP)
            .ok_or(HandoverError::TooLarge { bytes: bytes as u64, limit: isize::MAX as u64 })?;
        let memory = Arc::new(Memory::create_slot(&self.manager.store, room, bytes)?);
        let mut state = lock(&self.manager.state);
        state.lots[slot].memory = Some(memory.clone());
        // Nobody knows this memory yet.
        state.peers.iter_mut().for_each(|peer| peer.knows &= !(1 << slot));
        Ok(memory)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.filter(|_| !self.manager.is_forked()) {
            lock(&self.manager.state).slots.abandon(slot);
            self.manager.notify();
        }
    }
}

#[derive(Debug)]
pub(super) struct Manager {
    pub(super) trusted: bool,
    pub(super) store: Store,
    pub(super) schema: Option<SchemaRef>,
    pub(super) fingerprint: [u8; 32],
    pub(super) spare: Spare,
    directory: Vec<u8>,
    deadline: Duration,
    slots: u32,
    owner: Pid,
    state: Mutex<State>,
    changed: Condvar,
    wake: Bell,
    watched: AtomicBool,
    bell: Bell,
}

#[derive(Debug)]
struct State {
    slots: Slots,
    lots: Vec<Lot>,
    tokens: Vec<Token>,
    peers: Vec<Peer>,
    current: Option<u64>,
    next_peer: u64,
    finishing: bool,
    stopped: bool,
    fault: Option<String>,
}

/// What belongs to one slot.
#[derive(Debug, Default)]
struct Lot {
    /// Trusted mode: the memory, which stays.
    memory: Option<Arc<Memory>>,
    /// Sealed mode with files: what must not be removed before it was read.
    kept: Option<Pages>,
    outcome: Option<Arc<Outcome>>,
}

#[derive(Debug)]
struct Peer {
    id: u64,
    link: Arc<Link>,
    process: Option<Arc<OwnedFd>>,
    leaving: bool,
    /// One bit per slot whose memory this peer has mapped.
    knows: u64,
}

/// A peer as the watching thread sees it: id, socket, process.
type Watched = (u64, Arc<Link>, Option<Arc<OwnedFd>>);

impl Manager {
    pub(super) fn new(options: &ServerOptions, listener: &Listener) -> Result<Self, HandoverError> {
        let (store, directory) = match options.transport {
            #[cfg(target_os = "linux")]
            Transport::Unix => (Store::Memfd, Vec::new()),
            Transport::Tcp => (
                Store::Files(listener.place.clone()),
                listener.place.path().as_os_str().as_bytes().to_vec(),
            ),
        };
        let state = State {
            slots: Slots::new(options.slots),
            lots: std::iter::repeat_with(Lot::default).take(options.slots).collect(),
            tokens: Vec::new(),
            peers: Vec::new(),
            current: None,
            next_peer: 0,
            finishing: false,
            stopped: false,
            fault: None,
        };
        Ok(Self {
            trusted: options.trusted,
            store,
            schema: options.schema.clone(),
            fingerprint: options.schema.as_ref().map_or(ANY, |schema| fingerprint(schema)),
            spare: Spare::default(),
            directory,
            deadline: options.deadline,
            slots: options.slots as u32,
            owner: getpid(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            wake: Bell::new().attempt("make an event")?,
            watched: AtomicBool::new(false),
            bell: Bell::new().attempt("make an event")?,
        })
    }

    /// Whether this is the copy of a forked child. Connections and slots are its parent's, and a thread that it does not have
    /// may hold the lock, so that the child takes none.
    pub(super) fn is_forked(&self) -> bool {
        getpid() != self.owner
    }

    pub(super) fn issue_token(&self) -> Result<Token, HandoverError> {
        let token = Token::random()?;
        self.wait_until(None, "the server is closed", |state| {
            state.open()?;
            state.tokens.push(token.clone());
            Ok(Some(()))
        })?;
        Ok(token)
    }

    /// What `ask` finds; nothing in a forked child.
    fn look<T: Default>(&self, ask: impl FnOnce(&State) -> T) -> T {
        if self.is_forked() { T::default() } else { ask(&lock(&self.state)) }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.look(|state| state.current.is_some())
    }

    pub(super) fn fault(&self) -> Option<String> {
        self.look(|state| state.fault.clone())
    }

    pub(super) fn outstanding(&self) -> usize {
        self.look(|state| state.slots.sent())
    }

    pub(super) fn watch(&self) -> BorrowedFd<'_> {
        self.watched.store(true, Ordering::Release);
        self.bell.fd()
    }

    pub(super) fn hush(&self) {
        // It rings for the parent of a forked child.
        if !self.is_forked() {
            self.bell.hush();
        }
    }

    fn notify(&self) {
        self.changed.notify_all();
        if self.watched.load(Ordering::Acquire) {
            self.bell.ring();
        }
    }

    pub(super) fn wait_connected(&self, timeout: Option<Duration>) -> Result<(), HandoverError> {
        self.wait_until(timeout, "no consumer is connected", |state| {
            state.open()?;
            Ok(state.current.map(|_| ()))
        })
    }

    pub(super) fn take_slot(
        self: &Arc<Self>,
        timeout: Option<Duration>,
    ) -> Result<Permit, HandoverError> {
        let slot = self.wait_until(timeout, "all slots are in use", |state| {
            state.open()?;
            let lots = &state.lots;
            // Memory that somebody looks at still would have to be made anew.
            let prefer = |slot: usize| match &lots[slot].memory {
                Some(memory) => u8::from(Arc::strong_count(memory) > 1) * 2,
                None => 1,
            };
            Ok(state.slots.take(prefer))
        })?;
        Ok(Permit { manager: self.clone(), slot: Some(slot) })
    }

    pub(super) fn deliver(
        &self,
        permit: &mut Permit,
        pages: &mut Option<Pages>,
        bytes: u64,
        timeout: Option<Duration>,
    ) -> Result<Arc<Outcome>, HandoverError> {
        let (Some(slot), true) = (permit.slot, pages.is_some()) else {
            return Err(HandoverError::Closed);
        };
        let outcome = self.wait_until(timeout, "no consumer is connected", |state| {
            state.open()?;
            self.try_deliver(state, slot, pages, bytes)
        })?;
        permit.slot = None;
        Ok(outcome)
    }

    fn try_deliver(
        &self,
        state: &mut State,
        slot: usize,
        pages: &mut Option<Pages>,
        bytes: u64,
    ) -> Result<Option<Arc<Outcome>>, HandoverError> {
        let current = state.current;
        let Some(peer) = state.peers.iter_mut().find(|peer| Some(peer.id) == current) else {
            return Ok(None);
        };
        let Some(backing) = pages.as_ref().map(Pages::backing) else { return Ok(None) };
        let known = self.trusted && peer.knows & (1 << slot) != 0;
        let carrier = if known { Carrier::Known } else { backing.carrier() };
        let fd = (carrier == Carrier::Attached).then(|| backing.fd());
        let generation = state.slots.generation(slot) + 1;
        let frame = Frame::Segment { slot: slot as u32, generation, bytes, carrier };
        match peer.link.send(&frame, fd) {
            Ok(true) => {}
            // Its socket is full although it holds few frames at most, or it is gone: the watching thread sees to it.
            Ok(false) | Err(HandoverError::PeerGone { .. }) => {
                self.wake.ring();
                return Ok(None);
            }
            Err(err) => return Err(err),
        }
        peer.knows |= 1 << slot;
        state.slots.send(slot, peer.id);
        let outcome = Arc::new(Outcome::default());
        let lot = &mut state.lots[slot];
        lot.outcome = Some(outcome.clone());
        let pages = pages.take();
        if !self.trusted && matches!(self.store, Store::Files(_)) {
            lot.kept = pages;
        }
        Ok(Some(outcome))
    }

    pub(super) fn wait_settled(
        &self,
        outcome: &Outcome,
        timeout: Option<Duration>,
    ) -> Result<bool, HandoverError> {
        self.wait_until(timeout, "the table is not acknowledged yet", |_| Ok(outcome.get()))
    }

    /// Says goodbye and waits until nothing is outstanding.
    pub(super) fn finish(&self, timeout: Duration) -> Result<(), HandoverError> {
        if self.is_forked() {
            return Ok(());
        }
        {
            let mut state = lock(&self.state);
            if !state.finishing {
                state.finishing = true;
                state.tokens.clear();
                for peer in &state.peers {
                    let _ = peer.link.post(&Frame::Goodbye);
                }
            }
        }
        self.notify();
        let settled = self.wait_until(Some(timeout), "tables are unacknowledged", |state| {
            Ok((state.slots.sent() == 0 || state.stopped).then_some(()))
        });
        match settled {
            Err(HandoverError::WouldBlock { what }) => Err(HandoverError::Timeout { what }),
            other => other,
        }
    }

    pub(super) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.wake.ring();
        self.notify();
    }

    /// Waits until `attempt` gives something, which it is asked again whenever the state changes.
    fn wait_until<T>(
        &self,
        timeout: Option<Duration>,
        what: &'static str,
        mut attempt: impl FnMut(&mut State) -> Result<Option<T>, HandoverError>,
    ) -> Result<T, HandoverError> {
        if self.is_forked() {
            return Err(HandoverError::Closed);
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = lock(&self.state);
        loop {
            if let Some(value) = attempt(&mut state)? {
                return Ok(value);
            }
            if timeout == Some(Duration::ZERO) {
                return Err(HandoverError::WouldBlock { what });
            }
            state = match deadline {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(HandoverError::Timeout { what });
                    }
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// The watching thread: admits consumers, takes releases, notices deaths.
    pub(super) fn run(&self, listener: &Listener) {
        let mut pending: Vec<(Link, Instant)> = Vec::new();
        while !lock(&self.state).stopped {
            self.pause(listener, &pending, &self.watched());
            while let Some(link) = listener.accept() {
                if pending.len() == MAX_PENDING {
                    pending.remove(0);
                }
                pending.push((link, after(Instant::now(), self.deadline)));
            }
            pending =
                pending.into_iter().filter_map(|(link, by)| self.introduce(link, by)).collect();
            self.hear_all();
            self.spare.prepare(&self.store);
        }
        self.spare.take();
        let mut state = lock(&self.state);
        state.lots.iter_mut().for_each(|lot| lot.memory = None);
        while let Some(id) = state.peers.first().map(|peer| peer.id) {
            state.lose(id);
        }
        drop(state);
        self.notify();
    }

    fn watched(&self) -> Vec<Watched> {
        let state = lock(&self.state);
        state.peers.iter().map(|p| (p.id, p.link.clone(), p.process.clone())).collect()
    }

    /// Takes what consumers have sent, and parts with those that are gone.
    fn hear_all(&self) {
        for (id, link, process) in self.watched() {
            if let Err(err) = self.listen_to(id, &link, process.as_deref()) {
                let mut state = lock(&self.state);
                if !matches!(err, HandoverError::Closed) {
                    state.fault = Some(err.to_string());
                }
                state.lose(id);
                drop(state);
                self.notify();
            }
        }
    }

    /// Waits until there may be something to do.
    fn pause(&self, listener: &Listener, pending: &[(Link, Instant)], peers: &[Watched]) {
        let mut fds = vec![readable(self.wake.fd()), readable(listener.fd.as_fd())];
        fds.extend(pending.iter().map(|(link, _)| readable(link.fd())));
        for (_, link, process) in peers {
            let mut events = PollFlags::IN;
            if !link.flush().unwrap_or(true) {
                events |= PollFlags::OUT;
            }
            fds.push(PollFd::from_borrowed_fd(link.fd(), events));
            fds.extend(process.iter().map(|process| readable(process.as_fd())));
        }
        let partial = peers.iter().filter_map(|(_, link, _)| link.partial_since());
        let deadlines = pending.iter().map(|(_, by)| *by);
        let deadline = deadlines.chain(partial.map(|since| after(since, self.deadline))).min();
        if wait(&mut fds, deadline).is_err() {
            // The system is out of memory, if anything.
            std::thread::sleep(Duration::from_millis(1));
        }
        self.wake.hush();
    }

    /// Reads what a consumer sent. [`HandoverError::Closed`] means that it closed its end in order.
    fn listen_to(
        &self,
        id: u64,
        link: &Link,
        process: Option<&OwnedFd>,
    ) -> Result<(), HandoverError> {
        // Asked first, so that everything that it sent while it lived is read.
        let dead = process.is_some_and(|process| {
            let mut fds = [readable(process.as_fd())];
            wait(&mut fds, Some(Instant::now()))
                .is_ok_and(|ready| ready && !fds[0].revents().is_empty())
        });
        loop {
            match link.receive()? {
                Received::Frame(Frame::Release { slot, generation }, None) => {
                    let mut state = lock(&self.state);
                    let slot = state.slots.release(slot, generation, id)?;
                    state.settle(slot, true);
                    drop(state);
                    self.notify();
                }
                Received::Frame(Frame::Leave { held }, None) => {
                    lock(&self.state).leave(id, held)?;
                    self.notify();
                }
                Received::Frame(..) => return Err(HandoverError::protocol("a frame out of place")),
                Received::End => {
                    let orderly = lock(&self.state).has_left(id);
                    return Err(match orderly {
                        true => HandoverError::Closed,
                        false => HandoverError::PeerGone { what: "its socket is closed" },
                    });
                }
                Received::Nothing => break,
            }
        }
        if dead {
            return Err(HandoverError::PeerGone { what: "its process ended" });
        }
        if link.partial_since().is_some_and(|since| since.elapsed() >= self.deadline) {
            return Err(HandoverError::PeerGone { what: "it did not complete a frame in time" });
        }
        Ok(())
    }

    /// Hears a connection out that has not introduced itself; gives it back if it still has not.
    fn introduce(&self, link: Link, by: Instant) -> Option<(Link, Instant)> {
        match link.receive() {
            Ok(Received::Nothing) if Instant::now() < by => Some((link, by)),
            Ok(Received::Frame(Frame::Hello { version, trusted, nonce, proof, schema }, None)) => {
                // Who follows a consumer that is gone must not find its place taken.
                self.hear_all();
                self.greet(link, version, trusted, &nonce, &proof, schema);
                None
            }
            // Whatever it is, it learns nothing.
            _ => None,
        }
    }

    fn greet(
        &self,
        link: Link,
        version: u16,
        trusted: bool,
        nonce: &[u8; 16],
        proof: &[u8; 32],
        schema: [u8; 32],
    ) {
        let mut state = lock(&self.state);
        // All tokens are tried, whichever fits.
        let found = state.tokens.iter().enumerate().fold(None, |found, (i, token)| {
            if token.proves(Role::Client, nonce, proof) { Some(i) } else { found }
        });
        let Some(token) = found else { return };
        let refusal = if version != VERSION {
            Some(Refusal::Version)
        } else if trusted != self.trusted {
            Some(Refusal::Mode)
        } else if schema != ANY && self.fingerprint != ANY && schema != self.fingerprint {
            Some(Refusal::Schema)
        } else if state.current.is_some() || state.peers.len() >= MAX_PEERS {
            Some(Refusal::Busy)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            let _ = link.post(&Frame::Refused { refusal });
            return;
        }
        let token = state.tokens.swap_remove(token);
        let welcome = Frame::Welcome {
            trusted,
            slots: self.slots,
            proof: token.proof(Role::Server, nonce),
            schema: self.fingerprint,
            directory: self.directory.clone(),
        };
        if link.post(&welcome).is_err() {
            return;
        }
        let id = state.next_peer;
        state.next_peer += 1;
        let process = watch_process(&link).map(Arc::new);
        state.peers.push(Peer { id, link: Arc::new(link), process, leaving: false, knows: 0 });
        state.current = Some(id);
        drop(state);
        self.notify();
    }
}

impl State {
    fn open(&self) -> Result<(), HandoverError> {
        if self.finishing { Err(HandoverError::Closed) } else { Ok(()) }
    }

    fn settle(&mut self, slot: usize, released: bool) {
        self.lots[slot].kept = None;
        if let Some(outcome) = self.lots[slot].outcome.take() {
            outcome.settle(released);
        }
    }

    /// A consumer takes no more tables. What it does not hold it has not taken, nor will it.
    fn leave(&mut self, id: u64, held: u64) -> Result<(), HandoverError> {
        let peer = self.peers.iter_mut().find(|peer| peer.id == id && !peer.leaving);
        let peer = peer.ok_or_else(|| HandoverError::protocol("a second goodbye"))?;
        peer.leaving = true;
        self.current = self.current.filter(|&current| current != id);
        self.reclaim(id, held);
        Ok(())
    }

    fn has_left(&self, id: u64) -> bool {
        self.finishing || self.peers.iter().any(|peer| peer.id == id && peer.leaving)
    }

    fn lose(&mut self, id: u64) {
        self.peers.retain(|peer| peer.id != id);
        self.current = self.current.filter(|&current| current != id);
        self.reclaim(id, 0);
    }

    fn reclaim(&mut self, id: u64, kept: u64) {
        for slot in self.slots.lose(id, kept) {
            self.settle(slot, false);
        }
    }
}
