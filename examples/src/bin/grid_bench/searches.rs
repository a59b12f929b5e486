use anyhow::ensure;
use ottava_spatial::{GridOptions, Metric, NeighborTable, Query, TokenGrid, distances};

use crate::data::{Data, view};
use crate::peer::{self, Peer};
use crate::report::{Figure, Report, cpu, wall};

const K: usize = 10;

pub(crate) fn run(
    data: &Data,
    wants: &impl Fn(&str) -> bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let rows = ["nearest", "arrival", "far", "small", "within", "count", "threads", "build"];
    if !rows.into_iter().any(wants) {
        return Ok(());
    }
    let (n, name) = (data.points.len(), data.name.as_str());
    let (queries, query) = (&data.queries, Query::default());
    let per_query = 1e6 / queries.len() as f64;
    let ids = data.ids();
    let grid = TokenGrid::from_arrays(&ids, view(&data.points), GridOptions::default())?;
    let (peer, batch) = peer::tuned(&data.points, queries, K)?;
    let kiddo = format!("kiddo bucket {}{}", peer.bucket(), if batch { " batch" } else { "" });
    let table = grid.nearest_batch(view(queries), K, &query)?;
    check(data, &table, &*peer)?;
    let bars = |uniform: f64, clusters: f64, real: f64| match name {
        "uniform" => uniform,
        "clusters" => clusters,
        _ => real,
    };

    if wants("nearest") {
        let sides = report.turns(
            || cpu(|| grid.nearest_batch(view(queries), K, &query)) * per_query,
            || cpu(|| peer.nearest_all(queries, K, batch)) * per_query,
        );
        report.faster(("nearest k=10", name, n), "us", sides, &*kiddo, bars(3.4, 3.0, 5.0));
    }
    if wants("arrival") {
        let ask = || queries.iter().map(|q| grid.nearest(q, K, &query).map_or(0, |f| f.ids.len()));
        let sides = report.turns(
            || cpu(|| ask().sum::<usize>()) * per_query,
            || cpu(|| peer.nearest_all(queries, K, false)) * per_query,
        );
        report.faster(("arrival k=10", name, n), "us", sides, &*kiddo, bars(2.5, 2.0, 4.0));
    }
    if wants("far") {
        let (lo, hi) = grid.bounds().unwrap_or_default();
        let away = |q: &[f32; 8]| std::array::from_fn(|a| q[a] + 10.0 * (hi[a] - lo[a]));
        let far: Vec<[f32; 8]> = queries.iter().take(1000).map(away).collect();
        let per_far = 1e6 / far.len() as f64;
        let sides = report.turns(
            || cpu(|| grid.nearest_batch(view(&far), K, &query)) * per_far,
            || cpu(|| peer.nearest_all(&far, K, batch)) * per_far,
        );
        report.faster(("far k=10", name, n), "us", sides, &*kiddo, 10.0);
    }
    if wants("small") {
        small(data, report)?;
    }

    // The radius with 10 hits at the median query.
    let mut radii: Vec<f32> =
        table.distances.chunks(table.k).map(|row| row[row.len() - 1]).collect();
    radii.sort_by(f32::total_cmp);
    let radius = radii[radii.len() / 2];
    let peer_within = || cpu(|| peer.within_all(queries, radius * radius)) * per_query;
    if wants("within") {
        let unsorted = query.sort(false);
        let sides = report.turns(
            || cpu(|| grid.within_batch(view(queries), radius, &unsorted)) * per_query,
            peer_within,
        );
        report.faster(("within, 10 hits", name, n), "us", sides, &*kiddo, 4.0);
    }
    if wants("count") {
        let sides = report.turns(
            || cpu(|| grid.count_within_batch(view(queries), radius, &query)) * per_query,
            peer_within,
        );
        report.faster(("count within", name, n), "us", sides, &*kiddo, 6.0);
    }
    if wants("build") {
        let build = || TokenGrid::from_arrays(&ids, view(&data.points), GridOptions::default());
        let sides = report.turns(
            || cpu(build),
            || cpu(|| peer::build::<32>(&data.points).map(|tree| tree.bucket())),
        );
        report.faster(("bulk load", name, n), "s", sides, "kiddo bucket 32", 1.0);
        let memory = grid.memory();
        let per_token = (memory.tokens + memory.index) as f64 / n as f64 - 40.0;
        let figure = Figure::of(vec![per_token]);
        let met = Some(per_token < 64.0);
        report.bound(("index over data", name, n), "bytes/token", figure, "under 64", met);
    }
    if wants("threads") {
        threads(data, &grid, report)?;
    }
    Ok(())
}

/// Our answers are those of brute force, and those of the peer as far as rounding lets them.
pub(crate) fn check(data: &Data, table: &NeighborTable, peer: &dyn Peer) -> anyhow::Result<()> {
    let row = |i: usize| i * table.k..(i + 1) * table.k;
    for (i, query) in data.queries.iter().enumerate() {
        let ours = &table.distances[row(i)];
        for (a, (_, square)) in ours.iter().zip(peer.nearest(query, K)) {
            let b = square.sqrt();
            ensure!((a - b).abs() <= 1e-4 * b.max(1e-6), "query {i}: {a} beside kiddo's {b}");
        }
    }
    for (i, query) in data.queries.iter().enumerate().take(20) {
        let all = distances(query, view(&data.points), &Metric::Euclidean)?;
        let mut ranked: Vec<_> = (0_u64..).zip(all).collect();
        ranked.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        let ours = table.ids[row(i)].iter().copied().zip(table.distances[row(i)].iter().copied());
        ensure!(ours.eq(ranked.into_iter().take(table.k)), "query {i}: not the nearest");
    }
    Ok(())
}

fn small(data: &Data, report: &mut Report) -> anyhow::Result<()> {
    let few = data.first(10_000);
    let (ids, query) = (few.ids(), Query::default());
    let grid = TokenGrid::from_arrays(&ids, view(&few.points), GridOptions::default())?;
    let (peer, _) = peer::tuned(&few.points, &few.queries, 1)?;
    let per_query = 1e6 / few.queries.len() as f64;
    let kiddo = format!("kiddo bucket {} nearest_one", peer.bucket());
    let sides = report.turns(
        || cpu(|| grid.nearest_batch(view(&few.queries), 1, &query)) * per_query,
        || cpu(|| peer.nearest_one(&few.queries)) * per_query,
    );
    report.faster(("nearest k=1", &few.name, few.points.len()), "us", sides, kiddo, 1.0);
    Ok(())
}

fn threads(data: &Data, grid: &TokenGrid, report: &mut Report) -> anyhow::Result<()> {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let (one, two) = (pool(1)?, pool(2)?);
    let query = Query::default();
    let ask = || wall(|| grid.nearest_batch(view(&data.queries), K, &query));
    let sides = report.turns(|| two.install(ask), || one.install(ask));
    let place = ("two threads, nearest", data.name.as_str(), data.points.len());
    report.faster(place, "s on the clock", sides, "one thread", 1.8);
    let ids = data.ids();
    let build =
        || wall(|| TokenGrid::from_arrays(&ids, view(&data.points), GridOptions::default()));
    let sides = report.turns(|| two.install(build), || one.install(build));
    let place = ("two threads, bulk load", data.name.as_str(), data.points.len());
    report.faster(place, "s on the clock", sides, "one thread", 1.8);
    Ok(())
}
