//! Finished values into columns: what was made as a tree first, and defaults, which need not fit.

use ottava_core::arrow::{EXTRA_COLUMN, is_json};
use ottava_core::schema::{FieldDefault, Value};

use super::output::ColumnOutput;
use super::store::Data;
use crate::issue::Code;
use crate::output::{Checked, Given, plain};
use crate::program::RecordPlan;

impl ColumnOutput {
    /// Puts a finished value into its column, if it is not there yet.
    #[inline(always)]
    pub(super) fn settle(&mut self, column: usize, value: Option<Box<Value>>) -> Checked<()> {
        match value {
            None => Ok(()),
            Some(value) => self.settle_tree(column, &value),
        }
    }

    #[cold]
    pub(super) fn settle_tree(&mut self, column: usize, value: &Value) -> Checked<()> {
        if *value == Value::Null {
            return self.settle_null(column);
        }
        match (self.data(column), value) {
            (Some(Data::Json(bytes)), _) => {
                let text = crate::json::write(value);
                if bytes.push(text.as_bytes()) { Ok(()) } else { self.full() }
            }
            (
                Some(Data::Struct { rows, children }),
                Value::Record(_) | Value::Map(_) | Value::Tuple(_) | Value::List(_),
            ) => {
                *rows += 1;
                let children = children.clone();
                self.settle_struct(&children, value)
            }
            (
                Some(Data::List(_, item) | Data::FixedList { item, .. }),
                Value::List(items)
                | Value::Tuple(items)
                | Value::Set(items)
                | Value::FrozenSet(items),
            ) => {
                let item = *item;
                items.iter().try_for_each(|value| self.settle_tree(item, value))?;
                self.end_list(column, item)
            }
            (Some(Data::Map { key, value: item, .. }), Value::Map(entries)) => {
                let (key, item) = (*key, *item);
                for (name, value) in entries {
                    self.settle_tree(key, name)?;
                    self.settle_tree(item, value)?;
                }
                self.end_list(column, key)
            }
            _ => match plain(self, column, value)? {
                None => Ok(()),
                Some(_) => self.refuse(Code::Custom, "message", "value does not fit its column"),
            },
        }
    }

    /// Puts a null into a column, if it may hold one: a default may be anything.
    #[cold]
    fn settle_null(&mut self, column: usize) -> Checked<()> {
        if !self.table.columns[column].field.is_nullable() {
            return self.refuse(Code::Custom, "message", "null does not fit its column");
        }
        self.table.push_null(column);
        Ok(())
    }

    /// Puts the parts of a record or a tuple into the columns of a struct.
    fn settle_struct(&mut self, children: &[usize], value: &Value) -> Checked<()> {
        if let Value::Tuple(items) | Value::List(items) = value
            && items.len() != children.len()
        {
            return self.refuse(Code::Custom, "message", "value does not fit its column");
        }
        let mut extra = match value {
            Value::Record(fields) => fields.clone(),
            _ => Vec::new(),
        };
        for (index, child) in children.iter().enumerate() {
            let field = std::sync::Arc::clone(&self.table.columns[*child].field);
            if field.name() == EXTRA_COLUMN && is_json(&field) {
                if extra.is_empty() {
                    self.table.push_null(*child);
                } else {
                    self.settle_tree(*child, &Value::Record(std::mem::take(&mut extra)))?;
                }
                continue;
            }
            extra.retain(|(name, _)| name != field.name());
            let part = match value {
                Value::Tuple(items) | Value::List(items) => items.get(index),
                value => value.get(field.name()),
            };
            self.settle_tree(*child, part.unwrap_or(&Value::Null))?;
        }
        Ok(())
    }

    /// Ends a row of a list or a map whose items are in the column `item`.
    pub(super) fn end_list(&mut self, column: usize, item: usize) -> Checked<()> {
        let Ok(end) = i32::try_from(self.table.rows(item)) else { return self.full() };
        match self.data(column) {
            Some(Data::List(ends, _) | Data::Map { ends, .. }) => ends.push(end),
            Some(Data::FixedList { rows, .. }) => *rows += 1,
            _ => {}
        }
        Ok(())
    }

    /// Puts a null where a field may stay absent and is.
    #[cold]
    pub(super) fn fill_absent(
        &mut self,
        column: usize,
        plan: &RecordPlan,
        given: &Given,
    ) -> Checked<()> {
        for (index, field) in plan.fields.iter().enumerate() {
            if !given.contains(index) && matches!(field.default, FieldDefault::Absent) {
                let child = self.child(column, index);
                self.settle_null(child)?;
            }
        }
        Ok(())
    }
}
