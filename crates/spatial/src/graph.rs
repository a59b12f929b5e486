//! The connections of all tokens at once.

use ottava_core::TokenId;

use crate::batch::Visit;
use crate::error::Error;
use crate::field::Falloff;
use crate::grid::TokenGrid;
use crate::kernel::LANES;
use crate::metric::Measure;
use crate::queries::{bound, check_radius};
use crate::query::{Query, Ragged};

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
    /// As [`TokenGrid::within`] and [`TokenGrid::nearest`].
    pub fn connect(
        &self,
        by: Connect,
        falloff: Falloff,
        query: &Query<'_>,
    ) -> Result<Graph, Error> {
        let plan = self.plan(query)?;
        let (radius, key) = match by {
            Connect::Radius(radius) => {
                let radius = check_radius(radius)?;
                (radius, plan.measure.exact_key(radius))
            }
            Connect::Nearest(_) => (query.within.unwrap_or(f32::INFINITY), bound(query, &plan)?),
        };
        let k = match by {
            Connect::Radius(_) => 0,
            Connect::Nearest(k) => self.usable_k(k)?,
        };

        let slots: Vec<u32> = self.store.iter().collect();
        let mut rows = vec![0; self.store.slots()];
        for (row, &slot) in slots.iter().enumerate() {
            rows[slot as usize] = row as u32;
        }
        let positions = slots
            .iter()
            .enumerate()
            .map(|(row, &slot)| self.planned(row, self.store.position(slot), &plan));
        let visit = Visit::in_order(positions.collect::<Result<_, _>>()?, self.tree_order(&rows));

        let parts = visit.chunks(query.cancel, |range| {
            let mut part = Ragged { indptr: vec![0], ids: Vec::new(), distances: Vec::new() };
            let mut found = Vec::new();
            let mut before: Vec<u32> = Vec::new();
            for step in range {
                let own = slots[visit.row(step)];
                let (position, admission) = (visit.position(step), plan.admission_for(own));
                if let Connect::Nearest(_) = by {
                    let start = part.ids.len();
                    let bound = self.bound_by(&before, k, own, position, &plan.measure).min(key);
                    self.nearest_planned(position, k, bound, &plan, admission, |slot, distance| {
                        part.ids.push(u64::from(slot));
                        part.distances.push(distance);
                    });
                    before.clear();
                    before.extend(part.ids[start..].iter().map(|&slot| slot as u32));
                } else {
                    let limit = query.limit;
                    let emit = |slot, distance| {
                        part.ids.push(u64::from(slot));
                        part.distances.push(distance);
                    };
                    self.within_planned(position, key, limit, &plan, admission, &mut found, emit);
                }
                part.indptr.push(part.ids.len() as i64);
            }
            part
        })?;
        let Ragged { indptr, ids, distances } = visit.assemble(&parts);
        let strength = |(&slot, &distance): (&u64, &f32)| {
            self.strength(slot as u32, falloff, distance, radius)
        };
        Ok(Graph {
            ids: slots.iter().map(|&slot| self.store.id(slot)).collect(),
            strengths: ids.iter().zip(&distances).map(strength).collect(),
            // A slot that a damaged file invented has no row.
            indices: ids
                .iter()
                .map(|&slot| rows.get(slot as usize).copied().unwrap_or(u32::MAX))
                .collect(),
            indptr,
            distances,
        })
    }

    /// A key that the `k` nearest to a position do not exceed, from tokens that are likely to be among
    /// them: those found for the token before. The asking token does not count.
    fn bound_by(
        &self,
        before: &[u32],
        k: usize,
        own: u32,
        position: &[f32; 8],
        measure: &Measure,
    ) -> f32 {
        let others = before.iter().filter(|&&slot| slot != own);
        let (count, key) = others.fold((0, 0.0_f32), |(count, key), &slot| {
            (count + 1, key.max(measure.key(&self.measured_slot(slot), position)))
        });
        if count < k { f32::INFINITY } else { measure.loose_key(measure.distance(key)) }
    }

    /// The rows of all live slots, near ones near each other.
    fn tree_order(&self, rows: &[u32]) -> Vec<u32> {
        let trees = self.forest.trees().iter().flat_map(|tree| tree.slots.iter());
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
