use std::path::Path;
use std::time::Instant;

use anyhow::ensure;
use ottava_core::TokenBatch;
use ottava_spatial::{
    Connect, Falloff, Graph, GridOptions, Metric, OpenOptions, Query, TokenGrid, distances_into,
    pairwise_into,
};

use crate::data::{Data, Random, view};
use crate::peer::{self, Peer};
use crate::report::{Figure, Report, Sides, cpu, wall};
use crate::searches;

/// All-nearest and radius graphs of the first 100 000 tokens, building included.
pub(crate) fn graphs(
    data: &Data,
    wants: &impl Fn(&str) -> bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let rows = ["nearest_graph", "radius_graph"];
    if !rows.into_iter().any(wants) {
        return Ok(());
    }
    let few = data.first(100_000);
    let (n, name, query) = (few.points.len(), few.name.as_str(), Query::default());
    let ids = few.ids();
    let (tuned, batch) = peer::tuned(&few.points, &few.queries, 11)?;
    let kiddo = format!("kiddo bucket {} per point", tuned.bucket());
    let connect = |by| {
        let grid = TokenGrid::from_arrays(&ids, view(&few.points), GridOptions::default());
        grid.and_then(|grid| grid.connect(by, Falloff::Linear, &query))
    };
    let graph = connect(Connect::Nearest(10))?;
    if wants("nearest_graph") {
        check_nearest(&graph, &few, &*tuned)?;
        let sides = report.turns(
            || cpu(|| connect(Connect::Nearest(10))),
            || {
                cpu(|| {
                    let tree = peer::build::<32>(&few.points);
                    tree.map_or(0, |tree| tree.nearest_all(&few.points, 11, batch))
                })
            },
        );
        report.faster(("all-nearest graph, k=10", name, n), "s", sides, &*kiddo, 3.0);
    }
    if wants("radius_graph") {
        let mut radii = graph.distances.clone();
        radii.sort_by(f32::total_cmp);
        let radius = radii[radii.len() / 2];
        check_radius(&connect(Connect::Radius(radius))?, radius, &few, &*tuned)?;
        let sides = report.turns(
            || cpu(|| connect(Connect::Radius(radius))),
            || {
                cpu(|| {
                    let tree = peer::build::<32>(&few.points);
                    tree.map_or(0, |tree| tree.within_all(&few.points, radius * radius))
                })
            },
        );
        report.faster(("radius graph", name, n), "s", sides, &*kiddo, 4.0);
    }
    Ok(())
}

/// Where the connections of a row are.
fn connections(graph: &Graph, row: usize) -> std::ops::Range<usize> {
    graph.indptr[row] as usize..graph.indptr[row + 1] as usize
}

/// Whether two distances of the same pair are equal as far as the order of summation lets them.
fn is_near(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-4 * b.max(1e-6)
}

/// Every token has the distances that the peer finds to its ten nearest; the peer finds the token itself, too, or one at its place.
fn check_nearest(graph: &Graph, data: &Data, peer: &dyn Peer) -> anyhow::Result<()> {
    ensure!(graph.ids.iter().copied().eq(data.ids()), "the graph has other tokens");
    for (row, point) in data.points.iter().enumerate() {
        let found = &graph.distances[connections(graph, row)];
        let expected = peer.nearest(point, 11);
        let same = expected.iter().skip(1).zip(found).all(|((_, d), &a)| is_near(a, d.sqrt()));
        ensure!(same && expected.len() == found.len() + 1, "token {row}: not its nearest");
    }
    Ok(())
}

/// Every token is connected with the tokens that the peer finds, but for those that rounding may put on either side of the radius.
fn check_radius(graph: &Graph, radius: f32, data: &Data, peer: &dyn Peer) -> anyhow::Result<()> {
    ensure!(graph.ids.iter().copied().eq(data.ids()), "the graph has other tokens");
    for (row, point) in data.points.iter().enumerate() {
        let connected = connections(graph, row);
        let mut found: Vec<u64> =
            graph.indices[connected.clone()].iter().map(|&at| graph.ids[at as usize]).collect();
        let mut expected: Vec<u64> = Vec::new();
        for (id, square) in peer.within(point, (radius * 1.001).powi(2)) {
            let distance = square.sqrt();
            if is_near(distance, radius) {
                found.retain(|&other| other != id);
            } else if distance < radius && id != row as u64 {
                expected.push(id);
            }
        }
        found.sort_unstable();
        expected.sort_unstable();
        ensure!(found == expected, "token {row}: not what is within the radius");
        let far = graph.distances[connected].iter().find(|&&distance| distance > radius);
        ensure!(far.is_none(), "token {row}: a connection of length {far:?}");
    }
    Ok(())
}

/// What is compared with the machine, or with the formula.
pub(crate) fn machine(
    data: &Data,
    wants: &impl Fn(&str) -> bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    if wants("distances") {
        one_to_many(data, report)?;
    }
    if wants("pairwise") {
        all_pairs(data, report)?;
    }
    if wants("influence") {
        influence(data, report)?;
    }
    if wants("snapshot") {
        snapshot(data, report)?;
    }
    Ok(())
}

/// Reads memory as fast as plain code can: sixteen sums of 64-bit words.
fn read_all(bytes: &[[f32; 8]]) -> u64 {
    let mut sums = [0_u64; 16];
    for chunk in bytes.as_flattened().chunks_exact(32) {
        for (i, sum) in sums.iter_mut().enumerate() {
            let (a, b) = (chunk[2 * i].to_bits(), chunk[2 * i + 1].to_bits());
            *sum ^= u64::from(a) | u64::from(b) << 32;
        }
    }
    sums.iter().fold(0, |all, sum| all ^ sum)
}

fn one_to_many(data: &Data, report: &mut Report) -> anyhow::Result<()> {
    let (n, points) = (data.points.len(), &data.points);
    let mut out = vec![0.0; n];
    let q = data.queries[0];
    distances_into(&q, view(points), &Metric::Euclidean, &mut out)?;
    let bytes = (n * 32) as f64 / 1e9;
    let Sides { ours, theirs } = report.turns(
        || bytes / cpu(|| distances_into(&q, view(points), &Metric::Euclidean, &mut out)),
        || bytes / cpu(|| read_all(points)),
    );
    let share = ours.median / theirs.median;
    let per_pair = Figure::of(vec![32.0 / ours.median]);
    report.bound(("distances, one to many", &data.name, n), "ns a pair", per_pair, "", None);
    let bar = format!("80 % of {:.1}: {:.0} %", theirs.median, 100.0 * share);
    report.bound(("distances, one to many", &data.name, n), "GB/s", ours, bar, Some(share >= 0.8));
    Ok(())
}

fn all_pairs(data: &Data, report: &mut Report) -> anyhow::Result<()> {
    let points = &data.points[..data.points.len().min(10_000)];
    let pairs = points.len() * points.len();
    let mut out = vec![0.0; pairs];
    let figure = report.repeat(|| {
        let pairwise = || pairwise_into(view(points), view(points), &Metric::Euclidean, &mut out);
        cpu(pairwise) * 1e9 / pairs as f64
    });
    let place = ("pairwise", data.name.as_str(), points.len());
    report.bound(place, "ns a pair", figure, "", None);
    Ok(())
}

/// 100 000 sources at 10 000 points, against the sum over all sources.
fn influence(data: &Data, report: &mut Report) -> anyhow::Result<()> {
    let few = data.first(100_000);
    let n = few.points.len();
    let ids = few.ids();
    let batch = TokenBatch::from_rows(&ids[..], &few.points[..])?
        .with_fields(vec![0.25; n], vec![1.0; n])?;
    let grid = TokenGrid::from_batch(&batch, GridOptions::default())?;
    let points = view(&few.queries);
    let sum = |q: &[f32; 8]| {
        let mut all = vec![0.0; n];
        let _ = distances_into(q, view(&few.points), &Metric::Euclidean, &mut all);
        let term = |d: &f32| if *d <= 0.25 { 1.0 - f64::from(*d) / 0.25 } else { 0.0 };
        all.iter().map(term).sum::<f64>()
    };
    let found = grid.influence(points, Falloff::Linear)?;
    for (q, found) in few.queries.iter().zip(&found).take(50) {
        let expected = sum(q);
        ensure!((f64::from(*found) - expected).abs() <= 1e-5 * expected.max(1.0));
    }
    let per_point = 1e6 / few.queries.len() as f64;
    let sides = report.turns(
        || cpu(|| grid.influence(points, Falloff::Linear)) * per_point,
        || cpu(|| few.queries[..100].iter().map(&sum).sum::<f64>()) * 1e6 / 100.0,
    );
    // numpy's broadcast is slower than this brute force; the bar of 50 x is against numpy.
    report.faster(("influence", &few.name, n), "us", sides, "brute force with SIMD", 1.0);
    Ok(())
}

fn snapshot(data: &Data, report: &mut Report) -> anyhow::Result<()> {
    let n = data.points.len();
    let name = data.name.as_str();
    let grid = TokenGrid::from_arrays(&data.ids(), view(&data.points), GridOptions::default())?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("grid.ottava");
    grid.save(&path)?;
    let len = std::fs::metadata(&path)?.len();
    let noise: Vec<u8> = {
        let mut random = Random::new(9);
        (0..len / 8).flat_map(|_| random.bits().to_le_bytes()).collect()
    };
    let plain = folder.path().join("plain");
    let write = || -> std::io::Result<()> {
        use std::io::Write;
        let mut file = std::fs::File::create(&plain)?;
        file.write_all(&noise)?;
        file.sync_all()
    };
    let gigabytes = len as f64 / 1e9;
    let sides = report.turns(|| wall(|| grid.save(&path)), || wall(write));
    report.faster(("snapshot save", name, n), "s on the clock", sides, "write and sync", 0.8);
    let figure = Figure::of(vec![gigabytes]);
    report.bound(("snapshot size", name, n), "GB", figure, "", None);
    drop(grid);
    opening(&path, data, report)
}

/// Opening a snapshot, and the first query on the map of it.
fn opening(path: &Path, data: &Data, report: &mut Report) -> anyhow::Result<()> {
    let (n, name, query) = (data.points.len(), data.name.as_str(), Query::default());
    let (mut opening, mut first) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let start = Instant::now();
        let grid = TokenGrid::open(path, OpenOptions::default())?;
        opening.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        grid.nearest(&data.queries[round], 10, &query)?;
        first.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let (opening, first) = (Figure::of(opening), Figure::of(first));
    let met = Some(opening.median < 10.0);
    report.bound(("snapshot open", name, n), "ms on the clock", opening, "under 10", met);
    let met = Some(first.median < 1.0);
    report.bound(("first query on the map", name, n), "ms on the clock", first, "under 1", met);
    Ok(())
}

/// Ten million tokens: load, nearest, and opening a snapshot of them.
pub(crate) fn survivors(
    kind: &str,
    wants: &impl Fn(&str) -> bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    if !wants("survivors") {
        return Ok(());
    }
    let data = Data::synthetic(kind, 10_000_000, 10_000)?;
    println!("{}: {} tokens, {} queries", data.name, data.points.len(), data.queries.len());
    let (n, ids, query) = (data.points.len(), data.ids(), Query::default());
    let build = || TokenGrid::from_arrays(&ids, view(&data.points), GridOptions::default());
    let (mut grid, mut peer) = (None, None);
    let ours = cpu(|| grid = build().ok());
    let theirs = cpu(|| peer = peer::build::<32>(&data.points).ok());
    let (Some(grid), Some(peer)) = (grid, peer) else { anyhow::bail!("no index over {n} tokens") };
    let sides = Sides { ours: Figure::of(vec![ours]), theirs: Figure::of(vec![theirs]) };
    report.faster(("bulk load", kind, n), "s", sides, "kiddo bucket 32", 1.0);
    let memory = grid.memory();
    let per_token = (memory.tokens + memory.index) as f64 / n as f64 - 40.0;
    let met = Some(per_token < 64.0);
    let figure = Figure::of(vec![per_token]);
    report.bound(("index over data", kind, n), "bytes/token", figure, "under 64", met);

    let queries = view(&data.queries);
    let table = grid.nearest_batch(queries, 10, &query)?;
    searches::check(&data, &table, &*peer)?;
    let per_query = 1e6 / data.queries.len() as f64;
    let sides = report.turns(
        || cpu(|| grid.nearest_batch(queries, 10, &query)) * per_query,
        || cpu(|| peer.nearest_all(&data.queries, 10, true)) * per_query,
    );
    let bar = if kind == "uniform" { 3.4 } else { 3.0 };
    report.faster(("nearest k=10", kind, n), "us", sides, "kiddo bucket 32 batch", bar);
    drop(peer);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("grid.ottava");
    grid.save(&path)?;
    drop(grid);
    opening(&path, &data, report)
}
