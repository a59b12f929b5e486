//! Peers that lie, cheat, stall and die. Each speaks the protocol by hand.
//!
//! The frames are written out here on purpose: a change of the protocol should break a test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Instant;

use arrow_ipc::writer::FileWriter;
use hmac::{Hmac, KeyInit, Mac};
use ottava_streams::handover::{Address, HandoverError, Token};

use super::*;

fn hello(token: &Token) -> Vec<u8> {
    let mut frame = vec![1];
    frame.extend_from_slice(b"OTTAVA\0H");
    frame.extend_from_slice(&1_u16.to_le_bytes());
    frame.push(0);
    frame.extend_from_slice(&[7; 16]);
    frame.extend_from_slice(&proof(token, b"client", &[7; 16]));
    frame.extend_from_slice(&[0; 32]);
    frame
}

fn proof(token: &Token, role: &[u8], nonce: &[u8]) -> Vec<u8> {
    let key = u128::from_str_radix(&token.reveal(), 16).unwrap().to_be_bytes();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(b"ottava handover ");
    mac.update(role);
    mac.update(nonce);
    mac.finalize().into_bytes().to_vec()
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as u32).to_le_bytes()[..], frame].concat()
}

fn release(slot: u32, generation: u64) -> Vec<u8> {
    [&[5][..], &slot.to_le_bytes(), &generation.to_le_bytes()].concat()
}

fn leave(held: u64) -> Vec<u8> {
    [&[7][..], &held.to_le_bytes()].concat()
}

fn segment(slot: u32, generation: u64, bytes: u64, carrier: &[u8]) -> Vec<u8> {
    [&[4][..], &slot.to_le_bytes(), &generation.to_le_bytes(), &bytes.to_le_bytes(), carrier]
        .concat()
}

/// A consumer that speaks TCP by hand.
fn raw_consumer(server: &Server) -> TcpStream {
    let Address::Tcp(address) = server.address() else { panic!("tcp only") };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(LONG).unwrap();
    stream.write_all(&framed(&hello(&server.token().unwrap()))).unwrap();
    assert_eq!(read_frame(&mut stream)[0], 2);
    server.wait_connected(LONG).unwrap();
    stream
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut frame).unwrap();
    frame
}

fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LONG.unwrap(), "nothing happened");
        thread::sleep(Duration::from_millis(1));
    }
}

fn tcp_server(base: &Path) -> Server {
    Server::bind(options(base, Transport::Tcp)).unwrap()
}

#[test]
fn consumers_that_break_the_protocol_are_cut_off() {
    let batch = tokens(3);
    let cases: [(&str, Vec<u8>); 9] = [
        ("it released slot 0 in generation 2", framed(&release(0, 2))),
        ("it released slot 9 in generation 1", framed(&release(9, 1))),
        (
            "released slot 0 in generation 1",
            [framed(&release(0, 1)), framed(&release(0, 1))].concat(),
        ),
        ("unknown kind 99", framed(&[99])),
        ("a frame of 4294967295 bytes", vec![0xff; 4]),
        ("out of place", framed(&segment(0, 1, 10, &[0]))),
        ("out of place", framed(&[6])),
        ("second goodbye", [framed(&leave(1)), framed(&leave(1))].concat()),
        // What it said that it does not hold, it cannot release.
        ("released slot 0 in generation 1", [framed(&leave(!1)), framed(&release(0, 1))].concat()),
    ];
    for (fault, bytes) in cases {
        let base = tempfile::tempdir().unwrap();
        let server = tcp_server(base.path());
        let mut stream = raw_consumer(&server);
        server.send(batch.schema_ref(), std::slice::from_ref(&batch), LONG).unwrap();
        stream.write_all(&bytes).unwrap();
        until(|| server.fault().is_some());
        assert!(server.fault().unwrap().contains(fault), "{:?}", server.fault());
        assert_eq!((server.outstanding(), server.is_connected()), (0, false));
    }
}

#[test]
fn a_consumer_that_stalls_or_dies_in_a_frame_is_cut_off() {
    let base = tempfile::tempdir().unwrap();
    let deadline = Duration::from_secs(2);
    let server = Server::bind(options(base.path(), Transport::Tcp).deadline(deadline)).unwrap();
    let mut stream = raw_consumer(&server);
    stream.write_all(&framed(&release(0, 1))[..7]).unwrap();
    until(|| server.fault().is_some());
    assert!(server.fault().unwrap().contains("did not complete a frame"), "{:?}", server.fault());
    let server = tcp_server(base.path());
    let mut stream = raw_consumer(&server);
    stream.write_all(&framed(&release(0, 1))[..7]).unwrap();
    drop(stream);
    until(|| server.fault().is_some());
    assert!(server.fault().unwrap().contains("middle of a frame"), "{:?}", server.fault());
}

#[test]
fn who_follows_a_consumer_that_is_gone_finds_its_place_free() {
    let base = tempfile::tempdir().unwrap();
    let server = tcp_server(base.path());
    for _ in 0..50 {
        drop(raw_consumer(&server));
        let token = server.token().unwrap();
        Client::connect(server.address(), &token, ClientOptions::new()).unwrap();
    }
}

#[test]
fn a_consumer_that_never_reads_blocks_the_producer_and_no_more() {
    let base = tempfile::tempdir().unwrap();
    let server = tcp_server(base.path());
    let stream = raw_consumer(&server);
    let batch = tokens(3);
    let send = |timeout| server.send(batch.schema_ref(), std::slice::from_ref(&batch), timeout);
    let receipts: Vec<_> = (0..8).map(|_| send(LONG).unwrap()).collect();
    assert!(matches!(send(NOW), Err(HandoverError::WouldBlock { .. })));
    assert!(matches!(send(Some(Duration::from_millis(10))), Err(HandoverError::Timeout { .. })));
    drop(stream);
    for receipt in receipts {
        assert!(matches!(receipt.wait(LONG), Err(HandoverError::PeerGone { .. })));
    }
}

#[test]
fn a_flood_of_strangers_does_not_keep_a_consumer_out() {
    for &transport in TRANSPORTS {
        let base = tempfile::tempdir().unwrap();
        let server = Server::bind(options(base.path(), transport)).unwrap();
        let strangers: Vec<_> = (0..100)
            .filter_map(|_| match server.address() {
                Address::Tcp(address) => TcpStream::connect(address).ok().map(OwnedFd::from),
                Address::Unix(path) => raw_unix(path).ok(),
            })
            .collect();
        assert!(strangers.len() > 50);
        let token = server.token().unwrap();
        Client::connect(server.address(), &token, ClientOptions::new()).unwrap();
    }
}

fn raw_unix(path: &Path) -> std::io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
    let fd = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None)?;
    connect(&fd, &SocketAddrUnix::new(path)?)?;
    Ok(fd)
}

#[test]
fn a_wrong_or_spent_token_learns_nothing() {
    for &transport in TRANSPORTS {
        let base = tempfile::tempdir().unwrap();
        let server = Server::bind(options(base.path(), transport)).unwrap();
        let token = server.token().unwrap();
        for guess in [Token::random().unwrap(), "0".repeat(32).parse().unwrap()] {
            let err = Client::connect(server.address(), &guess, ClientOptions::new()).unwrap_err();
            assert!(matches!(err, HandoverError::Handshake { .. }), "{err}");
        }
        let client = Client::connect(server.address(), &token, ClientOptions::new()).unwrap();
        drop(client);
        let err = Client::connect(server.address(), &token, ClientOptions::new()).unwrap_err();
        assert!(matches!(err, HandoverError::Handshake { .. }), "{err}");
    }
    // Not a byte comes back.
    let base = tempfile::tempdir().unwrap();
    let server = tcp_server(base.path());
    let Address::Tcp(address) = server.address() else { panic!("tcp only") };
    for greeting in
        [framed(&hello(&Token::random().unwrap())), b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![]]
    {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(LONG).unwrap();
        stream.write_all(&greeting).unwrap();
        let mut answer = Vec::new();
        // Closed, with a reset if it was not read to the end.
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    }
}

/// A server by hand: completes the handshake, then does what it is told.
fn raw_server(
    token: &Token,
    directory: &Path,
    act: impl FnOnce(&mut TcpStream) + Send + 'static,
) -> Address {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (token, directory) = (token.clone(), directory.as_os_str().as_encoded_bytes().to_vec());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let hello = read_frame(&mut stream);
        let proof = proof(&token, b"server", &hello[12..28]);
        let welcome = [&[2, 0][..], &8_u32.to_le_bytes(), &proof, &[0; 32], &directory].concat();
        stream.write_all(&framed(&welcome)).unwrap();
        act(&mut stream);
        // Stay until the other end has had enough.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    Address::Tcp(address)
}

fn private_directory() -> tempfile::TempDir {
    tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .tempdir()
        .unwrap()
}

fn file_bytes() -> Vec<u8> {
    let batch = tokens(10);
    let mut writer = FileWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

const NAME: &str = "0123456789abcdef0123456789abcdef";

fn put(directory: &Path, bytes: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(directory.join(NAME))
        .unwrap();
    file.write_all(bytes).unwrap();
}

fn received(
    bytes: &[u8],
    frames: Vec<u8>,
) -> Result<Option<ottava_streams::handover::Table>, HandoverError> {
    let directory = private_directory();
    put(directory.path(), bytes);
    let token = Token::random().unwrap();
    let address = raw_server(&token, directory.path(), move |stream| {
        stream.write_all(&frames).unwrap();
    });
    let options = ClientOptions::new().deadline(Duration::from_secs(2));
    let client = Client::connect(&address, &token, options).unwrap();
    client.recv(LONG)
}

fn named(slot: u32, bytes: u64) -> Vec<u8> {
    framed(&segment(slot, 1, bytes, &[&[2], NAME.as_bytes()].concat()))
}

#[test]
fn producers_that_lie_about_a_segment_are_refused() {
    let good = file_bytes();
    let bytes = good.len() as u64;
    assert_eq!(received(&good, named(0, bytes)).unwrap().unwrap().num_rows(), 10);
    let protocol = |frames: Vec<u8>| {
        let err = received(&good, frames).unwrap_err();
        assert!(matches!(err, HandoverError::Protocol { .. }), "{err}");
    };
    protocol(named(0, bytes + 1));
    protocol(named(0, 0));
    protocol(named(8, bytes));
    protocol(framed(&segment(0, 1, bytes, &[0])));
    protocol(framed(&segment(0, 1, bytes, &[1])));
    protocol(framed(&segment(0, 1, bytes, b"\x02../../../../../../etc/passwd/xxxx")));
    protocol(framed(&release(0, 1)));
    protocol(framed(&[]));
    protocol(vec![0xff; 8]);
    let err = received(&good, named(0, u64::MAX)).unwrap_err();
    assert!(matches!(err, HandoverError::TooLarge { .. }), "{err}");
    let cut = &good[..good.len() - 64];
    let err = received(cut, named(0, cut.len() as u64)).unwrap_err();
    assert!(matches!(err, HandoverError::Malformed { .. }), "{err}");
    let missing = framed(&segment(0, 1, bytes, &[&[2], "f".repeat(32).as_bytes()].concat()));
    let err = received(&good, missing).unwrap_err();
    assert!(matches!(err, HandoverError::System { .. }), "{err}");
    let err = received(&good, named(0, bytes)[..9].to_vec()).unwrap_err();
    assert!(matches!(err, HandoverError::PeerGone { .. }), "{err}");
}

#[test]
fn a_producer_that_sends_more_than_it_may_is_refused() {
    let good = file_bytes();
    let directory = private_directory();
    put(directory.path(), &good);
    let token = Token::random().unwrap();
    let frames = [named(3, good.len() as u64), named(3, good.len() as u64)].concat();
    let address = raw_server(&token, directory.path(), move |stream| {
        stream.write_all(&frames).unwrap();
    });
    let client = Client::connect(&address, &token, ClientOptions::new()).unwrap();
    let held = client.recv(LONG).unwrap().unwrap();
    let err = client.recv(LONG).unwrap_err();
    assert!(err.to_string().contains("slot 3 again"), "{err}");
    assert_eq!(held.num_rows(), 10);
    assert!(matches!(client.recv(LONG), Err(HandoverError::Closed)));
}

#[test]
fn what_a_producer_does_to_its_file_later_changes_nothing() {
    let good = file_bytes();
    let directory = private_directory();
    put(directory.path(), &good);
    let token = Token::random().unwrap();
    let frame = named(0, good.len() as u64);
    let address = raw_server(&token, directory.path(), move |stream| {
        stream.write_all(&frame).unwrap();
    });
    let client = Client::connect(&address, &token, ClientOptions::new()).unwrap();
    let table = client.recv(LONG).unwrap().unwrap();
    let path = directory.path().join(NAME);
    std::fs::write(&path, vec![0xff; good.len()]).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert_eq!(table.batches(), [tokens(10)]);
}

#[test]
fn a_server_that_does_not_know_the_token_is_not_believed() {
    let directory = private_directory();
    let address = raw_server(&Token::random().unwrap(), directory.path(), |_| {});
    let err =
        Client::connect(&address, &Token::random().unwrap(), ClientOptions::new()).unwrap_err();
    assert!(matches!(err, HandoverError::Handshake { .. }), "{err}");
}

#[test]
fn a_directory_that_others_can_enter_is_not_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let directory = private_directory();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let token = Token::random().unwrap();
    let address = raw_server(&token, directory.path(), |_| {});
    let err = Client::connect(&address, &token, ClientOptions::new()).unwrap_err();
    assert!(matches!(err, HandoverError::Protocol { .. }), "{err}");
}

/// Memory that its sender could still change is refused unmapped; the process would die of it otherwise.
#[cfg(target_os = "linux")]
mod sealed {
    use std::io::IoSlice;
    use std::mem::MaybeUninit;

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use rustix::net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        SocketAddrUnix, SocketType, accept, bind, listen, recv, send, sendmsg, socket,
    };

    use super::*;

    const ALL: SealFlags =
        SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

    fn memfd(bytes: &[u8], seals: SealFlags) -> OwnedFd {
        let fd = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::io::write(&fd, bytes).unwrap();
        fcntl_add_seals(&fd, seals).unwrap();
        fd
    }

    /// What a client makes of a segment that is `fds`.
    fn outcome(
        fds: Vec<OwnedFd>,
        announced: u64,
    ) -> Result<Option<ottava_streams::handover::Table>, HandoverError> {
        outcome_in(ClientOptions::new(), false, fds, announced)
    }

    #[allow(unsafe_code)]
    fn trusted_outcome(
        fds: Vec<OwnedFd>,
        announced: u64,
    ) -> Result<Option<ottava_streams::handover::Table>, HandoverError> {
        // SAFETY: no table comes of it that is looked at, but for those that are as they should be.
        outcome_in(unsafe { ClientOptions::new().trusted() }, true, fds, announced)
    }

    fn outcome_in(
        options: ClientOptions,
        trusted: bool,
        fds: Vec<OwnedFd>,
        announced: u64,
    ) -> Result<Option<ottava_streams::handover::Table>, HandoverError> {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("control");
        let listener = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        listen(&listener, 1).unwrap();
        let token = Token::random().unwrap();
        let known = token.clone();
        let hostile = thread::spawn(move || {
            let stream = accept(&listener).unwrap();
            let mut hello = [0; 200];
            let _ = recv(&stream, &mut hello, RecvFlags::empty()).unwrap();
            let proof = proof(&known, b"server", &hello[12..28]);
            let welcome =
                [&[2, u8::from(trusted)][..], &8_u32.to_le_bytes(), &proof, &[0; 32]].concat();
            send(&stream, &welcome, SendFlags::empty()).unwrap();
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() {
                assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
            }
            let frame = segment(0, 1, announced, &[1]);
            sendmsg(&stream, &[IoSlice::new(&frame)], &mut control, SendFlags::empty()).unwrap();
            let _ = recv(&stream, &mut [0; 100][..], RecvFlags::empty());
        });
        let client = Client::connect(&Address::Unix(path), &token, options).unwrap();
        let outcome = client.recv(LONG);
        drop(client);
        hostile.join().unwrap();
        outcome
    }

    #[test]
    fn each_missing_seal_is_named() {
        let good = file_bytes();
        let bytes = good.len() as u64;
        let table = outcome(vec![memfd(&good, ALL)], bytes).unwrap().unwrap();
        assert_eq!(table.batches()[0], tokens(10));
        for (seal, name) in [
            (SealFlags::WRITE, "write"),
            (SealFlags::SHRINK, "shrink"),
            (SealFlags::GROW, "grow"),
            (SealFlags::SEAL, "seal"),
        ] {
            match outcome(vec![memfd(&good, ALL - seal)], bytes) {
                Err(HandoverError::NotSealed { missing }) => assert_eq!(missing, name),
                other => panic!("{name}: {other:?}"),
            }
        }
        // A promise about future writers says nothing about the present one.
        let seals = (ALL - SealFlags::WRITE) | SealFlags::FUTURE_WRITE;
        let err = outcome(vec![memfd(&good, seals)], bytes).unwrap_err();
        assert!(matches!(err, HandoverError::NotSealed { .. }), "{err}");
    }

    #[test]
    fn what_is_no_memory_of_the_announced_size_is_refused() {
        let good = file_bytes();
        let bytes = good.len() as u64;
        let file: OwnedFd = tempfile::tempfile().unwrap().into();
        rustix::io::write(&file, &good).unwrap();
        let err = outcome(vec![file], bytes).unwrap_err();
        assert!(matches!(err, HandoverError::NotSealed { .. }), "{err}");
        let (pipe, _) = std::io::pipe().unwrap();
        let err = outcome(vec![pipe.into()], bytes).unwrap_err();
        assert!(matches!(err, HandoverError::NotSealed { .. }), "{err}");
        for announced in [0, 1, bytes - 1, bytes + 1, bytes + 4096] {
            let err = outcome(vec![memfd(&good, ALL)], announced).unwrap_err();
            assert!(matches!(err, HandoverError::Protocol { .. }), "{err}");
        }
        let err = outcome(vec![], bytes).unwrap_err();
        assert!(matches!(err, HandoverError::Protocol { .. }), "{err}");
        // Memory may go on to the end of a huge page, and no further.
        for (size, fits) in [(1 << 20, false), (2 << 20, true), (4 << 20, false)] {
            let mut longer = good.clone();
            longer.resize(size, 0);
            match outcome(vec![memfd(&longer, ALL)], bytes) {
                Ok(table) => assert!(fits && table.unwrap().batches()[0] == tokens(10), "{size}"),
                Err(HandoverError::Protocol { .. }) => assert!(!fits, "{size}"),
                Err(err) => panic!("{size}: {err}"),
            }
        }
    }

    #[test]
    fn descriptors_in_excess_are_refused_and_closed() {
        let good = file_bytes();
        let fds = (0..6).map(|_| memfd(&good, ALL)).collect();
        let err = outcome(fds, good.len() as u64).unwrap_err();
        assert!(matches!(err, HandoverError::Protocol { .. }), "{err}");
    }

    #[test]
    fn sealed_garbage_is_refused() {
        let err = outcome(vec![memfd(&[0xab; 5000], ALL)], 5000).unwrap_err();
        assert!(matches!(err, HandoverError::Malformed { .. }), "{err}");
    }

    /// Contents are the producer's word in trusted mode; that the process lives does not depend on it.
    #[test]
    fn trusted_slots_must_keep_their_size_and_hold_a_file() {
        let good = file_bytes();
        let bytes = good.len() as u64;
        let size = SealFlags::SHRINK | SealFlags::GROW;
        let table = trusted_outcome(vec![memfd(&good, size)], bytes).unwrap().unwrap();
        assert_eq!(table.batches()[0], tokens(10));
        for (seals, name) in [(SealFlags::SHRINK, "grow"), (SealFlags::GROW, "shrink")] {
            match trusted_outcome(vec![memfd(&good, seals)], bytes) {
                Err(HandoverError::NotSealed { missing }) => assert_eq!(missing, name),
                other => panic!("{name}: {other:?}"),
            }
        }
        let malformed = |file: &[u8]| {
            let err = trusted_outcome(vec![memfd(file, size)], file.len() as u64).unwrap_err();
            assert!(matches!(err, HandoverError::Malformed { .. }), "{err}");
        };
        malformed(&good[..good.len() - 8]);
        malformed(&[0xab; 5000]);
        let tail = good.len() - 10;
        for length in [0, -1, i32::MAX] {
            let mut file = good.clone();
            file[tail..tail + 4].copy_from_slice(&length.to_le_bytes());
            malformed(&file);
        }
        for announced in [bytes + 1, bytes + 4096] {
            let err = trusted_outcome(vec![memfd(&good, size)], announced).unwrap_err();
            assert!(matches!(err, HandoverError::Protocol { .. }), "{err}");
        }
        let err = trusted_outcome(vec![], bytes).unwrap_err();
        assert!(matches!(err, HandoverError::Protocol { .. }), "{err}");
        let err = trusted_outcome(vec![memfd(&[], size)], bytes).unwrap_err();
        assert!(matches!(err, HandoverError::Protocol { .. }), "{err}");
    }

    #[test]
    fn sparse_bombs_are_refused_unmapped() {
        let fd = memfd_create("bomb", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&fd, 1 << 44).unwrap();
        fcntl_add_seals(&fd, ALL).unwrap();
        let err = outcome(vec![fd], 1 << 44).unwrap_err();
        assert!(matches!(err, HandoverError::TooLarge { .. }), "{err}");
    }
}
