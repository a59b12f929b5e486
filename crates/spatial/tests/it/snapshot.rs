//! Snapshots: what was saved is what is opened, and a damaged file is refused.

use std::fs;

use ottava_core::{AxisNames, AxisSet, Scales, Token, TokenBatch};
use ottava_spatial::{
    Connect, Error, Falloff, GridOptions, Metric, OpenOptions, Query, TokenGrid, Verify, Whitening,
};

use proptest::prelude::RngExt;

use crate::data::{Shape, points, rng};
use crate::queries::view;

const OPEN: [OpenOptions; 4] = [
    OpenOptions { mmap: true, verify: Verify::Full },
    OpenOptions { mmap: true, verify: Verify::Layout },
    OpenOptions { mmap: false, verify: Verify::Auto },
    OpenOptions { mmap: true, verify: Verify::AsRead },
];

fn grid(n: usize, metric: Metric) -> TokenGrid {
    let mut rng = rng(5);
    let data = points(Shape::Clustered, n, &mut rng);
    let ids: Vec<u64> =
        (0..n as u64).map(|i| (i * 37) % (n as u64).next_power_of_two() + 5).collect();
    let batch = TokenBatch::from_rows(&ids[..], &data[..])
        .unwrap()
        .with_weights((0..n).map(|i| i as f32).collect::<Vec<_>>())
        .unwrap()
        .with_fields(vec![0.25; n], vec![2.0; n])
        .unwrap();
    let names = AxisNames::new(["a", "b", "c", "d", "e", "f", "g", "long name"]).unwrap();
    let mut options = GridOptions { names, metric, ..GridOptions::default() };
    if options.metric == Metric::Euclidean {
        options.scales = Scales::new([1.0, 2.0, 0.5, 1.0, 1.0, 3.0, 1.0, 1.0]).unwrap();
        options.axes = AxisSet::new(&[0, 1, 2, 3, 5, 6, 7]).unwrap();
    }
    TokenGrid::from_batch(&batch, options).unwrap()
}

fn assert_same(a: &TokenGrid, b: &TokenGrid) {
    assert!(a.iter().eq(b.iter()));
    assert_eq!(a.options().names, b.options().names);
    assert_eq!(a.options().metric, b.options().metric);
    assert_eq!(a.cell_size(), b.cell_size());
    let probes = points(Shape::Clustered, 50, &mut rng(6));
    let query = Query::default();
    let ask = |grid: &TokenGrid| grid.nearest_batch(view(&probes), 7, &query).unwrap();
    assert_eq!(ask(a), ask(b));
    let falloff = ottava_spatial::Falloff::Gaussian;
    assert_eq!(
        a.influence(view(&probes), falloff).unwrap(),
        b.influence(view(&probes), falloff).unwrap()
    );
    for token in a.iter().take(20) {
        assert_eq!(b.get(token.id).unwrap(), token);
    }
    assert!(!b.contains(u64::MAX - 1));
}

#[test]
fn opens_what_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.ottava");
    let data = points(Shape::Clustered, 500, &mut rng(5));
    let whitening = Whitening::from_positions(view(&data)).unwrap();
    for metric in [Metric::Euclidean, Metric::Manhattan, Metric::Mahalanobis(whitening)] {
        for n in [0, 1, 16, 17, 500] {
            let mut grid = grid(n, metric.clone());
            for step in 0..3 {
                grid.save(&path).unwrap();
                for options in OPEN {
                    let opened = TokenGrid::open(&path, options).unwrap();
                    assert_same(&grid, &opened);
                    opened.intact().unwrap();
                    opened.verify().unwrap();
                    // Nothing was copied from the map.
                    assert!(!options.mmap || opened.memory().tokens == 0);
                }
                // The second round saves a grid with holes, the third one that was mapped.
                if step == 1 {
                    grid = TokenGrid::open(&path, OpenOptions::default()).unwrap();
                }
                if n > 1 {
                    let id = grid.ids()[n / 2];
                    grid.remove(id).unwrap();
                    grid.insert(Token::new(1 << 40 | step, [0.5; 8])).unwrap();
                    grid.insert(Token::new(id, [0.75; 8])).unwrap();
                    assert_eq!(grid.get(id).unwrap().position.0, [0.75; 8]);
                    assert_eq!(grid.len(), n + 1 + step as usize);
                }
            }
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.ottava");
    grid(20, Metric::Euclidean).save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    for len in (0..whole.len()).rev() {
        file.set_len(len as u64).unwrap();
        for options in OPEN {
            match TokenGrid::open(&path, options) {
                Err(Error::Snapshot { section, .. }) => assert_eq!(section, "header", "{len}"),
                other => panic!("{len}: {other:?}"),
            }
        }
    }
    let longer = [&whole[..], &[0]].concat();
    fs::write(&path, longer).unwrap();
    assert!(TokenGrid::open(&path, OpenOptions::default()).is_err());
}

#[test]
#[cfg(unix)]
fn every_flipped_bit_is_refused() {
    use std::os::unix::fs::FileExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.ottava");
    grid(20, Metric::Euclidean).save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let write = |at: usize, byte: u8| file.write_all_at(&[byte], at as u64).unwrap();
    let mut sections = std::collections::BTreeSet::new();
    for bit in 0..8 * bytes.len() {
        let (at, whole) = (bit / 8, bytes[bit / 8]);
        write(at, whole ^ 1 << (bit % 8));
        match TokenGrid::open(&path, OpenOptions::default()) {
            Err(Error::Snapshot { section, .. }) => {
                sections.insert(section);
            }
            other => panic!("bit {bit}: {other:?}"),
        }
        // Without checksums of the arrays an answer may differ, but nothing breaks.
        if bit % 13 == 0
            && let Ok(grid) = TokenGrid::open(&path, OPEN[1])
        {
            let query = Query::default();
            let _ = grid.nearest(&[0.5; 8], 3, &query).map(|found| found.ids.len());
            let _ = grid.connect(ottava_spatial::Connect::Nearest(3), Default::default(), &query);
            let _ = grid.influence(view(&[[0.5; 8]]), Default::default());
            let _ = grid.box_query(&[-1.0; 8], &[1.0; 8], &query);
            let _ = (grid.contains(7), grid.occupied_cells().len(), grid.bounds());
            assert!(grid.verify().is_err(), "bit {bit}");
        }
        write(at, whole);
    }
    let named: Vec<_> = sections.iter().map(String::as_str).collect();
    let all = "by_id checksums fields header ids leaves nodes options positions radii reach sections slots weights";
    assert_eq!(named.join(" "), all);
}

/// What a grid answers, or the error instead.
type Ask = fn(&mut TokenGrid) -> Result<String, Error>;

/// Every way to read a grid.
fn asks() -> Vec<Ask> {
    fn text<T: std::fmt::Debug>(answer: T) -> String {
        format!("{answer:?}")
    }
    // The calls that cannot fail.
    fn intact<T: std::fmt::Debug>(grid: &TokenGrid, answer: T) -> Result<String, Error> {
        grid.intact().map(|()| text(answer))
    }
    vec![
        |grid| grid.nearest(&[0.4; 8], 7, &Query::default()).map(text),
        |grid| grid.within(&[0.6; 8], 0.3, &Query::default()).map(text),
        |grid| grid.count_within(&[0.5; 8], 0.5, &Query::default()).map(text),
        |grid| grid.box_query(&[0.2; 8], &[0.9; 8], &Query::default()).map(text),
        |grid| grid.nearest_batch(view(&[[0.1; 8], [0.9; 8]]), 3, &Query::default()).map(text),
        |grid| grid.within_batch(view(&[[0.1; 8], [0.9; 8]]), 0.4, &Query::default()).map(text),
        |grid| grid.connections(42, 0.2, Falloff::Linear, &Query::default()).map(text),
        |grid| grid.connect(Connect::Nearest(2), Falloff::Linear, &Query::default()).map(text),
        |grid| grid.influence(view(&[[0.5; 8]]), Falloff::Linear).map(text),
        |grid| grid.influence_gradient(view(&[[0.5; 8]]), Falloff::Linear).map(text),
        |grid| grid.density(view(&[[0.5; 8]]), 0.5, &Query::default()).map(text),
        |grid| grid.cell(&[0.5; 8]).map(text),
        |grid| grid.get(42).map(text),
        |grid| grid.filter_deny(&[42, 79]).map(|filter| text(filter.count())),
        |grid| grid.move_to(42, &[0.25; 8]).and_then(|()| grid.get(42)).map(text),
        |grid| grid.remove(79).map(text),
        |grid| grid.insert(Token::new(1 << 50, [0.5; 8])).map(text),
        |grid| {
            grid.insert(Token::new(42, [0.5; 8])).map(text).or_else(|error| match error {
                Error::DuplicateId { .. } => Ok(text(error)),
                other => Err(other),
            })
        },
        |grid| intact(grid, grid.ids()),
        |grid| intact(grid, grid.positions()),
        |grid| intact(grid, grid.bounds()),
        |grid| intact(grid, grid.iter().collect::<Vec<_>>()),
        |grid| intact(grid, grid.contains(79)),
        |grid| intact(grid, grid.occupied_cells()),
        |grid| {
            grid.optimize();
            grid.nearest(&[0.4; 8], 7, &Query::default()).map(text)
        },
    ]
}

#[test]
#[cfg(unix)]
fn no_answer_comes_from_a_flipped_bit() {
    use std::os::unix::fs::FileExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.ottava");
    grid(3000, Metric::Euclidean).save(&path).unwrap();
    let open = || TokenGrid::open(&path, OPEN[3]);
    let right: Vec<_> = asks().iter().map(|ask| ask(&mut open().unwrap()).unwrap()).collect();
    let bytes = fs::read(&path).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let write = |at: usize, byte: u8| file.write_all_at(&[byte], at as u64).unwrap();
    let mut rng = rng(11);
    let (mut refused, mut answered) = (0, 0);
    for _ in 0..60 {
        let (at, bit) = (rng.random_range(0..bytes.len()), rng.random_range(0..8));
        write(at, bytes[at] ^ 1 << bit);
        let section = match TokenGrid::open(&path, OPEN[0]).unwrap_err() {
            Error::Snapshot { section, .. } => section,
            other => panic!("{at}: {other:?}"),
        };
        for (number, (ask, right)) in asks().iter().zip(&right).enumerate() {
            match open().and_then(|mut grid| {
                let answer = ask(&mut grid);
                // It stays refused.
                assert!(answer.is_ok() || grid.nearest(&[0.4; 8], 1, &Query::default()).is_err());
                assert!(answer.is_ok() || grid.intact().is_err());
                answer
            }) {
                Ok(answer) => {
                    assert_eq!(answer, *right, "byte {at}, question {number}");
                    answered += 1;
                }
                Err(Error::Snapshot { section: named, problem, .. }) => {
                    assert_eq!((named, &*problem), (section.clone(), "checksum mismatch"));
                    refused += 1;
                }
                Err(other) => panic!("byte {at}, question {number}: {other:?}"),
            }
        }
        write(at, bytes[at]);
    }
    assert!(refused > 200 && answered > 200, "{refused} {answered}");
}

#[test]
fn connecting_damaged_tokens_names_the_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.ottava");
    let whole = grid(50, Metric::Euclidean);
    whole.save(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let row = bytemuck::bytes_of(&whole.iter().nth(17).unwrap().position.0).to_vec();
    let at = (0..bytes.len()).step_by(4).find(|&at| bytes[at..].starts_with(&row)).unwrap();
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let damaged = TokenGrid::open(&path, OPEN[1]).unwrap();
    let connected =
        damaged.connect(ottava_spatial::Connect::Nearest(3), Default::default(), &Query::default());
    let wanted = "section positions: row 17, axis 0: coordinate NaN is not finite or beyond 2^61";
    assert_eq!(connected.unwrap_err().to_string(), format!("{}: {wanted}", path.display()));
}

#[test]
#[cfg(unix)]
fn damage_is_not_saved_as_if_it_were_whole() {
    use std::os::unix::fs::FileExt;
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("grid.ottava"), folder.path().join("other.ottava"));
    grid(500, Metric::Euclidean).save(&path).unwrap();
    grid(3, Metric::Euclidean).save(&other).unwrap();
    let (whole, before) = (fs::read(&path).unwrap(), fs::read(&other).unwrap());
    // Positions and leaves are far from the first and the last byte.
    for at in (2048..whole.len()).step_by(whole.len() / 9) {
        let opened = TokenGrid::open(&path, OPEN[1]).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[whole[at] ^ 64], at as u64).unwrap();
        let damaged = [opened, TokenGrid::open(&path, OPEN[1]).unwrap()];
        for (mut grid, optimized) in damaged.into_iter().zip([true, false]) {
            if optimized {
                grid.optimize();
            }
            grid.insert(Token::new(1 << 50, [0.5; 8])).unwrap();
            for to in [&path, &other] {
                let error = grid.save(to).unwrap_err();
                assert!(error.to_string().ends_with("checksum mismatch"), "{at}: {error}");
            }
        }
        assert_eq!(fs::read(&other).unwrap(), before);
        file.write_all_at(&whole[at..=at], at as u64).unwrap();
    }
}

#[test]
#[cfg(unix)]
fn a_file_that_is_replaced_keeps_its_permissions_and_its_place() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.ottava");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    let grid = grid(20, Metric::Euclidean);
    for given in [0o600, 0o444, 0o666, 0o4755, 0o2640] {
        grid.save(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(given)).unwrap();
        grid.save(&path).unwrap();
        assert_eq!(mode(), given & 0o777);
    }
    // Through links, relative and absolute, one after the other; to a file that is not there too.
    fs::create_dir(folder.path().join("sub")).unwrap();
    let (near, far) = (folder.path().join("near"), folder.path().join("sub/far"));
    symlink("grid.ottava", &near).unwrap();
    symlink("../near", &far).unwrap();
    for before in [true, false] {
        if before {
            fs::write(&path, "old").unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        grid.save(&far).unwrap();
        for link in [&near, &far] {
            assert!(fs::symlink_metadata(link).unwrap().is_symlink());
        }
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_same(&grid, &TokenGrid::open(&far, OPEN[0]).unwrap());
    }
    let circle = folder.path().join("circle");
    symlink("circle", &circle).unwrap();
    assert!(matches!(grid.save(&circle), Err(Error::Io { .. })));
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 4);
}

/// To put a file in the place of a device would take it away from every other program.
#[test]
#[cfg(unix)]
fn what_is_no_file_stays_as_it_is() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let [pipe, socket, sub, link] =
        ["pipe", "socket", "sub", "link"].map(|n| folder.path().join(n));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    fs::create_dir(&sub).unwrap();
    symlink("pipe", &link).unwrap();
    let grid = grid(20, Metric::Euclidean);
    for path in [&pipe, &socket, &link] {
        for refused in [grid.save(path), TokenGrid::open(path, OPEN[0]).map(drop)] {
            let error = refused.unwrap_err();
            assert!(matches!(&error, Error::NotAFile { path: named } if named == path), "{error}");
            assert_eq!(error.to_string(), format!("{} is not a file", path.display()));
        }
    }
    for refused in [grid.save(&sub), TokenGrid::open(&sub, OPEN[0]).map(drop)] {
        let Err(Error::Io { source, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(source.kind(), std::io::ErrorKind::IsADirectory);
    }
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
}

/// Memory would not hold the file, nor would anyone wait for it.
#[test]
fn a_file_is_not_read_before_its_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.ottava");
    let refused = |problem: &str| {
        fs::File::options().write(true).open(&path).unwrap().set_len(1 << 42).unwrap();
        for options in OPEN {
            let error = TokenGrid::open(&path, options).unwrap_err().to_string();
            assert!(error.ends_with(problem), "{error}");
        }
    };
    fs::write(&path, "text").unwrap();
    refused("section header: this is not a snapshot");
    grid(20, Metric::Euclidean).save(&path).unwrap();
    refused("section header: the file has another length than it was written with");
}

/// By anyone, not only by saving: what is mapped is the file, whatever has its name.
#[test]
#[cfg(unix)]
fn a_mapped_file_may_be_replaced_or_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("grid.ottava"), folder.path().join("other"));
    let grid = grid(500, Metric::Euclidean);
    grid.save(&path).unwrap();
    let opened = TokenGrid::open(&path, OPEN[1]).unwrap();
    fs::write(&other, vec![0xa5; 1 << 16]).unwrap();
    fs::rename(&other, &path).unwrap();
    assert_same(&grid, &opened);
    opened.verify().unwrap();
    fs::remove_file(&path).unwrap();
    assert_same(&grid, &opened);
    opened.save(&path).unwrap();
    assert_same(&grid, &TokenGrid::open(&path, OPEN[0]).unwrap());
}

/// The child of the next test: may not write a file as large as the grid.
#[test]
fn child_that_has_no_room() {
    let Some(path) = std::env::var_os("OTTAVA_TEST_NO_ROOM") else { return };
    let error = grid(20_000, Metric::Euclidean).save(&path).unwrap_err();
    assert!(matches!(&error, Error::Io { path: named, .. } if *named == *path), "{error}");
    grid(50, Metric::Euclidean).save(std::path::Path::new(&path).with_extension("small")).unwrap();
}

#[test]
#[cfg(unix)]
fn a_save_that_fails_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.ottava");
    grid(20, Metric::Euclidean).save(&path).unwrap();
    let before = fs::read(&path).unwrap();
    // A write past the limit is an error, like one to a full disk, where the signal is ignored.
    let status = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 512 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["snapshot::child_that_has_no_room", "--exact", "--test-threads=1"])
        .env("OTTAVA_TEST_NO_ROOM", &path)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(fs::read(&path).unwrap(), before);
    let mut left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["grid.ottava", "grid.small"]);
}

#[test]
fn carries_an_attachment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.ottava");
    let grid = grid(20, Metric::Euclidean);
    assert_eq!(grid.attachment().unwrap(), b"");
    for attachment in [&b""[..], b"x", &[7; 1000]] {
        grid.save_with(&path, attachment).unwrap();
        for options in OPEN {
            let opened = TokenGrid::open(&path, options).unwrap();
            assert_eq!(opened.attachment_len(), attachment.len());
            assert_eq!(opened.attachment().unwrap(), attachment);
            assert_same(&grid, &opened);
        }
    }
}

#[test]
fn a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.ottava");
    grid(3, Metric::Euclidean).save(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let version = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
    bytes[8..12].copy_from_slice(&(version + 1).to_le_bytes());
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let error = TokenGrid::open(&path, OpenOptions::default()).unwrap_err();
    assert!(
        matches!(error, Error::NewerSnapshot { found, supported, .. } if found == supported + 1)
    );
}

#[test]
fn what_is_no_snapshot_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    assert!(matches!(TokenGrid::open(&missing, OPEN[0]), Err(Error::Io { .. })));
    for options in OPEN {
        assert!(TokenGrid::open(folder.path(), options).is_err());
    }
    let text = folder.path().join("text");
    fs::write(&text, "a b c\n".repeat(100)).unwrap();
    let error = TokenGrid::open(&text, OPEN[0]).unwrap_err();
    assert!(error.to_string().ends_with("section header: this is not a snapshot"), "{error}");
    let nowhere = folder.path().join("none").join("grid");
    let saved = grid(3, Metric::Euclidean).save(nowhere);
    let Err(Error::Io { source, .. }) = saved else { panic!("{saved:?}") };
    assert!(source.raw_os_error().is_some(), "{source:?}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// The child of the next test: saves one of two grids after the other, until it is killed.
#[test]
fn child_that_saves() {
    use std::io::Write;
    let Some(path) = std::env::var_os("OTTAVA_TEST_SAVE") else { return };
    let grids = [grid(2000, Metric::Euclidean), grid(120_000, Metric::Euclidean)];
    for grid in grids.iter().cycle() {
        grid.save(&path).unwrap();
        let mut out = std::io::stdout().lock();
        out.write_all(b"#").and_then(|()| out.flush()).unwrap();
    }
}

#[test]
#[cfg(unix)]
fn killed_while_saving_leaves_a_whole_file() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    use std::time::Duration;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.ottava");
    grid(2000, Metric::Euclidean).save(&path).unwrap();
    let mut rng = rng(7);
    let mut interrupted = 0;
    for _ in 0..40 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["snapshot::child_that_saves", "--exact", "--nocapture"])
            .env("OTTAVA_TEST_SAVE", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Once it has saved it goes on saving, so any later moment is in the middle of that.
        let (mut out, mut byte) = (child.stdout.take().unwrap(), [0]);
        while byte != *b"#" {
            out.read_exact(&mut byte).unwrap();
        }
        std::thread::sleep(Duration::from_micros(rng.random_range(0..10_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let options = OpenOptions { mmap: true, verify: Verify::Full };
        let opened = TokenGrid::open(&path, options).unwrap();
        assert!([2000, 120_000].contains(&opened.len()));
        // What was being written is beside it, or the kill came between two files.
        for entry in fs::read_dir(folder.path()).unwrap() {
            let other = entry.unwrap().path();
            if other != path {
                fs::remove_file(other).unwrap();
                interrupted += 1;
            }
        }
    }
    assert!(interrupted > 0, "no child was killed in the middle of saving");
}
