//! The store against a map of rows.

use ottava_core::store::{Id, InOrder, OnDuplicate, TokenStore};
use proptest::prelude::*;

use super::{batch, int_column, ints};

proptest! {
    /// Any sequence of batches under any policies leaves what a map from ids to rows would hold, in the order of arrival.
    #[test]
    fn agrees_with_a_map_of_rows(
        batches in prop::collection::vec(
            (prop::collection::vec((0_i64..40, 0_i64..1000), 0..30), 0_u8..3, 1_usize..5),
            0..8,
        ),
    ) {
        let mut store = TokenStore::new(None, "id").unwrap();
        let mut naive: Vec<(i64, i64)> = Vec::new();
        for (rows, policy, pieces) in batches {
            let policy = [OnDuplicate::Error, OnDuplicate::Skip, OnDuplicate::Replace][usize::from(policy)];
            let whole = batch([("id", ints(rows.iter().map(|r| r.0))), ("v", ints(rows.iter().map(|r| r.1)))]);
            let size = rows.len().div_ceil(pieces).max(1);
            let parts: Vec<_> = (0..rows.len()).step_by(size).map(|at| whole.slice(at, size.min(rows.len() - at))).collect();
            let outcome = store.ingest(&whole.schema(), &parts, policy, &InOrder);
            let mut next = naive.clone();
            let mut clash = false;
            for row in &rows {
                let taken = next.iter().position(|have| have.0 == row.0);
                match (taken, policy) {
                    (None, _) => next.push(*row),
                    (Some(_), OnDuplicate::Error) => clash = true,
                    (Some(_), OnDuplicate::Skip) => {}
                    (Some(at), OnDuplicate::Replace) => {
                        next.remove(at);
                        next.push(*row);
                    }
                }
            }
            prop_assert_eq!(outcome.is_err(), clash);
            if !clash {
                naive = next;
            }
            let have: Vec<_> = if store.snapshot().schema().fields().is_empty() {
                Vec::new()
            } else {
                int_column(&store, "id").into_iter().zip(int_column(&store, "v")).collect()
            };
            prop_assert_eq!(&have, &naive);
            prop_assert_eq!(store.len(), naive.len());
            for id in 0_i64..40 {
                prop_assert_eq!(store.contains(Id::Int(id.into())), naive.iter().any(|row| row.0 == id));
            }
        }
    }
}
