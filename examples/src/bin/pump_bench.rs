//! Moves bytes between pipes without Python: `ottava-streams` beside a bare loop of the same system call.
//!
//!     cargo run --release -p examples --bin pump_bench -- [--profile small|full] [--json PATH]

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::run()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this benchmark compares with splice(2), which only Linux has");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io::{Read, Write, pipe};
    use std::ops::ControlFlow;
    use std::os::fd::{AsFd, OwnedFd};
    use std::path::PathBuf;
    use std::thread;
    use std::time::Instant;

    use anyhow::{Context, Result, ensure};
    use clap::{Parser, ValueEnum};
    use ottava_streams::{
        Fd, LineBatch, LineOptions, PumpOptions, count_lines, lines, pump, pump_all,
    };
    use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};
    use serde_json::{Value, json};

    const MIB: usize = 1 << 20;

    #[derive(Parser)]
    #[command(about = "Moves bytes between pipes: ottava-streams beside a bare loop")]
    struct Options {
        /// How much to move, how often
        #[arg(long, value_enum, default_value = "small")]
        profile: Profile,
        /// Where to write the results
        #[arg(long)]
        json: Option<PathBuf>,
    }

    #[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
    enum Profile {
        Small,
        Full,
    }

    type Mover = fn(OwnedFd, OwnedFd) -> Result<u64>;

    /// One contender of one round: how many seconds it took.
    type Measure = Box<dyn FnMut() -> Result<f64>>;

    fn bare(read: OwnedFd, write: OwnedFd) -> Result<u64> {
        let mut moved = 0;
        loop {
            match splice(&read, None, &write, None, MIB, SpliceFlags::MOVE)? {
                0 => return Ok(moved),
                n => moved += n as u64,
            }
        }
    }

    fn ours(read: OwnedFd, write: OwnedFd) -> Result<u64> {
        Ok(pump(read, write, &PumpOptions::default())?.bytes)
    }

    fn copying(read: OwnedFd, write: OwnedFd) -> Result<u64> {
        let options = PumpOptions { in_kernel: false, ..PumpOptions::default() };
        Ok(pump(read, write, &options)?.bytes)
    }

    /// A pipe of 1 MiB, whoever uses it.
    fn wide_pipe() -> Result<(OwnedFd, OwnedFd)> {
        let (read, write) = pipe()?;
        let _ = fcntl_setpipe_size(&read, MIB);
        Ok((read.into(), write.into()))
    }

    /// Writes `size` bytes: copies of a buffer, or pages of a file.
    fn produce(write: OwnedFd, size: usize, copies: bool) -> Result<()> {
        if copies {
            let block = vec![7; MIB];
            let mut file = File::from(write);
            for start in (0..size).step_by(MIB) {
                file.write_all(&block[..MIB.min(size - start)])?;
            }
            return Ok(());
        }
        let source = rustix::fs::memfd_create("source", rustix::fs::MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&source, MIB as u64)?;
        let mut left = size;
        while left > 0 {
            let mut start = 0;
            left -=
                splice(&source, Some(&mut start), &write, None, MIB.min(left), SpliceFlags::MOVE)?;
        }
        Ok(())
    }

    fn devour(read: OwnedFd, copies: bool) -> Result<()> {
        if copies {
            let mut buffer = vec![0; 256 << 10];
            let mut file = File::from(read);
            while file.read(&mut buffer)? > 0 {}
            return Ok(());
        }
        let null = File::options().write(true).open("/dev/null")?;
        while splice(&read, None, &null, None, MIB, SpliceFlags::MOVE)? > 0 {}
        Ok(())
    }

    fn between(
        size: usize,
        copies: bool,
        mover: impl FnOnce(OwnedFd, Vec<OwnedFd>) -> Result<u64>,
        sinks: usize,
    ) -> Result<f64> {
        let (source, feed) = wide_pipe()?;
        let (drains, writes): (Vec<_>, Vec<_>) =
            (0..sinks).map(|_| wide_pipe()).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let start = Instant::now();
        let producer = thread::spawn(move || produce(feed, size, copies));
        let consumers: Vec<_> =
            drains.into_iter().map(|read| thread::spawn(move || devour(read, copies))).collect();
        let moved = mover(source, writes)?;
        producer.join().ok().context("the producer panicked")??;
        for consumer in consumers {
            consumer.join().ok().context("a consumer panicked")??;
        }
        ensure!(moved == size as u64, "moved {moved} bytes of {size}");
        Ok(start.elapsed().as_secs_f64())
    }

    const HEAD: &str = "### Rust\n\n\
        | row | contender | GiB/s, median (least to most) |\n|---|---|---|\n";

    struct Table {
        rounds: usize,
        rows: Vec<Value>,
        markdown: String,
    }

    impl Table {
        /// Takes turns, prints the medians, and keeps all.
        fn row(&mut self, name: &str, size: usize, mut work: Vec<(&str, Measure)>) -> Result<()> {
            println!("\n{name}, {} MiB", size / MIB);
            let mut seconds = vec![Vec::new(); work.len()];
            for round in 0..=self.rounds {
                for (taken, (_, measure)) in seconds.iter_mut().zip(&mut work) {
                    let took = measure()?;
                    if round > 0 {
                        taken.push(took);
                    }
                }
            }
            for (taken, (contender, _)) in seconds.iter_mut().zip(&work) {
                taken.sort_by(f64::total_cmp);
                let rate = |s: f64| size as f64 / (1u64 << 30) as f64 / s;
                let (least, median, most) =
                    (taken[0], taken[taken.len() / 2], taken[taken.len() - 1]);
                println!(
                    "  {contender:28} {:8.2} GiB/s  ({:.2} .. {:.2})",
                    rate(median),
                    rate(most),
                    rate(least)
                );
                self.markdown += &format!(
                    "| {name}, {} MiB | {contender} | {:.2} ({:.2} to {:.2}) |\n",
                    size / MIB,
                    rate(median),
                    rate(most),
                    rate(least)
                );
                self.rows.push(json!({
                    "row": name, "contender": contender, "bytes": size, "rounds": self.rounds,
                    "median_s": median, "least_s": least, "most_s": most,
                }));
            }
            Ok(())
        }
    }

    fn one(mover: Mover, size: usize, copies: bool) -> Measure {
        Box::new(move || {
            let only = |read, mut writes: Vec<OwnedFd>| mover(read, writes.remove(0));
            between(size, copies, only, 1)
        })
    }

    fn tee(in_kernel: bool, size: usize) -> Measure {
        Box::new(move || {
            let all = |read, writes: Vec<OwnedFd>| {
                let options = PumpOptions { in_kernel, ..PumpOptions::default() };
                let writes = writes.into_iter().map(Fd::from).collect();
                Ok(pump_all(read, writes, &options)?.bytes)
            };
            between(size, false, all, 2)
        })
    }

    /// Runs `work` on a file of lines of 80 bytes.
    fn on_lines(size: usize, work: fn(&File) -> Result<u64>) -> Result<Measure> {
        let mut file =
            File::from(rustix::fs::memfd_create("lines", rustix::fs::MemfdFlags::CLOEXEC)?);
        let mut block = [b'x'; 80];
        block[79] = b'\n';
        file.write_all(&block.repeat(size / 80))?;
        Ok(Box::new(move || {
            rustix::fs::seek(file.as_fd(), rustix::fs::SeekFrom::Start(0))?;
            let start = Instant::now();
            let counted = work(&file)?;
            ensure!(counted == (size / 80) as u64, "counted {counted} lines of {}", size / 80);
            Ok(start.elapsed().as_secs_f64())
        }))
    }

    fn split(file: &File) -> Result<u64> {
        let mut bytes = 0;
        let mut sink = |batch: LineBatch<'_>| {
            bytes += batch.iter().map(<[u8]>::len).sum::<usize>();
            ControlFlow::Continue(())
        };
        let report = lines(file, &LineOptions::default(), &mut sink)?;
        ensure!(bytes as u64 + report.lines == report.bytes, "a line lost bytes");
        Ok(report.lines)
    }

    fn count(file: &File) -> Result<u64> {
        Ok(count_lines(file, &PumpOptions::default())?.lines)
    }

    fn wc(file: &File) -> Result<u64> {
        let output =
            std::process::Command::new("wc").arg("-l").stdin(file.try_clone()?).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }

    pub(super) fn run() -> Result<()> {
        let options = Options::parse();
        let full = options.profile == Profile::Full;
        let mut table =
            Table { rounds: if full { 9 } else { 3 }, rows: Vec::new(), markdown: HEAD.to_owned() };
        let (copied, spliced) =
            if full { (1024 * MIB, 8192 * MIB) } else { (256 * MIB, 2048 * MIB) };
        for (name, size, copies) in
            [("copying neighbors", copied, true), ("zero-copy neighbors", spliced, false)]
        {
            let contenders = vec![
                ("bare splice loop", one(bare, size, copies)),
                ("pump", one(ours, size, copies)),
                ("pump, read/write", one(copying, size, copies)),
            ];
            table.row(name, size, contenders)?;
        }
        let sinks = vec![("tee", tee(true, copied)), ("read/write", tee(false, copied))];
        table.row("tee to two pipes, zero-copy neighbors", copied, sinks)?;
        let size = copied / 80 * 80;
        let readers = vec![
            ("lines", on_lines(size, split)?),
            ("count_lines", on_lines(size, count)?),
            ("wc -l, a process", on_lines(size, wc)?),
        ];
        table.row("lines of 80 bytes, from a file", size, readers)?;
        if let Some(path) = options.json {
            let whole = json!({ "rows": table.rows, "markdown": table.markdown });
            std::fs::write(path, serde_json::to_string_pretty(&whole)?)?;
        }
        Ok(())
    }
}
