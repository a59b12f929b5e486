use std::hint::black_box;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Seconds of CPU time of this thread.
fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The CPU time of this thread in a call.
pub(crate) fn cpu<T>(call: impl FnOnce() -> T) -> f64 {
    let start = thread_seconds();
    black_box(call());
    thread_seconds() - start
}

/// The time on the clock of a call, until its answer is there; to free that is done by one thread.
pub(crate) fn wall<T>(call: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    let answer = black_box(call());
    let seconds = start.elapsed().as_secs_f64();
    drop(answer);
    seconds
}

/// A median with its spread.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Figure {
    pub(crate) fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |i: usize| samples.get(i).copied().unwrap_or(f64::NAN);
        Self { median: at(samples.len() / 2), min: at(0), max: at(samples.len().wrapping_sub(1)) }
    }

    fn show(&self) -> String {
        format!("{:.4} [{:.4} to {:.4}]", self.median, self.min, self.max)
    }
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    row: String,
    data: String,
    size: usize,
    unit: &'static str,
    ottava: Figure,
    peer: String,
    peer_figure: Option<Figure>,
    /// How many times better: peer over ottava for times, ottava over peer for rates.
    ratio: Option<f64>,
    /// The least ratio, or the bound of the figure, that is asked for.
    bar: String,
    met: Option<bool>,
}

/// What was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    #[serde(skip)]
    rounds: usize,
    level: String,
    rows: Vec<Row>,
    /// The rows as tables.
    markdown: String,
}

/// Four digits, without an exponent.
fn digits(value: f64) -> String {
    let whole = value.abs().max(1e-9).log10().floor() as i32;
    format!("{value:.*}", usize::try_from(2 - whole).unwrap_or(0).min(6))
}

impl Row {
    fn is_lost(&self) -> bool {
        self.met == Some(false) || self.ratio.is_some_and(|ratio| ratio < 1.0)
    }

    fn cells(&self) -> String {
        let figure = |f: &Figure| {
            let (median, min, max) = (digits(f.median), digits(f.min), digits(f.max));
            if min == max { median } else { format!("{median} ({min} to {max})") }
        };
        let peer = self
            .peer_figure
            .as_ref()
            .map_or(String::new(), |theirs| format!("{}: {}", self.peer, figure(theirs)));
        let ratio = self.ratio.map_or(String::new(), |ratio| format!("{ratio:.2} x"));
        let verdict = match self.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        let (ours, size) = (figure(&self.ottava), grouped(self.size));
        format!(
            "| {} | {} | {size} | {ours} {} | {peer} | {ratio} | {} | {verdict} |\n",
            self.row, self.data, self.unit, self.bar
        )
    }
}

fn grouped(size: usize) -> String {
    let text = size.to_string();
    let parts: Vec<_> = text.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    parts.join(",")
}

const HEAD: &str = "| row | data | tokens | ottava | peer | times better | bar | |\n|---|---|---|---|---|---|---|---|\n";

/// Two sides of a comparison.
pub(crate) struct Sides {
    pub(crate) ours: Figure,
    pub(crate) theirs: Figure,
}

impl Report {
    pub(crate) fn new(rounds: usize) -> Self {
        let level = ottava_spatial::simd::level().to_string();
        println!("{rounds} rounds, instruction level {level}");
        Self { rounds, level, rows: Vec::new(), markdown: String::new() }
    }

    /// Writes all rows as tables; the rows that are lost come again.
    pub(crate) fn finish(&mut self) {
        let table = |rows: &mut dyn Iterator<Item = &Row>| {
            rows.fold(HEAD.to_owned(), |table, row| table + &row.cells())
        };
        let lost: Vec<&Row> = self.rows.iter().filter(|row| row.is_lost()).collect();
        println!("{} of {} rows lost", lost.len(), self.rows.len());
        self.markdown = format!(
            "### Rust\n\nInstruction level {}; the median of {} rounds (least to largest); CPU time of one thread unless it says \
             otherwise.\n\n{}\n#### Rows that are lost\n\n{}",
            self.level,
            self.rounds,
            table(&mut self.rows.iter()),
            if lost.is_empty() { "None.\n".to_owned() } else { table(&mut lost.into_iter()) },
        );
    }

    /// Lets both sides take turns; each returns its figure of the round.
    pub(crate) fn turns(
        &self,
        mut ours: impl FnMut() -> f64,
        mut theirs: impl FnMut() -> f64,
    ) -> Sides {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            a.push(ours());
            b.push(theirs());
        }
        Sides { ours: Figure::of(a), theirs: Figure::of(b) }
    }

    pub(crate) fn repeat(&self, mut ours: impl FnMut() -> f64) -> Figure {
        Figure::of((0..self.rounds).map(|_| ours()).collect())
    }

    /// A comparison of times: the bar, if there is one, is the least factor to be faster by.
    pub(crate) fn faster(
        &mut self,
        (row, data, size): (&str, &str, usize),
        unit: &'static str,
        sides: Sides,
        peer: impl Into<String>,
        bar: impl Into<Option<f64>>,
    ) {
        let bar = bar.into();
        let ratio = sides.theirs.median / sides.ours.median;
        self.push(Row {
            row: row.into(),
            data: data.into(),
            size,
            unit,
            ottava: sides.ours,
            peer: peer.into(),
            peer_figure: Some(sides.theirs),
            ratio: Some(ratio),
            bar: bar.map_or(String::new(), |bar| format!("{bar} x")),
            met: bar.map(|bar| ratio >= bar),
        });
    }

    /// A figure of our own with a bound.
    pub(crate) fn bound(
        &mut self,
        (row, data, size): (&str, &str, usize),
        unit: &'static str,
        ottava: Figure,
        bar: impl Into<String>,
        met: Option<bool>,
    ) {
        let (row, data, bar) = (row.into(), data.into(), bar.into());
        let (peer, peer_figure, ratio) = (String::new(), None, None);
        self.push(Row { row, data, size, unit, ottava, peer, peer_figure, ratio, bar, met });
    }

    fn push(&mut self, row: Row) {
        let verdict = match row.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        let peer = row.peer_figure.map_or(String::new(), |figure| {
            format!(" | {} {} | {:.2} x", row.peer, figure.show(), row.ratio.unwrap_or(f64::NAN))
        });
        let ours = row.ottava.show();
        println!(
            "{} {} {}: {ours} {}{peer} | bar {} {verdict}",
            row.row, row.data, row.size, row.unit, row.bar
        );
        self.rows.push(row);
    }
}
