//! Influence, gradient, density and graphs against their formulas.

use ottava_core::TokenBatch;
use ottava_spatial::{Connect, Falloff, GridOptions, Metric, Query, TokenGrid, Whitening};
use proptest::prelude::*;

use crate::data::{Shape, any_shape, points, rng};
use crate::naive::{Row, distance, ranked};
use crate::queries::{KINDS, any_choice, any_kind, measured, metric, view};

const FALLOFFS: [Falloff; 3] = [Falloff::Linear, Falloff::Quadratic, Falloff::Gaussian];

pub(crate) fn value(falloff: Falloff, u: f64) -> f64 {
    match falloff {
        Falloff::Linear => 1.0 - u,
        Falloff::Quadratic => 1.0 - u * u,
        _ => (-u * u / (2.0 / 9.0)).exp(),
    }
}

fn influence(grid: &TokenGrid, rows: &[Row], falloff: Falloff, q: &[f32; 8]) -> f64 {
    let (metric, scales) = (&grid.options().metric, measured(grid, &Query::default()));
    let mut sum = 0.0;
    for row in rows {
        let d = distance(metric, &scales, &row.position, q);
        if row.radius > 0.0 && d <= row.radius {
            let u = f64::from(d) / f64::from(row.radius);
            sum += f64::from(row.weight) * f64::from(row.strength) * value(falloff, u);
        }
    }
    sum
}

fn build(rows: &[Row], options: GridOptions) -> TokenGrid {
    let column = |of: fn(&Row) -> f32| rows.iter().map(of).collect::<Vec<f32>>();
    let ids: Vec<u64> = rows.iter().map(|row| row.id).collect();
    let data: Vec<_> = rows.iter().map(|row| row.position).collect();
    let batch = TokenBatch::from_rows(ids, data)
        .unwrap()
        .with_weights(column(|row| row.weight))
        .unwrap()
        .with_fields(column(|row| row.radius), column(|row| row.strength))
        .unwrap();
    let (half, rest) = rows.split_at(rows.len() / 2);
    if rows.len().is_multiple_of(2) {
        return TokenGrid::from_batch(&batch, options).unwrap();
    }
    // The same tokens one by one, in another order.
    let mut grid = TokenGrid::new(options).unwrap();
    for row in rest.iter().chain(half) {
        let field = ottava_core::Field { radius: row.radius, strength: row.strength };
        let token = ottava_core::Token::new(row.id, row.position);
        grid.insert(ottava_core::Token { weight: row.weight, field, ..token }).unwrap();
    }
    grid
}

fn sources(shape: Shape, n: usize, seed: u64) -> Vec<Row> {
    let mut rng = rng(seed);
    let data = points(shape, n, &mut rng);
    let mut radius = || match rng.random_range(0..4) {
        0 => 0.0,
        1 => rng.random_range(0.0..0.5),
        2 => rng.random_range(0.0..5.0),
        _ => 1.0,
    };
    let row = |(id, &position): (usize, &[f32; 8])| Row {
        id: id as u64,
        position,
        weight: 1.0 + (id % 3) as f32,
        radius: radius(),
        strength: (id % 7) as f32 - 2.0,
    };
    data.iter().enumerate().map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn influence_equals_the_formula(
        seed in any::<u64>(),
        shape in any_shape(),
        n in prop_oneof![0_usize..50, 1000_usize..3000],
        choice in any_choice(),
    ) {
        let rows = sources(shape, n, seed);
        let probes = points(shape, 20, &mut rng(!seed));
        let data: Vec<_> = rows.iter().map(|row| row.position).collect();
        for kind in KINDS {
            let grid = build(&rows, choice.options(metric(kind, &data)));
            for falloff in FALLOFFS {
                let found = grid.influence(view(&probes), falloff).unwrap();
                for (probe, found) in probes.iter().zip(found) {
                    let expected = influence(&grid, &rows, falloff, probe);
                    let close = (f64::from(found) - expected).abs() <= 1e-6 * (1.0 + expected.abs());
                    prop_assert!(close, "{} {} {:?} {:?}", found, expected, kind, falloff);
                }
            }
        }
    }

    /// The volumes by other formulas than those of the grid: Dirichlet's, for balls of a p-norm.
    #[test]
    fn density_equals_the_formula(
        seed in any::<u64>(),
        n in 1_usize..500,
        kind in any_kind(),
        choice in any_choice(),
        radius in prop_oneof![0.01_f32..3.0, Just(1e9)],
    ) {
        let rows = sources(Shape::Uniform, n, seed);
        let data: Vec<_> = rows.iter().map(|row| row.position).collect();
        let grid = build(&rows, choice.options(metric(kind, &data)));
        let (query, scales) = choice.query(&grid);
        let axes = scales.iter().filter(|&&scale| scale != 0.0).count();
        // gamma(1 + m / 2) for m from 0 to 8, and the radius that is measured along an axis.
        let half = [1.0, 0.886_226_925_452_758, 1.0, 1.329_340_388_179_137, 2.0, 3.323_350_970_447_843, 6.0, 11.631_728_396_567_448, 24.0];
        let r = f64::from(radius);
        let volume = match grid.options().metric {
            Metric::Manhattan => (1..=axes).fold(1.0, |volume, m| volume * 2.0 * r / m as f64),
            Metric::Chebyshev => (0..axes).fold(1.0, |volume, _| volume * 2.0 * r),
            Metric::SquaredEuclidean => (2.0 * half[1] * r.sqrt()).powi(axes as i32) / half[axes],
            _ => (2.0 * half[1] * r).powi(axes as i32) / half[axes],
        };
        let found = grid.density(view(&data), radius, &query).unwrap();
        for (probe, found) in data.iter().zip(found) {
            let ranked = ranked(&rows, &grid.options().metric, &scales, probe);
            let count = ranked.iter().filter(|&&(_, distance)| distance <= radius).count();
            let expected = count as f64 / volume;
            prop_assert!((found - expected).abs() <= 1e-9 * expected, "{} {}", found, expected);
        }
    }

    #[test]
    fn graphs_equal_single_queries(
        seed in any::<u64>(),
        shape in any_shape(),
        n in 0_usize..400,
        k in 1_usize..20,
    ) {
        let rows = sources(shape, n, seed);
        let grid = build(&rows, GridOptions::default());
        let query = Query::default();
        let graph = grid.connect(Connect::Nearest(k), Falloff::Linear, &query).unwrap();
        let ids = grid.ids();
        prop_assert_eq!(&graph.ids, &ids);
        let radius = graph.distances.first().map_or(1.0, |d| d * 1.5);
        let near = grid.connect(Connect::Radius(radius), Falloff::Quadratic, &query).unwrap();
        for (row, id) in ids.iter().enumerate() {
            let own = rows.iter().find(|row| row.id == *id).unwrap();
            let mut expected = ranked(&rows, &Metric::Euclidean, &[1.0; 8], &own.position);
            expected.retain(|(other, _)| other != id);
            for (graph, count) in [
                (&graph, k.min(expected.len())),
                (&near, expected.partition_point(|&(_, distance)| distance <= radius)),
            ] {
                let range = graph.indptr[row] as usize..graph.indptr[row + 1] as usize;
                let found: Vec<_> = range
                    .clone()
                    .map(|at| (ids[graph.indices[at] as usize], graph.distances[at]))
                    .collect();
                prop_assert_eq!(&found, &expected[..count]);
            }
            let linked = grid.connections(*id, radius, Falloff::Quadratic, &query).unwrap();
            let range = near.indptr[row] as usize..near.indptr[row + 1] as usize;
            prop_assert_eq!(&linked.strengths[..], &near.strengths[range]);
        }
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_influence() {
    let rows = sources(Shape::Uniform, 400, 31);
    let data: Vec<_> = rows.iter().map(|row| row.position).collect();
    let whitening = Whitening::from_positions(view(&data)).unwrap();
    let metrics = [
        Metric::Euclidean,
        Metric::SquaredEuclidean,
        Metric::Manhattan,
        Metric::Chebyshev,
        Metric::Mahalanobis(whitening),
    ];
    for metric in metrics {
        // Fields that reach everywhere have no edge for the difference to fall over.
        let rows: Vec<_> = rows.iter().map(|row| Row { radius: 40.0, ..*row }).collect();
        let grid = build(&rows, GridOptions { metric: metric.clone(), ..GridOptions::default() });
        for falloff in FALLOFFS {
            let at = [0.4, 0.6, 0.35, 0.7, 0.45, 0.55, 0.5, 0.52];
            let gradient = grid.influence_gradient(view(&[at]), falloff).unwrap()[0];
            for axis in 0..8 {
                let step = 1e-3;
                let (mut low, mut high) = (at, at);
                low[axis] -= step;
                high[axis] += step;
                let run = f64::from(high[axis]) - f64::from(low[axis]);
                let rise = influence(&grid, &rows, falloff, &high)
                    - influence(&grid, &rows, falloff, &low);
                let (found, expected) = (f64::from(gradient[axis]), rise / run);
                let close = (found - expected).abs() <= 0.02 * expected.abs() + 0.03;
                assert!(close, "{found} {expected} {metric:?} {falloff:?} {axis}");
            }
        }
    }
}

#[test]
fn density_is_count_over_volume() {
    let data = points(Shape::Uniform, 2000, &mut rng(33));
    let ids: Vec<u64> = (0..2000).collect();
    let grid = TokenGrid::from_arrays(&ids, view(&data), GridOptions::default()).unwrap();
    let (radius, query) = (0.5_f32, Query::default());
    let density = grid.density(view(&data[..3]), radius, &query).unwrap();
    let count = grid.count_within_batch(view(&data[..3]), radius, &query).unwrap();
    let volume = std::f64::consts::PI.powi(4) / 24.0 * f64::from(radius).powi(8);
    for (density, count) in density.iter().zip(count) {
        assert!((density - count as f64 / volume).abs() < 1e-9 * density);
    }
    // In three axes the ball is the usual one.
    let axes = ottava_core::AxisSet::new(&[0, 3, 5]).unwrap();
    let query = query.axes(axes);
    let density = grid.density(view(&data[..1]), radius, &query).unwrap()[0];
    let count = grid.count_within(&data[0], radius, &query).unwrap() as f64;
    let volume = 4.0 / 3.0 * std::f64::consts::PI * f64::from(radius).powi(3);
    assert!((density - count / volume).abs() < 1e-9 * density);
}
