//! Nearest, within, count and box equal the reference, ties included.

use ndarray::ArrayView2;
use ottava_core::{AxisSet, NO_TOKEN, Scales, TokenBatch};
use ottava_spatial::{GridOptions, Metric, Neighbors, Query, TokenGrid, Whitening};
use proptest::prelude::*;
use proptest::test_runner::TestRng;

use crate::data::{SHAPES, Shape, any_shape, points, rng};
use crate::naive::{Row, ranked};

pub(crate) fn view(rows: &[[f32; 8]]) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows.len(), 8), rows.as_flattened()).unwrap()
}

/// The grid's answer as the reference gives it.
pub(crate) fn pairs(found: &Neighbors) -> Vec<(u64, f32)> {
    found.ids.iter().copied().zip(found.distances.iter().copied()).collect()
}

/// Shuffled ids that are not in the order of the rows.
fn ids(n: usize, rng: &mut TestRng) -> Vec<u64> {
    let mut ids: Vec<u64> = (0..n as u64).map(|i| i * 7 + 3).collect();
    for i in (1..n).rev() {
        ids.swap(i, rng.random_range(0..=i));
    }
    ids
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Euclidean,
    Squared,
    Manhattan,
    Chebyshev,
    Mahalanobis,
}

fn any_kind() -> impl Strategy<Value = Kind> {
    use Kind::{Chebyshev, Euclidean, Mahalanobis, Manhattan, Squared};
    prop::sample::select(vec![Euclidean, Squared, Manhattan, Chebyshev, Mahalanobis])
}

fn metric(kind: Kind, data: &[[f32; 8]]) -> Metric {
    match kind {
        Kind::Euclidean => Metric::Euclidean,
        Kind::Squared => Metric::SquaredEuclidean,
        Kind::Manhattan => Metric::Manhattan,
        Kind::Chebyshev => Metric::Chebyshev,
        // Some data spans no eight axes.
        Kind::Mahalanobis => {
            Whitening::from_positions(view(data)).map_or(Metric::Euclidean, Metric::Mahalanobis)
        }
    }
}

fn any_scales() -> impl Strategy<Value = [f32; 8]> {
    prop_oneof![
        Just([1.0; 8]),
        prop::array::uniform8(prop_oneof![Just(0.0_f32), Just(1.0), 0.01_f32..2.0]).prop_map(
            |mut scales| {
                scales[2] = scales[2].max(0.5);
                scales
            }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn equal_the_reference(
        seed in any::<u64>(),
        shape in any_shape(),
        n in prop_oneof![0_usize..40, 200_usize..900],
        kind in any_kind(),
        grid_scales in any_scales(),
        query_scales in prop::option::of(any_scales()),
        axes in prop::option::of(1_usize..256),
        k_share in prop_oneof![0.0_f64..1.0, Just(1.0)],
        share in prop_oneof![Just(0.0), 0.0_f64..1.0],
    ) {
        let mut rng = rng(seed);
        let data = points(shape, n, &mut rng);
        let ids = ids(n, &mut rng);
        let metric = metric(kind, &data);
        let whitened = matches!(metric, Metric::Mahalanobis(_));
        let mut options = GridOptions { metric: metric.clone(), ..GridOptions::default() };
        let mut scales = [1.0; 8];
        let mut query = Query::default();
        if !whitened {
            scales = grid_scales;
            options.scales = Scales::new(scales).unwrap();
            if let Some(chosen) = query_scales {
                scales = chosen;
                query.scales = Some(Scales::new(chosen).unwrap());
            }
            if let Some(bits) = axes {
                let mut chosen: Vec<_> = (0..8).filter(|axis| bits >> axis & 1 == 1).collect();
                chosen.push(2);
                query.axes = Some(AxisSet::new(&chosen).unwrap());
                (0..8).filter(|axis| !chosen.contains(axis)).for_each(|axis| scales[axis] = 0.0);
            }
        }
        let batch = TokenBatch::from_rows(&ids[..], &data[..]).unwrap();
        let grid = TokenGrid::from_batch(&batch, options).unwrap();
        let rows: Vec<_> = ids.iter().zip(&data).map(|(&id, &p)| Row::new(id, p)).collect();

        let mask: Vec<bool> = ids.iter().map(|_| rng.random_bool(share)).collect();
        let filter = grid.filter_mask(&mask).unwrap();
        let admitted: std::collections::HashSet<u64> =
            ids.iter().zip(&mask).filter(|&(_, &admit)| admit).map(|(&id, _)| id).collect();

        let mut probes = points(shape, 3, &mut rng);
        probes.extend(data.iter().take(3));
        let k = 1 + (k_share * n as f64) as usize;
        let mut all_expected = Vec::new();
        for probe in &probes {
            let expected = ranked(&rows, &metric, &scales, probe);
            let found = grid.nearest(probe, k, &query).unwrap();
            prop_assert_eq!(pairs(&found), &expected[..k.min(n)]);

            let radius = expected.get(k / 2).map_or(1.0, |&(_, distance)| distance);
            let inside = expected.partition_point(|&(_, distance)| distance <= radius);
            let found = grid.within(probe, radius, &query).unwrap();
            prop_assert_eq!(pairs(&found), &expected[..inside]);
            prop_assert_eq!(grid.count_within(probe, radius, &query).unwrap(), inside);
            let few = grid.within(probe, radius, &query.limit(3)).unwrap();
            prop_assert_eq!(pairs(&few), &expected[..inside.min(3)]);
            let near = grid.nearest(probe, k, &query.within(radius)).unwrap();
            prop_assert_eq!(pairs(&near), &expected[..inside.min(k)]);
            let mut by_id = expected[..inside].to_vec();
            by_id.sort_by_key(|&(id, _)| id);
            prop_assert_eq!(pairs(&grid.within(probe, radius, &query.sort(false)).unwrap()), by_id);

            let kept = |(id, _): &&(u64, f32)| admitted.contains(id);
            let chosen: Vec<_> = expected.iter().filter(kept).copied().collect();
            let filtered = query.filter(&filter);
            let found = grid.nearest(probe, k, &filtered).unwrap();
            prop_assert_eq!(pairs(&found), &chosen[..k.min(chosen.len())]);
            let inside = chosen.partition_point(|&(_, distance)| distance <= radius);
            let found = grid.within(probe, radius, &filtered).unwrap();
            prop_assert_eq!(pairs(&found), &chosen[..inside]);
            prop_assert_eq!(grid.count_within(probe, radius, &filtered).unwrap(), inside);
            all_expected.push(expected);
        }

        let table = grid.nearest_batch(view(&probes), k, &query).unwrap();
        prop_assert_eq!(table.k, k.min(n));
        let radius = all_expected[0].first().map_or(1.0, |&(_, distance)| distance * 2.0);
        let ragged = grid.within_batch(view(&probes), radius, &query).unwrap();
        let counts = grid.count_within_batch(view(&probes), radius, &query).unwrap();
        for (row, expected) in all_expected.iter().enumerate() {
            for (column, &pair) in expected.iter().take(table.k).enumerate() {
                let at = row * table.k + column;
                prop_assert_eq!((table.ids[at], table.distances[at]), pair);
                prop_assert_ne!(table.ids[at], NO_TOKEN);
            }
            let inside = expected.partition_point(|&(_, distance)| distance <= radius);
            let (ids, _) = ragged.row(row);
            prop_assert_eq!(ids.len(), inside);
            prop_assert_eq!(counts[row], inside as u64);
        }
    }

    #[test]
    fn boxes_equal_the_reference(
        seed in any::<u64>(),
        shape in any_shape(),
        n in 0_usize..600,
        axes in 1_usize..256,
        share in prop_oneof![Just(1.0), 0.0_f64..1.0],
    ) {
        let mut rng = rng(seed);
        let data = points(shape, n, &mut rng);
        let ids = ids(n, &mut rng);
        let chosen: Vec<_> = (0..8).filter(|axis| axes >> axis & 1 == 1).collect();
        let query = Query::default().axes(AxisSet::new(&chosen).unwrap());
        let grid = TokenGrid::from_arrays(&ids, view(&data), GridOptions::default()).unwrap();
        let corners = points(shape, 2, &mut rng);
        let lo: [f32; 8] = std::array::from_fn(|a| corners[0][a].min(corners[1][a]));
        let hi: [f32; 8] = std::array::from_fn(|a| corners[0][a].max(corners[1][a]));
        let inside = |p: &[f32; 8]| chosen.iter().all(|&a| lo[a] <= p[a] && p[a] <= hi[a]);
        let mut expected: Vec<_> =
            ids.iter().zip(&data).filter(|(_, p)| inside(p)).map(|(&id, _)| id).collect();
        expected.sort_unstable();
        prop_assert_eq!(&grid.box_query(&lo, &hi, &query).unwrap(), &expected);
        let mask: Vec<bool> = ids.iter().map(|_| rng.random_bool(share)).collect();
        let filter = grid.filter_mask(&mask).unwrap();
        let admitted = |id: &u64| ids.iter().zip(&mask).any(|(other, &admit)| admit && other == id);
        expected.retain(admitted);
        prop_assert_eq!(grid.box_query(&lo, &hi, &query.filter(&filter)).unwrap(), expected);
    }
}

#[test]
fn thousands_of_duplicates_are_ranked_by_id() {
    let mut rng = rng(1);
    let data = points(Shape::Duplicated, 5000, &mut rng);
    let ids = ids(5000, &mut rng);
    let grid = TokenGrid::from_arrays(&ids, view(&data), GridOptions::default()).unwrap();
    let rows: Vec<_> = ids.iter().zip(&data).map(|(&id, &p)| Row::new(id, p)).collect();
    for k in [1, 10, 64, 65, 1500, 5001] {
        let expected = ranked(&rows, &Metric::Euclidean, &[1.0; 8], &data[0]);
        let found = grid.nearest(&data[0], k, &Query::default()).unwrap();
        assert_eq!(pairs(&found), &expected[..k.min(5000)]);
    }
}

/// Enough for the splits that move entries; shapes with equal coordinates at a median among them.
#[test]
fn many_tokens_equal_the_reference() {
    for shape in SHAPES {
        let mut rng = rng(2);
        let data = points(shape, 70_001, &mut rng);
        let ids = ids(data.len(), &mut rng);
        let grid = TokenGrid::from_arrays(&ids, view(&data), GridOptions::default()).unwrap();
        let rows: Vec<_> = ids.iter().zip(&data).map(|(&id, &p)| Row::new(id, p)).collect();
        for probe in data.iter().step_by(30_000) {
            let expected = ranked(&rows, &Metric::Euclidean, &[1.0; 8], probe);
            let found = grid.nearest(probe, 100, &Query::default()).unwrap();
            assert_eq!(pairs(&found), &expected[..100], "{shape:?}");
            let radius = expected[1000].1;
            let within = expected.partition_point(|&(_, distance)| distance <= radius);
            let count = grid.count_within(probe, radius, &Query::default()).unwrap();
            assert_eq!(count, within, "{shape:?}");
        }
    }
}

/// More nodes and leaves of each level than wait to be visited at a time.
#[test]
fn a_ball_around_everything_is_everything() {
    for (shape, n) in [(Shape::Uniform, 60_000), (Shape::Clustered, 2_500)] {
        let data = points(shape, n, &mut rng(21));
        let all: Vec<u64> = (0..n as u64).collect();
        let grid = TokenGrid::from_arrays(&all, view(&data), GridOptions::default()).unwrap();
        let rows: Vec<_> = all.iter().zip(&data).map(|(&id, &p)| Row::new(id, p)).collect();
        let query = Query::default();
        for probe in [data[7], [30.0; 8]] {
            assert_eq!(grid.count_within(&probe, f32::INFINITY, &query).unwrap(), n);
            let found = grid.within(&probe, f32::INFINITY, &query.sort(false)).unwrap();
            assert_eq!(found.ids, all);
            let found = grid.nearest(&probe, n, &query).unwrap();
            assert_eq!(pairs(&found), ranked(&rows, &Metric::Euclidean, &[1.0; 8], &probe));
        }
    }
}
