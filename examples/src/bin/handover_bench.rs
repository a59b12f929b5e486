//! Measures hand-over from Rust to Rust: two processes, every path, latency until the table is there and until one column
//! of it is summed.
//!
//!     cargo run --release -p examples --bin handover_bench -- --profile small

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt64Type};
use arrow_array::{ArrayRef, Float32Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::SchemaRef;
use clap::{Parser, ValueEnum};
use ottava_streams::handover::{Client, ClientOptions, Server, ServerOptions};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

#[derive(Parser)]
struct Args {
    /// Where to write the figures.
    #[arg(long)]
    json: Option<PathBuf>,
    #[arg(long, default_value = "small")]
    profile: Profile,
    /// Ways to measure; all of them if none is named.
    #[arg(long, value_delimiter = ',')]
    ways: Vec<Path>,
    /// Rows of the table, instead of those of the profile.
    #[arg(long)]
    rows: Option<usize>,
    /// Be the consumer; the address and token come on standard input.
    #[arg(long, hide = true)]
    consume: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Profile {
    Small,
    Full,
}

/// In this order in every round: a server in sealed mode gets memory for its next table ready when one was acknowledged, which
/// falls on whoever is measured next.
#[derive(Clone, Copy, PartialEq, Debug, ValueEnum)]
enum Path {
    Word,
    BornTrusted,
    BornAwake,
    CopyTrusted,
    CopySealed,
    BornSealed,
}

impl Path {
    fn is_trusted(self) -> bool {
        matches!(self, Path::Word | Path::BornTrusted | Path::BornAwake | Path::CopyTrusted)
    }

    /// The most microseconds until the table is available, where that was asked for.
    fn bar(self, rows: u64) -> Option<f64> {
        match self {
            Path::BornTrusted | Path::BornAwake => Some(50.0),
            Path::BornSealed if rows == 100_000 => Some(300.0),
            Path::CopyTrusted | Path::CopySealed if rows == 100_000 => Some(800.0),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Path::Word => "one byte over a pipe, after the same work",
            Path::BornTrusted => "born in the segment, trusted",
            Path::BornAwake => "born in the segment, trusted, consumer awake",
            Path::BornSealed => "born in the segment, sealed and validated",
            Path::CopyTrusted => "one copy, trusted",
            Path::CopySealed => "one copy, sealed and validated",
        }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.consume {
        return consume();
    }
    let sizes = match (args.rows, args.profile) {
        (Some(rows), _) => vec![(rows, (40_000_000 / rows.max(1)).clamp(8, 200))],
        (None, Profile::Small) => vec![(1_000, 60), (100_000, 40)],
        (None, Profile::Full) => {
            vec![(1_000, 400), (100_000, 200), (1_000_000, 60), (10_000_000, 12)]
        }
    };
    let mut rows = Vec::new();
    for (size, rounds) in sizes {
        let batch = table(size);
        let mut lanes = Path::value_variants()
            .iter()
            .filter(|path| args.ways.is_empty() || args.ways.contains(path))
            .map(|&path| Lane::start(path, &batch))
            .collect::<Result<Vec<_>>>()?;
        // Interleaved, so that whatever else the machine does falls on all of them; the first rounds warm up.
        for round in 0..rounds + 5 {
            for lane in &mut lanes {
                lane.round(&batch, round >= 5)?;
            }
        }
        for lane in lanes {
            rows.push(lane.finish(size)?);
        }
    }
    for row in &rows {
        println!(
            "{:>10} rows  {:<42} available p50 {:>9.1} us  least {:>9.1} us  p99 {:>9.1} us  summed p50 {:>9.1} us",
            row["rows"],
            row["path"].as_str().unwrap_or(""),
            number(row, "available_p50_us"),
            number(row, "available_least_us"),
            number(row, "available_p99_us"),
            number(row, "summed_p50_us"),
        );
    }
    if let Some(path) = args.json {
        let whole = json!({ "handover": rows, "markdown": markdown(&rows) });
        std::fs::write(path, serde_json::to_string_pretty(&whole)?)?;
    }
    Ok(())
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or(f64::NAN)
}

/// The figures as a table, and those that miss a bar again.
fn markdown(rows: &[Value]) -> String {
    let head = "| rows | way | available, p50 (least, p99), us | summed, p50 (p99), us | consumer's own memory, bytes per row \
        | consumer's peak, MB | producer's peak, MB | bar |\n|---|---|---|---|---|---|---|---|\n";
    let (mut lines, mut lost) = (String::new(), String::new());
    for row in rows {
        let bar = Path::value_variants()
            .iter()
            .find(|path| row["path"] == path.name())
            .and_then(|path| path.bar(row["rows"].as_u64()?));
        let missed = bar.is_some_and(|bar| number(row, "available_p50_us") > bar);
        let verdict = if missed { "**missed**" } else { "met" };
        let line = format!(
            "| {} | {} | {:.0} ({:.0}, {:.0}) | {:.0} ({:.0}) | {:.1} | {:.1} | {:.1} | {} |\n",
            row["rows"],
            row["path"].as_str().unwrap_or(""),
            number(row, "available_p50_us"),
            number(row, "available_least_us"),
            number(row, "available_p99_us"),
            number(row, "summed_p50_us"),
            number(row, "summed_p99_us"),
            number(row, "consumer_private_bytes_per_row"),
            number(row, "consumer_peak_private_bytes") / 1e6,
            number(row, "producer_peak_bytes") / 1e6,
            bar.map_or(String::new(), |bar| format!("at most {bar} us: {verdict}")),
        );
        lines += &line;
        if missed {
            lost += &line;
        }
    }
    let lost = if lost.is_empty() { "None.\n".to_owned() } else { format!("{head}{lost}") };
    format!(
        "### Rust to Rust\n\nAn id, eight coordinates and a name per row. The producer's peak is that of all ways together, \
         which share a process.\n\n{head}{lines}\n#### Rows that are lost\n\n{lost}"
    )
}

/// An id, eight coordinates and a name per row: 59 bytes or so.
fn table(rows: usize) -> RecordBatch {
    let mut columns: Vec<(String, ArrayRef)> =
        vec![("id".into(), Arc::new(UInt64Array::from_iter_values(0..rows as u64)))];
    for axis in 0..8 {
        let values = (0..rows).map(|row| ((row * 31 + axis * 17) % 1000) as f32);
        columns.push((format!("x{axis}"), Arc::new(Float32Array::from_iter_values(values))));
    }
    let names = (0..rows).map(|row| format!("token {row}"));
    columns.push(("name".into(), Arc::new(StringArray::from_iter_values(names))));
    RecordBatch::try_from_iter(columns).unwrap_or_else(|_| unreachable!("columns of one length"))
}

struct Lane {
    path: Path,
    server: Server,
    child: Child,
    /// What the child reads its instructions from, and the byte that is timed.
    words: Option<ChildStdin>,
    answers: BufReader<std::process::ChildStdout>,
    available: Vec<f64>,
    summed: Vec<f64>,
    sum: f64,
}

impl Lane {
    #[allow(unsafe_code)]
    fn start(path: Path, batch: &RecordBatch) -> Result<Self> {
        let mut options = ServerOptions::new().slots(2);
        if path.is_trusted() {
            // SAFETY: the consumer is this program.
            options = unsafe { options.trusted() };
        }
        let server = Server::bind(options)?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--consume")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut words = child.stdin.take().context("stdin")?;
        let answers = BufReader::new(child.stdout.take().context("stdout")?);
        if path == Path::Word {
            writeln!(words, "word")?;
        } else {
            let token = server.token()?.reveal();
            let awake = path == Path::BornAwake;
            writeln!(words, "{} {token} {} {awake}", server.address(), path.is_trusted())?;
            server.wait_connected(Some(Duration::from_secs(10)))?;
        }
        let sum = batch
            .column(1)
            .as_primitive::<Float32Type>()
            .values()
            .iter()
            .map(|&x| f64::from(x))
            .sum();
        let words = Some(words);
        Ok(Self { path, server, child, words, answers, available: vec![], summed: vec![], sum })
    }

    fn round(&mut self, batch: &RecordBatch, counts: bool) -> Result<()> {
        let schema: &SchemaRef = batch.schema_ref();
        let start;
        let receipt = match self.path {
            Path::Word | Path::BornSealed | Path::BornTrusted | Path::BornAwake => {
                if let (Path::BornAwake, Some(words)) = (self.path, &mut self.words) {
                    // From now on it waits awake, and only then: it would be in the way of the others.
                    words.write_all(&[1])?;
                }
                let bytes = batch.column(9).as_string::<i32>().value_data().len();
                let mut segment =
                    self.server.segment(schema, batch.num_rows(), |_| Some(bytes), None)?;
                // The table is made here; how long that takes is not the hand-over's.
                let ids = batch.column(0).as_primitive::<UInt64Type>().values();
                segment.values_mut::<UInt64Type>("id")?.copy_from_slice(ids);
                for axis in 0..8 {
                    let values = batch.column(axis + 1).as_primitive::<Float32Type>().values();
                    segment.values_mut::<Float32Type>(&format!("x{axis}"))?.copy_from_slice(values);
                }
                segment.copy_from("name", batch.column(9))?;
                start = now();
                match &mut self.words {
                    Some(words) if self.path == Path::Word => {
                        words.write_all(&[1])?;
                        None
                    }
                    _ => Some(self.server.commit(segment, None)?),
                }
            }
            Path::CopySealed | Path::CopyTrusted => {
                start = now();
                Some(self.server.send(schema, std::slice::from_ref(batch), None)?)
            }
        };
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Vec<f64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        ensure!(
            answer[2] == self.sum || self.path == Path::Word,
            "{:?}: the consumer sums to {}, not {}",
            self.path,
            answer[2],
            self.sum
        );
        if counts {
            self.available.push((answer[0] - start) / 1e3);
            self.summed.push((answer[1] - start) / 1e3);
        }
        if let Some(receipt) = receipt {
            receipt.wait(None)?;
        }
        Ok(())
    }

    fn finish(mut self, rows: usize) -> Result<Value> {
        self.server.close(Duration::from_secs(10))?;
        drop(self.words.take());
        let mut rest = String::new();
        self.answers.read_line(&mut rest)?;
        let memory: Vec<u64> = rest.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        self.child.wait()?;
        self.available.sort_by(f64::total_cmp);
        self.summed.sort_by(f64::total_cmp);
        let at = |values: &[f64], share: f64| {
            values[((values.len() - 1) as f64 * share).round() as usize]
        };
        Ok(json!({
            "rows": rows,
            "path": self.path.name(),
            "rounds": self.available.len(),
            "available_least_us": at(&self.available, 0.0),
            "available_p50_us": at(&self.available, 0.5),
            "available_p99_us": at(&self.available, 0.99),
            "summed_p50_us": at(&self.summed, 0.5),
            "summed_p99_us": at(&self.summed, 0.99),
            "consumer_peak_private_bytes": memory[0],
            "consumer_private_bytes_per_row": memory[1] as f64 / rows as f64,
            "producer_peak_bytes": peak("VmHWM")?,
        }))
    }
}

/// Nanoseconds on a clock that all processes share.
fn now() -> f64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// A line of `/proc/self/status`, in bytes; 0 where there is none.
fn peak(name: &str) -> Result<u64> {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return Ok(0) };
    let line = status.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("0");
    Ok(number.parse::<u64>()? * 1024)
}

#[allow(unsafe_code)]
fn consume() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut out = std::io::stdout().lock();
    if words == ["word"] {
        let mut words = std::io::stdin().lock();
        while words.read(&mut [0])? > 0 {
            let available = now();
            writeln!(out, "{available} {available} 0")?;
            out.flush()?;
        }
        writeln!(out, "0 0")?;
        return Ok(());
    }
    let mut options = ClientOptions::new();
    if words[2] == "true" {
        // SAFETY: the producer is this program.
        options = unsafe { options.trusted() };
    }
    let is_awake = words[3] == "true";
    if is_awake {
        options = options.awake(Duration::from_secs(60));
    }
    let client = Client::connect(&words[0].parse()?, &words[1].parse()?, options)?;
    let (mut private, before) = (0, peak("RssAnon")?);
    let mut turns = std::io::stdin().lock();
    loop {
        if is_awake {
            // The end of them is that of the tables, too.
            let _ = turns.read(&mut [0])?;
        }
        let Some(table) = client.recv(None)? else { break };
        let available = now();
        let column = table.batches()[0].column(1).as_primitive::<Float32Type>();
        let sum: f64 = column.values().iter().map(|&x| f64::from(x)).sum();
        let summed = now();
        // Anonymous memory is what is this process's alone; the segment counts as shared memory or file pages.
        private = private.max(peak("RssAnon")?);
        drop(table);
        writeln!(out, "{available} {summed} {sum}")?;
        out.flush()?;
    }
    writeln!(out, "{private} {}", private.saturating_sub(before))?;
    Ok(())
}
