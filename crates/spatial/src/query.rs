//! What a query may ask for, and what it gets.

use std::sync::atomic::AtomicBool;

use ottava_core::{AxisSet, Scales, TokenId};

use crate::filter::Filter;

/// The choices of one query. By default: the axes and scales of the grid, and every token.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Measures along these axes only; default, the axes of the grid.
    pub axes: Option<AxisSet>,
    /// Scales in place of those of the grid; not so large that a distance to a token could overflow,
    /// which is taken to be as far as any was since the last bulk load, `optimize` or `save` and
    /// `open`. Axes that the grid leaves out stay out unless `axes`
    /// names them.
    pub scales: Option<Scales>,
    /// For nearest: the largest distance to accept, inclusive, in the units of the metric.
    pub within: Option<f32>,
    /// For within: keep only this many, the nearest.
    pub limit: Option<usize>,
    /// For within: ascending by distance, then id (`true`, the default), or ascending by id.
    pub sort: bool,
    /// Admits some tokens only.
    pub filter: Option<&'a Filter>,
    /// Leaves these tokens out; an id that no token has is an error.
    pub exclude: &'a [TokenId],
    /// Ends a batch or a graph early, with [`Error::Cancelled`](crate::Error::Cancelled), soon after it is set.
    pub cancel: Option<&'a AtomicBool>,
}

impl Default for Query<'_> {
    fn default() -> Self {
        Self {
            axes: None,
            scales: None,
            within: None,
            limit: None,
            sort: true,
            filter: None,
            exclude: &[],
            cancel: None,
        }
    }
}

impl<'a> Query<'a> {
    /// Measures along these axes only.
    #[must_use]
    pub fn axes(self, axes: AxisSet) -> Self {
        Self { axes: Some(axes), ..self }
    }

    /// Uses these scales in place of those of the grid.
    #[must_use]
    pub fn scales(self, scales: Scales) -> Self {
        Self { scales: Some(scales), ..self }
    }

    /// For nearest: accepts no larger distance.
    #[must_use]
    pub fn within(self, radius: f32) -> Self {
        Self { within: Some(radius), ..self }
    }

    /// For within: keeps the nearest `limit`.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// For within: whether to order by distance rather than by id.
    #[must_use]
    pub fn sort(self, sort: bool) -> Self {
        Self { sort, ..self }
    }

    /// Admits the tokens of a filter only.
    #[must_use]
    pub fn filter(self, filter: &'a Filter) -> Self {
        Self { filter: Some(filter), ..self }
    }

    /// Leaves these tokens out.
    #[must_use]
    pub fn exclude(self, ids: &'a [TokenId]) -> Self {
        Self { exclude: ids, ..self }
    }

    /// Ends a batch or a graph early when this is set.
    #[must_use]
    pub fn cancel(self, flag: &'a AtomicBool) -> Self {
        Self { cancel: Some(flag), ..self }
    }
}

/// The answer of one query: ids and distances, in step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Neighbors {
    /// The tokens found.
    pub ids: Vec<TokenId>,
    /// Their distances.
    pub distances: Vec<f32>,
}

/// The answers of n nearest queries, `k` columns each, row-major.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NeighborTable {
    /// The number of columns: the `k` asked for, or the number of tokens if that is less.
    pub k: usize,
    /// Shape (n, k): ids by ascending distance, ties by id; `NO_TOKEN` where there is no neighbor.
    pub ids: Vec<TokenId>,
    /// Shape (n, k): distances; `+inf` where there is no neighbor.
    pub distances: Vec<f32>,
}

/// Answers of different lengths: row `i` is `indptr[i]..indptr[i + 1]` of the other columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Ragged {
    /// Shape (n + 1,), from 0.
    pub indptr: Vec<i64>,
    /// The tokens found.
    pub ids: Vec<TokenId>,
    /// Their distances.
    pub distances: Vec<f32>,
}

impl Ragged {
    /// The ids and distances in a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> (&[TokenId], &[f32]) {
        let range = self.indptr[row] as usize..self.indptr[row + 1] as usize;
        (&self.ids[range.clone()], &self.distances[range])
    }
}
