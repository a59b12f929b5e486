//! The reader of Arrow IPC files against good files, bad files, and files that were tampered with.

use std::io::Cursor;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use ottava_streams::handover::{HandoverError, Limits, read_file};
use proptest::prelude::*;

use super::*;

fn file(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), batches[0].schema_ref()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

/// In memory aligned as a mapping is.
fn buffer(bytes: &[u8]) -> Buffer {
    let mut aligned = arrow_buffer::MutableBuffer::with_capacity(bytes.len());
    aligned.extend_from_slice(bytes);
    aligned.into()
}

fn refused(bytes: &[u8]) -> (String, String) {
    match read_file(&buffer(bytes), &Limits::default()) {
        Err(HandoverError::Malformed { place, reason }) => (place, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn good_files_are_read_as_arrow_reads_them() {
    for batches in [vec![tokens(100)], vec![tokens(3), tokens(0), tokens(7)], vec![kinds()]] {
        let bytes = file(&batches);
        let oracle: Vec<_> =
            FileReader::try_new(Cursor::new(&bytes), None).unwrap().map(Result::unwrap).collect();
        let (schema, read) = read_file(&buffer(&bytes), &Limits::default()).unwrap();
        assert_eq!((&schema, &read), (batches[0].schema_ref(), &oracle));
        assert_eq!(read, batches);
    }
}

#[test]
fn names_that_no_c_string_can_hold_are_refused() {
    let zone = DataType::Timestamp(arrow_schema::TimeUnit::Second, Some("U\0C".into()));
    let inner = DataType::Struct(vec![Field::new("a\0b", DataType::Int8, true)].into());
    for (name, data_type, at) in
        [("a\0b", DataType::Int8, "a\\0b"), ("outer", inner, "a\\0b"), ("zone", zone, "zone")]
    {
        let schema = schema_of(vec![Field::new(name, data_type, true)]);
        let (place, reason) = refused(&file(&[RecordBatch::new_empty(schema)]));
        assert_eq!(place, format!("schema, field \"{at}\""), "{reason}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = file(&[tokens(5)]);
    for length in 0..bytes.len() {
        let (place, _) = refused(&bytes[..length]);
        assert!(place == "file" || place == "footer", "{length}: {place}");
    }
}

#[test]
fn wrong_magic_is_refused() {
    let good = file(&[tokens(5)]);
    for at in [0, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert_eq!(refused(&bytes).0, "file");
    }
}

#[test]
fn footer_lengths_out_of_range_are_refused() {
    let good = file(&[tokens(5)]);
    let at = good.len() - 10;
    for length in [0, -1, i32::MIN, i32::MAX, good.len() as i32, at as i32, at as i32 - 7] {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        let (place, reason) = refused(&bytes);
        assert_eq!(place, "footer", "{length}: {reason}");
    }
}

/// Where the footer lists the only block: three numbers that are found by their values.
fn block_at(bytes: &[u8]) -> usize {
    let footer = arrow_ipc::root_as_footer(&bytes[footer_start(bytes)..bytes.len() - 10]).unwrap();
    let block = *footer.recordBatches().unwrap().get(0);
    (footer_start(bytes)..bytes.len() - 24).find(|&at| bytes[at..at + 24] == block.0).unwrap()
}

fn footer_start(bytes: &[u8]) -> usize {
    let at = bytes.len() - 10;
    at - i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

#[test]
fn blocks_out_of_bounds_are_refused() {
    let good = file(&[tokens(5)]);
    let at = block_at(&good);
    // Offset, metadata length, body length; on all of these arrow-ipc alone panics or reads elsewhere.
    for (field, value) in [
        (0, i64::MAX),
        (0, -8),
        (0, 0),
        (0, 9),
        (0, good.len() as i64),
        (8, i64::from(i32::MAX)),
        (8, 0xffff_fff8),
        (8, 0),
        (8, 8),
        (16, i64::MAX),
        (16, -64),
        (16, 1 << 40),
    ] {
        let mut bytes = good.clone();
        let width = if field == 8 { 4 } else { 8 };
        bytes[at + field..at + field + width].copy_from_slice(&value.to_le_bytes()[..width]);
        let (place, reason) = refused(&bytes);
        assert!(place.starts_with("batch 0"), "{field} {value}: {place}: {reason}");
    }
}

/// Overwrites the first place where `old` stands in the metadata of the only batch.
fn patch(good: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = block_at(good);
    let start = i64::from_le_bytes(good[at..at + 8].try_into().unwrap()) as usize;
    let mut bytes = good.to_vec();
    let found = (start..footer_start(good)).find(|&at| good[at..].starts_with(old)).unwrap();
    bytes[found..found + new.len()].copy_from_slice(new);
    bytes
}

#[test]
fn buffers_outside_the_body_are_refused() {
    let batch = RecordBatch::try_from_iter([(
        "x",
        Arc::new(Float32Array::from_iter_values((0..100).map(|i| i as f32))) as ArrayRef,
    )])
    .unwrap();
    let good = file(&[batch]);
    let pair = |offset: i64, length: i64| [offset.to_le_bytes(), length.to_le_bytes()].concat();
    let values = pair(0, 400);
    for (offset, length) in
        [(1 << 40, 400), (-64, 400), (0, -1), (0, i64::MAX), (64, 1000), (4, 396), (0, 396)]
    {
        let (place, reason) = refused(&patch(&good, &values, &pair(offset, length)));
        assert_eq!(place, "batch 0, column \"x\"", "{offset} {length}: {reason}");
    }
}

#[test]
fn lengths_that_are_bombs_are_refused() {
    let batch =
        RecordBatch::try_from_iter([("n", Arc::new(arrow_array::NullArray::new(77)) as ArrayRef)])
            .unwrap();
    let good = file(&[batch]);
    for rows in [i64::MAX, -1, 1 << 40] {
        // The batch's own length, then that of its node too: a column of nulls has no buffer that bounds it.
        let one = patch(&good, &77_i64.to_le_bytes(), &rows.to_le_bytes());
        refused(&one);
        let both = patch(&one, &77_i64.to_le_bytes(), &rows.to_le_bytes());
        refused(&patch(&both, &77_i64.to_le_bytes(), &rows.to_le_bytes()));
    }
}

#[test]
fn views_that_all_point_to_the_same_bytes_are_counted() {
    let long = "x".repeat(1000);
    let views = StringViewArray::from_iter_values((0..50).map(|_| long.as_str()));
    let batch = RecordBatch::try_from_iter([("v", Arc::new(views) as ArrayRef)]).unwrap();
    let limits = |viewed_bytes| Limits { viewed_bytes, ..Limits::default() };
    let bytes = buffer(&file(&[batch]));
    read_file(&bytes, &limits(50_000)).unwrap();
    assert!(matches!(read_file(&bytes, &limits(49_999)), Err(HandoverError::Malformed { .. })));
}

#[test]
fn limits_hold() {
    let bytes = buffer(&file(&[tokens(10), tokens(10)]));
    let limits = Limits { bytes: bytes.len() as u64 - 1, ..Limits::default() };
    assert!(matches!(read_file(&bytes, &limits), Err(HandoverError::TooLarge { .. })));
    for limits in
        [Limits { batches: 1, ..Limits::default() }, Limits { rows: 9, ..Limits::default() }]
    {
        assert!(matches!(read_file(&bytes, &limits), Err(HandoverError::Malformed { .. })));
    }
}

#[test]
fn contents_are_validated() {
    let batch = RecordBatch::try_from_iter([(
        "s",
        Arc::new(StringArray::from(vec!["abcd", "efgh"])) as ArrayRef,
    )])
    .unwrap();
    let good = file(&[batch]);
    let text = good.windows(8).position(|w| w == b"abcdefgh").unwrap();
    let mut bytes = good.clone();
    bytes[text + 2] = 0xff;
    assert!(refused(&bytes).1.contains("UTF"), "{}", refused(&bytes).1);
    let offsets: Vec<u8> = [0_i32, 4, 8].iter().flat_map(|o| o.to_le_bytes()).collect();
    let at = good.windows(12).position(|w| w == offsets).unwrap();
    for offset in [-1_i32, 9, i32::MAX] {
        let mut bytes = good.clone();
        bytes[at + 4..at + 8].copy_from_slice(&offset.to_le_bytes());
        refused(&bytes);
    }
}

#[test]
fn compressed_or_legacy_files_are_refused() {
    let options = IpcWriteOptions::try_new(64, true, arrow_ipc::MetadataVersion::V4).unwrap();
    let batch = tokens(5);
    let mut writer =
        FileWriter::try_new_with_options(Vec::new(), batch.schema_ref(), options).unwrap();
    writer.write(&batch).unwrap();
    assert!(refused(&writer.into_inner().unwrap()).1.contains("version"));
}

#[derive(Debug, Clone)]
struct Edit {
    at: prop::sample::Index,
    from_end: bool,
    kind: u8,
    value: u8,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (any::<prop::sample::Index>(), any::<bool>(), 0u8..5, any::<u8>())
        .prop_map(|(at, from_end, kind, value)| Edit { at, from_end, kind, value });
    prop::collection::vec(edit, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, ..ProptestConfig::default() })]

    /// Whatever is done to a file, the outcome is an error or a table whose every value can be looked at.
    #[test]
    fn tampered_files_are_harmless(edits in edits(), which in 0usize..3) {
        let good = match which {
            0 => file(&[tokens(20)]),
            1 => file(&[kinds(), kinds()]),
            _ => file(&[kinds().slice(1, 1)]),
        };
        let mut bytes = good;
        for edit in edits {
            // Metadata, where the harm is, stands at both ends.
            let span = bytes.len().min(2500);
            let at = edit.at.index(span);
            let at = if edit.from_end { bytes.len() - 1 - at } else { at };
            match edit.kind {
                0 => bytes[at] = edit.value,
                1 => bytes[at] ^= 1 << (edit.value % 8),
                2 => bytes[at] = [0, 0xff, 0x7f, 0x80, 1][usize::from(edit.value) % 5],
                3 => bytes[at] = bytes[at].wrapping_add(edit.value % 9).wrapping_sub(4),
                _ => {
                    let end = (at + 8).min(bytes.len());
                    bytes[at..end].fill(edit.value);
                }
            }
        }
        match read_file(&buffer(&bytes), &Limits { rows: 1 << 20, ..Limits::default() }) {
            Ok((schema, batches)) => {
                for batch in batches {
                    prop_assert_eq!(batch.schema_ref(), &schema);
                    for column in batch.columns() {
                        column.to_data().validate_full().unwrap();
                    }
                }
            }
            Err(err) => {
                let typed = matches!(err, HandoverError::Malformed { .. } | HandoverError::TooLarge { .. });
                prop_assert!(typed, "{}", err);
                // The last line of defense should have had nothing to do.
                prop_assert!(!err.to_string().contains("gave up"), "{}", err);
            }
        }
    }
}
