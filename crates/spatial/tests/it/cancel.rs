//! Long calls that another thread ends: what they give is whole, or nothing is changed.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottava_core::TokenBatch;
use ottava_spatial::{Error, GridOptions, OpenOptions, Query, TokenGrid};

use crate::data::{Shape, points, rng};

const N: usize = 150_000;

/// Runs a call with a flag that is set after each of some delays, from at once to never.
fn at_each_moment(mut call: impl FnMut(&AtomicBool) -> Result<(), Error>) {
    let mut ended = [0, 0];
    for delay in [0, 1, 2, 4, 8, 16, 32, 64, 10_000] {
        let cancel = AtomicBool::new(delay == 0);
        std::thread::scope(|scope| {
            let waker = scope.spawn(|| {
                if delay < 10_000 {
                    std::thread::park_timeout(Duration::from_millis(delay));
                    cancel.store(true, Ordering::Relaxed);
                }
            });
            match call(&cancel) {
                Ok(()) => ended[0] += 1,
                Err(Error::Cancelled) => ended[1] += 1,
                Err(error) => panic!("{error}"),
            }
            waker.thread().unpark();
        });
    }
    assert!(ended.iter().all(|&times| times > 0), "{ended:?}");
}

fn data() -> (Vec<u64>, Vec<[f32; 8]>) {
    let ids = (0..N as u64).map(|id| id * 7919 % 1_000_003).collect();
    (ids, points(Shape::Clustered, N, &mut rng(11)))
}

fn answers(grid: &TokenGrid, data: &[[f32; 8]]) -> Vec<Vec<u64>> {
    let ids = |point| grid.nearest(point, 7, &Query::default()).unwrap().ids;
    data.iter().step_by(N / 50).map(ids).collect()
}

#[test]
fn a_load_is_whole_or_cancelled() {
    let (ids, data) = data();
    let batch = TokenBatch::from_rows(&ids, &data).unwrap();
    let whole = TokenGrid::from_batch(&batch, GridOptions::default()).unwrap();
    at_each_moment(|cancel| {
        let grid = TokenGrid::from_batch_until(&batch, GridOptions::default(), cancel)?;
        assert_eq!(answers(&grid, &data), answers(&whole, &data));
        Ok(())
    });
}

#[test]
fn a_grid_is_optimized_or_as_it_was() {
    let (ids, data) = data();
    let (first, rest) = (N / 2, N - N / 2);
    let batch = TokenBatch::from_rows(&ids[..first], &data[..first]).unwrap();
    let more = TokenBatch::from_rows(&ids[rest..], &data[rest..]).unwrap();
    at_each_moment(|cancel| {
        let mut grid = TokenGrid::from_batch(&batch, GridOptions::default()).unwrap();
        grid.insert_batch(&more, ottava_spatial::OnDuplicate::Error).unwrap();
        grid.remove_batch(&ids[10..1000]).unwrap();
        let before = answers(&grid, &data);
        let done = grid.optimize_until(cancel);
        assert_eq!(answers(&grid, &data), before);
        done
    });
}

#[test]
fn a_file_is_saved_or_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid");
    let (ids, data) = data();
    let batch = TokenBatch::from_rows(&ids, &data).unwrap();
    let mut grid = TokenGrid::from_batch(&batch, GridOptions::default()).unwrap();
    grid.remove_batch(&ids[10..1000]).unwrap(); // so that there is a tree to be built
    at_each_moment(|cancel| {
        fs::write(&path, "what was there").unwrap();
        let done = grid.save_until(&path, b"beside", cancel);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        match done {
            Ok(()) => {
                let saved = TokenGrid::open(&path, OpenOptions::default()).unwrap();
                saved.verify().unwrap();
                assert_eq!(answers(&saved, &data), answers(&grid, &data));
            }
            Err(_) => assert_eq!(fs::read(&path).unwrap(), b"what was there"),
        }
        done
    });
}
