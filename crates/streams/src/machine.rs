//! The pump as a pure state machine: it decides, and never touches a descriptor.
//!
//! The driver asks [`Machine::step`] what to do, does it, and tells the outcome with [`Machine::event`]. All rules about
//! order, backpressure, dead writers, limits and cancellation are here, where every short history can be tried.

use crate::report::Ending;

/// What the driver has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Let the kernel move bytes from the reader to the only writer.
    Move,
    /// Take bytes from the reader into the buffer.
    Fill,
    /// Give buffered bytes to this writer.
    Flush(usize),
    /// Take bytes from the reader and drop them.
    Discard,
    /// Sleep until the reader has something, a writer dies, or somebody cancels.
    AwaitReader,
    /// Sleep until one of the writers that [`Machine::waits_for`] names takes bytes, or somebody cancels.
    AwaitWriters,
    /// Stop.
    Done(Stop),
}

/// Why the machine stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stop {
    Ended(Ending),
    Cancelled,
    ReadFailed,
    WriteFailed(usize),
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// This many bytes were moved, taken, given or discarded, as the step asked; never zero.
    Bytes(u64),
    /// The reader is at its end.
    Eof,
    /// Nothing can be done now.
    Blocked,
    /// What the machine waited for may have happened.
    Ready,
    /// A signal came in between; nothing was done.
    Interrupted,
    /// The kernel cannot move bytes between these two; nothing was done.
    Refused,
    /// This writer will never take another byte.
    Gone(usize),
    /// The reader failed.
    ReadFailed,
    /// This writer failed, and that ends the operation.
    WriteFailed(usize),
    /// Somebody cancelled.
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Take,
    AwaitReader,
    Give,
    AwaitWriters,
    Discard,
    AwaitDiscard,
    Done(Stop),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sink {
    open: bool,
    blocked: bool,
    pending: u64,
    given: u64,
}

/// The state of one pump with one reader and any number of writers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    phase: Phase,
    /// The kernel moves bytes; only ever true with one writer.
    moving: bool,
    /// After a move blocked on an unknown side: the reader was waited for, the writer is next.
    then_writer: bool,
    drain: bool,
    remaining: Option<u64>,
    taken: u64,
    discarded: u64,
    sinks: Vec<Sink>,
}

impl Machine {
    /// A pump that has done nothing yet.
    ///
    /// `moving` asks for [`Step::Move`] and needs exactly one writer. `drain` reads on when all writers are gone.
    pub(crate) fn new(sinks: usize, moving: bool, drain: bool, limit: Option<u64>) -> Self {
        debug_assert!(!moving || sinks == 1);
        let sink = Sink { open: true, blocked: false, pending: 0, given: 0 };
        let mut machine = Self {
            phase: Phase::Take,
            moving,
            then_writer: false,
            drain,
            remaining: limit,
            taken: 0,
            discarded: 0,
            sinks: vec![sink; sinks],
        };
        machine.take();
        machine
    }

    /// What to do next.
    pub(crate) fn step(&self) -> Step {
        match self.phase {
            Phase::Take if self.moving => Step::Move,
            Phase::Take => Step::Fill,
            Phase::AwaitReader | Phase::AwaitDiscard => Step::AwaitReader,
            Phase::Give => match self.sinks.iter().position(|s| s.pending > 0 && !s.blocked) {
                Some(index) => Step::Flush(index),
                None => Step::AwaitWriters,
            },
            Phase::AwaitWriters => Step::AwaitWriters,
            Phase::Discard => Step::Discard,
            Phase::Done(stop) => Step::Done(stop),
        }
    }

    /// How many bytes the next [`Step::Move`], [`Step::Fill`] or [`Step::Discard`] may take at most.
    pub(crate) fn allowance(&self) -> u64 {
        self.remaining.unwrap_or(u64::MAX)
    }

    /// Bytes that this writer still has to get of the buffer.
    pub(crate) fn pending(&self, sink: usize) -> u64 {
        self.sinks[sink].pending
    }

    /// Whether this writer still takes bytes.
    pub(crate) fn is_open(&self, sink: usize) -> bool {
        self.sinks[sink].open
    }

    /// Whether [`Step::AwaitWriters`] waits for this writer.
    pub(crate) fn waits_for(&self, sink: usize) -> bool {
        let sink = &self.sinks[sink];
        sink.open && (sink.pending > 0 || self.moving)
    }

    /// Bytes taken from the reader.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Bytes that no writer accepted.
    pub(crate) fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Bytes this writer accepted.
    pub(crate) fn given(&self, sink: usize) -> u64 {
        self.sinks[sink].given
    }

    /// Tells the outcome of the current step.
    pub(crate) fn event(&mut self, event: Event) {
        if let Phase::Done(_) = self.phase {
            return;
        }
        match (event, self.phase) {
            (Event::Cancelled, _) => self.phase = Phase::Done(Stop::Cancelled),
            (Event::ReadFailed, _) => self.phase = Phase::Done(Stop::ReadFailed),
            (Event::WriteFailed(sink), _) => self.phase = Phase::Done(Stop::WriteFailed(sink)),
            (Event::Interrupted, _) => {}
            (Event::Gone(sink), _) => self.gone(sink),
            (Event::Eof, Phase::Take | Phase::Discard) => self.end(Ending::Eof),
            (Event::Bytes(n), Phase::Take) => self.filled(n),
            (Event::Bytes(n), Phase::Give) => self.flushed(n),
            (Event::Bytes(n), Phase::Discard) => {
                self.count(n);
                self.discarded += n;
                self.take();
            }
            (Event::Blocked, Phase::Take) => {
                self.then_writer = self.moving;
                self.phase = Phase::AwaitReader;
            }
            (Event::Blocked, Phase::Discard) => self.phase = Phase::AwaitDiscard,
            (Event::Blocked, Phase::Give) => {
                if let Step::Flush(sink) = self.step() {
                    self.sinks[sink].blocked = true;
                }
            }
            (Event::Ready, Phase::AwaitReader) if self.then_writer => {
                self.then_writer = false;
                self.phase = Phase::AwaitWriters;
            }
            (Event::Ready, Phase::AwaitReader) => self.phase = Phase::Take,
            (Event::Ready, Phase::AwaitDiscard) => self.phase = Phase::Discard,
            (Event::Ready, Phase::AwaitWriters) => self.phase = Phase::Take,
            (Event::Ready, Phase::Give) => self.sinks.iter_mut().for_each(|s| s.blocked = false),
            (Event::Refused, Phase::Take) => self.moving = false,
            (Event::Bytes(_) | Event::Eof | Event::Blocked | Event::Ready | Event::Refused, _) => {
                debug_assert!(false, "{event:?} cannot follow {:?}", self.phase);
            }
        }
    }

    fn filled(&mut self, n: u64) {
        self.count(n);
        if self.moving {
            self.sinks[0].given += n;
            self.take();
            return;
        }
        for sink in self.sinks.iter_mut().filter(|s| s.open) {
            sink.pending = n;
            sink.blocked = false;
        }
        self.phase = Phase::Give;
    }

    fn flushed(&mut self, n: u64) {
        if let Step::Flush(index) = self.step() {
            let sink = &mut self.sinks[index];
            sink.pending = sink.pending.saturating_sub(n);
            sink.given += n;
        }
        if self.sinks.iter().all(|s| s.pending == 0) {
            self.take();
        }
    }

    fn gone(&mut self, index: usize) {
        let sink = &mut self.sinks[index];
        let lost = std::mem::take(&mut sink.pending);
        sink.open = false;
        if !self.sinks.iter().any(|s| s.open) {
            self.discarded += lost;
            self.take();
        } else if self.phase == Phase::Give && self.sinks.iter().all(|s| s.pending == 0) {
            self.take();
        }
    }

    fn count(&mut self, n: u64) {
        self.taken += n;
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(n);
        }
    }

    /// Enters the phase that takes the next bytes, unless there is a reason to stop.
    fn take(&mut self) {
        if self.remaining == Some(0) {
            self.end(Ending::Limit);
        } else if self.sinks.iter().any(|s| s.open) {
            self.phase = Phase::Take;
        } else if self.drain {
            self.phase = Phase::Discard;
        } else {
            self.end(Ending::WriterGone);
        }
    }

    fn end(&mut self, ending: Ending) {
        self.phase = Phase::Done(Stop::Ended(ending));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Every event that the driver can report for a step.
    fn outcomes(machine: &Machine) -> Vec<Event> {
        let mut events = vec![Event::Interrupted, Event::Cancelled];
        match machine.step() {
            Step::Move => {
                let most = machine.allowance().min(3);
                events.extend((1..=most).map(Event::Bytes));
                events.extend([Event::Eof, Event::Blocked, Event::Refused, Event::Gone(0)]);
                events.extend([Event::ReadFailed, Event::WriteFailed(0)]);
            }
            Step::Fill | Step::Discard => {
                let most = machine.allowance().min(3);
                events.extend((1..=most).map(Event::Bytes));
                events.extend([Event::Eof, Event::Blocked, Event::ReadFailed]);
            }
            Step::Flush(i) => {
                events.extend((1..=machine.pending(i)).map(Event::Bytes));
                events.extend([Event::Blocked, Event::Gone(i), Event::WriteFailed(i)]);
            }
            Step::AwaitReader | Step::AwaitWriters => {
                events.push(Event::Ready);
                let open = (0..machine.sinks.len()).filter(|&i| machine.is_open(i));
                events.extend(open.map(Event::Gone));
            }
            Step::Done(_) => events.clear(),
        }
        events
    }

    fn check(before: &Machine, event: Event, after: &Machine) {
        let place = format!("{before:?} --{event:?}--> {after:?}");
        match event {
            Event::Interrupted => assert_eq!(before, after, "{place}"),
            Event::Cancelled => assert_eq!(after.step(), Step::Done(Stop::Cancelled), "{place}"),
            _ => assert_ne!(after.step(), Step::Done(Stop::Cancelled), "{place}"),
        }
        for sink in &after.sinks {
            assert!(sink.open || sink.pending == 0, "a dead writer has nothing pending: {place}");
            assert!(sink.given + sink.pending <= after.taken, "bytes from nowhere: {place}");
            if sink.open && after.discarded == 0 && !matches!(after.phase, Phase::Discard) {
                assert_eq!(sink.given + sink.pending, after.taken, "a byte is lost: {place}");
            }
        }
        match after.step() {
            Step::Move | Step::Fill => {
                assert!(after.sinks.iter().all(|s| s.pending == 0), "overfilled: {place}");
                assert!(after.sinks.iter().any(|s| s.open), "nobody to fill for: {place}");
                assert_ne!(after.remaining, Some(0), "past the limit: {place}");
            }
            Step::Flush(i) => assert!(after.pending(i) > 0 && after.is_open(i), "{place}"),
            Step::AwaitWriters => {
                assert!(
                    (0..after.sinks.len()).any(|i| after.waits_for(i)),
                    "waits forever: {place}"
                );
            }
            Step::AwaitReader => {
                assert!(after.sinks.iter().all(|s| s.pending == 0), "sits on bytes: {place}");
            }
            Step::Discard => assert!(after.drain && after.sinks.iter().all(|s| !s.open), "{place}"),
            Step::Done(Stop::Ended(Ending::Eof)) => {
                assert!(after.sinks.iter().all(|s| s.pending == 0), "ended with bytes: {place}");
            }
            Step::Done(Stop::Ended(Ending::Limit)) => {
                assert_eq!(after.remaining, Some(0), "{place}");
            }
            Step::Done(Stop::Ended(Ending::WriterGone)) => {
                assert!(!after.drain && after.sinks.iter().all(|s| !s.open), "{place}");
            }
            Step::Done(_) => {}
        }
    }

    /// Walks every history of at most `depth` events; a state seen before with as much left to walk is not walked again.
    fn explore(start: Machine, depth: usize) -> usize {
        let mut seen = HashSet::new();
        let mut frontier = vec![start];
        for _ in 0..depth {
            let mut next = Vec::new();
            for machine in frontier {
                for event in outcomes(&machine) {
                    let mut after = machine.clone();
                    after.event(event);
                    check(&machine, event, &after);
                    if seen.insert(after.clone()) {
                        next.push(after);
                    }
                }
            }
            frontier = next;
        }
        seen.len()
    }

    #[test]
    fn every_short_history_keeps_the_rules() {
        let mut states = 0;
        for sinks in 0..=3 {
            for drain in [false, true] {
                for limit in [None, Some(0), Some(1), Some(4)] {
                    let depth = if sinks == 3 { 9 } else { 14 };
                    states += explore(Machine::new(sinks, false, drain, limit), depth);
                    if sinks == 1 {
                        states += explore(Machine::new(1, true, drain, limit), 14);
                    }
                }
            }
        }
        assert!(states > 10_000, "only {states} states");
    }

    #[test]
    fn a_driver_that_always_succeeds_comes_to_the_end() {
        for (sinks, moving) in [(1, true), (1, false), (2, false)] {
            let mut machine = Machine::new(sinks, moving, false, None);
            let mut left = 10;
            for _ in 0..1_000 {
                let event = match machine.step() {
                    Step::Move | Step::Fill | Step::Discard if left == 0 => Event::Eof,
                    Step::Move | Step::Fill | Step::Discard => {
                        left -= 1;
                        Event::Bytes(7)
                    }
                    Step::Flush(i) => Event::Bytes(machine.pending(i).min(3)),
                    Step::AwaitReader | Step::AwaitWriters => Event::Ready,
                    Step::Done(_) => break,
                };
                machine.event(event);
            }
            assert_eq!(machine.step(), Step::Done(Stop::Ended(Ending::Eof)));
            assert_eq!(machine.taken(), 70);
            assert!((0..sinks).all(|i| machine.given(i) == 70));
        }
    }
}
