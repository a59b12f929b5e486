//! Influence, gradient, density and graphs against their formulas.

use ottava_core::TokenBatch;
use ottava_spatial::{Connect, Falloff, GridOptions, Metric, Query, TokenGrid, Whitening};
use proptest::prelude::*;

use crate::data::{Shape, any_shape, points, rng};
use crate::naive::{Row, distance, ranked};
use crate::queries::view;

const FALLOFFS: [Falloff; 3] = [Falloff::Linear, Falloff::Quadratic, Falloff::Gaussian];

fn value(falloff: Falloff, u: f64) -> f64 {
    match falloff {
        Falloff::Linear => 1.0 - u,
        Falloff::Quadratic => 1.0 - u * u,
        _ => (-u * u / (2.0 / 9.0)).exp(),
    }
}

fn influence(rows: &[Row], metric: &Metric, falloff: Falloff, q: &[f32; 8]) -> f64 {
    let mut sum = 0.0;
    for row in rows {
        let d = distance(metric, &[1.0; 8], &row.position, q);
        if row.radius > 0.0 && d <= row.radius {
            let u = f64::from(d) / f64::from(row.radius);
            sum += f64::from(row.weight) * f64::from(row.strength) * value(falloff, u);
        }
    }
    sum
}

fn build(rows: &[Row], metric: Metric) -> TokenGrid {
    let column = |of: fn(&Row) -> f32| rows.iter().map(of).collect::<Vec<f32>>();
    let ids: Vec<u64> = rows.iter().map(|row| row.id).collect();
    let data: Vec<_> = rows.iter().map(|row| row.position).collect();
    let batch = TokenBatch::from_rows(ids, data)
        .unwrap()
        .with_weights(column(|row| row.weight))
        .unwrap()
        .with_fields(column(|row| row.radius), column(|row| row.strength))
        .unwrap();
    let options = GridOptions { metric, ..GridOptions::default() };
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
    ) {
        let rows = sources(shape, n, seed);
        let probes = points(shape, 20, &mut rng(!seed));
        for metric in [Metric::Euclidean, Metric::SquaredEuclidean, Metric::Manhattan, Metric::Chebyshev] {
            let grid = build(&rows, metric.clone());
            for falloff in FALLOFFS {
                let found = grid.influence(view(&probes), falloff).unwrap();
                for (probe, found) in probes.iter().zip(found) {
                    let expected = influence(&rows, &metric, falloff, probe);
                    let close = (f64::from(found) - expected).abs() <= 1e-6 * (1.0 + expected.abs());
                    prop_assert!(close, "{} {} {:?} {:?}", found, expected, metric, falloff);
                }
            }
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
        let grid = build(&rows, Metric::Euclidean);
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
        let grid = build(&rows, metric.clone());
        for falloff in FALLOFFS {
            let at = [0.4, 0.6, 0.35, 0.7, 0.45, 0.55, 0.5, 0.52];
            let gradient = grid.influence_gradient(view(&[at]), falloff).unwrap()[0];
            for axis in 0..8 {
                let step = 1e-3;
                let (mut low, mut high) = (at, at);
                low[axis] -= step;
                high[axis] += step;
                let run = f64::from(high[axis]) - f64::from(low[axis]);
                let rise = influence(&rows, &metric, falloff, &high)
                    - influence(&rows, &metric, falloff, &low);
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
