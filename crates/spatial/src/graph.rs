//! The connections of all tokens at once.

use std::marker::PhantomData;
use std::ops::Range;

use ottava_core::TokenId;
use rayon::prelude::*;

use crate::batch::{CHUNK, Visit, reserve, zeroed};
use crate::collect::{HitsOfEach, Nearest, NearestOfEach, hit, keys_to_distances, unpack};
use crate::error::Error;
use crate::field::Falloff;
use crate::forest::Forest;
use crate::grid::TokenGrid;
use crate::kernel::{self, LANES, Op, Simd};
use crate::metric::{Keys, with_keys};
use crate::queries::{Plan, bound, check_radius};
use crate::query::Query;
use crate::tree::{Gather, Group};

/// Which tokens [`TokenGrid::connect`] connects.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Connect {
    /// Each token with all others within this radius.
    Radius(f32),
    /// Each token with its nearest others, this many.
    Nearest(usize),
}

/// A directed graph over all tokens in compressed sparse rows: the connections of row `i` are
/// `indptr[i]..indptr[i + 1]` of the other columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The token of each row, in storage order, shape (n,).
    pub ids: Vec<TokenId>,
    /// Shape (n + 1,), from 0.
    pub indptr: Vec<i64>,
    /// The row of the other token, shape (m,).
    pub indices: Vec<u32>,
    /// The distance, shape (m,).
    pub distances: Vec<f32>,
    /// The strength, shape (m,).
    pub strengths: Vec<f32>,
}

impl TokenGrid {
    /// Connects every token, on the current rayon pool. No token is connected to itself.
    ///
    /// A row is ordered as by [`TokenGrid::within`], or [`TokenGrid::nearest`]. The strength is the
    /// weight of the other token times the falloff over the radius; with [`Connect::Nearest`] the
    /// radius is `query.within`, and without one the strength is the weight. A filter of the query
    /// chooses the other tokens.
    ///
    /// # Errors
    /// As [`TokenGrid::within`] and [`TokenGrid::nearest`]; [`Error::OutOfMemory`];
    /// [`Error::Snapshot`] naming the row of a coordinate that a damaged file invented.
    pub fn connect(
        &self,
        by: Connect,
        falloff: Falloff,
        query: &Query<'_>,
    ) -> Result<Graph, Error> {
        let plan = self.plan(query)?;
        let (radius, wanted) = match by {
            Connect::Radius(radius) => {
                let radius = check_radius(radius)?;
                let (k, sort) = (query.limit.map(|limit| limit.min(self.len())), query.sort);
                (radius, Wanted { k, bound: plan.measure.exact_key(radius), sort })
            }
            Connect::Nearest(k) => {
                let (k, bound) = (Some(self.usable_k(k)?), bound(query, &plan)?);
                (query.within.unwrap_or(f32::INFINITY), Wanted { k, bound, sort: true })
            }
        };
        let slots: Vec<u32> = self.store.iter().collect();
        let mut rows = vec![0; self.store.slots()];
        for (row, &slot) in slots.iter().enumerate() {
            rows[slot as usize] = row as u32;
        }
        let positions = slots
            .iter()
            .enumerate()
            .map(|(row, &slot)| self.planned(row, self.store.position(slot), &plan))
            .map(|position| position.map_err(|error| self.in_file(error)));
        let visit = Visit::in_order(positions.collect::<Result<_, _>>()?, self.tree_order(&rows));
        let parts = visit.chunks(query.cancel, |range| {
            self.connect_some(&slots, &visit, range, &plan, &wanted)
        })?;

        let row = |step: usize| parts[step / CHUNK].row(step % CHUNK);
        let mut steps = vec![0; slots.len()];
        let mut indptr = vec![0_i64; slots.len() + 1];
        for step in 0..visit.len() {
            steps[visit.row(step)] = step;
            indptr[visit.row(step) + 1] = row(step).len() as i64;
        }
        for at in 1..indptr.len() {
            indptr[at] += indptr[at - 1];
        }
        let links = indptr.last().map_or(0, |&end| end as usize);
        let (mut indices, mut distances) = (zeroed(links)?, zeroed(links)?);
        let mut strengths = zeroed(links)?;
        let mut blocks: Vec<Block<'_>> = Vec::new();
        let mut rest = (&mut indices[..], &mut distances[..], &mut strengths[..]);
        for (at, ends) in indptr[1..].chunks(CHUNK).enumerate() {
            let first = at * CHUNK;
            let len = (ends[ends.len() - 1] - indptr[first]) as usize;
            let (a, b, c) = rest;
            let ((a, more_a), (b, more_b), (c, more_c)) =
                (a.split_at_mut(len), b.split_at_mut(len), c.split_at_mut(len));
            rest = (more_a, more_b, more_c);
            blocks.push((&steps[first..first + ends.len()], a, b, c));
        }
        let fill = |(steps, indices, distances, strengths): Block<'_>| {
            let links = steps.iter().flat_map(|&step| row(step));
            let out = indices.iter_mut().zip(distances.iter_mut());
            for (&link, (index, to)) in links.zip(out) {
                let slot;
                (*to, slot) = unpack(link);
                // A slot that a damaged file invented has no row.
                *index = rows.get(slot as usize).copied().unwrap_or(u32::MAX);
            }
            if self.store.weights.is_none() {
                return falloff.fill(distances, radius, strengths);
            }
            let links = steps.iter().flat_map(|&step| row(step));
            for (&link, strength) in links.zip(strengths) {
                let (distance, slot) = unpack(link);
                *strength = self.strength(slot, falloff, distance, radius);
            }
        };
        blocks.into_par_iter().with_min_len(8).for_each(fill);
        let ids = slots.iter().map(|&slot| self.store.id(slot)).collect();
        self.intact()?;
        Ok(Graph { ids, indptr, indices, distances, strengths })
    }

    /// Searches for a range of steps, in groups of those that follow each other.
    fn connect_some(
        &self,
        slots: &[u32],
        visit: &Visit,
        range: Range<usize>,
        plan: &Plan<'_>,
        &Wanted { k, bound, sort }: &Wanted,
    ) -> Result<Part, Error> {
        let mut part = Part::default();
        let mut found = <[Vec<u64>; LANES]>::default();
        for from in range.clone().step_by(LANES) {
            let steps = from..(from + LANES).min(range.end);
            let own = |step| plan.admission_for(slots[visit.row(step)]);
            let admissions: Vec<_> = steps.clone().map(own).collect();
            if plan.scans() || k == Some(0) {
                for (step, &admission) in steps.zip(&admissions) {
                    let position = visit.position(step);
                    self.find(position, bound, k, plan, admission, &mut found[0]);
                    part.push(self, &mut found[0], sort)?;
                }
                continue;
            }
            let points: Vec<_> = steps.map(|step| visit.position(step)).collect();
            let measure = plan.measure;
            if let Some(k) = k {
                let nearest = |&admission| Nearest::new(&self.store, measure, admission, k, bound);
                let mut each = NearestOfEach::new(admissions.iter().map(nearest).collect());
                self.gather(&points, plan, &mut each);
                for nearest in each.into_points() {
                    found[0].clear();
                    nearest.finish(|slot, distance| found[0].push(hit(distance, slot)));
                    part.push(self, &mut found[0], sort)?;
                }
            } else {
                let mut each = HitsOfEach::new(bound, &admissions, found);
                self.gather(&points, plan, &mut each);
                found = each.found;
                for found in found.iter_mut().take(points.len()) {
                    keys_to_distances(found, &measure);
                    part.push(self, found, sort)?;
                }
            }
        }
        Ok(part)
    }

    /// Offers the tokens near a few positions to each of them.
    fn gather<G: Gather>(&self, points: &[&[f32; 8]], plan: &Plan<'_>, gather: &mut G) {
        let (forest, scales) = (&self.forest, &plan.measure.scales);
        with_keys!(plan.measure, K => kernel::run(
            kernel::current(),
            Together::<K, G> { forest, points, scales, gather, keys: PhantomData },
        ));
    }

    /// The rows of all live slots, near ones near each other.
    fn tree_order(&self, rows: &[u32]) -> Vec<u32> {
        let trees = self.forest.trees().iter().flat_map(|tree| tree.slots.all());
        let blocks = trees.chain(self.forest.buffer().blocks().map(|(_, slots)| slots));
        let mut order = Vec::with_capacity(self.len() + LANES);
        let slots = blocks.flatten().filter(|&&slot| self.store.is_alive(slot));
        order.extend(slots.map(|&slot| rows[slot as usize]));
        // The trees of a damaged file may not hold every row once.
        let mut missing = vec![true; self.len()];
        order.retain(|&row| std::mem::take(&mut missing[row as usize]));
        order.extend((0..self.len() as u32).filter(|&row| missing[row as usize]));
        order
    }
}

/// Steps of consecutive rows, and where their indices, distances and strengths go.
type Block<'a> = (&'a [usize], &'a mut [u32], &'a mut [f32], &'a mut [f32]);

/// What is looked for around each token.
struct Wanted {
    /// So many, or all.
    k: Option<usize>,
    /// The largest key.
    bound: f32,
    /// By distance, or by id.
    sort: bool,
}

/// The answers of a range of steps.
#[derive(Default)]
struct Part {
    ends: Vec<usize>,
    links: Vec<u64>,
}

impl Part {
    /// Adds the answer of a step; `found` holds distances.
    fn push(&mut self, grid: &TokenGrid, found: &mut [u64], sort: bool) -> Result<(), Error> {
        grid.store.arrange(found, sort);
        reserve(&mut self.links, found.len())?;
        self.links.extend_from_slice(found);
        self.ends.push(self.links.len());
        Ok(())
    }

    fn row(&self, step: usize) -> &[u64] {
        let start = step.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.links[start..self.ends[step]]
    }
}

struct Together<'a, K, G> {
    forest: &'a Forest,
    points: &'a [&'a [f32; 8]],
    scales: &'a [f32; 8],
    gather: &'a mut G,
    keys: PhantomData<K>,
}

impl<K: Keys, G: Gather> Op for Together<'_, K, G> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let group = Group::new(simd, self.points, self.scales);
        self.forest.join::<S, K, G>(simd, &group, self.gather);
    }
}
