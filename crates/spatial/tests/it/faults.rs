//! Faults of other token grids, and wrong arguments: each must give the right answer or a typed error.

use ottava_core::{AxisSet, Error as CoreError, NO_TOKEN, Scales, Token, TokenBatch};
use ottava_spatial::{
    Connect, Error, Falloff, GridOptions, Metric, Query, TokenGrid, Whitening, distances_into,
    pairwise_into,
};

use crate::data::{Shape, points, rng};
use crate::queries::view;

fn line(n: u64) -> TokenGrid {
    let data: Vec<_> = (0..n).map(|i| [i as f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).collect();
    let ids: Vec<_> = (0..n).collect();
    TokenGrid::from_arrays(&ids, view(&data), GridOptions::default()).unwrap()
}

#[test]
fn an_unknown_id_is_an_error_not_an_empty_answer() {
    let mut grid = line(5);
    let query = Query::default();
    assert!(matches!(
        grid.connections(9, 1.0, Falloff::Linear, &query),
        Err(Error::UnknownId { id: 9 })
    ));
    assert!(matches!(grid.get(9), Err(Error::UnknownId { id: 9 })));
    assert!(matches!(grid.remove(9), Err(Error::UnknownId { id: 9 })));
    assert!(matches!(grid.move_to(9, &[0.0; 8]), Err(Error::UnknownId { id: 9 })));
    assert!(matches!(grid.filter_allow(&[1, 9]), Err(Error::UnknownId { id: 9 })));
    assert!(matches!(grid.filter_deny(&[9]), Err(Error::UnknownId { id: 9 })));
    let excluding = query.exclude(&[9]);
    assert!(matches!(grid.nearest(&[0.0; 8], 1, &excluding), Err(Error::UnknownId { id: 9 })));
}

#[test]
fn a_removed_token_leaves_no_connection() {
    let mut grid = line(5);
    let ask = |grid: &TokenGrid, id| grid.connections(id, 1.5, Falloff::Linear, &Query::default());
    assert_eq!(ask(&grid, 2).unwrap().ids, [1, 3]);
    grid.remove(3).unwrap();
    assert_eq!(ask(&grid, 2).unwrap().ids, [1]);
    assert!(ask(&grid, 3).is_err());
    let graph = grid.connect(Connect::Radius(1.5), Falloff::Linear, &Query::default()).unwrap();
    assert_eq!(graph.ids, [0, 1, 2, 4]);
    assert_eq!(graph.indptr, [0, 1, 3, 4, 4]);
    assert_eq!(graph.indices, [1, 0, 2, 1]);
}

#[test]
fn a_move_is_atomic() {
    let mut grid = line(5);
    let mut wrong = [7.0; 8];
    wrong[3] = f32::INFINITY;
    assert!(grid.move_to(2, &wrong).is_err());
    assert_eq!(grid.get(2).unwrap().position.0[0], 2.0);
    grid.move_to(2, &[7.0; 8]).unwrap();
    let all = grid.within(&[0.0; 8], f32::INFINITY, &Query::default()).unwrap();
    assert_eq!(all.ids, [0, 1, 3, 4, 2]);
}

#[test]
fn huge_radii_do_not_hang() {
    let grid = line(1);
    let query = Query::default();
    for radius in [1e6, 1e18, f32::MAX, f32::INFINITY] {
        assert_eq!(grid.within(&[5.0; 8], radius, &query).unwrap().ids, [0]);
        assert_eq!(grid.connections(0, radius, Falloff::Linear, &query).unwrap().ids, [0_u64; 0]);
    }
    // Many tokens, each in a cell of its own with more empty ones between than anyone could look at.
    let mut data = points(Shape::Uniform, 3000, &mut rng(22));
    data.as_flattened_mut().iter_mut().for_each(|x| *x *= 1e5);
    let ids: Vec<u64> = (0..3000).collect();
    let options = GridOptions { cell_size: Some(1e-3), ..GridOptions::default() };
    let mut grid = TokenGrid::from_arrays(&ids, view(&data), options).unwrap();
    assert_eq!(grid.occupied_cells().len(), 3000);
    for radius in [1e10, 1e18, f32::MAX, f32::INFINITY] {
        assert_eq!(grid.count_within(&[5.0; 8], radius, &query).unwrap(), grid.len());
        assert_eq!(grid.within(&[5.0; 8], radius, &query.sort(false)).unwrap().ids, grid.ids());
        let ask = |grid: &TokenGrid| grid.connections(0, radius, Falloff::Linear, &query).unwrap();
        assert_eq!(ask(&grid).ids.len(), grid.len() - 1);
        // A change is told to the cache, and the ball is held against the cell that changed.
        grid.insert(Token::new(5000 + grid.len() as u64, [-1e5; 8])).unwrap();
        assert_eq!(ask(&grid).ids.len(), grid.len() - 1);
        let by = Connect::Radius(radius);
        let graph = grid.connect(by, Falloff::Linear, &query.limit(2)).unwrap();
        assert_eq!(graph.indices.len(), 2 * grid.len());
    }
}

/// What the arithmetic of `f32` cannot tell from nothing, and what it can.
#[test]
fn euclidean_distances_have_a_floor() {
    use ottava_spatial::distance;
    let of = |metric: &Metric, x: f32| distance(&[x; 8], &[0.0; 8], metric).unwrap();
    let grid = |x: f32| {
        let data = [[0.0; 8], [x; 8], [3.0 * x; 8]];
        TokenGrid::from_arrays(&[5, 4, 3], view(&data), GridOptions::default()).unwrap()
    };
    let nearest = |x: f32| grid(x).nearest(&[2.9 * x; 8], 3, &Query::default()).unwrap().ids;
    for x in [1e-24_f32, 1e-30, 1e-44] {
        assert_eq!(of(&Metric::Euclidean, x), 0.0);
        assert_eq!(of(&Metric::SquaredEuclidean, x), 0.0);
        // All at the same place, so by id.
        assert_eq!(nearest(x), [3, 4, 5]);
        assert_eq!(grid(x).count_within(&[0.0; 8], 0.0, &Query::default()).unwrap(), 3);
        assert_eq!(of(&Metric::Manhattan, x), 8.0 * x);
        assert_eq!(of(&Metric::Chebyshev, x), x);
    }
    for x in [1e-19_f32, 1e-15, 1.0, 1e17] {
        let expected = 8.0_f64.sqrt() * f64::from(x);
        assert!((f64::from(of(&Metric::Euclidean, x)) - expected).abs() < 1e-6 * expected, "{x}");
        assert_eq!(nearest(x), [3, 4, 5]);
        assert_eq!(grid(x).count_within(&[0.0; 8], 0.0, &Query::default()).unwrap(), 1);
    }
}

/// The child of the next test: asks for more than it may have.
#[test]
fn child_that_asks_for_too_much() {
    if std::env::var_os("OTTAVA_TEST_TOO_MUCH").is_none() {
        return;
    }
    let n = 12_000;
    let data = points(Shape::Uniform, n, &mut rng(23));
    let ids: Vec<u64> = (0..n as u64).collect();
    let grid = TokenGrid::from_arrays(&ids, view(&data), GridOptions::default()).unwrap();
    let (all, query) = (f32::INFINITY, Query::default());
    let too_large = grid.nearest_batch(view(&data), n, &query);
    let expected = matches!(too_large, Err(Error::AnswerTooLarge { rows, columns }) if (rows, columns) == (n, n));
    assert!(expected, "{:?}", too_large.err());
    let within = grid.within_batch(view(&data), all, &query.sort(false));
    assert!(matches!(within, Err(Error::OutOfMemory { .. })), "{:?}", within.err());
    let graph = grid.connect(Connect::Radius(all), Falloff::Linear, &query.sort(false));
    assert!(matches!(graph, Err(Error::OutOfMemory { .. })), "{:?}", graph.err());
    // What fits is answered as before.
    assert_eq!(grid.nearest(&data[0], 1, &query).unwrap().ids, [0]);
    std::fs::write(std::env::var_os("OTTAVA_TEST_TOO_MUCH").unwrap(), "asked").unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn an_answer_that_memory_cannot_hold_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done");
    let status = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 1000000 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["faults::child_that_asks_for_too_much", "--exact", "--test-threads=1"])
        .env("OTTAVA_TEST_TOO_MUCH", &done)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(std::fs::read(done).unwrap(), b"asked");
}

#[test]
fn a_box_bounds_an_axis_whose_scale_is_0() {
    let scales = Scales::new([0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]).unwrap();
    let data: Vec<_> = (0..50).map(|i| [i as f32; 8]).collect();
    let ids: Vec<u64> = (0..50).collect();
    let options = GridOptions { scales, ..GridOptions::default() };
    let grid = TokenGrid::from_arrays(&ids, view(&data), options).unwrap();
    let query = Query::default();
    for query in [query, query.axes(AxisSet::new(&[0]).unwrap())] {
        assert_eq!(grid.box_query(&[7.0; 8], &[9.5; 8], &query).unwrap(), [7, 8, 9]);
    }
}

#[test]
fn scales_are_held_against_the_tokens_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.ottava");
    let query = Query::default().scales(Scales::new([10.0; 8]).unwrap());
    let mut grid = line(3);
    grid.insert(Token::new(9, [1e18; 8])).unwrap();
    assert!(matches!(grid.nearest(&[0.0; 8], 1, &query), Err(Error::QueryScale { .. })));
    grid.remove(9).unwrap();
    grid.save(&path).unwrap();
    let opened = TokenGrid::open(&path, ottava_spatial::OpenOptions::default()).unwrap();
    assert_eq!(opened.nearest(&[0.0; 8], 1, &query).unwrap().ids, [0]);
    grid.optimize();
    assert_eq!(grid.nearest(&[0.0; 8], 1, &query).unwrap().ids, [0]);
    (0..3).for_each(|id| grid.discard(id).unwrap());
    grid.optimize();
    grid.save(&path).unwrap();
    for mut grid in [grid, TokenGrid::open(&path, ottava_spatial::OpenOptions::default()).unwrap()]
    {
        assert!(grid.nearest(&[0.0; 8], 1, &query).unwrap().ids.is_empty());
        grid.insert(Token::new(1, [1e18; 8])).unwrap();
        assert!(matches!(grid.nearest(&[0.0; 8], 1, &query), Err(Error::QueryScale { .. })));
    }
}

/// Whitened coordinates are rounded, and that must not be to how far the data is from the origin.
#[test]
fn the_mahalanobis_distance_is_as_exact_anywhere() {
    use ottava_spatial::{distance, distances, pairwise};
    let covariance: [[f64; 8]; 8] = std::array::from_fn(|i| {
        std::array::from_fn(|j| if i == j { 0.2 + 0.1 * i as f64 } else { 0.02 })
    });
    let metric = Metric::Mahalanobis(Whitening::from_covariance(&covariance).unwrap());
    let matrix = nalgebra::SMatrix::<f64, 8, 8>::from_fn(|i, j| covariance[i][j]);
    let inverse = matrix.try_inverse().unwrap();
    let exact = |p: &[f32; 8], q: &[f32; 8]| {
        let d = nalgebra::SVector::<f64, 8>::from_fn(|i, _| f64::from(p[i]) - f64::from(q[i]));
        (d.transpose() * inverse * d)[0].sqrt()
    };
    let close = |found: f32, expected: f64| (f64::from(found) - expected).abs() <= 2e-6 * expected;
    for offset in [0.0, 1e3, 1e5, 1e6] {
        let mut data = points(Shape::Uniform, 1000, &mut rng(24));
        data.as_flattened_mut().iter_mut().for_each(|x| *x = *x * 2.0 + offset);
        let ids: Vec<u64> = (0..1000).collect();
        let options = || GridOptions { metric: metric.clone(), ..GridOptions::default() };
        let bulk = TokenGrid::from_arrays(&ids, view(&data), options()).unwrap();
        let mut single = TokenGrid::new(options()).unwrap();
        let mut batch = TokenGrid::new(options()).unwrap();
        for (&id, &position) in ids.iter().zip(&data) {
            single.insert(Token::new(id, position)).unwrap();
        }
        let tokens = TokenBatch::from_rows(&ids[..], &data[..]).unwrap();
        batch.insert_batch(&tokens, ottava_spatial::OnDuplicate::Error).unwrap();
        let pairs = pairwise(view(&data[..40]), view(&data), &metric).unwrap();
        for (row, probe) in data[..40].iter().enumerate() {
            let of: Vec<f64> = data.iter().map(|p| exact(p, probe)).collect();
            let mut order: Vec<usize> = (0..1000).collect();
            order.sort_by(|&a, &b| of[a].total_cmp(&of[b]));
            for grid in [&bulk, &single, &batch] {
                let found = grid.nearest(probe, 10, &Query::default()).unwrap();
                for (place, (&id, &distance)) in found.ids.iter().zip(&found.distances).enumerate()
                {
                    // Where two are as near but for rounding, either may come first.
                    let (id, expected) = (id as usize, of[order[place]]);
                    assert!((of[id] - expected).abs() <= 2e-6 * expected, "{offset} {place}");
                    assert!(close(distance, of[id]), "{offset} {distance} {}", of[id]);
                }
            }
            let to_all = distances(probe, view(&data), &metric).unwrap();
            for (other, p) in data.iter().enumerate() {
                let found =
                    [to_all[other], pairs[(row, other)], distance(p, probe, &metric).unwrap()];
                assert!(found.iter().all(|&found| close(found, of[other])), "{offset} {found:?}");
            }
        }
    }
}

#[test]
fn axes_of_different_size_need_no_scan() {
    // One axis in [-1, 1] beside seven in [-1000, 1000]; counted in tokens looked at it would be all.
    let mut rng = rng(20);
    let mut data = points(Shape::Uniform, 50_000, &mut rng);
    for point in &mut data {
        (1..8).for_each(|axis| point[axis] = point[axis] * 2000.0 - 1000.0);
    }
    let ids: Vec<u64> = (0..50_000).collect();
    let scales = Scales::new([1000.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]).unwrap();
    for scales in [Scales::ONE, scales] {
        let options = GridOptions { scales, ..GridOptions::default() };
        let grid = TokenGrid::from_arrays(&ids, view(&data), options).unwrap();
        let cells = grid.occupied_cells().len();
        assert!(cells > 1000, "{cells} cells");
        let probe = data[7];
        assert_eq!(grid.nearest(&probe, 1, &Query::default()).unwrap().ids, [7]);
    }
}

#[test]
fn a_source_farther_than_any_query_has_influence() {
    let mut grid = line(3);
    let field = ottava_core::Field { radius: 1000.0, strength: 2.0 };
    let far = Token { field, ..Token::new(50, [0.0, 500.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]) };
    grid.insert(far).unwrap();
    let influence = grid.influence(view(&[[0.0; 8]]), Falloff::Linear).unwrap();
    assert_eq!(influence, [1.0]);
}

#[test]
fn a_field_without_radius_contributes_nothing() {
    let mut grid = TokenGrid::new(GridOptions::default()).unwrap();
    let field = ottava_core::Field { radius: 0.0, strength: 2.0 };
    grid.insert(Token { field, ..Token::new(1, [0.0; 8]) }).unwrap();
    for falloff in [Falloff::Linear, Falloff::Quadratic, Falloff::Gaussian] {
        assert_eq!(grid.influence(view(&[[0.0; 8]]), falloff).unwrap(), [0.0]);
        assert_eq!(grid.influence_gradient(view(&[[0.0; 8]]), falloff).unwrap(), [[0.0; 8]]);
    }
}

#[test]
fn a_density_needs_a_radius() {
    let grid = line(3);
    for radius in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let density = grid.density(view(&[[0.0; 8]]), radius, &Query::default());
        assert!(matches!(density, Err(Error::Radius { .. })));
    }
    // So small that the volume is 0, or that the density overflows.
    for radius in [1e-45, 1e-42, 1e-40] {
        let density = grid.density(view(&[[0.0; 8]]), radius, &Query::default());
        assert!(matches!(density, Err(Error::Radius { .. })), "{radius}");
    }
    assert!(grid.density(view(&[[0.0; 8]]), 1e-37, &Query::default()).unwrap()[0].is_finite());
}

#[test]
fn wrong_coordinates_name_row_and_axis() {
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e19] {
        let mut data = vec![[0.0; 8]; 4];
        data[2][5] = wrong;
        let named = |error: Error| {
            let place = matches!(error, Error::Core(CoreError::Coordinate { row: 2, axis: 5, .. }));
            assert!(place, "{error}");
        };
        let options = GridOptions::default();
        named(TokenGrid::from_arrays(&[1, 2, 3, 4], view(&data), options).unwrap_err());
        let grid = line(5);
        let query = Query::default();
        named(grid.nearest_batch(view(&data), 1, &query).unwrap_err());
        named(grid.within_batch(view(&data), 1.0, &query).unwrap_err());
        named(grid.influence(view(&data), Falloff::Linear).unwrap_err());
        assert!(grid.nearest(&data[2], 1, &query).is_err());
        assert!(grid.cell(&data[2]).is_err());
        assert!(line(1).insert(Token::new(9, data[2])).is_err());
    }
}

#[test]
fn wrong_arguments_are_typed_errors() {
    let mut grid = line(5);
    let (origin, query) = ([0.0; 8], Query::default());
    assert!(matches!(grid.nearest(&origin, 0, &query), Err(Error::ZeroK)));
    assert!(matches!(grid.nearest_batch(view(&[origin]), 0, &query), Err(Error::ZeroK)));
    for radius in [-1.0, f32::NAN, f32::NEG_INFINITY] {
        assert!(matches!(grid.within(&origin, radius, &query), Err(Error::Radius { .. })));
        assert!(matches!(grid.count_within(&origin, radius, &query), Err(Error::Radius { .. })));
        assert!(matches!(
            grid.nearest(&origin, 1, &query.within(radius)),
            Err(Error::Radius { .. })
        ));
    }
    let mut low = [0.0; 8];
    low[6] = 1.0;
    assert!(matches!(grid.box_query(&low, &origin, &query), Err(Error::Box { axis: 6, .. })));
    low[6] = f32::NAN;
    assert!(matches!(grid.box_query(&low, &origin, &query), Err(Error::Box { axis: 6, .. })));
    assert!(matches!(grid.filter_mask(&[true]), Err(Error::MaskLength { expected: 5, found: 1 })));
    let filter = grid.filter_allow(&[1]).unwrap();
    let reserved = grid.insert(Token::new(NO_TOKEN, origin));
    assert!(matches!(reserved, Err(Error::Core(CoreError::ReservedId { row: 0 }))));
    grid.insert(Token::new(77, origin)).unwrap();
    let stale = grid.nearest(&origin, 1, &query.filter(&filter));
    assert!(matches!(stale, Err(Error::StaleFilter)));
    let other = line(5);
    assert!(other.nearest(&origin, 1, &query.filter(&filter)).is_err());
    for cell_size in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let options = GridOptions { cell_size: Some(cell_size), ..GridOptions::default() };
        assert!(matches!(TokenGrid::new(options), Err(Error::CellSize { .. })));
    }
    for weight in [f32::NAN, f32::INFINITY] {
        assert!(grid.insert(Token { weight, ..Token::new(78, origin) }).is_err());
    }
    let mut out = [0.0; 3];
    let points = [[0.0; 8]; 2];
    let wrong = distances_into(&origin, view(&points), &Metric::Euclidean, &mut out);
    assert!(matches!(wrong, Err(Error::OutLength { expected: 2, found: 3 })));
    let wrong = pairwise_into(view(&points), view(&points), &Metric::Euclidean, &mut out);
    assert!(matches!(wrong, Err(Error::OutLength { expected: 4, found: 3 })));
}

#[test]
fn scales_that_overflow_are_refused() {
    let scales = Scales::new([1e18; 8]).unwrap();
    let options = || GridOptions { scales, ..GridOptions::default() };
    let mut grid = TokenGrid::new(options()).unwrap();
    let error = grid.insert(Token::new(1, [0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0])).unwrap_err();
    assert!(matches!(error, Error::Scaled { row: 0, axis: 2, .. }), "{error}");
    let grid = line(5);
    let query = Query::default().scales(scales);
    let error = grid.nearest(&[0.0; 8], 1, &query).unwrap_err();
    assert!(matches!(error, Error::QueryScale { axis: 0, .. }), "{error}");
    let data = [[0.5; 8], [3.0; 8]];
    let error = TokenGrid::from_arrays(&[1, 2], view(&data), options()).unwrap_err();
    assert!(matches!(error, Error::Scaled { row: 1, axis: 0, .. }), "{error}");
}

#[test]
fn whitened_grids_choose_no_axes() {
    let data = points(Shape::Uniform, 100, &mut rng(21));
    let ids: Vec<u64> = (0..100).collect();
    let metric = Metric::Mahalanobis(Whitening::from_positions(view(&data)).unwrap());
    let options = || GridOptions { metric: metric.clone(), ..GridOptions::default() };
    let grid = TokenGrid::from_arrays(&ids, view(&data), options()).unwrap();
    let axes = AxisSet::new(&[1]).unwrap();
    let chosen = grid.nearest(&[0.5; 8], 1, &Query::default().axes(axes));
    assert!(matches!(chosen, Err(Error::WhitenedAxes)));
    assert!(matches!(TokenGrid::new(GridOptions { axes, ..options() }), Err(Error::WhitenedAxes)));
    let inside = grid.box_query(&[0.0; 8], &[0.5; 8], &Query::default()).unwrap();
    let expected =
        ids.iter().filter(|&&id| data[id as usize].iter().all(|x| (0.0..=0.5).contains(x)));
    assert!(inside.iter().eq(expected));
}

#[test]
fn an_empty_grid_answers() {
    let grid = TokenGrid::new(GridOptions::default()).unwrap();
    let (origin, query) = ([0.0; 8], Query::default());
    assert!(grid.nearest(&origin, 5, &query).unwrap().ids.is_empty());
    assert!(grid.within(&origin, f32::INFINITY, &query).unwrap().ids.is_empty());
    assert_eq!(grid.count_within(&origin, 1.0, &query).unwrap(), 0);
    assert!(grid.box_query(&origin, &origin, &query).unwrap().is_empty());
    assert!(grid.cell(&origin).unwrap().is_empty());
    assert!(grid.occupied_cells().is_empty());
    assert!(grid.bounds().is_none());
    let table = grid.nearest_batch(view(&[origin; 3]), 5, &query).unwrap();
    assert_eq!((table.k, table.ids.len()), (0, 0));
    let graph = grid.connect(Connect::Nearest(3), Falloff::Linear, &query).unwrap();
    assert_eq!(graph.indptr, [0]);
    assert_eq!(grid.influence(view(&[origin]), Falloff::Linear).unwrap(), [0.0]);
    let empty = TokenBatch::from_rows(vec![], vec![]).unwrap();
    assert!(TokenGrid::from_batch(&empty, GridOptions::default()).unwrap().is_empty());
    let none = line(3).nearest_batch(view(&[]), 2, &query).unwrap();
    assert!(none.ids.is_empty());
}

/// The numbers where a 32-bit row number, or a signed one, would wrap.
#[test]
fn ids_at_the_boundaries_of_row_numbers() {
    let edges = [1_u64 << 31, 1 << 32, 1 << 63, u64::MAX - 2];
    let mut ids: Vec<u64> = edges.iter().flat_map(|&edge| [edge - 1, edge, edge + 1]).collect();
    ids.extend([0, 1]);
    let data: Vec<[f32; 8]> = (0..ids.len()).map(|i| [i as f32; 8]).collect();
    // Bulk loaded in order, as a run of numbers, and one by one.
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    let run: Vec<u64> = ((1 << 32) - 7..).take(ids.len()).collect();
    for ids in [&ids, &sorted, &run] {
        let mut grids = [
            TokenGrid::from_arrays(ids, view(&data), GridOptions::default()).unwrap(),
            TokenGrid::new(GridOptions::default()).unwrap(),
        ];
        for (&id, &position) in ids.iter().zip(&data) {
            grids[1].insert(Token::new(id, position)).unwrap();
        }
        for grid in &mut grids {
            for (&id, position) in ids.iter().zip(&data) {
                let query = Query::default();
                assert_eq!(grid.nearest(position, 1, &query).unwrap().ids, [id]);
                assert_eq!(grid.get(id).unwrap().position.0, *position);
                assert!(grid.cell(position).unwrap().contains(&id));
                for stranger in [id ^ 1 << 33, id.wrapping_add(1 << 32)] {
                    assert_eq!(grid.contains(stranger), ids.contains(&stranger));
                }
            }
            grid.move_to(ids[1], &[-5.0; 8]).unwrap();
            grid.remove(ids[0]).unwrap();
            assert!(!grid.contains(ids[0]));
            assert_eq!(grid.nearest(&[-5.0; 8], 1, &Query::default()).unwrap().ids, [ids[1]]);
        }
    }
    let reserved = TokenGrid::from_arrays(&[u64::MAX], view(&data[..1]), GridOptions::default());
    assert!(matches!(reserved, Err(Error::Core(_))));
}
