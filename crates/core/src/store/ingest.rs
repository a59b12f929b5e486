//! Taking in a batch: all checks, then the index, then one step that makes it visible.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::DataType;

use super::check::{Checker, arrow_error};
use super::chunk::{Chunk, locate};
use super::convert::{Converted, Copied, apply, filled};
use super::delta::Delta;
use super::error::StoreError;
use super::ids::Ids;
use super::index::{Clash, OnDuplicate};
use super::plan::Source;
use super::show::cut;
use super::table::{Column, Plan, Retiring, TokenStore};
use super::text::{self, Change};
use super::wider::wider;
use super::workers::Workers;

/// Ids that are hashed in one piece.
const HASH_ROWS: usize = 1 << 16;

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows that were read.
    pub rows: usize,
    /// Rows that are in the store now.
    pub inserted: usize,
    /// Rows that are no longer in the store, because a later one has their id.
    pub replaced: usize,
    /// Rows that were passed over, because their id was there already.
    pub skipped: usize,
    /// What was made anew, by column and reason. All other buffers are those of the batch.
    pub copies: Vec<Copied>,
    /// Columns of the batch that a locked schema will no longer have.
    pub retiring: Vec<Retiring>,
}

impl Report {
    /// Bytes that were made anew, the index of ids not counted.
    #[must_use]
    pub fn bytes_copied(&self) -> usize {
        self.copies.iter().map(|copied| copied.bytes).sum()
    }
}

/// The batch when all of its columns are checked and converted.
struct Staged {
    chunks: Vec<Arc<Chunk>>,
    tags: Vec<u32>,
    copies: Vec<Copied>,
}

impl TokenStore {
    pub(super) fn take_in<E: From<StoreError>>(
        &mut self,
        plan: &Plan,
        batches: &[RecordBatch],
        on_duplicate: OnDuplicate,
        workers: &dyn Workers,
        before: impl FnOnce(&Delta<'_>) -> Result<(), E>,
    ) -> Result<Report, E> {
        let mut staged = self.stage(plan, batches, workers)?;
        let layouts = self.layouts_with(plan, &staged)?;
        let base = self.next_slot;
        let rows = staged.tags.len();
        let clashes = {
            let (old, new) = (&self.chunks, &staged.chunks);
            let id = |slot: u32| {
                locate(if slot < base { old } else { new }, slot).map(|(c, row)| c.id(row))
            };
            let same = |a: u32, b: u32| id(a) == id(b);
            self.index.insert(&staged.tags, base, &same, on_duplicate, workers)
        };
        let tags = std::mem::take(&mut staged.tags);
        let outcome = self.settle(plan, staged, clashes, rows, on_duplicate, before);
        match outcome {
            Ok(report) => {
                self.layouts = layouts;
                Ok(report)
            }
            Err((err, clashes)) => {
                let tag = |slot: u32| tags[(slot - base) as usize];
                self.index.undo(base..base + rows as u32, &clashes, on_duplicate, tag);
                Err(err)
            }
        }
    }

    /// The layouts of all columns when the batch is in. One that differs from those before widens its column or is refused.
    fn layouts_with(&self, plan: &Plan, staged: &Staged) -> Result<Vec<DataType>, StoreError> {
        let mut layouts = self.layouts.clone();
        layouts.resize(plan.columns.len(), DataType::Null);
        for chunk in &staged.chunks {
            for ((at, layout), column) in layouts.iter_mut().enumerate().zip(&plan.columns) {
                let Some(array) = chunk.raw(at) else { continue };
                if array.data_type() != layout {
                    let wider = wider(&column.name, layout, array.data_type());
                    *layout = wider.map_err(|mismatch| StoreError::Schema(vec![mismatch]))?;
                }
            }
        }
        Ok(layouts)
    }

    /// Everything behind the index. On an error nothing is changed but the index.
    fn settle<E: From<StoreError>>(
        &mut self,
        plan: &Plan,
        staged: Staged,
        clashes: Vec<Clash>,
        rows: usize,
        on_duplicate: OnDuplicate,
        before: impl FnOnce(&Delta<'_>) -> Result<(), E>,
    ) -> Result<Report, (E, Vec<Clash>)> {
        let base = self.next_slot;
        let mut report = Report {
            rows,
            copies: staged.copies,
            retiring: plan.retiring.clone(),
            ..Report::default()
        };
        let dead: Vec<u32> = match on_duplicate {
            OnDuplicate::Error => match clashes.first() {
                Some(first) => {
                    let err = self.duplicate(&staged.chunks, *first, base);
                    return Err((err.into(), clashes));
                }
                None => Vec::new(),
            },
            OnDuplicate::Skip => clashes.iter().map(|clash| clash.slot).collect(),
            OnDuplicate::Replace => clashes.iter().map(|clash| clash.earlier).collect(),
        };
        match on_duplicate {
            OnDuplicate::Skip => report.skipped = dead.len(),
            _ => report.replaced = dead.len(),
        }
        let (removed, stillborn): (Vec<u32>, Vec<u32>) =
            dead.into_iter().partition(|slot| *slot < base);
        report.inserted = rows - stillborn.len();
        let changed = (|| {
            let added = kill(&staged.chunks, &stillborn)?;
            let kept = kill(&self.chunks, &removed)?;
            before(&Delta::new(&added, &removed, &self.chunks, &plan.columns, &self.id))?;
            Ok((kept, added))
        })();
        match changed {
            Ok((kept, added)) => {
                let counts = |chunk: &Arc<Chunk>| chunk.live_rows() > 0;
                self.chunks = kept.into_iter().chain(added).filter(counts).collect();
                self.next_slot = base + rows as u32;
                Ok(report)
            }
            Err(err) => Err((err, clashes)),
        }
    }

    #[cold]
    fn duplicate(&self, new: &[Arc<Chunk>], clash: Clash, base: u32) -> StoreError {
        let value =
            locate(new, clash.slot).map_or_else(String::new, |(c, row)| cut(c.id(row).to_string()));
        StoreError::Duplicate {
            row: (clash.slot - base) as usize,
            column: self.id.clone(),
            value,
            earlier: clash.earlier.checked_sub(base).map(|row| row as usize),
        }
    }

    /// Checks and converts every column of every record batch.
    fn stage(
        &self,
        plan: &Plan,
        batches: &[RecordBatch],
        workers: &dyn Workers,
    ) -> Result<Staged, StoreError> {
        let mut starts = Vec::with_capacity(batches.len());
        let mut total = 0;
        for (at, batch) in batches.iter().enumerate() {
            let fields = |schema: &arrow_schema::Schema| {
                schema
                    .fields()
                    .iter()
                    .map(|f| (f.name().clone(), f.data_type().clone()))
                    .collect::<Vec<_>>()
            };
            if !Arc::ptr_eq(&batch.schema(), &plan.schema)
                && fields(&batch.schema()) != fields(&plan.schema)
            {
                let message = "its columns are not those of the first".to_owned();
                return Err(StoreError::Batch { batch: at, message });
            }
            starts.push(total);
            total += batch.num_rows();
        }
        let room = (u32::MAX - self.next_slot) as usize;
        if total >= room {
            return Err(StoreError::Full);
        }
        let width = plan.sources.len();
        let done: Vec<OnceLock<Result<Option<Converted>, StoreError>>> =
            (0..batches.len() * width).map(|_| OnceLock::new()).collect();
        workers.each(done.len(), &|job| {
            let (at, column) = (job / width, job % width);
            let _ = done[job].set(self.column(plan, column, &batches[at]));
        });
        let mut columns = done.into_iter().map(|cell| cell.into_inner().unwrap_or(Ok(None)));
        let mut staged = Staged { chunks: Vec::new(), tags: vec![0; total], copies: Vec::new() };
        let mut copies: BTreeMap<(usize, String), usize> = BTreeMap::new();
        for (at, batch) in batches.iter().enumerate() {
            let mut arrays: Vec<Option<ArrayRef>> = Vec::with_capacity(width);
            let mut first: Option<StoreError> = None;
            for column in 0..width {
                match columns.next().unwrap_or(Ok(None)) {
                    Ok(Some(converted)) => {
                        if let Some((bytes, reason)) = converted.copied {
                            *copies.entry((column, reason)).or_default() += bytes;
                        }
                        arrays.push(Some(converted.array));
                    }
                    Ok(None) => arrays.push(None),
                    Err(err) if first.as_ref().is_none_or(|f| err.row() < f.row()) => {
                        first = Some(err);
                    }
                    Err(_) => {}
                }
            }
            if let Some(err) = first {
                return Err(err.moved(starts[at]));
            }
            self.coordinates(plan, &arrays).map_err(|err| err.moved(starts[at]))?;
            if batch.num_rows() == 0 {
                continue;
            }
            let none = || StoreError::NoColumn { column: self.id.clone() };
            let ids = arrays[plan.id].as_ref().and_then(Ids::new).ok_or_else(none)?;
            let first = self.next_slot + starts[at] as u32;
            staged.chunks.push(Arc::new(Chunk::new(first, batch.num_rows(), arrays, ids, plan.id)));
        }
        self.hash(&mut staged, workers);
        let copied = |((column, reason), bytes): ((usize, String), usize)| Copied {
            column: plan.columns[column].name.clone(),
            bytes,
            reason,
        };
        staged.copies = copies.into_iter().map(copied).filter(|copied| copied.bytes > 0).collect();
        Ok(staged)
    }

    fn hash(&self, staged: &mut Staged, workers: &dyn Workers) {
        let mut pieces = Vec::new();
        let mut rest = &mut staged.tags[..];
        for chunk in &staged.chunks {
            let (tags, more) = rest.split_at_mut(chunk.all_rows());
            rest = more;
            for (at, tags) in tags.chunks_mut(HASH_ROWS).enumerate() {
                pieces.push((chunk, at * HASH_ROWS, Mutex::new(tags)));
            }
        }
        workers.each(pieces.len(), &|at| {
            let (chunk, first, tags) = &pieces[at];
            let mut tags = tags.lock().unwrap_or_else(PoisonError::into_inner);
            chunk.hash(&self.hashing, *first, &mut tags);
        });
    }

    /// One column of one record batch, checked and converted.
    fn column(
        &self,
        plan: &Plan,
        column: usize,
        batch: &RecordBatch,
    ) -> Result<Option<Converted>, StoreError> {
        let Column { name, field, arrow } = &plan.columns[column];
        let declaration = &plan.declaration;
        let checker = Checker { declaration, rules: self.rules.as_deref() };
        match (&plan.sources[column], field) {
            (Some(Source::Child(at, step)), Some(field)) => {
                let given = batch.column(*at);
                let stripped = text::changed(declaration, &field.ty, given, Change::Strip);
                let array = stripped.as_ref().unwrap_or(given);
                if column == plan.id {
                    checker.never_null(name, array)?;
                }
                checker.column(name, &field.ty, array)?;
                let cased = text::changed(declaration, &field.ty, array, Change::Case);
                let array = cased.as_ref().unwrap_or(array);
                let mut made = apply(declaration, name, &field.ty, step, array)?;
                if made.copied.is_none() && (stripped.is_some() || cased.is_some()) {
                    made =
                        Converted::made(made.array, "text stripped, lowered or raised".to_owned());
                }
                Ok(Some(made))
            }
            (Some(Source::Child(at, _)), None) => {
                let array = batch.column(*at);
                if column == plan.id {
                    checker.never_null(name, array)?;
                }
                Ok(Some(Converted { array: array.clone(), copied: None }))
            }
            (Some(Source::Default), Some(field)) => {
                filled(declaration, name, field, arrow.data_type(), batch.num_rows()).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn coordinates(&self, plan: &Plan, arrays: &[Option<ArrayRef>]) -> Result<(), StoreError> {
        for (coordinates, columns) in &plan.coordinates {
            let found: Vec<_> =
                columns.iter().filter_map(|column| arrays[*column].as_ref()).collect();
            if found.len() != columns.len() {
                let missing =
                    columns.iter().position(|column| arrays[*column].is_none()).unwrap_or(0);
                return Err(StoreError::NoColumn {
                    column: coordinates.columns()[missing].clone(),
                });
            }
            coordinates.read(&found)?;
        }
        Ok(())
    }
}

/// The chunks without the rows of these slots.
fn kill(chunks: &[Arc<Chunk>], slots: &[u32]) -> Result<Vec<Arc<Chunk>>, StoreError> {
    let mut rows: HashMap<u32, Vec<usize>> = HashMap::new();
    for slot in slots {
        if let Some((chunk, row)) = locate(chunks, *slot) {
            rows.entry(chunk.first()).or_default().push(row);
        }
    }
    let change = |chunk: &Arc<Chunk>| match rows.get(&chunk.first()) {
        None => Ok(Arc::clone(chunk)),
        Some(dead) => chunk.without(dead).map(Arc::new).map_err(|err| arrow_error("", &err)),
    };
    chunks.iter().map(change).collect()
}
