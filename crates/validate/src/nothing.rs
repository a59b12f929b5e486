//! The output that makes nothing.

use ottava_core::schema::{Date, DateTime, Duration, FieldDefault, Time};

use crate::input::Collection;
use crate::output::{Checked, Given, Output};
use crate::program::{EnumPlan, LiteralPlan, RecordPlan};

/// Makes nothing. With `FIRST` the first issue ends the run; otherwise all of them are found.
#[derive(Debug, Default)]
pub struct Nothing<const FIRST: bool>;

impl<const FIRST: bool> Output for Nothing<FIRST> {
    type Value = ();
    type Place = ();
    type Seq = ();
    type Map = ();
    type Record = ();

    const FIRST_ISSUE_ONLY: bool = FIRST;

    fn null(&mut self, (): ()) -> Checked<()> {
        Ok(())
    }
    fn bool(&mut self, (): (), _value: bool) -> Checked<()> {
        Ok(())
    }
    fn int(&mut self, (): (), _value: i64) -> Checked<()> {
        Ok(())
    }
    fn big_int(&mut self, (): (), _digits: &str) -> Checked<()> {
        Ok(())
    }
    fn float(&mut self, (): (), _value: f64) -> Checked<()> {
        Ok(())
    }
    fn str(&mut self, (): (), _value: &str) -> Checked<()> {
        Ok(())
    }
    fn bytes(&mut self, (): (), _value: &[u8]) -> Checked<()> {
        Ok(())
    }
    fn decimal(&mut self, (): (), _value: &str) -> Checked<()> {
        Ok(())
    }
    fn datetime(&mut self, (): (), _value: DateTime) -> Checked<()> {
        Ok(())
    }
    fn date(&mut self, (): (), _value: Date) -> Checked<()> {
        Ok(())
    }
    fn time(&mut self, (): (), _value: Time) -> Checked<()> {
        Ok(())
    }
    fn duration(&mut self, (): (), _value: Duration) -> Checked<()> {
        Ok(())
    }
    fn uuid(&mut self, (): (), _value: u128) -> Checked<()> {
        Ok(())
    }
    fn enum_member(&mut self, (): (), _plan: &EnumPlan, _index: usize) -> Checked<()> {
        Ok(())
    }
    fn literal(&mut self, (): (), _plan: &LiteralPlan, _index: usize) -> Checked<()> {
        Ok(())
    }
    fn default(
        &mut self,
        (): (),
        _record: &RecordPlan,
        _field: usize,
        _default: &FieldDefault,
    ) -> Checked<()> {
        Ok(())
    }
    fn seq(&mut self, (): (), _kind: Collection) -> Checked<()> {
        Ok(())
    }
    fn item_place(&mut self, (): (), (): &()) {}
    fn push(&mut self, (): &mut (), (): ()) -> Checked<bool> {
        Ok(true)
    }
    fn end_seq(&mut self, (): (), (): ()) -> Checked<()> {
        Ok(())
    }
    fn map(&mut self, (): ()) -> Checked<()> {
        Ok(())
    }
    fn key_place(&mut self, (): (), (): &()) {}
    fn value_place(&mut self, (): (), (): &()) {}
    fn insert(&mut self, (): &mut (), (): (), (): ()) -> Checked<bool> {
        Ok(true)
    }
    fn end_map(&mut self, (): (), (): ()) -> Checked<()> {
        Ok(())
    }
    fn record(&mut self, (): (), _plan: &RecordPlan) -> Checked<()> {
        Ok(())
    }
    fn field_place(&mut self, (): (), (): &(), _field: usize) {}
    fn field(&mut self, (): &mut (), _field: usize, (): ()) -> Checked<()> {
        Ok(())
    }
    fn extra_place(&mut self, (): (), (): &()) {}
    fn extra(&mut self, (): &mut (), _key: &str, (): ()) -> Checked<()> {
        Ok(())
    }
    fn end_record(&mut self, (): (), _plan: &RecordPlan, (): (), _given: &Given) -> Checked<()> {
        Ok(())
    }
}
