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
        for share in [10, 50, 90] {
            mixed(data, share, report)?;
        }
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

    let start = std::time::Instant::now();
    let tokens = fresh.iter().enumerate().map(|(i, p)| Token::new((n + i) as u64, *p));
    let inserts = cpu(|| tokens.filter(|&token| grid.insert(token).is_ok()).count());
    let clock = start.elapsed().as_secs_f64();
    let figure = Figure::of(vec![count as f64 / inserts / 1e6]);
    let met = Some(figure.median >= 2.0);
    report.bound(("inserts", name, n), "million/s of CPU", figure, "2", met);
    let figure = Figure::of(vec![count as f64 / clock / 1e6]);
    report.bound(("inserts", name, n), "million/s on the clock", figure, "", None);

    let (discarded, returned) = (&order[..count], &order[2 * count..2 * count + count / 2]);
    let removes = cpu(|| discarded.iter().filter(|&&id| grid.discard(id).is_ok()).count());
    let figure = Figure::of(vec![discarded.len() as f64 / removes / 1e6]);
    let met = Some(figure.median >= 20.0);
    report.bound(("removes", name, n), "million/s of CPU", figure, "20", met);
    let removes = cpu(|| returned.iter().filter(|&&id| grid.remove(id).is_ok()).count());
    let figure = Figure::of(vec![returned.len() as f64 / removes / 1e6]);
    report.bound(("removes, token returned", name, n), "million/s of CPU", figure, "", None);

    let moved = &order[count..2 * count];
    let move_all =
        || moved.iter().zip(&fresh).filter(|(id, p)| grid.move_to(**id, p).is_ok()).count();
    let moves = cpu(move_all);
    let figure = Figure::of(vec![count as f64 / moves / 1e6]);
    report.bound(("moves", name, n), "million/s of CPU", figure, "", None);
    pauses(data, &mut grid, report)?;

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

/// Every change timed by itself: a fifth of the tokens again, inserted, moved and removed.
fn pauses(data: &Data, grid: &mut TokenGrid, report: &mut Report) -> anyhow::Result<()> {
    let (n, name) = (data.points.len(), data.name.as_str());
    let (mut busy, mut clock) = (0.0_f64, 0.0_f64);
    let mut watch = |change: &mut dyn FnMut() -> bool| {
        let mut took = 0.0;
        clock = clock.max(wall(|| took = cpu(change)));
        busy = busy.max(took);
    };
    for step in 0..n / 10 {
        let (id, place) = ((4 * n + step) as u64, &data.points[(step * 7) % n]);
        watch(&mut || grid.insert(Token::new(id, *place)).is_ok());
        watch(&mut || grid.move_to(id, &data.points[(step * 11) % n]).is_ok());
        if step % 2 == 0 {
            watch(&mut || grid.discard(id).is_ok());
        }
    }
    let figure = Figure::of(vec![busy * 1e3]);
    report.bound(("worst pause", name, n), "ms of CPU", figure, "at most 1", Some(busy <= 1e-3));
    let figure = Figure::of(vec![clock * 1e3]);
    report.bound(("worst pause, scheduler included", name, n), "ms on the clock", figure, "", None);
    Ok(())
}

/// Updates and queries, this many of a hundred updates: half of them inserts, half a removal and an insert of the same token.
fn mixed(data: &Data, share: usize, report: &mut Report) -> anyhow::Result<()> {
    let (n, name) = (data.points.len(), data.name.as_str());
    let steps = data.queries.len();
    let mut grid = bulk(data)?;
    let mut peer = MutableKdTree::<f32, 8>::default();
    for (item, point) in data.points.iter().enumerate() {
        peer.add(point, item as u32).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    }
    let (query, mut random) = (Query::default(), Random::new(8));
    let script: Vec<Step> = (0..steps)
        .map(|step| match (random.below(100) < share, random.below(2)) {
            (false, _) => Step::Ask(step),
            (true, 0) => Step::Again(random.below(n)),
            _ => Step::Insert(random.below(n)),
        })
        .collect();
    let nearest = |peer: &MutableKdTree<f32, 8>, q: &[f32; 8]| {
        let near = peer.query(q).nearest_n::<SquaredEuclidean<f32>>(K).execute();
        near.iter().map(|found| found.distance).collect::<Vec<_>>()
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let first = (n + round * steps) as u64;
        let time = cpu(|| {
            let mut found = 0;
            for (id, step) in (first..).zip(&script) {
                match *step {
                    Step::Ask(at) => {
                        let near = grid.nearest(&data.queries[at], 10, &query);
                        found += near.map_or(0, |near| near.ids.len());
                    }
                    Step::Again(at) => {
                        let removed = grid.remove(at as u64);
                        let _ = removed.map(|token| grid.insert(token));
                    }
                    Step::Insert(at) => {
                        let _ = grid.insert(Token::new(id, data.points[at]));
                    }
                }
            }
            found
        });
        ours.push(time * 1e6 / steps as f64);
        let time = cpu(|| {
            let mut found = 0;
            for (id, step) in (first..).zip(&script) {
                match *step {
                    Step::Ask(at) => {
                        let near = peer.query(&data.queries[at]);
                        found += near.nearest_n::<SquaredEuclidean<f32>>(K).execute().len();
                    }
                    Step::Again(at) => {
                        peer.remove(&data.points[at], at as u32);
                        let _ = peer.add(&data.points[at], at as u32);
                    }
                    Step::Insert(at) => {
                        let _ = peer.add(&data.points[at], id as u32);
                    }
                }
            }
            found
        });
        theirs.push(time * 1e6 / steps as f64);
    }
    for q in data.queries.iter().take(100) {
        let near = grid.nearest(q, 10, &query)?.distances;
        let same = near.iter().zip(nearest(&peer, q)).all(|(a, square)| {
            let b = square.sqrt();
            (a - b).abs() <= 1e-4 * b.max(1e-6)
        });
        anyhow::ensure!(same && near.len() == 10, "the changed grid answers as kiddo");
    }
    let sides = Sides { ours: Figure::of(ours), theirs: Figure::of(theirs) };
    let bar = (share == 50).then_some(if name == "uniform" { 5.0 } else { 2.5 });
    let row = format!("{share} % updates, the rest nearest");
    report.faster((&row, name, n), "us a step", sides, "kiddo mutable", bar);
    Ok(())
}

/// What a mixed load does next.
enum Step {
    /// The nearest to a query.
    Ask(usize),
    /// Removes a token and inserts it again.
    Again(usize),
    /// Inserts a new token at the place of another.
    Insert(usize),
}

fn cells(data: &Data, report: &mut Report) -> anyhow::Result<()> {
    let grid = bulk(data)?;
    grid.cell(&data.queries[0])?; // makes the hash
    let queries = &data.queries;
    let place = |row| (row, data.name.as_str(), data.points.len());
    let per_query = 1e9 / queries.len() as f64;
    let figure = report.repeat(|| {
        let look_up = |q| grid.cell_ids(q).map_or(0, |ids| ids.len());
        cpu(|| queries.iter().map(look_up).sum::<usize>()) * per_query
    });
    let met = Some(figure.median <= 20.0);
    report.bound(place("cell lookup, borrowed"), "ns", figure, "at most 20", met);
    let figure = report.repeat(|| {
        let look_up = |q| grid.cell(q).map_or(0, |ids| ids.len());
        cpu(|| queries.iter().map(look_up).sum::<usize>()) * per_query
    });
    report.bound(place("cell lookup, copied and sorted"), "ns", figure, "", None);
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
        // They are asked again and again, as a cache is.
        fast.push((0..10).map(|_| all()).sum::<f64>() / 10.0);
    }
    let sides = Sides { ours: Figure::of(fast), theirs: Figure::of(slow) };
    let place = ("cached connections", data.name.as_str(), data.points.len());
    report.faster(place, "ns", sides, "uncached", 50.0);
    Ok(())
}
