//! The same answers at every instruction level, for any number of threads, and as another library.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};

use kiddo::{ImmutableKdTree, SquaredEuclidean};
use ndarray::Array2;
use ottava_core::{Scales, TokenBatch};
use ottava_spatial::{
    Connect, Falloff, Filter, GridOptions, Metric, Query, TokenGrid, pairwise, simd,
};
use proptest::prelude::*;

use crate::data::{SHAPES, Shape, any_shape, points, rng};
use crate::naive::{Row, distance, ranked};
use crate::queries::{KINDS, Kind, metric, pairs, view};

/// Runs with the instructions of a level, one caller at a time.
pub(crate) fn at_level<T>(level: simd::Level, run: impl FnOnce() -> T) -> T {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    simd::force(Some(level)).unwrap();
    assert_eq!(simd::level(), level);
    let answer = run();
    simd::force(None).unwrap();
    answer
}

fn grid(shape: Shape, n: usize, kind: Kind) -> TokenGrid {
    let mut rng = rng(9);
    let data = points(shape, n, &mut rng);
    let ids: Vec<u64> = (0..n as u64).rev().collect();
    let radii: Vec<f32> = (0..n).map(|i| (i % 5) as f32 * 0.2).collect();
    let batch = TokenBatch::from_rows(&ids[..], &data[..])
        .unwrap()
        .with_fields(radii, vec![1.5; n])
        .unwrap();
    let options = GridOptions { metric: metric(kind, &data), ..GridOptions::default() };
    TokenGrid::from_batch(&batch, options).unwrap()
}

/// Everything that a grid can be asked, as text, in which floats are exact.
fn answers(grid: &TokenGrid, probes: &[[f32; 8]]) -> String {
    let probes = view(probes);
    let mask: Vec<bool> = (0..grid.len()).map(|row| row % 7 != 0).collect();
    let filter = grid.filter_mask(&mask).unwrap();
    let mut query = Query::default().filter(&filter).exclude(&[5, 6]);
    if !matches!(grid.options().metric, Metric::Mahalanobis(_)) {
        query.scales = Some(Scales::new([1.0, 0.5, 1.5, 0.0, 1.0, 0.7, 1.0, 2.0]).unwrap());
    }
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        grid.nearest_batch(probes, 12, &query).unwrap(),
        grid.within_batch(probes, 0.4, &query).unwrap(),
        grid.count_within_batch(probes, 0.5, &query).unwrap(),
        grid.connect(Connect::Radius(0.3), Falloff::Quadratic, &query).unwrap(),
        grid.connect(Connect::Nearest(3), Falloff::Linear, &query).unwrap(),
        grid.influence(probes, Falloff::Gaussian).unwrap(),
        grid.influence_gradient(probes, Falloff::Linear).unwrap(),
        pairwise(probes, probes, &grid.options().metric).unwrap(),
    )
}

#[test]
fn every_level_and_number_of_threads() {
    let levels = simd::available();
    assert!(levels.contains(&simd::Level::Scalar));
    for (shape, kind) in SHAPES.into_iter().zip(KINDS.into_iter().cycle()) {
        let grid = grid(shape, 700, kind);
        let probes = points(shape, 300, &mut rng(10));
        let expected = answers(&grid, &probes);
        for &level in &levels {
            let found = at_level(level, || answers(&grid, &probes));
            assert!(found == expected, "{shape:?} {level}");
        }
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| answers(&grid, &probes)) == expected, "{shape:?} {threads}");
        }
    }
    assert!("sse9".parse::<simd::Level>().is_err());
    assert_eq!("scalar".parse::<simd::Level>().unwrap(), simd::Level::Scalar);
}

#[test]
fn a_tree_is_the_same_for_any_number_of_threads() {
    // Large enough for a parallel build; the way a bulk load came about must not show.
    let probes = points(Shape::Uniform, 200, &mut rng(11));
    let build = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| grid(Shape::Uniform, 60_000, Kind::Euclidean))
    };
    let (one, three) = (build(1), build(3));
    let query = Query::default();
    let ask = |grid: &TokenGrid| grid.nearest_batch(view(&probes), 10, &query).unwrap();
    assert_eq!(ask(&one), ask(&three));
}

#[test]
fn as_kiddo() {
    let kinds =
        [Shape::Uniform, Shape::Clustered, Shape::Outlier, Shape::ConstantAxes, Shape::Huge];
    for shape in kinds {
        let data = points(shape, 20_000, &mut rng(12));
        let ids: Vec<u64> = (0..20_000).collect();
        let grid = TokenGrid::from_arrays(&ids, view(&data), GridOptions::default()).unwrap();
        let tree: ImmutableKdTree<f32, 8> = ImmutableKdTree::new_from_slice(&data).unwrap();
        let mut compared = 0;
        let query = Query::default();
        for probe in points(shape, 200, &mut rng(13)) {
            for k in [1, 10, 50] {
                let ours = grid.nearest(&probe, k, &query).unwrap();
                let theirs = tree
                    .query(&probe)
                    .nearest_n::<SquaredEuclidean<f32>>(NonZero::new(k).unwrap())
                    .execute();
                assert_eq!(theirs.len(), k);
                let mut others = std::collections::HashMap::new();
                for (place, neighbor) in theirs.iter().enumerate() {
                    let (a, b) = (ours.distances[place], neighbor.distance.sqrt());
                    assert!((a - b).abs() <= 1e-6 * b, "{place}: {a} {b}");
                    others.insert(u64::from(neighbor.item), b);
                }
                // The same ids, but for those as far as the last one, of which it takes any.
                let last = ours.distances[k - 1];
                for (id, &distance) in ours.ids.iter().zip(&ours.distances) {
                    assert!(others.contains_key(id) || distance >= last * (1.0 - 1e-6), "{id}");
                }
            }
            // Between two distances, where it does not matter how the square is rounded.
            let near = grid.nearest(&probe, 31, &query).unwrap().distances;
            let Some(pair) = near.windows(2).rev().find(|pair| pair[1] > pair[0] * 1.0001) else {
                continue;
            };
            let radius = f32::midpoint(pair[0], pair[1]);
            let within = tree.query(&probe).within::<SquaredEuclidean<f32>>(radius * radius);
            let mut theirs: Vec<u64> =
                within.unsorted().execute().iter().map(|found| u64::from(found.item)).collect();
            theirs.sort_unstable();
            assert_eq!(grid.within(&probe, radius, &query.sort(false)).unwrap().ids, theirs);
            assert_eq!(grid.count_within(&probe, radius, &query).unwrap(), theirs.len());
            compared += 1;
        }
        assert!(compared > 150, "{shape:?} {compared}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn filters_at_every_selectivity(
        seed in any::<u64>(),
        shape in any_shape(),
        n in prop_oneof![1_usize..200, 6000_usize..9000],
        share in prop_oneof![Just(0.0), Just(1.0), 0.0_f64..1.0],
        holes in any::<bool>(),
        k in 1_usize..30,
    ) {
        let mut rng = rng(seed);
        let data = points(shape, n, &mut rng);
        let ids: Vec<u64> = (0..n as u64).map(|i| i * 3).collect();
        let mut grid = TokenGrid::from_arrays(&ids, view(&data), GridOptions::default()).unwrap();
        if holes {
            grid.remove(0).unwrap();
        }
        let order = grid.ids();
        let mask: Vec<bool> = order.iter().map(|_| rng.random_bool(share)).collect();
        let chosen = |admit: bool| -> Vec<u64> {
            let ids = order.iter().zip(&mask);
            ids.filter(|&(_, &admitted)| admitted == admit).map(|(&id, _)| id).collect()
        };
        let filters: [Filter; 3] = [
            grid.filter_mask(&mask).unwrap(),
            grid.filter_allow(&chosen(true)).unwrap(),
            grid.filter_deny(&chosen(false)).unwrap(),
        ];
        let out: Vec<u64> = chosen(true).into_iter().take(40).collect();
        let probe = points(shape, 2, &mut rng)[0];
        for excluded in [&out[..0], &out[..out.len().min(2)], &out] {
            let rows: Vec<_> = chosen(true)
                .into_iter()
                .filter(|id| !excluded.contains(id))
                .map(|id| Row::new(id, data[id as usize / 3]))
                .collect();
            let expected = ranked(&rows, &Metric::Euclidean, &[1.0; 8], &probe);
            for filter in &filters {
                let query = Query::default().filter(filter).exclude(excluded);
                let found = grid.nearest(&probe, k, &query).unwrap();
                prop_assert_eq!(pairs(&found), &expected[..k.min(rows.len())]);
                let count = grid.count_within(&probe, f32::INFINITY, &query).unwrap();
                prop_assert_eq!(count, rows.len());
                let table = grid.nearest_batch(view(&[probe]), k, &query).unwrap();
                let found = table.ids.iter().filter(|&&id| id != ottava_core::NO_TOKEN).count();
                prop_assert_eq!(found, k.min(rows.len()));
            }
        }
    }

    #[test]
    fn pairs_equal_the_reference(
        seed in any::<u64>(),
        shape in any_shape(),
        n in 0_usize..70,
        m in prop_oneof![0_usize..70, Just(512), Just(1040)],
    ) {
        let mut rng = rng(seed);
        let (left, right) = (points(shape, n, &mut rng), points(shape, m, &mut rng));
        use Metric::{Chebyshev, Euclidean, Manhattan, SquaredEuclidean};
        for metric in [Euclidean, SquaredEuclidean, Manhattan, Chebyshev] {
            let of = |p: &[f32; 8], q: &[f32; 8]| distance(&metric, &[1.0; 8], p, q);
            let expected = Array2::from_shape_fn((n, m), |(i, j)| of(&left[i], &right[j]));
            prop_assert_eq!(&pairwise(view(&left), view(&right), &metric).unwrap(), &expected);
            if let Some(first) = left.first() {
                let row = ottava_spatial::distances(first, view(&right), &metric).unwrap();
                prop_assert_eq!(&row, &expected.row(0).to_vec());
                if let Some(other) = right.first() {
                    let one = ottava_spatial::distance(first, other, &metric).unwrap();
                    prop_assert_eq!(one, row[0]);
                }
            }
        }
    }
}
