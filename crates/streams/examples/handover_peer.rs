//! One end of a hand-over, to be the peer of a process that may be written in another language.
//!
//! `produce unix|tcp sealed|trusted TURNS [DIRECTORY]` says on its standard output where it listens and with which token, then hands
//! over two tables a turn, one born in its segment and one copied once, with a line for each that sums it up. `consume
//! sealed|trusted` is told address and token on its standard input, and sums up what it receives in the same way.
//!
//!     cargo run -p ottava-streams --all-features --example handover_peer -- produce unix sealed 3
//!
//! `crates/py/tests/handover/handover_peer.py` is its twin.

use std::error::Error;

#[cfg(unix)]
mod peer {
    use std::error::Error;
    use std::io::{Write, stdin, stdout};
    use std::sync::Arc;
    use std::time::Duration;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float32Type, UInt64Type};
    use arrow_array::{Array, RecordBatch, StringArray};
    use arrow_schema::{DataType, Field, Schema, SchemaRef};
    use ottava_streams::handover::{Client, ClientOptions, Server, ServerOptions, Transport};

    const ROWS: usize = 1000;
    const WAIT: Option<Duration> = Some(Duration::from_secs(60));

    fn schema() -> SchemaRef {
        let item = Field::new("item", DataType::Float32, false);
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::UInt64, false),
            Field::new_fixed_size_list("at", item, 8, false),
            Field::new("name", DataType::Utf8, true),
        ]))
    }

    /// Both ends are test programs that write nothing else into their segments.
    #[allow(unsafe_code)]
    pub(super) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["produce", transport, mode, turns, ref directory @ ..] => {
                let mut options = ServerOptions::new().schema(schema()).slots(2);
                if let [directory] = directory {
                    options = options.directory(directory);
                }
                if transport == "tcp" {
                    options = options.transport(Transport::Tcp);
                }
                if mode == "trusted" {
                    // SAFETY: see above.
                    options = unsafe { options.trusted() };
                }
                produce(&Server::bind(options)?, turns.parse()?)
            }
            ["consume", mode] => {
                let mut options = ClientOptions::new().schema(schema());
                if mode == "trusted" {
                    // SAFETY: see above.
                    options = unsafe { options.trusted() };
                }
                let mut line = String::new();
                stdin().read_line(&mut line)?;
                let (address, token) = line.trim().split_once(' ').ok_or("no address and token")?;
                consume(&Client::connect(&address.parse()?, &token.parse()?, options)?)
            }
            _ => Err("usage: produce unix|tcp sealed|trusted TURNS [DIRECTORY], or consume sealed|trusted".into()),
        }
    }

    fn produce(server: &Server, turns: usize) -> Result<(), Box<dyn Error>> {
        let mut out = stdout().lock();
        writeln!(out, "{} {}", server.address(), server.token()?.reveal())?;
        out.flush()?;
        for turn in 0..turns {
            let rows = ROWS + turn % 3;
            let names: StringArray =
                (0..rows).map(|row| (row % 7 != 0).then(|| format!("token {row} ü"))).collect();
            let mut segment = server.segment(&schema(), rows, |_| Some(20 * rows), WAIT)?;
            let ids = segment.values_mut::<UInt64Type>("id")?;
            ids.iter_mut().enumerate().for_each(|(row, id)| *id = (turn * ROWS + row) as u64);
            let at = segment.values_mut::<Float32Type>("at")?;
            at.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 100) as f32);
            segment.copy_from("name", &names)?;
            server.commit(segment, WAIT)?;

            let ids = (0..rows).map(|row| (turn * ROWS + row) as u64);
            let at = (0..rows * 8).map(|i| (i % 100) as f32);
            let item = Arc::new(Field::new("item", DataType::Float32, false));
            let batch = RecordBatch::try_new(
                schema(),
                vec![
                    Arc::new(arrow_array::UInt64Array::from_iter_values(ids)),
                    Arc::new(arrow_array::FixedSizeListArray::new(
                        item,
                        8,
                        Arc::new(arrow_array::Float32Array::from_iter_values(at)),
                        None,
                    )),
                    Arc::new(names),
                ],
            )?;
            for _ in 0..2 {
                sum_up(&mut out, std::slice::from_ref(&batch))?;
            }
            server.send(&schema(), &[batch], WAIT)?;
        }
        Ok(server.close(Duration::from_secs(60))?)
    }

    fn consume(client: &Client) -> Result<(), Box<dyn Error>> {
        while let Some(table) = client.recv(WAIT)? {
            sum_up(&mut stdout().lock(), table.batches())?;
        }
        Ok(())
    }

    /// Rows, the sum of the ids, the sum of the coordinates, the nulls and the bytes of the names.
    fn sum_up(out: &mut impl Write, batches: &[RecordBatch]) -> Result<(), Box<dyn Error>> {
        let (mut rows, mut ids, mut at, mut nulls, mut bytes) = (0, 0, 0.0, 0, 0);
        for batch in batches {
            rows += batch.num_rows();
            ids += batch.column(0).as_primitive::<UInt64Type>().values().iter().sum::<u64>();
            let values = batch.column(1).as_fixed_size_list().values();
            at += values
                .as_primitive::<Float32Type>()
                .values()
                .iter()
                .map(|&x| f64::from(x))
                .sum::<f64>();
            let names = batch.column(2).as_string::<i32>();
            nulls += names.null_count();
            bytes += names.iter().flatten().map(str::len).sum::<usize>();
        }
        writeln!(out, "{rows} {ids} {at} {nulls} {bytes}")?;
        Ok(out.flush()?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    #[cfg(unix)]
    return peer::run(&arguments);
    #[cfg(not(unix))]
    return Err(format!("tables are not handed over on this system: {arguments:?}").into());
}
