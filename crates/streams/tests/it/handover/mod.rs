//! Hand-over of tables, both ends.

mod hostile;
mod ipc;
mod round_trip;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float32Array, Int32Array, ListArray, RecordBatch,
    StringArray, StringViewArray, StructArray, UInt64Array, types::Int32Type,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use ottava_streams::handover::{Client, ClientOptions, Server, ServerOptions, Transport};

/// Long enough for any machine; nothing waits for it unless it fails.
const LONG: Option<Duration> = Some(Duration::from_secs(20));
const NOW: Option<Duration> = Some(Duration::ZERO);

const TRANSPORTS: &[Transport] = &[
    #[cfg(target_os = "linux")]
    Transport::Unix,
    Transport::Tcp,
];

fn options(base: &Path, transport: Transport) -> ServerOptions {
    ServerOptions::new().directory(base).transport(transport)
}

fn pair(options: ServerOptions, client: ClientOptions) -> (Server, Client) {
    let server = Server::bind(options).unwrap();
    let token = server.token().unwrap();
    let client = Client::connect(server.address(), &token, client).unwrap();
    server.wait_connected(LONG).unwrap();
    (server, client)
}

/// An id, eight coordinates and a name per row.
fn tokens(rows: usize) -> RecordBatch {
    let mut columns: Vec<(String, ArrayRef)> =
        vec![("id".to_owned(), Arc::new(UInt64Array::from_iter_values(0..rows as u64)))];
    for axis in 0..8 {
        let values = (0..rows).map(|row| (row * 8 + axis) as f32);
        columns.push((format!("x{axis}"), Arc::new(Float32Array::from_iter_values(values))));
    }
    let names = (0..rows).map(|row| format!("token {row} ü"));
    columns.push(("name".to_owned(), Arc::new(StringArray::from_iter_values(names))));
    RecordBatch::try_from_iter(columns).unwrap()
}

/// One column of each kind of layout, with nulls.
fn kinds() -> RecordBatch {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let dictionary: DictionaryArray<Int32Type> = [Some("a"), None, Some("a")].into_iter().collect();
    let views = StringViewArray::from(vec![Some("short"), None, Some("a view that is not inline")]);
    let fields = vec![
        Arc::new(Field::new("a", DataType::Int32, true)),
        Arc::new(Field::new("b", DataType::Utf8, true)),
    ];
    let children: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(StringArray::from(vec![None, Some("x"), Some("y")])),
    ];
    RecordBatch::try_from_iter([
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])) as ArrayRef),
        ("list", Arc::new(list)),
        ("dictionary", Arc::new(dictionary)),
        ("views", Arc::new(views)),
        ("struct", Arc::new(StructArray::new(fields.into(), children, None))),
    ])
    .unwrap()
}

fn schema_of(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}
