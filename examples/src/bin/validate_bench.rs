//! Validation beside its peers: `cargo run --release -p examples --bin validate_bench`.
//!
//! Rows are users `{"id","name","age","email"}` as NDJSON. Each contender gets the same bytes and must check the same rules: id
//! above 0, name not empty, age 0 to 150, email by a pattern. Before it is timed it is shown a row with one bad value for
//! each rule; one that lets any through is marked *does not check*. Parsers of other libraries make the same structs, which are compared
//! first, and are checked by the same hand-written rules. Rounds are interleaved; times are CPU time of the
//! thread, or of the wall clock where there are several threads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use jiter::{Jiter, NumberInt};
use ottava_core::schema::{Declaration, Field, Record, Type};
use ottava_validate::{BatchOptions, Schema};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;

const EMAIL: &str = r"^[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}$";

#[derive(Clone, Copy, ValueEnum)]
enum Profile {
    Small,
    Full,
}

#[derive(Parser)]
struct Args {
    /// Rows of the data set.
    #[arg(long, default_value_t = 50_000)]
    rows: usize,
    /// A quick look, or figures to quote: decides `--rounds` where it is not given.
    #[arg(long, value_enum, default_value = "full")]
    profile: Profile,
    /// Rounds, by profile 5 or 15; each runs every contender once, in turn.
    #[arg(long)]
    rounds: Option<usize>,
    /// Writes the figures there, too, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Runs one contender alone, without timing, for a profiler.
    #[arg(long)]
    only: Option<String>,
}

/// Checks all rows; returns how many are good.
type Check = Box<dyn Fn(&[u8]) -> usize>;

/// One way to check rows.
struct Contender {
    name: &'static str,
    makes: &'static str,
    wall: bool,
    run: Check,
}

#[derive(Debug, Deserialize, PartialEq)]
struct User {
    id: i64,
    name: String,
    age: i64,
    email: String,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let rounds = args.rounds.unwrap_or(match args.profile {
        Profile::Small => 5,
        Profile::Full => 15,
    });
    let rows = rows(args.rows);
    let contenders = contenders()?;
    if let Some(only) = &args.only {
        let found = contenders.iter().find(|contender| contender.name == only);
        let found = found.with_context(|| format!("no contender '{only}'"))?;
        println!("{} good rows", (found.run)(&rows));
        return Ok(());
    }
    compare_parsers(&rows)?;
    let checks: Vec<bool> = contenders.iter().map(passes_gate).collect();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
    for _ in 0..rounds {
        for (contender, times) in contenders.iter().zip(&mut times) {
            let (good, time) = timed(contender, &rows);
            ensure!(good == args.rows, "{}: {good} of {} rows are good", contender.name, args.rows);
            times.push(time.as_secs_f64() * 1e9 / args.rows as f64);
        }
    }
    let mut figures = Vec::new();
    let mut markdown = format!(
        "### Rust\n\n{} rows of NDJSON, {} bytes; ns a row\n\n| contender | makes | ns (least to most) | clock |\n|---|---|---|---|\n",
        args.rows,
        rows.len()
    );
    println!("{} rows, {} bytes, {} rounds; ns a row", args.rows, rows.len(), rounds);
    println!(
        "{:<28} {:<14} {:>8} {:>8} {:>8}  clock",
        "contender", "makes", "median", "low", "high"
    );
    for ((contender, checks), mut times) in contenders.iter().zip(checks).zip(times) {
        times.sort_by(f64::total_cmp);
        let (median, low, high) = (times[times.len() / 2], times[0], times[times.len() - 1]);
        let clock = if contender.wall { "wall" } else { "cpu" };
        let note = if checks { "" } else { "  does not check" };
        println!(
            "{:<28} {:<14} {median:>8.1} {low:>8.1} {high:>8.1}  {clock}{note}",
            contender.name, contender.makes
        );
        markdown += &format!(
            "| {}{} | {} | {median:.1} ({low:.1} to {high:.1}) | {clock} |\n",
            contender.name,
            if checks { "" } else { ", does not check" },
            contender.makes
        );
        figures.push(BTreeMap::from([
            ("contender", serde_json::json!(contender.name)),
            ("makes", serde_json::json!(contender.makes)),
            ("median_ns", serde_json::json!(median)),
            ("low_ns", serde_json::json!(low)),
            ("high_ns", serde_json::json!(high)),
            ("clock", serde_json::json!(clock)),
            ("checks", serde_json::json!(checks)),
        ]));
    }
    if let Some(path) = args.json {
        let result = serde_json::json!({
            "rows": args.rows,
            "bytes": rows.len(),
            "rounds": rounds,
            "threads": std::thread::available_parallelism().map_or(1, usize::from),
            "figures": figures,
            "markdown": markdown,
        });
        std::fs::write(&path, serde_json::to_string_pretty(&result)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// The data set: good rows only, different in every field.
fn rows(count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in 0..count {
        let age = row % 120;
        // Writing to a vector cannot fail.
        let _ = writeln!(
            bytes,
            r#"{{"id":{},"name":"user number {row}","age":{age},"email":"user{row}@mail{}.example.org"}}"#,
            row + 1,
            row % 97,
        );
    }
    bytes
}

/// Whether the contender takes a good row and refuses one bad value in each field.
fn passes_gate(contender: &Contender) -> bool {
    let good = r#"{"id":1,"name":"a","age":3,"email":"a@b.co"}"#;
    let bad = [
        r#"{"id":0,"name":"a","age":3,"email":"a@b.co"}"#,
        r#"{"id":"x","name":"a","age":3,"email":"a@b.co"}"#,
        r#"{"id":1,"name":"","age":3,"email":"a@b.co"}"#,
        r#"{"id":1,"name":"a","age":151,"email":"a@b.co"}"#,
        r#"{"id":1,"name":"a","age":-1,"email":"a@b.co"}"#,
        r#"{"id":1,"name":"a","age":3,"email":"a@b"}"#,
        r#"{"id":1,"name":"a","age":3}"#,
        r#"{"id":1,"name":"a","age":3,"email":"a@b.co""#,
    ];
    (contender.run)(good.as_bytes()) == 1
        && bad.iter().all(|row| (contender.run)(row.as_bytes()) == 0)
}

fn timed(contender: &Contender, rows: &[u8]) -> (usize, Duration) {
    let cpu = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
    };
    let (wall_start, cpu_start) = (Instant::now(), cpu());
    let good = black_box((contender.run)(black_box(rows)));
    let time = if contender.wall { wall_start.elapsed() } else { cpu() - cpu_start };
    (good, time)
}

fn schema() -> Result<Schema> {
    let user = Record::new("User")
        .field(Field::new("id", Type::int().gt(0)))
        .field(Field::new("name", Type::str().min_length(1)))
        .field(Field::new("age", Type::int().ge(0).le(150)))
        .field(Field::new("email", Type::str().pattern(EMAIL)));
    Ok(Schema::compile(Declaration::from(user))?)
}

/// How one library makes a user of a row; `None` if the row is none.
type Parse = fn(&[u8]) -> Option<User>;

const PARSERS: [(&str, Parse); 4] = [
    ("serde-by-hand", by_serde_json),
    ("sonic-rs-by-hand", by_sonic),
    ("simd-json-by-hand", by_simd_json),
    ("jiter-by-hand", by_jiter),
];

fn by_serde_json(row: &[u8]) -> Option<User> {
    serde_json::from_slice(row).ok()
}

fn by_sonic(row: &[u8]) -> Option<User> {
    sonic_rs::from_slice(row).ok()
}

thread_local! {
    /// simd-json writes into the text that it reads, and keeps its own buffers from row to row.
    static SIMD_JSON: RefCell<(Vec<u8>, simd_json::Buffers)> = RefCell::default();
}

fn by_simd_json(row: &[u8]) -> Option<User> {
    SIMD_JSON.with_borrow_mut(|(text, buffers)| {
        text.clear();
        text.extend_from_slice(row);
        simd_json::serde::from_slice_with_buffers(text, buffers).ok()
    })
}

fn by_jiter(row: &[u8]) -> Option<User> {
    let mut jiter = Jiter::new(row);
    let (mut id, mut name, mut age, mut email) = (None, None, None, None);
    let int = |jiter: &mut Jiter<'_>| match jiter.next_int().ok()? {
        NumberInt::Int(int) => Some(int),
        NumberInt::BigInt(_) => None,
    };
    let text = |jiter: &mut Jiter<'_>| jiter.next_str().ok().map(str::to_owned);
    let field = |key: &str| ["id", "name", "age", "email"].iter().position(|known| *known == key);
    let mut next = jiter.next_object().ok()?.map(field);
    while let Some(key) = next {
        match key {
            Some(0) => id = Some(int(&mut jiter)?),
            Some(1) => name = Some(text(&mut jiter)?),
            Some(2) => age = Some(int(&mut jiter)?),
            Some(3) => email = Some(text(&mut jiter)?),
            _ => jiter.next_skip().ok()?,
        }
        next = jiter.next_key().ok()?.map(field);
    }
    jiter.finish().ok()?;
    Some(User { id: id?, name: name?, age: age?, email: email? })
}

/// Makes sure that all parsers make the same of the same rows.
fn compare_parsers(rows: &[u8]) -> Result<()> {
    for (name, parse) in PARSERS {
        for row in lines(rows) {
            let (expected, found) = (by_serde_json(row), parse(row));
            ensure!(found == expected, "{name}: {found:?} and not {expected:?}");
        }
    }
    Ok(())
}

fn lines(rows: &[u8]) -> impl Iterator<Item = &[u8]> {
    rows.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn contenders() -> Result<Vec<Contender>> {
    let ours = || schema().map(|schema| &*Box::leak(Box::new(schema)));
    let columns = |threads: usize| -> Result<Check> {
        let schema = ours()?;
        let options = BatchOptions { threads, ..BatchOptions::default() };
        Ok(Box::new(move |rows| {
            let found = schema.ndjson_to_arrow(rows, &options).map(|batches| batches.rows_good);
            found.map_or(0, |good| good as usize)
        }))
    };
    let (valid, issues, values) = (ours()?, ours()?, ours()?);
    let email = regex::Regex::new(EMAIL)?;
    let by_hand = |parse: Parse| -> Check {
        let email = email.clone();
        let is_good = move |user: &User| {
            user.id > 0
                && !user.name.is_empty()
                && (0..=150).contains(&user.age)
                && email.is_match(&user.email)
        };
        Box::new(move |rows| {
            let users = lines(rows).filter_map(parse);
            users.filter(|user| is_good(user)).collect::<Vec<_>>().len()
        })
    };
    let json_schema = jsonschema::validator_for(&serde_json::json!({
        "type": "object",
        "properties": {
            "id": {"type": "integer", "exclusiveMinimum": 0},
            "name": {"type": "string", "minLength": 1},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "email": {"type": "string", "pattern": EMAIL},
        },
        "required": ["id", "name", "age", "email"],
    }))?;
    let mut all = vec![
        Contender { name: "ottava-columns", makes: "Arrow", wall: false, run: columns(1)? },
        Contender { name: "ottava-columns-threads", makes: "Arrow", wall: true, run: columns(0)? },
        Contender {
            name: "ottava-is-valid",
            makes: "nothing",
            wall: false,
            run: Box::new(|rows| lines(rows).filter(|row| valid.is_valid_json(row)).count()),
        },
        Contender {
            name: "ottava-issues",
            makes: "issues",
            wall: false,
            run: Box::new(|rows| {
                lines(rows).filter(|row| issues.issues_json(row).is_empty()).count()
            }),
        },
        Contender {
            name: "ottava-values",
            makes: "value tree",
            wall: false,
            run: Box::new(|rows| {
                let good = lines(rows).filter_map(|row| values.json_to_value(row).ok());
                good.map(black_box).count()
            }),
        },
        Contender {
            name: "serde-value-jsonschema",
            makes: "value tree",
            wall: false,
            run: Box::new(move |rows| {
                let values = lines(rows)
                    .filter_map(|row| serde_json::from_slice::<serde_json::Value>(row).ok());
                values.filter(|value| json_schema.is_valid(value)).count()
            }),
        },
    ];
    let parsers = PARSERS.map(|(name, parse)| Contender {
        name,
        makes: "structs",
        wall: false,
        run: by_hand(parse),
    });
    all.extend(parsers);
    Ok(all)
}
