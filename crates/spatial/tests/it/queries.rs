//! Nearest, within, count and box equal the reference, ties included.

use ndarray::ArrayView2;
use ottava_core::{AxisSet, NO_TOKEN, Scales, TokenBatch};
use ottava_spatial::{
    Connect, Falloff, Graph, GridOptions, Metric, Neighbors, Query, Ragged, TokenGrid, Whitening,
    simd,
};
use proptest::prelude::*;
use proptest::test_runner::TestRng;

use crate::data::{SHAPES, Shape, any_shape, points, rng};
use crate::naive::{Row, ranked};
use crate::same::at_level;

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

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Euclidean,
    Squared,
    Manhattan,
    Chebyshev,
    /// Of the data.
    Mahalanobis,
    /// Of a covariance that has nothing to do with the data.
    Covariance,
}

pub(crate) const KINDS: [Kind; 6] = [
    Kind::Euclidean,
    Kind::Squared,
    Kind::Manhattan,
    Kind::Chebyshev,
    Kind::Mahalanobis,
    Kind::Covariance,
];

pub(crate) fn any_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(&KINDS[..])
}

pub(crate) fn metric(kind: Kind, data: &[[f32; 8]]) -> Metric {
    let covariance = || {
        let of = |i, j| if i == j { 4.0 + i as f64 } else { 0.5 };
        let rows = std::array::from_fn(|i| std::array::from_fn(|j| of(i, j)));
        Metric::Mahalanobis(Whitening::from_covariance(&rows).unwrap())
    };
    match kind {
        Kind::Euclidean => Metric::Euclidean,
        Kind::Squared => Metric::SquaredEuclidean,
        Kind::Manhattan => Metric::Manhattan,
        Kind::Chebyshev => Metric::Chebyshev,
        Kind::Covariance => covariance(),
        // Some data spans no eight axes.
        Kind::Mahalanobis => {
            Whitening::from_positions(view(data)).map_or_else(|_| covariance(), Metric::Mahalanobis)
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

/// Scales, axes and cells of a grid, and of a query where it has its own.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    grid: ([f32; 8], Option<AxisSet>),
    query: (Option<[f32; 8]>, Option<AxisSet>),
    cell_size: Option<f32>,
}

pub(crate) fn any_choice() -> impl Strategy<Value = Choice> {
    // Axis 2 always has a scale.
    let axes = || {
        prop::option::of((1_usize..256).prop_map(|bits| {
            let chosen: Vec<_> =
                (0..8).filter(|&axis| axis == 2 || bits >> axis & 1 == 1).collect();
            AxisSet::new(&chosen).unwrap()
        }))
    };
    let cell_size = prop_oneof![Just(None), (0.05_f32..2.0).prop_map(Some), Just(Some(1e-26))];
    ((any_scales(), axes()), (prop::option::of(any_scales()), axes()), cell_size)
        .prop_map(|(grid, query, cell_size)| Choice { grid, query, cell_size })
}

impl Choice {
    /// With the Mahalanobis distance there is nothing to choose.
    pub(crate) fn options(&self, metric: Metric) -> GridOptions {
        let chosen = GridOptions { cell_size: self.cell_size, ..GridOptions::default() };
        if let Metric::Mahalanobis(_) = metric {
            return GridOptions { metric, ..chosen };
        }
        let scales = Scales::new(self.grid.0).unwrap();
        GridOptions { metric, scales, axes: self.grid.1.unwrap_or_default(), ..chosen }
    }

    /// A query, and the scales that it measures with.
    pub(crate) fn query(&self, grid: &TokenGrid) -> (Query<'static>, [f32; 8]) {
        let mut query = Query::default();
        if !matches!(grid.options().metric, Metric::Mahalanobis(_)) {
            query.scales = self.query.0.map(|scales| Scales::new(scales).unwrap());
            query.axes = self.query.1;
        }
        (query, measured(grid, &query))
    }
}

/// The scales that a query measures with, 0 on axes that it does not.
pub(crate) fn measured(grid: &TokenGrid, query: &Query<'_>) -> [f32; 8] {
    let scales = query.scales.unwrap_or(grid.options().scales);
    let axes = query.axes.unwrap_or(grid.options().axes);
    std::array::from_fn(|axis| if axes.contains(axis) { scales.factors()[axis] } else { 0.0 })
}

/// Asks a grid everything around some places, and holds it against the reference.
pub(crate) fn check(
    grid: &TokenGrid,
    rows: &[Row],
    query: &Query<'_>,
    probes: &[[f32; 8]],
    rng: &mut TestRng,
) {
    let (metric, scales, n) = (&grid.options().metric, measured(grid, query), rows.len());
    let order = grid.ids();
    let share = [0.0, 1.0, rng.random_range(0.0..1.0)][rng.random_range(0..3)];
    let mask: Vec<bool> = order.iter().map(|_| rng.random_bool(share)).collect();
    let chosen = |admit: bool| -> Vec<u64> {
        let ids = order.iter().zip(&mask).filter(|&(_, &admitted)| admitted == admit);
        ids.map(|(&id, _)| id).collect()
    };
    let filter = match rng.random_range(0..3) {
        0 => grid.filter_mask(&mask).unwrap(),
        1 => grid.filter_allow(&chosen(true)).unwrap(),
        _ => grid.filter_deny(&chosen(false)).unwrap(),
    };
    let few = rng.random_range(0..40);
    let excluded: Vec<u64> = order.iter().rev().copied().take(few).collect();
    let queries = [*query, query.filter(&filter), query.filter(&filter).exclude(&excluded)];
    let admitted: std::collections::HashSet<u64> = chosen(true).into_iter().collect();
    let kept = |of: usize, id: u64| {
        (of == 0 || admitted.contains(&id)) && (of < 2 || !excluded.contains(&id))
    };
    let by_id = |pairs: &[(u64, f32)]| {
        let mut pairs = pairs.to_vec();
        pairs.sort_by_key(|&(id, _)| id);
        pairs
    };

    for (of, query) in queries.iter().enumerate() {
        let mut all = Vec::new();
        for probe in probes {
            let mut expected = ranked(rows, metric, &scales, probe);
            expected.retain(|&(id, _)| kept(of, id));
            let m = expected.len();
            let k = if rng.random_bool(0.5) { 20 } else { n + 1 };
            let k = rng.random_range(1..=k);
            assert_eq!(pairs(&grid.nearest(probe, k, query).unwrap()), &expected[..k.min(m)]);
            // At the distance of a token, where the last digit decides, and the extremes.
            let radius = match rng.random_range(0..8) {
                0 => 0.0,
                1 => f32::INFINITY,
                _ => expected.get(k / 2).map_or(1.0, |&(_, distance)| distance),
            };
            let inside = expected.partition_point(|&(_, distance)| distance <= radius);
            let within = |query: &Query<'_>| pairs(&grid.within(probe, radius, query).unwrap());
            assert_eq!(within(query), &expected[..inside]);
            assert_eq!(within(&query.limit(3)), &expected[..inside.min(3)]);
            assert_eq!(within(&query.sort(false)), by_id(&expected[..inside]));
            assert_eq!(within(&query.sort(false).limit(k)), by_id(&expected[..inside.min(k)]));
            assert_eq!(grid.count_within(probe, radius, query).unwrap(), inside);
            let near = grid.nearest(probe, k, &query.within(radius)).unwrap();
            assert_eq!(pairs(&near), &expected[..inside.min(k)]);
            all.push(expected);
        }

        let k = rng.random_range(1..30);
        let table = grid.nearest_batch(view(probes), k, query).unwrap();
        assert_eq!(table.k, k.min(n));
        let radius = all.first().and_then(|expected| expected.get(k)).map_or(1.0, |pair| pair.1);
        let ragged = grid.within_batch(view(probes), radius, query).unwrap();
        let limited = grid.within_batch(view(probes), radius, &query.limit(k).sort(false)).unwrap();
        let counts = grid.count_within_batch(view(probes), radius, query).unwrap();
        for (row, expected) in all.iter().enumerate() {
            for column in 0..table.k {
                let at = row * table.k + column;
                let none = (NO_TOKEN, f32::INFINITY);
                let expected = expected.get(column).copied().unwrap_or(none);
                assert_eq!((table.ids[at], table.distances[at]), expected);
            }
            let inside = expected.partition_point(|&(_, distance)| distance <= radius);
            let of = |ragged: &Ragged| {
                let (ids, distances) = ragged.row(row);
                pairs(&Neighbors { ids: ids.to_vec(), distances: distances.to_vec() })
            };
            assert_eq!(of(&ragged), &expected[..inside]);
            assert_eq!(of(&limited), by_id(&expected[..inside.min(k)]));
            assert_eq!(counts[row], inside as u64);
        }

        if let [a, b, ..] = probes {
            let axes = query.axes.unwrap_or(grid.options().axes);
            let bound = |of: fn(f32, f32) -> f32| std::array::from_fn(|axis| of(a[axis], b[axis]));
            let (lo, hi): ([f32; 8], [f32; 8]) = (bound(f32::min), bound(f32::max));
            let inside = |p: &[f32; 8]| axes.iter().all(|a| lo[a] <= p[a] && p[a] <= hi[a]);
            let found = rows.iter().filter(|row| kept(of, row.id) && inside(&row.position));
            let mut expected: Vec<u64> = found.map(|row| row.id).collect();
            expected.sort_unstable();
            assert_eq!(grid.box_query(&lo, &hi, query).unwrap(), expected);
        }
    }

    if n > 1000 {
        return; // where all are at one place, the graph has the square of that
    }
    let of = rng.random_range(0..queries.len());
    let query = &queries[of];
    let k = rng.random_range(1..20);
    let near = grid.connect(Connect::Nearest(k), Falloff::Linear, query).unwrap();
    let radius = near.distances.first().map_or(1.0, |distance| distance * 1.5);
    let around = grid.connect(Connect::Radius(radius), Falloff::Linear, query).unwrap();
    let limit = query.limit(k).sort(false);
    let limited = grid.connect(Connect::Radius(radius), Falloff::Linear, &limit).unwrap();
    for own in rows.iter().step_by(rows.len() / 8 + 1) {
        let mut expected = ranked(rows, metric, &scales, &own.position);
        expected.retain(|&(id, _)| id != own.id && kept(of, id));
        let inside = expected.partition_point(|&(_, distance)| distance <= radius);
        let row = order.iter().position(|&id| id == own.id).unwrap();
        let of = |graph: &Graph| -> Vec<_> {
            let links = graph.indptr[row] as usize..graph.indptr[row + 1] as usize;
            links.map(|at| (order[graph.indices[at] as usize], graph.distances[at])).collect()
        };
        assert_eq!(of(&near), &expected[..k.min(expected.len())]);
        assert_eq!(of(&around), &expected[..inside]);
        assert_eq!(of(&limited), by_id(&expected[..inside.min(k)]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn equal_the_reference(
        seed in any::<u64>(),
        shape in any_shape(),
        n in prop_oneof![0_usize..40, 200_usize..900],
        kind in any_kind(),
        choice in any_choice(),
        level in prop::sample::select(simd::available()),
        threads in 1_usize..5,
    ) {
        let mut rng = rng(seed);
        let data = points(shape, n, &mut rng);
        let ids = ids(n, &mut rng);
        let batch = TokenBatch::from_rows(&ids[..], &data[..]).unwrap();
        let grid = TokenGrid::from_batch(&batch, choice.options(metric(kind, &data))).unwrap();
        let rows: Vec<_> = ids.iter().zip(&data).map(|(&id, &p)| Row::new(id, p)).collect();
        let mut probes = points(shape, 3, &mut rng);
        probes.extend(data.iter().take(3));
        // More than one task answers, in an order of its own.
        probes.extend(data.iter().cycle().take(if n > 40 { 150 } else { 0 }));
        let few = if rng.random_range(0..20) == 0 { probes.len() } else { 6 };
        probes.truncate(few);
        let (query, _) = choice.query(&grid);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        at_level(level, || pool.install(|| check(&grid, &rows, &query, &probes, &mut rng)));
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
