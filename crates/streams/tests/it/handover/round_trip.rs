//! What goes in comes out, and what is let go of comes back.

use std::sync::Arc;
use std::thread;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, RecordBatch, StringArray,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field};
use ottava_streams::handover::{Client, ClientOptions, HandoverError, Refusal, Server};
use proptest::prelude::*;

use super::*;

#[allow(unsafe_code)]
fn trusted(options: ServerOptions, client: ClientOptions) -> (ServerOptions, ClientOptions) {
    // SAFETY: both ends are this test.
    unsafe { (options.trusted(), client.trusted()) }
}

fn each_pair(check: impl Fn(&Server, &Client)) {
    for &transport in TRANSPORTS {
        for trust in [false, true] {
            let base = tempfile::tempdir().unwrap();
            let (mut server, mut client) =
                (options(base.path(), transport).slots(3), ClientOptions::new());
            if trust {
                (server, client) = trusted(server, client);
            }
            let (server, client) = pair(server, client);
            check(&server, &client);
            client.close();
            drop(client);
            server.close(LONG.unwrap()).unwrap();
            drop(server);
            assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0, "{transport:?} {trust}");
        }
    }
}

#[test]
fn a_sent_table_arrives_as_it_is() {
    each_pair(|server, client| {
        for batch in [tokens(0), tokens(1), tokens(1000), kinds(), tokens(100).slice(33, 40)] {
            let receipt =
                server.send(batch.schema_ref(), &[batch.clone(), batch.clone()], LONG).unwrap();
            let table = client.recv(LONG).unwrap().unwrap();
            assert_eq!(table.batches(), [batch.clone(), batch.clone()]);
            assert_eq!(table.schema(), batch.schema_ref());
            assert!(!receipt.is_settled());
            assert!(matches!(receipt.wait(NOW), Err(HandoverError::WouldBlock { .. })));
            drop(table);
            receipt.wait(LONG).unwrap();
        }
    });
}

/// The shape of the table before is used again where it fits, and only there.
#[test]
fn tables_of_one_shape_arrive_each_with_its_own_contents() {
    let whole = tokens(400);
    each_pair(|server, client| {
        let mut kept = Vec::new();
        for (turn, kind) in [0, 0, 0, 1, 0, 0, 0, 0, 2, 2, 2, 2].into_iter().enumerate() {
            // The names of these rows are of one length, so that tables differ in contents only.
            let tokens = whole.slice(100 + 17 * turn, 50);
            let batch = match kind {
                0 => tokens,
                1 => tokens.slice(1, 40),
                _ => kinds(),
            };
            server.send(batch.schema_ref(), &[batch.clone(), batch.clone()], LONG).unwrap();
            let table = client.recv(LONG).unwrap().unwrap();
            assert_eq!(table.batches(), [batch.clone(), batch.clone()]);
            for column in table.batches()[0].columns() {
                column.to_data().validate_full().unwrap();
            }
            kept.push((table.batches()[1].column(0).clone(), batch));
            assert!(kept.iter().all(|(column, batch)| column == batch.column(0)));
            if kept.len() == 2 {
                kept.clear();
            }
        }
    });
}

/// A table that fills its segment, one that does not, and one with nulls, in turns in one slot.
#[test]
fn a_segment_says_what_of_it_is_in_use() {
    let whole = tokens(100);
    let nullable = Field::new("name", DataType::Utf8, true);
    let schema = Arc::new(arrow_schema::Schema::new(vec![nullable]));
    each_pair(|server, client| {
        for (rows, spare, null) in [
            (100, 0, false),
            (100, 9, false),
            (60, 0, false),
            (100, 0, true),
            (60, 9, true),
            (100, 0, false),
        ] {
            let names = whole.column(9).as_string::<i32>();
            let names: StringArray = names
                .iter()
                .enumerate()
                .map(|(i, name)| name.filter(|_| !null || i % 7 > 0))
                .collect();
            let bytes = names.value_data().len();
            let mut segment = server.segment(&schema, 100, |_| Some(bytes + spare), LONG).unwrap();
            segment.copy_from("name", &names).unwrap();
            segment.truncate(rows).unwrap();
            server.commit(segment, LONG).unwrap();
            let table = client.recv(LONG).unwrap().unwrap();
            assert_eq!(table.batches()[0].column(0).as_string::<i32>(), &names.slice(0, rows));
            assert_eq!(
                table.batches()[0].column(0).null_count(),
                names.slice(0, rows).null_count()
            );
        }
    });
}

/// Whether a consumer waits awake or asleep is seen in nothing but when a table comes.
#[test]
fn a_consumer_that_waits_awake_gets_tables_timeouts_and_the_end() {
    for awake in [Duration::from_millis(1), Duration::MAX] {
        let base = tempfile::tempdir().unwrap();
        let (server, client) =
            pair(options(base.path(), TRANSPORTS[0]), ClientOptions::new().awake(awake));
        assert!(matches!(client.recv(NOW), Err(HandoverError::WouldBlock { .. })));
        let short = Some(Duration::from_millis(20));
        assert!(matches!(client.recv(short), Err(HandoverError::Timeout { .. })));
        thread::scope(|scope| {
            let receiver = scope.spawn(|| client.recv(LONG));
            thread::sleep(Duration::from_millis(20));
            let batch = tokens(10);
            server.send(batch.schema_ref(), std::slice::from_ref(&batch), LONG).unwrap();
            assert_eq!(receiver.join().unwrap().unwrap().unwrap().batches(), [batch]);
            let receiver = scope.spawn(|| client.recv(LONG));
            thread::sleep(Duration::from_millis(20));
            drop(server);
            assert!(receiver.join().unwrap().unwrap().is_none());
        });
    }
}

/// From small pages to huge ones and back, tails of both kinds, memory that was made ready and is too small or too large, and
/// more than is made ready at all.
#[test]
fn tables_of_every_size_arrive() {
    let largest = tokens(1_100_000);
    each_pair(|server, client| {
        for rows in
            [15_000, 20_000, 19_000, 38_000, 35_000, 50_000, 80_000, 17_000, 1_100_000, 60_000]
        {
            let batch = largest.slice(0, rows);
            let text = batch.column(9).as_string::<i32>();
            let bytes = text.value_offsets()[rows] as usize;
            // Room to spare, as who does not know the size beforehand needs it.
            for spare in [0, bytes / 3] {
                let mut segment = server
                    .segment(batch.schema_ref(), rows, |_| Some(bytes + spare), LONG)
                    .unwrap();
                for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
                    segment.copy_from(field.name(), column).unwrap();
                }
                let born = server.commit(segment, LONG).unwrap();
                let sent =
                    server.send(batch.schema_ref(), std::slice::from_ref(&batch), LONG).unwrap();
                for receipt in [born, sent] {
                    let table = client.recv(LONG).unwrap().unwrap();
                    assert_eq!(table.batches(), std::slice::from_ref(&batch), "{rows} rows");
                    drop(table);
                    receipt.wait(LONG).unwrap();
                }
            }
        }
    });
}

#[test]
fn a_table_is_born_in_its_segment() {
    let points =
        Field::new_fixed_size_list("at", Field::new("item", DataType::Float32, false), 8, false);
    let schema = schema_of(vec![
        Field::new("id", DataType::UInt64, false),
        points,
        Field::new("flag", DataType::Boolean, true),
        Field::new("name", DataType::LargeUtf8, true),
        Field::new("untouched", DataType::Utf8, false),
    ]);
    each_pair(|server, client| {
        // More rounds than slots: memory is used again in trusted mode, and must not show through.
        for round in 0..8_u64 {
            let rows = 100 + round as usize;
            let capacity = |name: &str| Some(if name == "name" { 4000 } else { 0 });
            let mut segment = server.segment(&schema, rows, capacity, LONG).unwrap();
            let ids = segment.values_mut::<UInt64Type>("id").unwrap();
            ids.iter_mut().enumerate().for_each(|(i, id)| *id = i as u64 * round);
            segment.values_mut::<Float32Type>("at").unwrap().fill(round as f32);
            let flags: BooleanArray =
                (0..rows).map(|i| (i % 3 != 0).then_some(i % 2 == 0)).collect();
            segment.copy_from("flag", &flags).unwrap();
            let names: arrow_array::LargeStringArray =
                (0..rows).map(|i| (i % 5 != 0).then(|| format!("n{i}"))).collect();
            segment.copy_from("name", &names).unwrap();
            let kept = rows - round as usize;
            segment.truncate(kept).unwrap();
            server.commit(segment, LONG).unwrap();

            let table = client.recv(LONG).unwrap().unwrap();
            let batch = &table.batches()[0];
            assert_eq!((table.num_rows(), table.schema()), (kept, &schema));
            assert_eq!(batch.column(0).as_primitive::<UInt64Type>().value(7), 7 * round);
            let at = batch.column(1).as_fixed_size_list();
            assert_eq!(
                at.value(kept - 1).as_primitive::<Float32Type>().values(),
                &[round as f32; 8]
            );
            assert_eq!(batch.column(2).as_boolean(), &flags.slice(0, kept));
            assert_eq!(batch.column(3).as_string::<i64>(), &names.slice(0, kept));
            assert!(batch.column(4).as_string::<i32>().iter().all(|text| text == Some("")));
        }
    });
}

#[test]
fn slots_come_back_when_the_last_slice_goes() {
    each_pair(|server, client| {
        let batch = tokens(10);
        let mut slices: Vec<ArrayRef> = Vec::new();
        for _ in 0..3 {
            server.send(batch.schema_ref(), std::slice::from_ref(&batch), LONG).unwrap();
            let table = client.recv(LONG).unwrap().unwrap();
            slices.push(table.batches()[0].column(9).slice(4, 1));
        }
        assert_eq!((server.outstanding(), client.held()), (3, 3));
        let refused = server.send(batch.schema_ref(), std::slice::from_ref(&batch), NOW);
        assert!(matches!(refused, Err(HandoverError::WouldBlock { .. })));
        let late = server.send(
            batch.schema_ref(),
            std::slice::from_ref(&batch),
            Some(Duration::from_millis(20)),
        );
        assert!(matches!(late, Err(HandoverError::Timeout { .. })));
        assert_eq!(slices[1].as_string::<i32>().value(0), "token 4 ü");
        slices.remove(1);
        server.send(batch.schema_ref(), std::slice::from_ref(&batch), LONG).unwrap();
        drop(client.recv(LONG).unwrap());
    });
}

#[test]
fn a_detached_table_gives_its_slot_back() {
    each_pair(|server, client| {
        let batch = kinds();
        let receipt = server.send(batch.schema_ref(), std::slice::from_ref(&batch), LONG).unwrap();
        let table = client.recv(LONG).unwrap().unwrap().detach().unwrap();
        receipt.wait(LONG).unwrap();
        assert_eq!((table.batches(), client.held()), (std::slice::from_ref(&batch), 0));
    });
}

#[test]
fn many_threads_share_both_ends() {
    each_pair(|server, client| {
        let batch = tokens(50);
        let seen = std::sync::atomic::AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..30 {
                        server
                            .send(batch.schema_ref(), std::slice::from_ref(&batch), LONG)
                            .unwrap();
                    }
                });
                scope.spawn(|| {
                    for _ in 0..30 {
                        let table = client.recv(LONG).unwrap().unwrap();
                        assert_eq!(table.batches()[0], batch);
                        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(seen.into_inner(), 90);
    });
}

#[test]
fn a_close_ends_the_iteration_and_waits_for_what_is_out() {
    each_pair(|server, client| {
        let batch = tokens(5);
        let receipt = server.send(batch.schema_ref(), std::slice::from_ref(&batch), LONG).unwrap();
        let table = client.recv(LONG).unwrap().unwrap();
        assert!(matches!(
            server.close(Duration::from_millis(10)),
            Err(HandoverError::Timeout { .. })
        ));
        assert!(matches!(receipt.wait(LONG), Err(HandoverError::PeerGone { .. })));
        assert!(client.recv(LONG).unwrap().is_none());
        assert!(client.recv(LONG).unwrap().is_none());
        assert_eq!(table.batches(), std::slice::from_ref(&batch));
        let refused = server.send(batch.schema_ref(), std::slice::from_ref(&batch), LONG);
        assert!(matches!(refused, Err(HandoverError::Closed)));
    });
}

#[test]
fn a_waiting_receiver_is_woken_by_close() {
    each_pair(|_, client| {
        thread::scope(|scope| {
            let waiting = scope.spawn(|| client.recv(None));
            thread::sleep(Duration::from_millis(20));
            client.close();
            assert!(matches!(waiting.join().unwrap(), Err(HandoverError::Closed)));
        });
    });
}

#[test]
fn a_new_consumer_follows_one_that_left() {
    for &transport in TRANSPORTS {
        let base = tempfile::tempdir().unwrap();
        let (server, client) = pair(options(base.path(), transport), ClientOptions::new());
        let batch = tokens(5);
        server.send(batch.schema_ref(), std::slice::from_ref(&batch), LONG).unwrap();
        let table = client.recv(LONG).unwrap().unwrap();
        let lost = server.send(batch.schema_ref(), std::slice::from_ref(&batch), LONG).unwrap();
        drop(client);
        while server.is_connected() {
            thread::sleep(Duration::from_millis(1));
        }
        let token = server.token().unwrap();
        let next = Client::connect(server.address(), &token, ClientOptions::new()).unwrap();
        let receipt = server.send(batch.schema_ref(), std::slice::from_ref(&batch), LONG).unwrap();
        drop(next.recv(LONG).unwrap().unwrap());
        receipt.wait(LONG).unwrap();
        // The first consumer still holds one table, and said that it never took the other.
        assert!(matches!(lost.wait(LONG), Err(HandoverError::PeerGone { .. })));
        assert_eq!(server.outstanding(), 1);
        assert_eq!(table.batches(), std::slice::from_ref(&batch));
        drop(table);
        while server.outstanding() > 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_deadline_that_no_clock_can_count_never_comes() {
    for &transport in TRANSPORTS {
        let base = tempfile::tempdir().unwrap();
        let server = options(base.path(), transport).deadline(Duration::MAX);
        let (server, client) = pair(server, ClientOptions::new().deadline(Duration::MAX));
        let batch = tokens(5);
        let max = Some(Duration::MAX);
        let receipt = server.send(batch.schema_ref(), std::slice::from_ref(&batch), max).unwrap();
        assert_eq!(client.recv(max).unwrap().unwrap().batches(), [batch]);
        receipt.wait(max).unwrap();
    }
}

#[test]
fn ends_that_do_not_agree_are_refused_by_name() {
    let base = tempfile::tempdir().unwrap();
    let schema = tokens(0).schema();
    let server = Server::bind(options(base.path(), Transport::Tcp).schema(schema.clone())).unwrap();
    let refused = |client: ClientOptions| {
        Client::connect(server.address(), &server.token().unwrap(), client).unwrap_err()
    };
    let other = schema_of(vec![Field::new("y", DataType::Int32, false)]);
    let err = refused(ClientOptions::new().schema(other.clone()));
    assert!(matches!(err, HandoverError::Refused(Refusal::Schema)), "{err}");
    let (_, client) = trusted(ServerOptions::new(), ClientOptions::new());
    let err = refused(client);
    assert!(matches!(err, HandoverError::Refused(Refusal::Mode)), "{err}");
    let client = ClientOptions::new().schema(schema.clone());
    let first = Client::connect(server.address(), &server.token().unwrap(), client).unwrap();
    let err = refused(ClientOptions::new());
    assert!(matches!(err, HandoverError::Refused(Refusal::Busy)), "{err}");
    let err = server.segment(&other, 1, |_| None, NOW).unwrap_err();
    assert!(matches!(err, HandoverError::Schema { .. }), "{err}");
    assert!(err.to_string().contains("has the columns y, expected id, x0"), "{err}");
    let mut fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[0].set_nullable(true);
    let err = server.segment(&schema_of(fields), 1, |_| None, NOW).unwrap_err();
    assert!(err.to_string().contains("column \"id\" is nullable UInt64, expected UInt64"), "{err}");
    drop(first);
}

#[test]
fn what_does_not_fit_a_column_is_refused_by_name() {
    let base = tempfile::tempdir().unwrap();
    let server = Server::bind(options(base.path(), TRANSPORTS[0])).unwrap();
    let schema = schema_of(vec![
        Field::new("x", DataType::Float32, false),
        Field::new("s", DataType::Utf8, true),
    ]);
    let mut segment = server.segment(&schema, 2, |_| Some(3), NOW).unwrap();
    let column = |err: HandoverError| match err {
        HandoverError::Column { column, reason } => (column, reason),
        other => panic!("{other}"),
    };
    let err = column(segment.values_mut::<UInt64Type>("x").unwrap_err());
    assert_eq!(err, ("x".into(), "has values of type Float32, not UInt64".into()));
    assert_eq!(column(segment.values_mut::<UInt64Type>("y").unwrap_err()).0, "y");
    let long = StringArray::from(vec!["ab", "cd"]);
    assert!(column(segment.copy_from("s", &long).unwrap_err()).1.contains("needs 4 bytes"));
    assert!(segment.copy_from("s", &StringArray::from(vec!["a"])).is_err());
    assert!(segment.copy_from("x", &Float32Array::from(vec![None, Some(1.0)])).is_err());
    assert!(segment.set_nulls("x", Some(&NullBuffer::new_null(2))).is_err());
    assert!(segment.set_nulls("s", Some(&NullBuffer::new_null(3))).is_err());
    assert!(segment.truncate(3).is_err());
    let err = column(server.segment(&schema, 2, |_| None, NOW).unwrap_err());
    assert!(err.1.contains("needs a capacity"), "{}", err.1);
    let nul = schema_of(vec![Field::new("a\0b", DataType::Int8, true)]);
    assert_eq!(column(server.segment(&nul, 1, |_| None, NOW).unwrap_err()).0, "a\0b");
    let words = |word: &str| -> DictionaryArray<Int32Type> { [word].into_iter().collect() };
    let batches = ["a", "b"].map(|word| {
        RecordBatch::try_from_iter([("w", Arc::new(words(word)) as ArrayRef)]).unwrap()
    });
    let err = server.send(batches[0].schema_ref(), &batches, NOW).unwrap_err();
    assert!(err.to_string().contains("another dictionary in each batch"), "{err}");
    let list =
        schema_of(vec![Field::new_list("l", Field::new("item", DataType::Int8, true), true)]);
    assert_eq!(column(server.segment(&list, 1, |_| None, NOW).unwrap_err()).0, "l");
    assert!(server.segment(&schema, usize::MAX / 2, |_| Some(1), NOW).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The oracle of a born table is the record batch it was copied from.
    #[test]
    fn born_columns_equal_their_source(
        rows in prop::collection::vec(
            (any::<Option<u32>>(), any::<Option<bool>>(), "\\PC{0,6}", prop::array::uniform3(any::<i16>())),
            0..40,
        ),
        cut in (0usize..40, 0usize..40),
    ) {
        let flat: Vec<i16> = rows.iter().flat_map(|row| row.3).collect();
        let item = Arc::new(Field::new("item", DataType::Int16, false));
        let lists = FixedSizeListArray::new(item, 3, Arc::new(arrow_array::Int16Array::from(flat)), None);
        let whole = RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(rows.iter().map(|r| r.0).collect::<arrow_array::UInt32Array>()) as ArrayRef, true),
            ("b", Arc::new(rows.iter().map(|r| r.1).collect::<BooleanArray>()), true),
            ("s", Arc::new(rows.iter().map(|r| (r.2.len() != 1).then_some(&r.2)).collect::<StringArray>()), true),
            ("l", Arc::new(lists), true),
        ]).unwrap();
        let start = cut.0.min(rows.len());
        let batch = whole.slice(start, cut.1.min(rows.len() - start));
        let base = tempfile::tempdir().unwrap();
        let (server, client) = pair(options(base.path(), TRANSPORTS[0]), ClientOptions::new());
        let mut segment = server.segment(batch.schema_ref(), batch.num_rows(), |_| Some(1000), LONG).unwrap();
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            segment.copy_from(field.name(), column).unwrap();
        }
        server.commit(segment, LONG).unwrap();
        let table = client.recv(LONG).unwrap().unwrap();
        prop_assert_eq!(table.batches(), std::slice::from_ref(&batch));
    }
}
