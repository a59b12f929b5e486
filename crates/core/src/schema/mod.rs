//! The one declaration of a record, used by everything that needs to know its fields.
//!
//! A [`Declaration`] says what a record is: its fields, their logical [`Type`]s, nullability, [`Rules`],
//! defaults, aliases, documentation and [`Config`]. It is plain data. `ottava-validate` compiles it into a
//! validator and reads and writes it as JSON Schema; the `arrow` feature turns it into an Arrow schema.
//!
//! ```
//! use ottava_core::schema::{Declaration, Field, Record, Type};
//!
//! let user = Record::new("User")
//!     .field(Field::new("id", Type::int().gt(0)))
//!     .field(Field::new("name", Type::str().min_length(1)))
//!     .field(Field::new("email", Type::str().email().nullable()).default_null());
//! let declaration = Declaration::from(user);
//! assert_eq!(declaration.name, "User");
//! ```

mod assertions;
#[cfg(feature = "lock")]
mod compat;
mod declaration;
#[cfg(feature = "lock")]
mod fingerprint;
#[cfg(feature = "lock")]
mod lock;
mod rules;
mod temporal;
mod types;
mod value;
#[cfg(feature = "lock")]
mod words;

pub use assertions::{ArrayAssertions, Assertions, Condition, JsonKind, ObjectAssertions};
#[cfg(feature = "lock")]
pub use compat::{Change, Difference, Direction, Mode, diff};
pub use declaration::{Config, Declaration, Docs, Extra, Field, FieldDefault, Form, Record};
#[cfg(feature = "lock")]
pub use fingerprint::{Fingerprint, canonical_json, logical};
#[cfg(feature = "lock")]
pub use lock::{Deprecation, Lock, LockError, Locked, Reserved, Verdict, Version, deprecations};
pub use rules::{Format, Rules};
pub use temporal::{Date, DateTime, Duration, Time};
pub use types::{
    EnumMember, EnumType, FloatWidth, IntWidth, Kind, TimeUnit, Type, Union, UnionMode,
};
pub use value::Value;
