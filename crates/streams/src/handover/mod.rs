//! Tables from one process to another, without serialization.
//!
//! The data plane is an Arrow IPC file in a shared segment; the control plane is a socket with small frames. The
//! [`Server`] is the producer: it gets a table into a segment (by one copy with [`Server::send`], or by none with
//! [`Server::segment`], whose columns are written where they will be read) and passes it on. The [`Client`] is the
//! consumer: its [`Table`]s are record batches that point into the segment, which stays mapped as long as any slice of
//! any of its columns lives. Dropping the last one gives the slot back to the producer and acknowledges the table.
//!
//! ```
//! # #[cfg(unix)] {
//! use std::sync::Arc;
//!
//! use arrow_array::cast::AsArray;
//! use arrow_array::types::Float32Type;
//! use arrow_schema::{DataType, Field, Schema};
//! use ottava_streams::handover::{Client, ClientOptions, Server, ServerOptions};
//!
//! let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Float32, false)]));
//! let server = Server::bind(ServerOptions::new().schema(schema.clone()))?;
//! # let address = server.address().clone();
//! # let token = server.token()?;
//! // In another process, which got address and token on its standard input:
//! let consumer = std::thread::spawn(move || {
//!     let client = Client::connect(&address, &token, ClientOptions::new())?;
//!     let table = client.recv(None)?.expect("the producer sends one table");
//!     Ok::<f32, ottava_streams::handover::HandoverError>(
//!         table.batches()[0].column(0).as_primitive::<Float32Type>().values().iter().sum(),
//!     )
//! });
//!
//! let mut segment = server.segment(&schema, 1000, |_| None, None)?;
//! segment.values_mut::<Float32Type>("x")?.fill(0.5);
//! let receipt = server.commit(segment, None)?;
//! receipt.wait(None)?; // acknowledged: the consumer has let go of it
//! # assert_eq!(consumer.join().unwrap()?, 500.0);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modes
//!
//! *Sealed* (the default) is safe against a hostile producer: a segment is mapped only if it is sealed against writing,
//! shrinking and growing, so that what is validated stays as it was validated. *Trusted* is for processes of one
//! program: a ring of slots that stay mapped, structure checked, contents not; `unsafe` to ask for. There is no mode in
//! between, because validating memory that its sender can still write proves nothing.
//!
//! # Systems
//!
//! On Linux the control socket is a Unix socket by default and segments are anonymous memory (`memfd_create`), passed by
//! `SCM_RIGHTS`: there is no name, so a crash leaves nothing. With TCP on the loopback interface, which is all that other
//! Unix systems get, segments are files in a private directory; files cannot be sealed, so a sealed-mode consumer there
//! reads a segment into memory of its own. On other systems this module does not exist.

mod address;
mod bell;
mod check;
mod client;
mod error;
mod fingerprint;
mod frame;
mod layout;
mod link;
mod listener;
mod manager;
mod memory;
mod place;
mod proof;
mod read;
mod schema_check;
mod server;
mod sink;
mod skeleton;
mod slots;
mod spare;
mod sync;
mod table;
mod token;
mod writer;

pub use address::Address;
pub use check::Limits;
pub use client::{Client, ClientOptions};
pub use error::HandoverError;
pub use fingerprint::fingerprint;
pub use frame::Refusal;
pub use layout::{ColumnPlace, Storage};
pub use memory::Memory;
pub use read::read_file;
pub use server::{Parcel, Receipt, Segment, Server, ServerOptions, Transport};
pub use table::Table;
pub use token::Token;
pub use writer::SegmentWriter;
