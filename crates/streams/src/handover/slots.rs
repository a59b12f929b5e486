//! Who may use which slot: credits as a pure state machine.
//!
//! A slot is free, being filled by the producer, or sent to one consumer. Each use has a generation of its own, so that
//! a release that comes twice or late frees nothing.

use std::cmp::Reverse;

use super::error::HandoverError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Filling,
    Sent { peer: u64 },
}

#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    clock: u64,
}

#[derive(Debug)]
struct Slot {
    state: State,
    generation: u64,
    freed: u64,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        let slot = || Slot { state: State::Free, generation: 0, freed: 0 };
        Self { slots: std::iter::repeat_with(slot).take(count).collect(), clock: 0 }
    }

    #[cfg(test)]
    fn free(&self) -> usize {
        self.slots.iter().filter(|slot| slot.state == State::Free).count()
    }

    pub(super) fn sent(&self) -> usize {
        self.slots.iter().filter(|slot| matches!(slot.state, State::Sent { .. })).count()
    }

    /// Takes the free slot that `prefer` ranks lowest; among equals the one that was in use last, whose memory is warm.
    pub(super) fn take(&mut self, prefer: impl Fn(usize) -> u8) -> Option<usize> {
        let free = self.slots.iter().enumerate().filter(|(_, slot)| slot.state == State::Free);
        let (slot, _) = free.min_by_key(|&(i, slot)| (prefer(i), Reverse(slot.freed)))?;
        self.slots[slot].state = State::Filling;
        Some(slot)
    }

    /// Gives back a slot that was taken and not sent.
    pub(super) fn abandon(&mut self, slot: usize) {
        debug_assert_eq!(self.slots[slot].state, State::Filling);
        self.set_free(slot);
    }

    /// How often a slot was sent.
    pub(super) fn generation(&self, slot: usize) -> u64 {
        self.slots[slot].generation
    }

    /// Marks a slot that was taken as sent to `peer`; returns the generation of this use.
    pub(super) fn send(&mut self, slot: usize, peer: u64) -> u64 {
        debug_assert_eq!(self.slots[slot].state, State::Filling);
        let slot = &mut self.slots[slot];
        slot.state = State::Sent { peer };
        slot.generation += 1;
        slot.generation
    }

    /// Takes back a slot that `peer` is done with.
    pub(super) fn release(
        &mut self,
        slot: u32,
        generation: u64,
        peer: u64,
    ) -> Result<usize, HandoverError> {
        let index = slot as usize;
        match self.slots.get(index) {
            Some(s) if s.state == (State::Sent { peer }) && s.generation == generation => {
                self.set_free(index);
                Ok(index)
            }
            _ => Err(HandoverError::protocol(format!(
                "it released slot {slot} in generation {generation}, which it does not hold"
            ))),
        }
    }

    /// Takes back all that was sent to `peer`, but for the slots whose bits are set in `kept`.
    pub(super) fn lose(&mut self, peer: u64, kept: u64) -> Vec<usize> {
        let lost: Vec<usize> = (0..self.slots.len())
            .filter(|&slot| self.slots[slot].state == (State::Sent { peer }))
            .filter(|&slot| kept & (1 << slot) == 0)
            .collect();
        lost.iter().for_each(|&slot| self.set_free(slot));
        lost
    }

    fn set_free(&mut self, slot: usize) {
        self.clock += 1;
        self.slots[slot].state = State::Free;
        self.slots[slot].freed = self.clock;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Take,
        Abandon(usize),
        Send(usize, u64),
        Release(u32, u64, u64),
        Lose(u64, u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Take),
            1 => (0usize..4).prop_map(Step::Abandon),
            3 => (0usize..4, 0u64..2).prop_map(|(s, p)| Step::Send(s, p)),
            3 => (0u32..5, 0u64..6, 0u64..2).prop_map(|(s, g, p)| Step::Release(s, g, p)),
            1 => (0u64..2, 0u64..16).prop_map(|(p, kept)| Step::Lose(p, kept)),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        /// The oracle is a plain map of what is out, to whom, in which use.
        #[test]
        fn no_slot_is_ever_in_two_hands(steps in steps()) {
            let mut slots = Slots::new(4);
            let mut filling: Vec<usize> = Vec::new();
            let mut out: HashMap<usize, (u64, u64)> = HashMap::new();
            let mut uses: HashMap<usize, u64> = HashMap::new();
            for step in steps {
                match step {
                    Step::Take => match slots.take(|_| 0) {
                        Some(slot) => {
                            prop_assert!(!filling.contains(&slot) && !out.contains_key(&slot));
                            filling.push(slot);
                        }
                        None => prop_assert_eq!(filling.len() + out.len(), 4),
                    },
                    Step::Abandon(i) if i < filling.len() => slots.abandon(filling.remove(i)),
                    Step::Send(i, peer) if i < filling.len() => {
                        let slot = filling.remove(i);
                        let generation = slots.send(slot, peer);
                        let uses = uses.entry(slot).or_default();
                        *uses += 1;
                        prop_assert_eq!(generation, *uses);
                        out.insert(slot, (generation, peer));
                    }
                    Step::Release(slot, generation, peer) => {
                        let held = out.get(&(slot as usize)) == Some(&(generation, peer));
                        prop_assert_eq!(slots.release(slot, generation, peer).is_ok(), held);
                        if held {
                            out.remove(&(slot as usize));
                        }
                    }
                    Step::Lose(peer, kept) => {
                        let lost = slots.lose(peer, kept);
                        prop_assert!(lost.iter().all(|slot| out[slot].1 == peer));
                        out.retain(|slot, (_, p)| *p != peer || kept & (1 << slot) != 0);
                    }
                    _ => {}
                }
                prop_assert_eq!(slots.free(), 4 - filling.len() - out.len());
                prop_assert_eq!(slots.sent(), out.len());
            }
        }
    }

    #[test]
    fn the_slot_that_was_in_use_last_is_taken() {
        let mut slots = Slots::new(3);
        let (a, b) = (slots.take(|_| 0).unwrap(), slots.take(|_| 0).unwrap());
        slots.abandon(a);
        slots.abandon(b);
        assert_eq!((0..3).map(|_| slots.take(|_| 0).unwrap()).collect::<Vec<_>>(), [b, a, 2]);
        (0..3).for_each(|slot| slots.abandon(slot));
        assert_eq!(slots.take(|slot| u8::from(slot == 2)).unwrap(), 1);
    }
}
