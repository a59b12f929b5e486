//! Any bytes are an Arrow IPC file with a table whose every value can be looked at, or a typed error.
#![no_main]

use std::sync::LazyLock;

use arrow_array::{Array, ArrayRef, Float32Array, RecordBatch, StringArray, StringViewArray};
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::writer::FileWriter;
use libfuzzer_sys::fuzz_target;
use ottava_streams::handover::{Limits, read_file};

/// A good file, from which the fuzzer's input is a patch: random bytes alone rarely get past the magic.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let batch = RecordBatch::try_from_iter([
        ("x", std::sync::Arc::new(Float32Array::from(vec![Some(1.0), None])) as ArrayRef),
        ("s", std::sync::Arc::new(StringArray::from(vec!["a", "bc"]))),
        ("v", std::sync::Arc::new(StringViewArray::from(vec!["short", "not so short a text"]))),
    ])
    .expect("columns of one length");
    let mut writer =
        FileWriter::try_new(Vec::new(), batch.schema_ref()).expect("a writable schema");
    writer.write(&batch).expect("a writable batch");
    writer.into_inner().expect("a complete file")
});

fuzz_target!(|data: &[u8]| {
    read(data);
    // Three bytes each: where (16 bits), what.
    let mut patched = GOOD.clone();
    for edit in data.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % patched.len();
        patched[at] = edit[2];
    }
    read(&patched);
});

fn read(bytes: &[u8]) {
    let mut aligned = MutableBuffer::with_capacity(bytes.len());
    aligned.extend_from_slice(bytes);
    let limits = Limits { rows: 1 << 20, ..Limits::default() };
    match read_file(&Buffer::from(aligned), &limits) {
        Ok((_, batches)) => {
            for column in batches.iter().flat_map(RecordBatch::columns) {
                column.to_data().validate_full().expect("a valid column");
            }
        }
        Err(err) => assert!(!err.to_string().contains("gave up"), "{err}"),
    }
}
