//! A small automaton as a flat table, which runs through repeated characters without waiting for each transition.

use regex_automata::dfa::{Automaton, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, Input};
use std::collections::HashMap;

/// Most states. Each has a bit in a word of [`Table::stays`].
const MOST_STATES: usize = 64;

/// The state in which no match is possible any more.
const DEAD: u8 = 0;

/// The state in which a match has been found.
const FOUND: u8 = 1;

/// The transitions of an automaton of up to 64 states.
///
/// Following transitions one after another costs the latency of a memory access for each byte. Most of the bytes of
/// most texts leave the state as it is (`[a-z]+`), and whether a byte does can be looked up without waiting for the
/// byte before it.
#[derive(Debug)]
pub(super) struct Table {
    start: u8,
    /// For each byte, a bit for each state that the byte does not change.
    stays: Box<[u64; 256]>,
    /// The next state, by state and byte.
    next: Vec<[u8; 256]>,
    /// Whether the text may end in a state.
    ends: Vec<bool>,
}

impl Table {
    /// The table of an automaton for a search that starts at the beginning of a text; `None` if it is too large.
    pub(super) fn new(dfa: &dense::DFA<Vec<u32>>, anchored: bool) -> Option<Self> {
        let anchored = if anchored { Anchored::Yes } else { Anchored::No };
        let start = dfa.start_state_forward(&Input::new("").anchored(anchored)).ok()?;
        // The two special states stand for all states in which the outcome is known.
        let mut numbers: HashMap<StateID, u8> = HashMap::new();
        let mut states: Vec<StateID> = Vec::new();
        let mut number = |id: StateID, states: &mut Vec<StateID>| -> Option<u8> {
            if dfa.is_dead_state(id) {
                return Some(DEAD);
            }
            if dfa.is_match_state(id) {
                return Some(FOUND);
            }
            if dfa.is_quit_state(id) {
                return None;
            }
            if let Some(known) = numbers.get(&id) {
                return Some(*known);
            }
            let fresh = u8::try_from(states.len() + 2).ok()?;
            if usize::from(fresh) >= MOST_STATES {
                return None;
            }
            numbers.insert(id, fresh);
            states.push(id);
            Some(fresh)
        };
        let start = number(start, &mut states)?;
        let mut next = vec![[DEAD; 256], [FOUND; 256]];
        let mut ends = vec![false, true];
        let mut at = 0;
        while at < states.len() {
            let state = states[at];
            let mut row = [DEAD; 256];
            for byte in 0..=255 {
                row[usize::from(byte)] = number(dfa.next_state(state, byte), &mut states)?;
            }
            next.push(row);
            ends.push(dfa.is_match_state(dfa.next_eoi_state(state)));
            at += 1;
        }
        let mut stays = Box::new([0; 256]);
        for (state, row) in next.iter().enumerate() {
            for (byte, after) in row.iter().enumerate() {
                if usize::from(*after) == state {
                    stays[byte] |= 1 << state;
                }
            }
        }
        Some(Self { start, stays, next, ends })
    }

    /// Whether the pattern is found in the text.
    #[inline]
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        let mut state = usize::from(self.start);
        let mut rest = text.iter();
        while let Some(byte) = rest.find(|byte| self.stays[usize::from(**byte)] >> state & 1 == 0) {
            state = usize::from(self.next[state][usize::from(*byte)]);
            if state <= usize::from(FOUND) {
                break;
            }
        }
        self.ends[state]
    }
}
