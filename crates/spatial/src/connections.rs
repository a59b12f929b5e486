//! The connections of one token, and their cache.
//!
//! The cache holds answers by token and query. Every change of the grid happens in a cell, which then
//! gets a new version. An answer is still good if no cell that its ball touches has changed since it
//! was last found good; changes elsewhere do not disturb it, unless there are so many of them that
//! some are forgotten.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, MutexGuard, PoisonError};

use hashbrown::HashMap;
use ottava_core::TokenId;

use crate::cells::Cell;
use crate::error::Error;
use crate::field::Falloff;
use crate::grid::TokenGrid;
use crate::metric::{Measure, Norm};
use crate::queries::check_radius;
use crate::query::Query;

/// The tokens near a token, in step; the token itself is not among them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connections {
    /// The other tokens.
    pub ids: Vec<TokenId>,
    /// Their distances.
    pub distances: Vec<f32>,
    /// The weight of the other token times the falloff at its distance.
    pub strengths: Vec<f32>,
}

/// What the connection cache has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Answers from the cache.
    pub hits: u64,
    /// Answers computed, because there was none in the cache or it was no good.
    pub misses: u64,
    /// Answers dropped because a cell in their ball had changed, or so many others that
    /// looking through them would take longer than computing.
    pub invalidated: u64,
    /// Answers held.
    pub entries: usize,
    /// Connections held, in all answers.
    pub connections: usize,
    /// The most connections to hold.
    pub capacity: usize,
}

/// Changed cells remembered. An answer not asked for since an older change is computed anew.
const LOG: usize = 4096;

/// Connections held by default: about 64 MiB.
const CAPACITY: usize = 1 << 22;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    id: TokenId,
    radius: u32,
    scales: [u32; 8],
    falloff: Falloff,
    limit: Option<usize>,
    sort: bool,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Scales and options hardly ever tell keys apart.
        state.write_u64(self.id ^ u64::from(self.radius) << 32);
    }
}

struct Answer {
    connections: Arc<Connections>,
    /// The version at which it was last known to be good.
    checked: u64,
}

/// Answers, and the versions of changed cells.
pub(crate) struct Cache {
    answers: HashMap<Key, Answer>,
    /// Keys by age.
    ages: VecDeque<Key>,
    /// Changes by age; one that is not the latest of its cell is void.
    log: VecDeque<(u64, Cell)>,
    versions: HashMap<Cell, u64>,
    version: u64,
    /// Changes up to this version are forgotten.
    forgotten: u64,
    stats: CacheStats,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            answers: HashMap::new(),
            ages: VecDeque::new(),
            log: VecDeque::new(),
            versions: HashMap::new(),
            version: 0,
            forgotten: 0,
            stats: CacheStats { capacity: CAPACITY, ..CacheStats::default() },
        }
    }
}

/// What an answer costs against the capacity; an empty one is not free.
fn cost(connections: &Connections) -> usize {
    connections.ids.len() + 1
}

impl Cache {
    /// Whether a change must be told to the cache.
    pub(crate) fn is_watching(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Gives a cell a new version.
    pub(crate) fn touch(&mut self, cell: Cell) {
        if !self.is_watching() {
            return;
        }
        self.version += 1;
        self.versions.insert(cell, self.version);
        self.log.push_back((self.version, cell));
        while self.versions.len() > LOG || self.log.len() > 2 * LOG {
            let Some((version, cell)) = self.log.pop_front() else { break };
            if self.versions.get(&cell) == Some(&version) {
                self.versions.remove(&cell);
                self.forgotten = version;
            }
        }
    }

    fn look_up(&mut self, key: &Key, touches: impl Fn(&Cell) -> bool) -> Option<Arc<Connections>> {
        let (version, forgotten) = (self.version, self.forgotten);
        let answer = self.answers.get_mut(key)?;
        if answer.checked < version {
            let since = self.log.iter().rev().take_while(|&&(at, _)| at > answer.checked);
            if answer.checked < forgotten || since.into_iter().any(|(_, cell)| touches(cell)) {
                self.stats.invalidated += 1;
                self.forget(key);
                return None;
            }
            answer.checked = version;
        }
        self.stats.hits += 1;
        Some(Arc::clone(&answer.connections))
    }

    fn forget(&mut self, key: &Key) {
        if let Some(answer) = self.answers.remove(key) {
            self.stats.connections -= cost(&answer.connections);
        }
    }

    fn keep(&mut self, key: Key, connections: &Arc<Connections>) {
        let cost = cost(connections);
        if cost > self.stats.capacity {
            return;
        }
        self.forget(&key);
        self.make_room(cost);
        self.stats.connections += cost;
        let answer = Answer { connections: Arc::clone(connections), checked: self.version };
        self.answers.insert(key, answer);
        self.ages.push_back(key);
        // A key that was forgotten and came back is in the line twice.
        if self.ages.len() > 2 * self.answers.len() + 16 {
            let mut seen = hashbrown::HashSet::new();
            self.ages.retain(|key| self.answers.contains_key(key) && seen.insert(*key));
        }
    }

    fn make_room(&mut self, cost: usize) {
        while self.stats.connections + cost > self.stats.capacity {
            match self.ages.pop_front() {
                Some(oldest) => self.forget(&oldest),
                None => break,
            }
        }
    }

    fn clear(&mut self) {
        let stats = CacheStats { connections: 0, ..self.stats };
        *self = Self { version: self.version, forgotten: self.version, stats, ..Self::default() };
    }

    pub(crate) fn memory(&self) -> usize {
        let answer = size_of::<Answer>() + 2 * size_of::<Key>() + size_of::<Connections>();
        self.answers.len() * answer
            + self.stats.connections * (size_of::<TokenId>() + 2 * size_of::<f32>())
            + self.log.len() * size_of::<(u64, Cell)>()
            + self.versions.len() * size_of::<(Cell, u64)>()
    }
}

impl TokenGrid {
    /// The tokens within `radius` of a token, without itself, in the order of [`TokenGrid::within`].
    ///
    /// The strength of a connection is the weight of the other token times the falloff at the
    /// distance over `radius`. An answer without a filter or exclusions is cached until something
    /// changes in a cell that its ball touches. It is also computed anew once about four thousand
    /// other cells have changed since it was last asked for, and when the cache is full.
    ///
    /// # Errors
    /// [`Error::UnknownId`] for the token or an excluded one; otherwise as [`TokenGrid::within`].
    pub fn connections(
        &self,
        id: TokenId,
        radius: f32,
        falloff: Falloff,
        query: &Query<'_>,
    ) -> Result<Arc<Connections>, Error> {
        let (slot, radius) = (self.slot(id)?, check_radius(radius)?);
        let key = self.key(id, radius, falloff, query)?;
        if let Some(key) = &key
            && let Some(answer) = self.look_up(key, slot, radius)
        {
            return self.intact().map(|()| answer);
        }
        let plan = self.plan(query)?;
        self.cache().stats.misses += 1;
        let bound = plan.measure.exact_key(radius);
        let position = self.planned(slot as usize, self.store.position(slot), &plan);
        let position = position.map_err(|error| self.in_file(error))?;
        let mut answer = Connections::default();
        let emit = |slot, distance| {
            answer.ids.push(self.store.id(slot));
            answer.distances.push(distance);
            answer.strengths.push(self.strength(slot, falloff, distance, radius));
        };
        let (admission, mut found) = (plan.admission_for(slot), Vec::new());
        self.within_planned(&position, bound, query.limit, &plan, admission, &mut found, emit);
        self.intact()?;
        let answer = Arc::new(answer);
        if let Some(key) = key {
            self.cache().keep(key, &answer);
        }
        Ok(answer)
    }

    /// The answer that [`TokenGrid::connections`] would give without a search; none if it is not in the cache.
    ///
    /// # Errors
    /// As [`TokenGrid::connections`].
    pub fn cached_connections(
        &self,
        id: TokenId,
        radius: f32,
        falloff: Falloff,
        query: &Query<'_>,
    ) -> Result<Option<Arc<Connections>>, Error> {
        let (slot, radius) = (self.slot(id)?, check_radius(radius)?);
        let Some(key) = self.key(id, radius, falloff, query)? else {
            return self.plan(query).map(|_| None);
        };
        let answer = self.look_up(&key, slot, radius);
        self.intact().map(|()| answer)
    }

    /// What an answer is cached by; none if it is not to be cached.
    #[inline(always)]
    fn key(
        &self,
        id: TokenId,
        radius: f32,
        falloff: Falloff,
        query: &Query<'_>,
    ) -> Result<Option<Key>, Error> {
        if query.filter.is_some() || !query.exclude.is_empty() {
            return Ok(None);
        }
        let scales = self.measure_of(query)?.scales.map(f32::to_bits);
        let (radius, limit, sort) = (radius.to_bits(), query.limit, query.sort);
        Ok(Some(Key { id, radius, scales, falloff, limit, sort }))
    }

    #[inline(always)]
    fn look_up(&self, key: &Key, slot: u32, radius: f32) -> Option<Arc<Connections>> {
        self.cache().look_up(key, |cell| {
            let measure = Measure { scales: key.scales.map(f32::from_bits), ..self.measure };
            let bound = measure.exact_key(radius);
            self.ball_touches(&self.measured_slot(slot), &measure, bound, cell)
        })
    }

    /// What the connection cache has done and holds.
    pub fn cache_stats(&self) -> CacheStats {
        let cache = self.cache();
        CacheStats { entries: cache.answers.len(), ..cache.stats }
    }

    /// Drops all cached connections.
    pub fn clear_cache(&self) {
        self.cache().clear();
    }

    /// Sets how many connections the cache holds, in all answers; 4 194 304 by default. 0 turns it off.
    pub fn set_cache_capacity(&self, connections: usize) {
        let mut cache = self.cache();
        cache.stats.capacity = connections;
        cache.make_room(0);
    }

    pub(crate) fn strength(&self, slot: u32, falloff: Falloff, distance: f32, radius: f32) -> f32 {
        (f64::from(self.store.weight(slot)) * falloff.at(distance, radius)) as f32
    }

    pub(crate) fn cache(&self) -> MutexGuard<'_, Cache> {
        // Nothing that holds the lock panics; were it so, the answers would still be whole.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cache_mut(&mut self) -> &mut Cache {
        self.cache.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the ball of keys up to `bound` may reach into a cell; never no if it does.
    fn ball_touches(&self, center: &[f32; 8], measure: &Measure, bound: f32, cell: &Cell) -> bool {
        let size = f64::from(self.cell_size());
        let mut key = 0.0_f64;
        for axis in 0..8 {
            // A cell covers `[n, n + 1) * size` in coordinates scaled by the grid.
            let scale = f64::from(self.measure.scales[axis]);
            let x = f64::from(center[axis]) * scale;
            let lo = if cell[axis] == i32::MIN {
                f64::NEG_INFINITY
            } else {
                f64::from(cell[axis]) * size
            };
            let hi = if cell[axis] == i32::MAX {
                f64::INFINITY
            } else {
                (f64::from(cell[axis]) + 1.0) * size
            };
            let gap = (lo - x).max(x - hi).max(0.0);
            if scale == 0.0 || gap == 0.0 {
                continue;
            }
            // Less by more than rounding could add to it.
            let slack = 1e-6 * (gap + x.abs() + size);
            let gap = (gap - slack).max(0.0) * f64::from(measure.scales[axis]) / scale;
            key = match measure.norm {
                Norm::Two => key + gap * gap,
                Norm::One => key + gap,
                Norm::Max => key.max(gap),
            };
        }
        // Squares and products that an `f32` cannot hold are 0, or a few of its smallest steps off.
        key <= f64::from(bound) * (1.0 + 1e-6) + 64.0 * f64::from(f32::from_bits(1))
    }
}
