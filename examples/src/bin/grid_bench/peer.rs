use std::num::NonZero;

use kiddo::kd_tree::KdTree;
use kiddo::leaf_strategy::VecOfArenas;
use kiddo::{Eytzinger, SquaredEuclidean};

use crate::report::cpu;

/// A k-d tree of another library, with its parameters chosen.
pub(crate) trait Peer {
    fn bucket(&self) -> usize;
    /// Ids and squared distances.
    fn nearest(&self, query: &[f32; 8], k: usize) -> Vec<(u64, f32)>;
    /// Ids and squared distances within a squared radius.
    fn within(&self, query: &[f32; 8], square: f32) -> Vec<(u64, f32)>;
    /// One query after the other, or as a batch; the number of neighbors found.
    fn nearest_all(&self, queries: &[[f32; 8]], k: usize, batch: bool) -> usize;
    fn nearest_one(&self, queries: &[[f32; 8]]) -> u64;
    /// Hits within a squared radius, in no order.
    fn within_all(&self, queries: &[[f32; 8]], square: f32) -> usize;
}

type Tree<const B: usize> = KdTree<f32, u32, Eytzinger, VecOfArenas<f32, u32, 8, B>, 8, B>;

fn at_least_one(k: usize) -> NonZero<usize> {
    NonZero::new(k).unwrap_or(NonZero::<usize>::MIN)
}

impl<const B: usize> Peer for Tree<B> {
    fn bucket(&self) -> usize {
        B
    }

    fn nearest(&self, query: &[f32; 8], k: usize) -> Vec<(u64, f32)> {
        let found = self.query(query).nearest_n::<SquaredEuclidean<f32>>(at_least_one(k)).execute();
        found.iter().map(|neighbor| (u64::from(neighbor.item), neighbor.distance)).collect()
    }

    fn within(&self, query: &[f32; 8], square: f32) -> Vec<(u64, f32)> {
        let within = self.query(query).within::<SquaredEuclidean<f32>>(square);
        let found = within.unsorted().execute();
        found.iter().map(|neighbor| (u64::from(neighbor.item), neighbor.distance)).collect()
    }

    fn nearest_all(&self, queries: &[[f32; 8]], k: usize, batch: bool) -> usize {
        let k = at_least_one(k);
        if batch {
            let found = self.query_batch(queries).nearest_n::<SquaredEuclidean<f32>>(k).execute();
            return found.iter().map(|found| found.len()).sum();
        }
        let one = |query| self.query(query).nearest_n::<SquaredEuclidean<f32>>(k).execute().len();
        queries.iter().map(one).sum()
    }

    fn nearest_one(&self, queries: &[[f32; 8]]) -> u64 {
        let one = |query| self.query(query).nearest_one::<SquaredEuclidean<f32>>().execute().item;
        queries.iter().map(|query| u64::from(one(query))).sum()
    }

    fn within_all(&self, queries: &[[f32; 8]], square: f32) -> usize {
        let one = |query| {
            let within = self.query(query).within::<SquaredEuclidean<f32>>(square);
            within.unsorted().execute().len()
        };
        queries.iter().map(one).sum()
    }
}

pub(crate) fn build<const B: usize>(points: &[[f32; 8]]) -> anyhow::Result<Box<dyn Peer>> {
    let tree: Tree<B> = KdTree::new_from_slice(points).map_err(|e| anyhow::anyhow!("{e:?}"))?;
    Ok(Box::new(tree))
}

/// The tree with the bucket that answers fastest here, and whether its batch interface is faster.
pub(crate) fn tuned(
    points: &[[f32; 8]],
    queries: &[[f32; 8]],
    k: usize,
) -> anyhow::Result<(Box<dyn Peer>, bool)> {
    let sample = &queries[..queries.len().min(1000)];
    let builders = [build::<16>, build::<32>, build::<64>, build::<128>];
    let mut best = (f64::INFINITY, 0, false);
    for (at, build) in builders.iter().enumerate() {
        let tree = build(points)?;
        for batch in [false, true] {
            tree.nearest_all(sample, k, batch); // warms up
            let once = || cpu(|| tree.nearest_all(sample, k, batch));
            let time = once().min(once());
            if time < best.0 {
                best = (time, at, batch);
            }
        }
    }
    let (_, at, batch) = best;
    Ok((builders[at](points)?, batch))
}
