//! NDJSON into Arrow columns.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use ottava_core::schema::{Declaration, Extra, Field, Kind, Record, TimeUnit, Type, Value};
use ottava_validate::{
    ArrowBatches, BatchOptions, ColumnsError, CompactRow, CompactRows, CompileOptions,
    PatternEngine, PatternMatch, Schema,
};

fn flights() -> Schema {
    let when = Type::new(Kind::DateTime { unit: TimeUnit::Micro, aware: Some(true) });
    let record = Record::new("Flight")
        .field(Field::new("flight", Type::int().gt(0).le(9999)))
        .field(Field::new("carrier", Type::str().pattern("^[A-Z0-9]{2}$")))
        .field(Field::new("tail", Type::str().min_length(3).max_length(6).nullable()))
        .field(Field::new("delay", Type::float().nullable()).default_null())
        .field(Field::new("origin", Type::one_of(["EWR", "JFK", "LGA"])))
        .field(Field::new("time", when));
    Schema::compile(Declaration::from(record)).unwrap()
}

fn options(threads: usize, chunk_bytes: usize) -> BatchOptions {
    BatchOptions { threads, chunk_bytes, ..BatchOptions::default() }
}

const ROWS: &str = concat!(
    r#"{"flight":1545,"carrier":"UA","tail":"N14228","delay":2.0,"origin":"EWR","time":"2013-01-01T05:00:00Z"}"#,
    "\r\n",
    r#"{"flight":null,"carrier":"UA","tail":null,"origin":"EWR","time":"2013-01-01T05:00:00Z"}"#,
    "\n\n",
    r#"{"flight":15,"carrier":"UA","tail":"N1"#,
    "\n",
    "garbage\n",
    r#"{"flight":10000,"carrier":"ua","tail":"N1","delay":"x","origin":"XXX","time":"soon"}"#,
    "\n",
    r#"{"time":"2013-01-01T05:00:00+01:00","origin":"LGA","delay":null,"tail":null,"carrier":"B6","flight":7,"more":1}"#,
);

fn all_issues(batches: &ArrowBatches) -> Vec<String> {
    let line =
        |found: &ottava_validate::RowIssue| format!("{}:{} {}", found.row, found.line, found.issue);
    batches.issues.list.iter().map(line).collect()
}

fn joined(batches: &ArrowBatches) -> RecordBatch {
    arrow_select::concat::concat_batches(&batches.schema, &batches.batches).unwrap()
}

#[test]
fn good_rows_become_columns_and_bad_rows_become_issues() {
    let found = flights().ndjson_to_arrow(ROWS.as_bytes(), &options(1, 1 << 20)).unwrap();
    assert_eq!((found.rows_read, found.rows_good), (6, 2));
    assert_eq!(
        all_issues(&found),
        [
            "1:2 flight: Input should be a valid integer [int_type]",
            "2:4 Invalid JSON: EOF while parsing a string at line 1 column 38 [json_invalid]",
            "3:5 Invalid JSON: expected value at line 1 column 1 [json_invalid]",
            "4:6 flight: Input should be less than or equal to 9999 [less_than_equal]",
            "4:6 carrier: String should match pattern '^[A-Z0-9]{2}$' [string_pattern_mismatch]",
            "4:6 tail: String should have at least 3 characters [string_too_short]",
            "4:6 delay: Input should be a valid number, unable to parse string as a number [float_parsing]",
            "4:6 origin: Input should be 'EWR', 'JFK' or 'LGA' [literal_error]",
            "4:6 time: Input should be a valid datetime or date, input is too short [datetime_from_date_parsing]",
        ]
    );
    assert_eq!(found.issues.list[5].input, "\"N1\"");
    let batch = &found.batches[0];
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1545, 7]);
    assert_eq!(
        batch.column(1).as_string::<i32>().iter().flatten().collect::<Vec<_>>(),
        ["UA", "B6"]
    );
    assert!(batch.column(2).is_null(1) && batch.column(3).is_null(1));
    let origin = batch.column(4).as_dictionary::<arrow_array::types::Int32Type>();
    assert_eq!(origin.keys().values(), &[0, 2]);
    let time = batch.column(5).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(time.values(), &[1_357_016_400_000_000, 1_357_012_800_000_000]);
    let table = found.issues.to_arrow().unwrap();
    assert_eq!((table.num_rows(), table.num_columns()), (9, 6));
}

/// Gives a few bytes at a time.
struct Trickle<'b>(&'b [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(self.0.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn the_result_depends_on_neither_threads_nor_pieces() {
    let schema = flights();
    let text = format!("{ROWS}\n").repeat(40);
    let expected = schema.ndjson_to_arrow(text.as_bytes(), &options(1, 1 << 20)).unwrap();
    assert_eq!(expected.rows_read, 240);
    for threads in [1, 2, 5] {
        for chunk in [1, 100, 1000] {
            let found = schema.ndjson_to_arrow(text.as_bytes(), &options(threads, chunk)).unwrap();
            assert_eq!(joined(&found), joined(&expected));
            assert_eq!(found.issues, expected.issues);
        }
        let mut parts = schema
            .ndjson_reader(Trickle(text.as_bytes(), 7), options(threads, 300))
            .unwrap()
            .map(Result::unwrap);
        let mut all = parts.next().unwrap();
        for part in parts {
            all.batches.extend(part.batches);
            all.issues.list.extend(part.issues.list);
            all.rows_read += part.rows_read;
            all.rows_good += part.rows_good;
        }
        assert_eq!(joined(&all), joined(&expected));
        assert_eq!(all.issues, expected.issues);
        assert_eq!((all.rows_read, all.rows_good), (expected.rows_read, expected.rows_good));
    }
}

#[test]
fn bytes_that_are_not_text_spoil_their_own_row_only() {
    let mut text = ROWS.as_bytes().to_vec();
    let at = text.iter().rposition(|byte| *byte == b'B').unwrap();
    text[at] = 0xff;
    let found = flights().ndjson_to_arrow(&text, &options(1, 1 << 20)).unwrap();
    assert_eq!(found.rows_good, 1);
    assert!(all_issues(&found)[9].contains("invalid unicode code point"));
}

#[test]
fn a_row_without_end_is_passed_over() {
    use ottava_core::limits::Limits;
    let record = Record::new("r").field(Field::new("a", Type::int()));
    let limits = Limits { row_bytes: 100, ..Limits::default() };
    let schema = Schema::compile_with(
        Declaration::from(record),
        &CompileOptions { limits, ..CompileOptions::default() },
    )
    .unwrap();
    let long = format!("{{\"a\":1}}\n{{\"a\":{}}}\n{{\"a\":2}}\n", "9".repeat(1_000_000));
    let mut issues = Vec::new();
    let mut good = 0;
    for part in schema.ndjson_reader(long.as_bytes(), options(1, 50)).unwrap() {
        let part = part.unwrap();
        issues.extend(part.issues.list.iter().map(|found| (found.row, found.issue.code.name())));
        good += part.rows_good;
    }
    assert_eq!(issues, [(1, "row_too_long")]);
    assert_eq!(good, 2);
    let whole = schema.ndjson_to_arrow(long.as_bytes(), &options(1, 50)).unwrap();
    assert_eq!(whole.rows_good, 2);
    assert_eq!(whole.issues.list[0].issue.code.name(), "row_too_long");
}

#[test]
fn nested_and_untyped_fields_have_columns() {
    let point = Record::new("Point")
        .field(Field::new("x", Type::float()))
        .field(Field::new("y", Type::float()).default(0.5));
    let record = Record::new("r")
        .field(Field::new("point", Type::from(point.clone()).nullable()))
        .field(Field::new("track", Type::list(Type::from(point.clone()))))
        .field(Field::new("named", Type::dict(Type::str(), Type::from(point))))
        .field(Field::new("any", Type::any()))
        .extra(Extra::Allow);
    let schema = Schema::compile(Declaration::from(record)).unwrap();
    let rows = concat!(
        r#"{"point":{"x":1},"track":[{"x":2},{"x":3,"y":4}],"named":{"a":{"x":1},"a":{"x":5}},"any":[1,{"b":null}]}"#,
        "\n",
        r#"{"point":{"x":"z"},"track":[{"x":2}],"named":{},"any":0}"#,
        "\n",
        r#"{"point":null,"track":[],"named":{},"any":null,"more":{"c":"d"}}"#,
    );
    let found = schema.ndjson_to_arrow(rows.as_bytes(), &options(1, 1 << 20)).unwrap();
    assert_eq!(all_issues(&found).len(), 1);
    let batch = &found.batches[0];
    assert_eq!(batch.num_rows(), 2);
    let point = batch.column(0).as_struct();
    assert!(point.is_null(1));
    assert_eq!(point.column(1).as_primitive::<arrow_array::types::Float64Type>().value(0), 0.5);
    assert_eq!(batch.column(1).as_list::<i32>().value_length(0), 2);
    let named = batch.column(2).as_map();
    assert_eq!(named.value_length(0), 1);
    let x = named.values().as_struct().column(0).as_primitive::<arrow_array::types::Float64Type>();
    assert_eq!(x.values(), &[5.0]);
    assert_eq!(batch.column(3).as_string::<i32>().value(0), r#"[1,{"b":null}]"#);
    let extra = batch.column(4).as_string::<i32>();
    assert!(extra.is_null(0));
    assert_eq!(extra.value(1), r#"{"more":{"c":"d"}}"#);
}

#[test]
fn an_integer_that_fits_no_column_is_an_issue() {
    let record = Record::new("r")
        .field(Field::new("a", Type::int()))
        .field(Field::new("b", Type::any()).default(Value::Null));
    let schema = Schema::compile(Declaration::from(record)).unwrap();
    let rows = b"{\"a\":9223372036854775808}\n{\"a\":1,\"b\":9223372036854775808}";
    let found = schema.ndjson_to_arrow(rows, &options(1, 1 << 20)).unwrap();
    assert_eq!(all_issues(&found), ["0:1 a: Input should fit 64 bits [int_range]"]);
    let any = found.batches[0].column(1).as_string::<i32>();
    assert_eq!(any.value(0), "9223372036854775808");
}

/// A host whose engine cannot say whether a text with `!` matches.
struct Fragile;

impl PatternEngine for Fragile {
    fn compile(&self, _pattern: &str) -> Result<Arc<dyn PatternMatch>, String> {
        Ok(Arc::new(Fragile))
    }
}

impl PatternMatch for Fragile {
    fn is_match(&self, text: &str) -> Option<bool> {
        (!text.contains('!')).then(|| text.starts_with('a'))
    }
}

#[test]
fn a_row_that_the_host_cannot_judge_is_neither_good_nor_bad() {
    let record = Record::new("r")
        .field(Field::new("n", Type::int()))
        .field(Field::new("s", Type::str().pattern("(?=a)")));
    let compile = CompileOptions { pattern_engine: Some(&Fragile), ..CompileOptions::default() };
    let schema = Schema::compile_with(Declaration::from(record), &compile).unwrap();
    let rows = |bad: &str| format!("{}{bad}\n\n{bad}\n", "{\"n\":1,\"s\":\"a\"}\n".repeat(50));
    for threads in [1, 2] {
        for chunk in [1, 100, 1 << 20] {
            let text = rows("{\"n\":1,\"s\":\"b\"}");
            let found = schema.ndjson_to_arrow(text.as_bytes(), &options(threads, chunk)).unwrap();
            assert_eq!((found.rows_good, found.issues.list.len()), (50, 2));
            for bad in ["{\"n\":1,\"s\":\"a!\"}", "{\"n\":\"x\",\"s\":\"!\"}"] {
                let found = schema.ndjson_to_arrow(rows(bad).as_bytes(), &options(threads, chunk));
                let Err(ColumnsError::Host { row, text }) = found else { panic!("{found:?}") };
                assert_eq!((row, text.as_slice()), (50, bad.as_bytes()));
            }
        }
    }
    let row = b"{\"n\":1,\"s\":\"!\"}";
    assert!(!schema.is_valid_json(row));
    let issues = schema.issues_json(row);
    assert_eq!(schema.json_to_value(row), Err(issues.clone()));
    assert_eq!(issues[0].message(), "the host could not look for a pattern");
}

#[test]
fn issues_of_a_row_beyond_the_limit_are_counted() {
    let record = Record::new("r").field(Field::new("a", Type::list(Type::int())));
    let schema = Schema::compile(Declaration::from(record)).unwrap();
    let text = format!("{{\"a\":[{}1]}}\n{{\"a\":[true,{{}}]}}", "[],".repeat(10_100));
    let found = schema.ndjson_to_arrow(text.as_bytes(), &options(1, 1 << 20)).unwrap();
    assert_eq!((found.issues.list.len(), found.issues.dropped), (10_001, 100));
    let rows = CompactRows::check(&schema, text.as_bytes(), None);
    let counts = rows.rows().map(|(row, _)| match row {
        CompactRow::Bad(issues, dropped) => (issues.len(), *dropped),
        other => panic!("{other:?}"),
    });
    assert_eq!(counts.collect::<Vec<_>>(), [(10_000, 100), (1, 0)]);
}

proptest::proptest! {
    #[test]
    fn a_batch_is_its_rows_one_by_one(
        picks in proptest::collection::vec((0..6_usize, 0..200_usize), 0..40),
        chunk in 1..400_usize,
    ) {
        let schema = flights();
        let samples: Vec<&str> = ROWS.lines().filter(|line| !line.is_empty()).collect();
        // Some rows are cut short somewhere.
        let rows: Vec<&str> =
            picks.iter().map(|(row, cut)| samples[*row].get(..*cut).unwrap_or(samples[*row])).collect();
        let found = schema.ndjson_to_arrow(rows.join("\n").as_bytes(), &options(2, chunk)).unwrap();
        let full: Vec<&&str> = rows.iter().filter(|row| !row.trim().is_empty()).collect();
        let mut expected = Vec::new();
        for (index, row) in full.iter().enumerate() {
            for issue in schema.issues_json(row.as_bytes()) {
                expected.push((index as u64, issue));
            }
        }
        let issues: Vec<_> =
            found.issues.list.into_iter().map(|found| (found.row, found.issue)).collect();
        proptest::prop_assert_eq!(issues, expected);
        proptest::prop_assert_eq!(found.rows_read, full.len() as u64);
        let good = full.iter().filter(|row| schema.is_valid_json(row.as_bytes())).count();
        proptest::prop_assert_eq!(found.rows_good, good as u64);
        let kept: usize = found.batches.iter().map(RecordBatch::num_rows).sum();
        proptest::prop_assert_eq!(kept, good);
    }
}

#[test]
fn a_text_is_read_as_long_as_it_goes_on() {
    let text = format!("{ROWS}\n").repeat(2000);
    let (schema, options) = (flights(), options(1, 1 << 17));
    let whole = schema.ndjson_to_arrow(text.as_bytes(), &options).unwrap();
    let pieces = whole.batches.len();
    assert!(pieces > 4);
    for most in [0, 1, 3, pieces, pieces + 1] {
        let asked = AtomicUsize::new(0);
        let goes_on = || asked.fetch_add(1, Ordering::Relaxed) < most;
        let part = schema.ndjson_to_arrow_while(text.as_bytes(), &options, goes_on).unwrap();
        assert_eq!(part.batches, whole.batches[..most.min(pieces)]);
        let found = all_issues(&part);
        assert_eq!(found, all_issues(&whole)[..found.len()]);
        assert_eq!(part.rows_read == whole.rows_read, most >= pieces);
    }
    // Of several threads one may see the end before another does.
    let (asked, options) = (AtomicUsize::new(0), BatchOptions { threads: 3, ..options });
    let goes_on = || asked.fetch_add(1, Ordering::Relaxed) != 2;
    let part = schema.ndjson_to_arrow_while(text.as_bytes(), &options, goes_on).unwrap();
    assert_eq!(part.batches, whole.batches[..part.batches.len()]);
    assert!(part.batches.len() < pieces);
}
