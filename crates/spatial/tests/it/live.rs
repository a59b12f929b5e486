//! A grid that changes equals the reference after every change, and its cache never differs from none.

use std::collections::BTreeMap;

use ottava_core::{Field, Point8, Token, TokenBatch};
use ottava_spatial::{Error, Falloff, GridOptions, OnDuplicate, Query, TokenGrid, simd};
use proptest::prelude::*;
use proptest::test_runner::TestRng;

use crate::data::{Shape, any_shape, points, rng};
use crate::fields::value;
use crate::naive::{Row, ranked};
use crate::queries::{Choice, any_choice, any_kind, check, metric, view};
use crate::same::at_level;

/// The grid beside a map of what it should hold.
struct Twin {
    grid: TokenGrid,
    rows: BTreeMap<u64, Row>,
    next: u64,
}

impl Twin {
    fn new(
        shape: Shape,
        n: usize,
        options: impl FnOnce(&[[f32; 8]]) -> GridOptions,
        rng: &mut TestRng,
    ) -> Self {
        let data = points(shape, n, rng);
        let ids: Vec<u64> = (0..n as u64).collect();
        let options = options(&data);
        let grid = TokenGrid::from_arrays(&ids, view(&data), options).unwrap();
        let rows = ids.iter().zip(&data).map(|(&id, &p)| (id, Row::new(id, p))).collect();
        Self { grid, rows, next: n as u64 }
    }

    fn any_id(&self, rng: &mut TestRng) -> Option<u64> {
        let from = rng.random_range(0..self.next.max(1));
        self.rows.range(from..).chain(self.rows.iter()).next().map(|(&id, _)| id)
    }

    fn change(&mut self, shape: Shape, rng: &mut TestRng) {
        // The outlier is one in many.
        let some = points(shape, 9, rng);
        let (position, other) = (some[rng.random_range(0..9)], some[0]);
        match rng.random_range(0..10) {
            0..4 => {
                // An id that was removed may come back.
                let again = rng.random_range(0..4) == 0;
                let id = if again { rng.random_range(0..self.next + 1) } else { self.next };
                let token = Token { weight: 0.5, ..Token::new(id, position) };
                let result = self.grid.insert(token);
                if self.rows.contains_key(&id) {
                    assert!(matches!(result, Err(Error::DuplicateId { row: 0, .. })));
                    return;
                }
                result.unwrap();
                self.rows.insert(id, Row { weight: 0.5, ..Row::new(id, position) });
                self.next = self.next.max(id + 1);
            }
            4..7 => {
                let Some(id) = self.any_id(rng) else { return };
                let row = self.rows.remove(&id).unwrap();
                if rng.random_range(0..2) == 0 {
                    self.grid.discard(id).unwrap();
                } else {
                    assert_eq!(self.grid.remove(id).unwrap().position.0, row.position);
                }
                assert!(matches!(self.grid.discard(id), Err(Error::UnknownId { .. })));
                assert!(matches!(self.grid.remove(id), Err(Error::UnknownId { .. })));
            }
            7..9 => {
                let Some(id) = self.any_id(rng) else { return };
                self.grid.move_to(id, &position).unwrap();
                self.rows.get_mut(&id).unwrap().position = position;
            }
            _ => {
                let ids = [self.next, self.any_id(rng).unwrap_or(self.next + 1)];
                let data = [position, other];
                let batch = TokenBatch::from_rows(&ids[..], &data[..]).unwrap();
                self.grid.insert_batch(&batch, OnDuplicate::Replace).unwrap();
                for (&id, &position) in ids.iter().zip(&data) {
                    self.rows.insert(id, Row::new(id, position));
                }
                self.next += 2;
            }
        }
        assert_eq!(self.grid.len(), self.rows.len());
    }

    fn check(&self, shape: Shape, choice: &Choice, rng: &mut TestRng) {
        let rows: Vec<_> = self.rows.values().copied().collect();
        let mut probes = points(shape, 2, rng);
        probes.extend(rows.first().map(|row| row.position));
        let (query, _) = choice.query(&self.grid);
        check(&self.grid, &rows, &query, &probes, rng);
    }

    fn check_everything(&self) {
        let mut tokens: Vec<_> = self.grid.iter().map(|t| (t.id, t.position.0, t.weight)).collect();
        tokens.sort_by_key(|&(id, ..)| id);
        let rows: Vec<_> = self.rows.values().map(|r| (r.id, r.position, r.weight)).collect();
        assert_eq!(tokens, rows);
        let mut cells: BTreeMap<[i32; 8], Vec<u64>> = BTreeMap::new();
        for row in self.rows.values() {
            cells.entry(self.grid.cell_of(&row.position).unwrap()).or_default().push(row.id);
        }
        assert_eq!(self.grid.occupied_cells(), cells.keys().copied().collect::<Vec<_>>());
        for row in self.rows.values().take(100) {
            let cell = self.grid.cell_of(&row.position).unwrap();
            assert_eq!(self.grid.cell(&row.position).unwrap(), cells[&cell]);
            let mut borrowed = self.grid.cell_ids(&row.position).unwrap().to_vec();
            borrowed.sort_unstable();
            assert_eq!(borrowed, cells[&cell]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn equals_the_reference_through_thousands_of_changes(
        seed in any::<u64>(),
        shape in any_shape(),
        n in prop_oneof![Just(0_usize), Just(3000)],
        steps in 1000_usize..9000,
        kind in any_kind(),
        choice in any_choice(),
        level in prop::sample::select(simd::available()),
        threads in 1_usize..5,
    ) {
        let mut rng = rng(seed);
        let mut twin = Twin::new(shape, n, |data| choice.options(metric(kind, data)), &mut rng);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut check_rng = crate::data::rng(!seed);
        let mut check = |twin: &Twin| {
            at_level(level, || pool.install(|| twin.check(shape, &choice, &mut check_rng)));
        };
        for step in 0..steps {
            twin.change(shape, &mut rng);
            if step % 797 == 0 {
                check(&twin);
            }
            if step % 1500 == 0 {
                twin.check_everything();
            }
        }
        twin.check_everything();
        twin.grid.optimize();
        check(&twin);
        twin.change(shape, &mut rng);
        twin.check_everything();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_cache_never_differs_from_no_cache(
        seed in any::<u64>(),
        shape in any_shape(),
        kind in any_kind(),
        choice in any_choice(),
        radius_rank in 1_usize..30,
        limit in prop::option::of(0_usize..10),
        sort in any::<bool>(),
        falloff in prop::sample::select(vec![Falloff::Linear, Falloff::Quadratic, Falloff::Gaussian]),
    ) {
        let mut rng = rng(seed);
        let mut twin = Twin::new(shape, 150, |data| choice.options(metric(kind, data)), &mut rng);
        let (mut query, scales) = choice.query(&twin.grid);
        (query.limit, query.sort) = (limit, sort);
        for _ in 0..200 {
            twin.change(shape, &mut rng);
            for _ in 0..4 {
                let Some(id) = twin.any_id(&mut rng) else { continue };
                let rows: Vec<_> = twin.rows.values().copied().collect();
                let (own, metric) = (twin.rows[&id], &twin.grid.options().metric);
                let mut expected = ranked(&rows, metric, &scales, &own.position);
                // A few radii, so that the same question comes again.
                let near = expected.get(radius_rank).map_or(1.0, |&(_, distance)| distance);
                let radius = if rng.random_range(0..8) == 0 { 0.0 } else { near.log2().ceil().exp2() };
                expected.retain(|&(other, distance)| other != id && distance <= radius);
                expected.truncate(limit.unwrap_or(usize::MAX));
                if !sort {
                    expected.sort_by_key(|&(id, _)| id);
                }
                let found = twin.grid.connections(id, radius, falloff, &query).unwrap();
                let found_pairs: Vec<_> =
                    found.ids.iter().copied().zip(found.distances.iter().copied()).collect();
                prop_assert_eq!(&found_pairs, &expected);
                for ((id, distance), strength) in expected.iter().zip(&found.strengths) {
                    let u = if *distance == 0.0 { 0.0 } else { f64::from(*distance) / f64::from(radius) };
                    let expected = (f64::from(twin.rows[id].weight) * value(falloff, u)) as f32;
                    prop_assert!((*strength - expected).abs() <= 1e-6, "{} {}", strength, expected);
                }
                // What is left out is not cached.
                let out = [id];
                let uncached = query.exclude(&out);
                let uncached = twin.grid.connections(id, radius, falloff, &uncached).unwrap();
                prop_assert_eq!(found, uncached);
            }
        }
        prop_assert!(twin.grid.cache_stats().hits > 0);
    }
}

/// Where squares are too small for `f32`, a ball reaches farther than its radius.
#[test]
fn the_cache_is_right_below_the_floor_of_distances() {
    for (size, far) in [(1e-26, 1e-24), (1e-30, 1e-25), (1e-44, 1e-42)] {
        let options = GridOptions { cell_size: Some(size), ..GridOptions::default() };
        let mut grid = TokenGrid::from_arrays(&[0], view(&[[0.0; 8]]), options).unwrap();
        let ask = |grid: &TokenGrid| {
            let found = grid.connections(0, 0.0, Falloff::Linear, &Query::default()).unwrap();
            found.ids.clone()
        };
        assert!(ask(&grid).is_empty());
        let mut position = [0.0; 8];
        position[3] = far;
        grid.insert(Token::new(1, position)).unwrap();
        assert_eq!(ask(&grid), [1]);
        grid.remove(1).unwrap();
        assert!(ask(&grid).is_empty());
    }
}

#[test]
fn the_cache_is_disturbed_only_by_cells_that_the_ball_touches() {
    let ids: Vec<u64> = (0..100).collect();
    let data: Vec<_> = (0..100).map(|i| [i as f32; 8]).collect();
    let options = GridOptions { cell_size: Some(0.5), ..GridOptions::default() };
    let mut grid = TokenGrid::from_arrays(&ids, view(&data), options).unwrap();
    let query = Query::default();
    let ask = |grid: &TokenGrid| grid.connections(50, 3.0, Falloff::Linear, &query).unwrap();
    let cached = |grid: &TokenGrid| {
        grid.cached_connections(50, 3.0, Falloff::Linear, &query).unwrap().map(|c| c.ids.clone())
    };
    assert_eq!(cached(&grid), None);
    assert_eq!(ask(&grid).ids, [49, 51]);
    for step in 0..500 {
        grid.insert(Token::new(1000 + step, [-(step as f32); 8])).unwrap();
        grid.move_to(7, &[100.0 + step as f32; 8]).unwrap();
        assert_eq!(ask(&grid).ids, [49, 51]);
    }
    let stats = grid.cache_stats();
    assert_eq!((stats.hits, stats.misses, stats.invalidated), (500, 1, 0));
    assert_eq!(cached(&grid), Some(vec![49, 51]));
    grid.move_to(7, &[50.5; 8]).unwrap();
    assert_eq!(cached(&grid), None);
    assert_eq!(ask(&grid).ids, [7, 49, 51]);
    grid.remove(7).unwrap();
    assert_eq!(ask(&grid).ids, [49, 51]);
    assert_eq!(grid.cache_stats().invalidated, 2);
    grid.clear_cache();
    assert_eq!(grid.cache_stats().entries, 0);
    grid.set_cache_capacity(0);
    ask(&grid);
    assert_eq!(grid.cache_stats().entries, 0);
}

/// One cell holds everything, so its list is long; then nothing.
#[test]
fn a_crowded_cell_changes_like_any_other() {
    let mut rng = rng(8);
    let options = GridOptions { cell_size: Some(100.0), ..GridOptions::default() };
    let mut twin = Twin::new(Shape::Uniform, 3000, |_| options, &mut rng);
    twin.check_everything();
    for _ in 0..3000 {
        twin.change(Shape::Uniform, &mut rng);
    }
    twin.check_everything();
    let ids: Vec<u64> = twin.rows.keys().copied().collect();
    for (at, id) in ids.into_iter().enumerate() {
        twin.grid.discard(id).unwrap();
        twin.rows.remove(&id);
        if at % 500 == 0 {
            twin.check_everything();
        }
    }
    twin.check_everything();
    for _ in 0..50 {
        twin.change(Shape::Uniform, &mut rng);
    }
    twin.check_everything();
}

#[test]
fn the_cache_holds_no_more_than_its_capacity() {
    let ids: Vec<u64> = (0..500).collect();
    let data = points(Shape::Uniform, 500, &mut rng(3));
    let grid = TokenGrid::from_arrays(&ids, view(&data), GridOptions::default()).unwrap();
    grid.set_cache_capacity(1000);
    for round in 0..3 {
        for id in 0..500 {
            grid.connections(id, 0.5 + round as f32 * 0.01, Falloff::Linear, &Query::default())
                .unwrap();
            let stats = grid.cache_stats();
            assert!(stats.connections <= 1000, "{stats:?}");
        }
    }
    assert!(grid.cache_stats().entries > 0);
}

#[test]
fn a_batch_is_all_or_nothing() {
    let data = points(Shape::Uniform, 10, &mut rng(4));
    let ids: Vec<u64> = (0..10).collect();
    let options = || GridOptions::default();
    let mut grid = TokenGrid::from_arrays(&ids, view(&data), options()).unwrap();
    let before: Vec<_> = grid.iter().collect();

    let batch = |ids: &[u64]| {
        let data = vec![[2.0; 8]; ids.len()];
        TokenBatch::from_rows(ids.to_vec(), data).unwrap()
    };
    let clash = grid.insert_batch(&batch(&[20, 21, 5]), OnDuplicate::Error);
    assert!(matches!(clash, Err(Error::DuplicateId { row: 2, id: 5 })));
    let twice = grid.insert_batch(&batch(&[20, 21, 20]), OnDuplicate::Error);
    assert!(matches!(twice, Err(Error::DuplicateId { row: 2, id: 20 })));
    assert!(matches!(grid.remove_batch(&[1, 2, 99]), Err(Error::UnknownId { id: 99 })));
    assert!(matches!(grid.remove_batch(&[1, 2, 1]), Err(Error::DuplicateId { row: 2, id: 1 })));
    let mut moved = vec![[3.0; 8]; 2];
    moved[1][4] = f32::NAN;
    assert!(grid.move_batch(&[1, 2], view(&moved)).is_err());
    assert!(grid.move_batch(&[1, 99], view(&[[3.0; 8]; 2])).is_err());
    assert!(grid.move_batch(&[1], view(&moved)).is_err());
    assert!(grid.iter().eq(before.iter().copied()));

    assert_eq!(grid.insert_batch(&batch(&[20, 20, 5]), OnDuplicate::Skip).unwrap(), 1);
    assert_eq!(grid.get(5).unwrap(), before[5]);
    assert_eq!(grid.insert_batch(&batch(&[5, 30, 30]), OnDuplicate::Replace).unwrap(), 2);
    assert_eq!(grid.get(5).unwrap().position.0, [2.0; 8]);
    grid.remove_batch(&[5, 20, 30]).unwrap();
    assert_eq!(grid.len(), 9);
    let again = TokenGrid::from_batch(&batch(&[1, 2, 1]), options());
    assert!(matches!(again, Err(Error::DuplicateId { row: 2, id: 1 })));
}

#[test]
fn attributes_that_come_late_are_kept() {
    let mut grid = TokenGrid::new(GridOptions::default()).unwrap();
    grid.insert(Token::new(1, [0.0; 8])).unwrap();
    let field = Field { radius: 2.0, strength: 3.0 };
    let token = Token { id: 2, position: Point8([1.0; 8]), weight: 0.5, field };
    grid.insert(token).unwrap();
    grid.insert(Token::new(3, [2.0; 8])).unwrap();
    assert_eq!(grid.get(1).unwrap(), Token::new(1, [0.0; 8]));
    assert_eq!(grid.get(2).unwrap(), token);
    grid.remove(2).unwrap();
    for id in 10..3000 {
        grid.insert(Token::new(id, [id as f32; 8])).unwrap();
    }
    assert!(grid.iter().all(|token| token.weight == 1.0 && token.field == Field::default()));
}
