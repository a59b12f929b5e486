use kiddo::{MutableKdTree, SquaredEuclidean};
use std::num::NonZero;

use ottava_core::Token;
use ottava_spatial::{Falloff, GridOptions, Query, TokenGrid};

use crate::data::{Data, Random, view};
use crate::report::{Figure, Report, Sides, cpu, wall};

const K: NonZero<usize> = NonZero::new(10).unwrap();

pub(crate) fn run(
    data: &Data,
    wants: &impl Fn(&str) -> bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    if wants("live") {
        updates(data, report)?;
        mixed(data, report)?;
    }
    if wants("cell") {
        cells(data, report)?;
    }
    if wants("connections") {
        connections(data, report)?;
    }
    Ok(())
}

fn bulk(data: &Data) -> Result<TokenGrid, ottava_spatial::Error> {
    TokenGrid::from_arrays(&data.ids(), view(&data.points), GridOptions::default())
}

/// Churn of 20 %: inserts, removes and moves, each timed, then queries beside a static index.
fn updates(data: &Data, report: &mut Report) -> anyhow::Result<()> {
    let (n, name) = (data.points.len(), data.name.as_str());
    let mut grid = bulk(data)?;
    let count = n / 10;
    let mut random = Random::new(7);
    // New positions are those of old tokens, a little moved.
    let mut place = || data.points[random.below(n)].map(|x| x * 1.000_1);
    let fresh: Vec<[f32; 8]> = (0..count).map(|_| place()).collect();
    let mut order: Vec<u64> = (0..n as u64).collect();
    for at in (1..n).rev() {
        order.swap(at, random.below(at + 1));
    }

    let mut worst = 0.0_f64;
    let start = std::time::Instant::now();
    let inserts = cpu(|| {
        for (i, position) in fresh.iter().enumerate() {
            let token = Token::new((n + i) as u64, *position);
            worst = worst.max(wall(|| grid.insert(token)));
        }
    });
    let clock = start.elapsed().as_secs_f64();
    let figure = Figure::of(vec![count as f64 / inserts / 1e6]);
    let met = Some(figure.median >= 2.0);
    report.bound(("inserts", name, n), "million/s of CPU", figure, "2", met);
    let figure = Figure::of(vec![count as f64 / clock / 1e6]);
    report.bound(("inserts", name, n), "million/s on the clock", figure, "", None);

    let (returned, discarded) = order[..count].split_at(count / 2);
    let removes = cpu(|| discarded.iter().filter(|&&id| grid.discard(id).is_ok()).count());
    let figure = Figure::of(vec![discarded.len() as f64 / removes / 1e6]);
    let met = Some(figure.median >= 20.0);
    report.bound(("removes", name, n), "million/s of CPU", figure, "20", met);
    let removes = cpu(|| returned.iter().filter(|&&id| grid.remove(id).is_ok()).count());
    let figure = Figure::of(vec![returned.len() as f64 / removes / 1e6]);
    report.bound(("removes, token returned", name, n), "million/s of CPU", figure, "", None);

    let moved = &order[count..2 * count];
    let moves = cpu(|| {
        for (id, position) in moved.iter().zip(&fresh) {
            worst = worst.max(wall(|| grid.move_to(*id, position)));
        }
    });
    let figure = Figure::of(vec![count as f64 / moves / 1e6]);
    report.bound(("moves", name, n), "million/s of CPU", figure, "", None);
    let figure = Figure::of(vec![worst * 1e3]);
    report.bound(("worst pause", name, n), "ms", figure, "at most 1", Some(worst <= 1e-3));

    // Merges go on in the background; queries are measured as they are now.
    let (query, per_query) = (Query::default(), 1e6 / data.queries.len() as f64);
    let tokens: Vec<_> = grid.iter().collect();
    let positions: Vec<[f32; 8]> = tokens.iter().map(|token| token.position.0).collect();
    let ids: Vec<u64> = tokens.iter().map(|token| token.id).collect();
    let fixed = TokenGrid::from_arrays(&ids, view(&positions), GridOptions::default())?;
    let queries = view(&data.queries);
    let same =
        grid.nearest_batch(queries, 10, &query)? == fixed.nearest_batch(queries, 10, &query)?;
    anyhow::ensure!(same, "a changed grid answers as a new one");
    let Sides { ours, theirs } = report.turns(
        || cpu(|| grid.nearest_batch(queries, 10, &query)) * per_query,
        || cpu(|| fixed.nearest_batch(queries, 10, &query)) * per_query,
    );
    let sides = Sides { ours, theirs };
    report.faster(("nearest after churn", name, n), "us", sides, "static index", 0.5);
    Ok(())
}

/// Half updates, half queries.
fn mixed(data: &Data, report: &mut Report) -> anyhow::Result<()> {
    let (n, name) = (data.points.len(), data.name.as_str());
    let steps = data.queries.len();
    let mut grid = bulk(data)?;
    let mut peer = MutableKdTree::<f32, 8>::default();
    for (item, point) in data.points.iter().enumerate() {
        peer.add(point, item as u32).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    }
    let (query, mut random) = (Query::default(), Random::new(8));
    let script: Vec<(usize, usize)> =
        (0..steps).map(|_| (random.below(3), random.below(n))).collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let first = (n + round * steps) as u64;
        let time = cpu(|| {
            let mut found = 0;
            for (step, &(kind, at)) in script.iter().enumerate() {
                let id = first + step as u64;
                if kind == 0 {
                    let _ = grid
                        .remove(at as u64)
                        .map(|token| grid.insert(Token { id: at as u64, ..token }));
                } else {
                    let _ = grid.insert(Token::new(id, data.points[at]));
                }
                found += grid.nearest(&data.queries[step], 10, &query).map_or(0, |f| f.ids.len());
            }
            found
        });
        ours.push(time * 1e6 / (2 * steps) as f64);
        let time = cpu(|| {
            let mut found = 0;
            for (step, &(kind, at)) in script.iter().enumerate() {
                let point = &data.points[at];
                if kind == 0 {
                    peer.remove(point, at as u32);
                    let _ = peer.add(point, at as u32);
                } else {
                    let _ = peer.add(point, (first + step as u64) as u32);
                }
                let near = peer.query(&data.queries[step]).nearest_n::<SquaredEuclidean<f32>>(K);
                found += near.execute().len();
            }
            found
        });
        theirs.push(time * 1e6 / (2 * steps) as f64);
    }
    let sides = Sides { ours: Figure::of(ours), theirs: Figure::of(theirs) };
    let bar = if name == "uniform" { 5.0 } else { 2.5 };
    report.faster(("50/50 updates and nearest", name, n), "us", sides, "kiddo mutable", bar);
    Ok(())
}

fn cells(data: &Data, report: &mut Report) -> anyhow::Result<()> {
    let grid = bulk(data)?;
    grid.cell(&data.queries[0])?; // makes the hash
    let queries = &data.queries;
    let figure = report.repeat(|| {
        let look_up = |q| grid.cell(q).map_or(0, |ids| ids.len());
        cpu(|| queries.iter().map(look_up).sum::<usize>()) * 1e9 / queries.len() as f64
    });
    let met = Some(figure.median <= 20.0);
    let place = ("cell lookup", data.name.as_str(), data.points.len());
    report.bound(place, "ns", figure, "at most 20", met);
    Ok(())
}

fn connections(data: &Data, report: &mut Report) -> anyhow::Result<()> {
    let grid = bulk(data)?;
    let query = Query::default();
    let near = grid.nearest(&data.points[0], 11, &query)?;
    let radius = near.distances.last().copied().unwrap_or(1.0);
    let ids: Vec<u64> = (0..1000.min(data.points.len() as u64)).collect();
    let ask = |id: &u64| {
        grid.connections(*id, radius, Falloff::Linear, &query).map_or(0, |c| c.ids.len())
    };
    let all = || cpu(|| ids.iter().map(ask).sum::<usize>()) * 1e9 / ids.len() as f64;
    let uncached = || {
        grid.clear_cache();
        all()
    };
    let mut slow = Vec::new();
    let mut fast = Vec::new();
    for _ in 0..5 {
        slow.push(uncached());
        fast.push(all());
    }
    let sides = Sides { ours: Figure::of(fast), theirs: Figure::of(slow) };
    let place = ("cached connections", data.name.as_str(), data.points.len());
    report.faster(place, "ns", sides, "uncached", 50.0);
    Ok(())
}
