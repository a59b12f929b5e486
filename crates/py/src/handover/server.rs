//! The producer's end.

// Views of a segment for numpy.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow_array::make_array;
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use ndarray::ArrayView1;
use numpy::PyArray1;
use ottava_streams::handover::{
    HandoverError, Memory, Parcel, Receipt, Segment, Server, ServerOptions, Storage, Transport,
};
use pyo3::prelude::*;

use super::fit::fit;
use super::schema::{dtype, read_schema};
use super::{deadline, raise, timeout, waiting, waiting_since};
use crate::arrow::{Table, read_column};
use crate::error::{ARGUMENT, HANDOVER};
use crate::gate;

/// `ottava.handover.Server` without its manners.
#[pyclass(frozen, module = "ottava._native")]
pub(super) struct HandoverServer {
    server: Server,
}

#[pymethods]
impl HandoverServer {
    #[new]
    #[pyo3(signature = (*, schema, transport, slots, trusted, deadline, directory))]
    fn new(
        py: Python<'_>,
        schema: Option<Bound<'_, PyAny>>,
        transport: Option<&str>,
        slots: usize,
        trusted: bool,
        deadline: f64,
        directory: Option<std::path::PathBuf>,
    ) -> PyResult<Self> {
        let mut options = ServerOptions::new().slots(slots).deadline(self::deadline(py, deadline)?);
        match transport {
            None => {}
            #[cfg(target_os = "linux")]
            Some("unix") => options = options.transport(Transport::Unix),
            Some("tcp") => options = options.transport(Transport::Tcp),
            Some(other) => {
                let message = format!("transport: {other:?} is not one that this system has");
                return Err(ARGUMENT.new_err(py, (message,)));
            }
        }
        if let Some(schema) = schema {
            options = options.schema(read_schema(&schema)?);
        }
        if let Some(directory) = directory {
            options = options.directory(directory);
        }
        if trusted {
            // SAFETY: the caller asked for it by name; the documentation of `Server` says what that promises.
            options = unsafe { options.trusted() };
        }
        let server = gate::detached(py, || Server::bind(options))?.map_err(|err| raise(py, err))?;
        Ok(Self { server })
    }

    #[getter]
    fn address(&self) -> String {
        self.server.address().to_string()
    }

    #[getter]
    fn connected(&self) -> bool {
        self.server.is_connected()
    }

    #[getter]
    fn outstanding(&self) -> usize {
        self.server.outstanding()
    }

    #[getter]
    fn fault(&self) -> Option<String> {
        self.server.fault()
    }

    fn token(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.server.token().map_err(|err| raise(py, err))?.reveal())
    }

    fn fileno(&self) -> i32 {
        self.server.bell().as_raw_fd()
    }

    fn hush(&self) {
        self.server.hush();
    }

    fn wait_connected(&self, py: Python<'_>, seconds: Option<f64>) -> PyResult<()> {
        waiting(py, timeout(seconds), |timeout| self.server.wait_connected(timeout))
    }

    fn segment(
        &self,
        py: Python<'_>,
        schema: &Bound<'_, PyAny>,
        rows: usize,
        capacity: HashMap<String, usize>,
        seconds: Option<f64>,
    ) -> PyResult<HandoverSegment> {
        let schema = read_schema(schema)?;
        let segment = waiting(py, timeout(seconds), |timeout| {
            self.server.segment(&schema, rows, |name| capacity.get(name).copied(), timeout)
        })?;
        Ok(HandoverSegment { segment: Mutex::new(Some(segment)) })
    }

    fn pack(
        &self,
        py: Python<'_>,
        table: &Bound<'_, PyAny>,
        seconds: Option<f64>,
    ) -> PyResult<HandoverParcel> {
        let table = Table::read(table, "table")?;
        let parcel = waiting(py, timeout(seconds), |timeout| {
            self.server.pack(table.schema(), table.batches(), timeout)
        })?;
        Ok(HandoverParcel { parcel: Mutex::new(parcel) })
    }

    /// Packs a table and delivers it, both within `seconds`.
    fn send(
        &self,
        py: Python<'_>,
        table: &Bound<'_, PyAny>,
        seconds: Option<f64>,
    ) -> PyResult<HandoverReceipt> {
        let table = Table::read(table, "table")?;
        let (start, timeout) = (Instant::now(), timeout(seconds));
        let mut parcel = waiting_since(py, start, timeout, |timeout| {
            self.server.pack(table.schema(), table.batches(), timeout)
        })?;
        let receipt =
            waiting_since(py, start, timeout, |timeout| self.server.deliver(&mut parcel, timeout))?;
        Ok(HandoverReceipt { receipt })
    }

    fn deliver(
        &self,
        py: Python<'_>,
        parcel: &HandoverParcel,
        seconds: Option<f64>,
    ) -> PyResult<HandoverReceipt> {
        // In slices, so that no call holds the parcel for long.
        let receipt = waiting(py, timeout(seconds), |timeout| {
            self.server.deliver(&mut lock(&parcel.parcel), timeout)
        })?;
        Ok(HandoverReceipt { receipt })
    }

    fn close(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let settled = waiting(py, timeout(Some(seconds)), |timeout| {
            self.server.finish(timeout.unwrap_or(Duration::MAX))
        });
        // Also after Ctrl-C; whether all is settled is known already.
        let _ = gate::detached(py, || self.server.close(Duration::ZERO))?;
        settled
    }
}

/// `ottava.handover.Segment` without its manners.
#[pyclass(frozen, module = "ottava._native")]
pub(super) struct HandoverSegment {
    segment: Mutex<Option<Segment>>,
}

/// What numpy keeps alive as long as it looks at a segment.
#[pyclass(frozen, module = "ottava._native")]
struct HandoverMemory {
    _memory: Arc<Memory>,
}

/// The bytes of a column's values, their dtype, how many there are per row, and how they are stored.
type View<'py> = (Bound<'py, PyArray1<u8>>, Option<String>, Option<i32>, &'static str);

impl HandoverSegment {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Segment) -> Result<T, HandoverError> + Send,
    ) -> PyResult<T> {
        let done = gate::detached(py, || lock(&self.segment).as_mut().map(work))?;
        done.ok_or_else(|| closed(py))?.map_err(|err| raise(py, err))
    }
}

#[pymethods]
impl HandoverSegment {
    #[getter]
    fn rows(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |segment| Ok(segment.rows()))
    }

    #[getter]
    fn column_names(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.with(py, |segment| {
            Ok(segment.schema().fields().iter().map(|field| field.name().clone()).collect())
        })
    }

    fn view<'py>(&self, py: Python<'py>, name: &str) -> PyResult<View<'py>> {
        let (memory, place) =
            self.with(py, |segment| segment.place(name).map(|(m, p)| (m.clone(), p.clone())))?;
        let start = memory.as_ptr().wrapping_add(place.values.start);
        let owner = Bound::new(py, HandoverMemory { _memory: memory })?;
        // SAFETY: `start` is valid for the length of the range as long as the owner lives, which the array keeps; any
        // byte is a valid u8, and the memory is written through raw pointers and numpy only.
        let bytes = unsafe {
            let view = ArrayView1::from_shape_ptr(place.values.len(), start);
            PyArray1::borrow_from_array(&view, owner.into_any())
        };
        let (values, size) = match &place.data_type {
            DataType::FixedSizeList(child, size) => (child.data_type(), Some(*size)),
            own => (own, None),
        };
        let storage = match place.storage {
            Storage::Fixed { .. } => "fixed",
            Storage::Bits => "bits",
            Storage::Variable { .. } => "variable",
        };
        Ok((bytes, dtype(values), size, storage))
    }

    fn data_type(&self, py: Python<'_>, name: &str) -> PyResult<String> {
        self.with(py, |segment| {
            let (_, place) = segment.place(name)?;
            Ok(match &place.data_type {
                DataType::Utf8 => "utf8".into(),
                DataType::LargeUtf8 => "large_utf8".into(),
                DataType::Binary => "binary".into(),
                DataType::LargeBinary => "large_binary".into(),
                other => other.to_string().to_lowercase(),
            })
        })
    }

    /// Copies a column from an Arrow array.
    fn copy_from(&self, py: Python<'_>, name: &str, column: &Bound<'_, PyAny>) -> PyResult<()> {
        let chunks = read_column(column)?;
        let chunks: Vec<_> = chunks.iter().map(AsRef::as_ref).collect();
        let array = match &chunks[..] {
            [one] => make_array(one.to_data()),
            many => arrow_select::concat::concat(many)
                .map_err(|err| ARGUMENT.new_err(py, (format!("{name}: {err}"),)))?,
        };
        self.with(py, |segment| {
            let (_, place) = segment.place(name)?;
            let wanted = place.data_type.clone();
            // pyarrow and polars have several layouts for one logical type.
            let array = fit(&array, &wanted)
                .map_err(|reason| HandoverError::Column { column: name.to_owned(), reason })?;
            segment.copy_from(name, &array)
        })
    }

    /// Copies a column of texts or bytes.
    fn set_strings(&self, py: Python<'_>, name: &str, values: Vec<Option<String>>) -> PyResult<()> {
        self.with(py, |segment| {
            let large = segment.place(name)?.1.data_type == DataType::LargeUtf8;
            let values = values.iter().map(Option::as_deref);
            if large {
                segment.copy_from(name, &values.collect::<arrow_array::LargeStringArray>())
            } else {
                segment.copy_from(name, &values.collect::<arrow_array::StringArray>())
            }
        })
    }

    /// Copies a column of bytes.
    fn set_bytes(&self, py: Python<'_>, name: &str, values: Vec<Option<Vec<u8>>>) -> PyResult<()> {
        self.with(py, |segment| {
            let large = segment.place(name)?.1.data_type == DataType::LargeBinary;
            let values = values.iter().map(Option::as_deref);
            if large {
                segment.copy_from(name, &values.collect::<arrow_array::LargeBinaryArray>())
            } else {
                segment.copy_from(name, &values.collect::<arrow_array::BinaryArray>())
            }
        })
    }

    /// Says which rows are null; `None` for none of them.
    fn set_nulls(&self, py: Python<'_>, name: &str, nulls: Option<Vec<bool>>) -> PyResult<()> {
        let valid = nulls.map(|nulls| nulls.iter().map(|null| !null).collect::<NullBuffer>());
        self.with(py, |segment| segment.set_nulls(name, valid.as_ref()))
    }

    fn truncate(&self, py: Python<'_>, rows: usize) -> PyResult<()> {
        self.with(py, |segment| segment.truncate(rows))
    }

    fn finish(&self, py: Python<'_>) -> PyResult<HandoverParcel> {
        let segment = lock(&self.segment).take().ok_or_else(|| closed(py))?;
        let parcel = gate::detached(py, || segment.finish())?.map_err(|err| raise(py, err))?;
        Ok(HandoverParcel { parcel: Mutex::new(parcel) })
    }

    fn discard(&self) {
        lock(&self.segment).take();
    }
}

/// A complete table, ready to be sent.
#[pyclass(frozen, module = "ottava._native")]
pub(super) struct HandoverParcel {
    parcel: Mutex<Parcel>,
}

#[pymethods]
impl HandoverParcel {
    #[getter]
    fn bytes(&self) -> u64 {
        lock(&self.parcel).bytes()
    }
}

/// What becomes of a table that was sent.
#[pyclass(frozen, module = "ottava._native")]
pub(super) struct HandoverReceipt {
    receipt: Receipt,
}

#[pymethods]
impl HandoverReceipt {
    #[getter]
    fn settled(&self) -> bool {
        self.receipt.is_settled()
    }

    fn wait(&self, py: Python<'_>, seconds: Option<f64>) -> PyResult<()> {
        waiting(py, timeout(seconds), |timeout| self.receipt.wait(timeout))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn closed(py: Python<'_>) -> PyErr {
    HANDOVER.closed.new_err(py, ("the segment was sent or discarded",))
}
