//! The main job without Python: NDJSON flights from standard input, moved, checked, indexed, asked.
//!
//! ```text
//! cargo xtask demo     # leaves the records behind
//! cargo run --release -p examples --bin pipeline < target/demo/flights.ndjson
//! ```

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::io::{self, Write, stdin, stdout};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use ottava_core::schema::{Declaration, Field, Record, Type};
use ottava_core::{AxisNames, Scales, TokenBatch, TokenId};
use ottava_spatial::{Connect, Falloff, GridOptions, Query, TokenGrid};
use ottava_streams::{PumpOptions, consume};
use ottava_validate::{BatchOptions, Schema};

/// The flight that the questions are about.
const NAMED: TokenId = 0;
const RADIUS: f32 = 0.5;

/// Axis and scale, as in `examples/python/flights/model.py`, which says why.
const AXES: [(&str, f64); 8] = [
    ("clock_sin", 1.0),
    ("clock_cos", 1.0),
    ("season_sin", 1.0),
    ("season_cos", 1.0),
    ("dep_delay", 1.0 / 30.0),
    ("arr_delay", 1.0 / 30.0),
    ("air_time", 1.0 / 60.0),
    ("distance", 1.0 / 500.0),
];

fn main() -> ExitCode {
    let Err(error) = run(&mut stdout().lock()) else { return ExitCode::SUCCESS };
    // Who reads the answers may stop when it has enough of them.
    let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<io::Error>().is_some_and(broken) {
        return ExitCode::SUCCESS;
    }
    eprintln!("pipeline: {error:#}");
    ExitCode::FAILURE
}

fn run(out: &mut impl Write) -> Result<()> {
    let start = Instant::now();
    let mut stages = Stages(Vec::new());

    let records = stages.run("move", "bytes", || {
        let records = consume(&stdin(), &PumpOptions::default())?.bytes;
        let count = records.len();
        Ok((records, count))
    })?;
    let schema = Schema::compile(Declaration::from(flight()))?;
    let checked = stages.run("check", "rows", || {
        let checked = schema.ndjson_to_arrow(&records, &BatchOptions::default())?;
        let count = checked.rows_read as usize;
        Ok((checked, count))
    })?;
    writeln!(
        out,
        "{} flights read, {} good, {} refused",
        checked.rows_read,
        checked.rows_good,
        checked.rows_read - checked.rows_good,
    )?;
    let mut reasons = BTreeMap::new();
    for found in &checked.issues.list {
        *reasons.entry(found.issue.to_string()).or_insert(0) += 1;
    }
    for (reason, count) in &reasons {
        writeln!(out, "{count:>8} {reason}")?;
    }

    let grid = stages.run("index", "tokens", || {
        let grid = index(&checked.batches)?;
        let count = grid.len();
        Ok((grid, count))
    })?;
    ensure!(!grid.is_empty(), "no flight to ask about");
    answer(out, &grid, &mut stages)?;

    writeln!(
        out,
        "\n{:24} {:>12} {:8} {:>8} {:>14}",
        "stage", "amount", "unit", "seconds", "per second"
    )?;
    for (name, amount, unit, seconds) in &stages.0 {
        writeln!(
            out,
            "{name:24} {amount:>12} {unit:8} {seconds:>8.3} {:>14.0}",
            *amount as f64 / seconds
        )?;
    }
    writeln!(out, "\nin all {:.2} s", start.elapsed().as_secs_f64())?;
    Ok(())
}

/// What each stage did: name, amount, unit, seconds.
struct Stages(Vec<(&'static str, usize, &'static str, f64)>);

impl Stages {
    fn run<T>(
        &mut self,
        name: &'static str,
        unit: &'static str,
        work: impl FnOnce() -> Result<(T, usize)>,
    ) -> Result<T> {
        let start = Instant::now();
        let (result, amount) = work().with_context(|| format!("the stage {name} failed"))?;
        self.0.push((name, amount, unit, start.elapsed().as_secs_f64()));
        Ok(result)
    }
}

/// What a flight must look like, as in `examples/python/flights/model.py`.
fn flight() -> Record {
    let int = |least: i64, most: i64| Type::int().ge(least).le(most);
    let tailnum = Type::str().pattern("^[ND][0-9A-Z]{3,5}$").nullable();
    Record::new("Flight")
        .field(Field::new("id", Type::int().ge(0)))
        .field(Field::new("year", int(2013, 2013)))
        .field(Field::new("month", int(1, 12)))
        .field(Field::new("day", int(1, 31)))
        .field(Field::new("dep_time", int(1, 2400)))
        .field(Field::new("sched_dep_time", int(0, 2400)))
        .field(Field::new("dep_delay", int(-120, 2880)))
        .field(Field::new("arr_time", int(1, 2400)))
        .field(Field::new("sched_arr_time", int(0, 2400)))
        .field(Field::new("arr_delay", int(-120, 2880)))
        .field(Field::new("carrier", Type::str().pattern("^[A-Z0-9]{2}$")))
        .field(Field::new("flight", int(1, 9999)))
        .field(Field::new("tailnum", tailnum))
        .field(Field::new("origin", Type::one_of(["EWR", "JFK", "LGA"])))
        .field(Field::new("dest", Type::str().pattern("^[A-Z]{3}$")))
        .field(Field::new("air_time", Type::int().gt(0).le(1440)))
        .field(Field::new("distance", Type::int().gt(0).le(12_500)))
        .field(Field::new("hour", int(0, 23)))
        .field(Field::new("minute", int(0, 59)))
        .field(Field::new("time_hour", Type::datetime()))
}

/// The grid over the eight features of each flight, with a field of its arrival delay around it.
fn index(batches: &[RecordBatch]) -> Result<TokenGrid> {
    let (mut ids, mut positions, mut delays) = (Vec::new(), Vec::new(), Vec::new());
    for batch in batches {
        let column = |name: &str| -> Result<&[i64]> {
            let column = batch.column_by_name(name).with_context(|| format!("no column {name}"))?;
            Ok(column.as_primitive::<Int64Type>().values())
        };
        let [id, month, day, hour, minute, dep_delay, arr_delay, air_time, distance] = [
            "id",
            "month",
            "day",
            "hour",
            "minute",
            "dep_delay",
            "arr_delay",
            "air_time",
            "distance",
        ]
        .map(column);
        let (id, month, day, hour, minute) = (id?, month?, day?, hour?, minute?);
        let (dep_delay, arr_delay, air_time, distance) =
            (dep_delay?, arr_delay?, air_time?, distance?);
        for row in 0..batch.num_rows() {
            let clock = TAU * (hour[row] * 60 + minute[row]) as f64 / 1440.0;
            let days = DAYS_BEFORE[month[row] as usize - 1] + day[row] - 1;
            let season = TAU * days as f64 / 365.0;
            positions.push([
                clock.sin() as f32,
                clock.cos() as f32,
                season.sin() as f32,
                season.cos() as f32,
                dep_delay[row] as f32,
                arr_delay[row] as f32,
                air_time[row] as f32,
                distance[row] as f32,
            ]);
            ids.push(id[row] as TokenId);
            delays.push(arr_delay[row] as f32);
        }
    }
    let radii = vec![1.0; ids.len()];
    let batch = TokenBatch::from_rows(ids, positions)?.with_fields(radii, delays)?;
    let options = GridOptions {
        names: AxisNames::new(AXES.map(|(name, _)| name))?,
        scales: Scales::new(AXES.map(|(_, scale)| scale as f32))?,
        ..GridOptions::default()
    };
    Ok(TokenGrid::from_batch(&batch, options)?)
}

const DAYS_BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

fn answer(out: &mut impl Write, grid: &TokenGrid, stages: &mut Stages) -> Result<()> {
    let place = grid.get(NAMED)?.position.0;
    let query = Query::default();

    let near = stages.run("nearest", "queries", || Ok((grid.nearest(&place, 10, &query)?, 1)))?;
    writeln!(out, "\nthe ten flights nearest to flight {NAMED}")?;
    for (id, distance) in near.ids.iter().zip(&near.distances) {
        writeln!(out, "{id:>8} {distance:.3}")?;
    }
    let count = stages
        .run("count within", "queries", || Ok((grid.count_within(&place, RADIUS, &query)?, 1)))?;
    writeln!(out, "\n{count} flights lie within {RADIUS} of it")?;

    let (cells, fullest) = stages.run("cells", "tokens", || {
        let cells = grid.cell_counts();
        let fullest = cells.iter().map(|(_, count)| *count).max();
        Ok(((cells.len(), fullest), grid.len()))
    })?;
    writeln!(out, "\nthe most crowded of {cells} cells holds {} flights", fullest.unwrap_or(0))?;

    let graph = stages.run("ten nearest of all", "queries", || {
        Ok((grid.connect(Connect::Nearest(10), Falloff::Linear, &query)?, grid.len()))
    })?;
    let mut tenth: Vec<(f32, TokenId)> = graph
        .ids
        .iter()
        .zip(graph.indptr.windows(2))
        .filter(|(_, row)| row[1] > row[0])
        .map(|(id, row)| (graph.distances[row[1] as usize - 1], *id))
        .collect();
    tenth.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    writeln!(out, "\nthe most isolated flights, by the distance to their tenth neighbor")?;
    for (distance, id) in tenth.iter().take(10) {
        writeln!(out, "{id:>8} {distance:.3}")?;
    }

    let point = ndarray::aview1(&place).insert_axis(ndarray::Axis(0));
    let influence = stages
        .run("influence", "points", || Ok((grid.influence(point, Falloff::Linear)?[0], 1)))?;
    let density =
        stages.run("density", "points", || Ok((grid.density(point, RADIUS, &query)?[0], 1)))?;
    writeln!(out, "\nat flight {NAMED}: influence {influence:.0}, density {density:.0}")?;
    Ok(())
}
