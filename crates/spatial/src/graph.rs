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
        let once = wanted.k.is_none()
            && plan.admission().admits_all()
            && self.visits_leaves(&visit, &slots);
        let parts = visit.chunks(query.cancel, |range| {
            self.connect_some(&slots, &visit, range, &plan, &wanted, once)
        })?;
        // A slot that a damaged file invented has no row.
        let row_of = |slot: u32| rows.get(slot as usize).copied().unwrap_or(u32::MAX);
        let back = |row: usize, link: u64| {
            let (distance, slot) = unpack(link);
            (row_of(slot) as usize, hit(distance, slots[row]))
        };
        let (indptr, mut links) = by_row(&parts, &visit, once.then_some(back))?;
        drop(parts);

        let (mut indices, mut distances) = (zeroed(links.len())?, zeroed(links.len())?);
        let mut strengths = zeroed(links.len())?;
        let mut blocks: Vec<Block<'_>> = Vec::new();
        let mut rest = (&mut links[..], &mut indices[..], &mut distances[..], &mut strengths[..]);
        for first in (0..slots.len()).step_by(CHUNK) {
            let ends = &indptr[first..(first + CHUNK).min(slots.len()) + 1];
            let len = (ends[ends.len() - 1] - ends[0]) as usize;
            let (a, b, c, d) = rest;
            let ((a, more_a), (b, more_b)) = (a.split_at_mut(len), b.split_at_mut(len));
            let ((c, more_c), (d, more_d)) = (c.split_at_mut(len), d.split_at_mut(len));
            rest = (more_a, more_b, more_c, more_d);
            blocks.push((ends, a, b, c, d));
        }
        let fill = |(ends, links, indices, distances, strengths): Block<'_>| {
            for row in ends.windows(2) {
                let row = (row[0] - ends[0]) as usize..(row[1] - ends[0]) as usize;
                self.store.arrange(&mut links[row], wanted.sort);
            }
            for ((&link, index), to) in links.iter().zip(indices).zip(&mut *distances) {
                let slot;
                (*to, slot) = unpack(link);
                *index = row_of(slot);
            }
            if self.store.weights.is_none() {
                return falloff.fill(distances, radius, strengths);
            }
            for (&link, strength) in links.iter().zip(strengths) {
                let (distance, slot) = unpack(link);
                *strength = self.strength(slot, falloff, distance, radius);
            }
        };
        blocks.into_par_iter().with_min_len(8).for_each(fill);
        let ids = slots.iter().map(|&slot| self.store.id(slot)).collect();
        self.intact()?;
        Ok(Graph { ids, indptr, indices, distances, strengths })
    }

    /// Whether sixteen steps after the other are the leaves of the only tree.
    fn visits_leaves(&self, visit: &Visit, slots: &[u32]) -> bool {
        self.forest.single().is_some_and(|tree| {
            let leaves = tree.slots.all().as_flattened().iter().take(tree.len);
            visit.len() == tree.len
                && leaves.enumerate().all(|(i, &slot)| slots[visit.row(i)] == slot)
        })
    }

    /// Searches for a range of steps, in groups of those that follow each other. With `once`, these are leaves, and a connection is
    /// found from that of its two tokens that comes first.
    fn connect_some(
        &self,
        slots: &[u32],
        visit: &Visit,
        range: Range<usize>,
        plan: &Plan<'_>,
        &Wanted { k, bound, .. }: &Wanted,
        once: bool,
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
                    part.push(&found[0])?;
                }
                continue;
            }
            let own_leaf = once.then_some(from / LANES);
            let points: Vec<_> = steps.map(|step| visit.position(step)).collect();
            let measure = plan.measure;
            if let Some(k) = k {
                let nearest = |&admission| Nearest::new(&self.store, measure, admission, k, bound);
                let mut each = NearestOfEach::new(admissions.iter().map(nearest).collect());
                self.gather(&points, plan, None, &mut each);
                for nearest in each.into_points() {
                    found[0].clear();
                    nearest.finish(|slot, distance| found[0].push(hit(distance, slot)));
                    part.push(&found[0])?;
                }
            } else {
                let mut each = HitsOfEach::new(bound, &admissions, found);
                self.gather(&points, plan, own_leaf, &mut each);
                found = each.found;
                for found in found.iter_mut().take(points.len()) {
                    keys_to_distances(found, &measure);
                    part.push(found)?;
                }
            }
        }
        Ok(part)
    }

    /// Offers the tokens near a few positions to each of them; those of a leaf only what comes after them.
    fn gather<G: Gather>(
        &self,
        points: &[&[f32; 8]],
        plan: &Plan<'_>,
        own_leaf: Option<usize>,
        gather: &mut G,
    ) {
        let (forest, scales) = (&self.forest, &plan.measure.scales);
        with_keys!(plan.measure, K => kernel::run(
            kernel::current(),
            Together::<K, G> { forest, points, scales, own_leaf, gather, keys: PhantomData },
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

/// Where consecutive rows begin and the last one ends, their links, and where their indices, distances and strengths go.
type Block<'a> = (&'a [i64], &'a mut [u64], &'a mut [u32], &'a mut [f32], &'a mut [f32]);

/// Where the links of each row begin, and the links, those of a row in no order. `back` gives the row and the link of the way back,
/// if what was found does not hold that.
fn by_row(
    parts: &[Part],
    visit: &Visit,
    back: Option<impl Fn(usize, u64) -> (usize, u64)>,
) -> Result<(Vec<i64>, Vec<u64>), Error> {
    let found = |step: usize| (visit.row(step), parts[step / CHUNK].row(step % CHUNK));
    let mut indptr = vec![0_i64; visit.len() + 1];
    for (row, links) in (0..visit.len()).map(found) {
        indptr[row + 1] += links.len() as i64;
        for (other, _) in
            back.iter().flat_map(|back| links.iter().map(move |&link| back(row, link)))
        {
            indptr[other + 1] += 1;
        }
    }
    for at in 1..indptr.len() {
        indptr[at] += indptr[at - 1];
    }
    let mut links = zeroed(indptr[visit.len()] as usize)?;
    let mut ends = indptr.clone();
    for (row, found) in (0..visit.len()).map(found) {
        let end = &mut ends[row];
        links[*end as usize..][..found.len()].copy_from_slice(found);
        *end += found.len() as i64;
        for (other, link) in
            back.iter().flat_map(|back| found.iter().map(move |&link| back(row, link)))
        {
            links[ends[other] as usize] = link;
            ends[other] += 1;
        }
    }
    Ok((indptr, links))
}

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
    fn push(&mut self, found: &[u64]) -> Result<(), Error> {
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
    own_leaf: Option<usize>,
    gather: &'a mut G,
    keys: PhantomData<K>,
}

impl<K: Keys, G: Gather> Op for Together<'_, K, G> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let group = Group::new(simd, self.points, self.scales);
        self.forest.join::<S, K, G>(simd, &group, self.own_leaf, self.gather);
    }
}
