//! A grid that changes equals the reference after every change, and its cache never differs from none.

use std::collections::BTreeMap;

use ottava_core::{Field, Point8, Token, TokenBatch};
use ottava_spatial::{Error, Falloff, GridOptions, Metric, OnDuplicate, Query, TokenGrid};
use proptest::prelude::*;
use proptest::test_runner::TestRng;

use crate::data::{Shape, any_shape, points, rng};
use crate::naive::{Row, ranked};
use crate::queries::{pairs, view};

/// The grid beside a map of what it should hold.
struct Twin {
    grid: TokenGrid,
    rows: BTreeMap<u64, Row>,
    next: u64,
}

impl Twin {
    fn new(shape: Shape, n: usize, cell_size: Option<f32>, rng: &mut TestRng) -> Self {
        let data = points(shape, n, rng);
        let ids: Vec<u64> = (0..n as u64).collect();
        let options = GridOptions { cell_size, ..GridOptions::default() };
        let grid = TokenGrid::from_arrays(&ids, view(&data), options).unwrap();
        let rows = ids.iter().zip(&data).map(|(&id, &p)| (id, Row::new(id, p))).collect();
        Self { grid, rows, next: n as u64 }
    }

    fn any_id(&self, rng: &mut TestRng) -> Option<u64> {
        let from = rng.random_range(0..self.next.max(1));
        self.rows.range(from..).chain(self.rows.iter()).next().map(|(&id, _)| id)
    }

    fn change(&mut self, shape: Shape, rng: &mut TestRng) {
        let position = points(shape, 3, rng)[1];
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
                let data = [position, [0.5; 8]];
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

    fn check(&self, shape: Shape, rng: &mut TestRng) {
        let query = Query::default();
        let rows: Vec<_> = self.rows.values().copied().collect();
        let probe = points(shape, 3, rng)[0];
        let expected = ranked(&rows, &Metric::Euclidean, &[1.0; 8], &probe);
        for k in [1, 10, 100] {
            let found = self.grid.nearest(&probe, k, &query).unwrap();
            assert_eq!(pairs(&found), &expected[..k.min(rows.len())]);
        }
        let radius = expected.get(20).map_or(1.0, |&(_, distance)| distance);
        let inside = expected.partition_point(|&(_, distance)| distance <= radius);
        let found = self.grid.within(&probe, radius, &query).unwrap();
        assert_eq!(pairs(&found), &expected[..inside]);
        assert_eq!(self.grid.count_within(&probe, radius, &query).unwrap(), inside);
        let mut box_ids: Vec<_> = rows
            .iter()
            .filter(|row| row.position.iter().zip(&probe).all(|(x, p)| x <= p))
            .map(|row| row.id)
            .collect();
        box_ids.sort_unstable();
        let lo = [f32::NEG_INFINITY; 8];
        assert_eq!(self.grid.box_query(&lo, &probe, &query).unwrap(), box_ids);
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
    ) {
        let mut rng = rng(seed);
        let mut twin = Twin::new(shape, n, None, &mut rng);
        for step in 0..steps {
            twin.change(shape, &mut rng);
            if step % 97 == 0 {
                twin.check(shape, &mut rng);
            }
            if step % 1500 == 0 {
                twin.check_everything();
            }
        }
        twin.check_everything();
        twin.grid.optimize();
        twin.check(shape, &mut rng);
        twin.change(shape, &mut rng);
        twin.check_everything();
    }

    #[test]
    fn the_cache_never_differs_from_no_cache(
        seed in any::<u64>(),
        shape in any_shape(),
        cell_size in prop::option::of(0.05_f32..2.0),
        radius_rank in 1_usize..30,
    ) {
        let mut rng = rng(seed);
        let mut twin = Twin::new(shape, 150, cell_size, &mut rng);
        let query = Query::default();
        for _ in 0..400 {
            twin.change(shape, &mut rng);
            for _ in 0..4 {
                let Some(id) = twin.any_id(&mut rng) else { continue };
                let rows: Vec<_> = twin.rows.values().copied().collect();
                let own = twin.rows[&id];
                let mut expected = ranked(&rows, &Metric::Euclidean, &[1.0; 8], &own.position);
                // A few radii, so that the same question comes again.
                let near = expected.get(radius_rank).map_or(1.0, |&(_, distance)| distance);
                let radius = near.log2().ceil().exp2();
                expected.retain(|&(other, distance)| other != id && distance <= radius);
                let found = twin.grid.connections(id, radius, Falloff::Linear, &query).unwrap();
                let found_pairs: Vec<_> =
                    found.ids.iter().copied().zip(found.distances.iter().copied()).collect();
                prop_assert_eq!(&found_pairs, &expected);
                for ((id, distance), strength) in expected.iter().zip(&found.strengths) {
                    let falloff = if radius > 0.0 { 1.0 - f64::from(*distance) / f64::from(radius) } else { 1.0 };
                    let expected = (f64::from(twin.rows[id].weight) * falloff) as f32;
                    prop_assert_eq!(*strength, expected);
                }
            }
        }
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
    let mut twin = Twin::new(Shape::Uniform, 3000, Some(100.0), &mut rng);
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
