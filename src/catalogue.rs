//! What an entry of a list is: its name, its options, its filling and how it is made from JSON.
//!
//! A list (losses, activations, optimizers) is one `catalogue!`; a line in it makes the module, its public name and its place in the list.
//! An option is one line of `options!`; it makes the field, the setter, the default, the check of its domain and its documentation.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::runtime::wgsl::File;
use crate::{Error, Result};

/// One entry of a list.
pub struct Entry<T: ?Sized + 'static> {
    /// The name, which is also the stem of its two files.
    pub name: &'static str,
    /// What it is for, in one line.
    pub summary: &'static str,
    /// The formula, in one line.
    pub formula: &'static str,
    /// The options; none for many.
    pub options: &'static [OptionDoc],
    /// The same in PyTorch.
    pub torch: &'static str,
    /// The same in Keras; with the settings that make it so.
    pub keras: &'static str,
    /// The same in optax or jax; empty where there is none.
    pub optax: &'static str,
    /// Who wrote it down first: authors, title, year; empty where nobody is known.
    pub source: &'static str,
    /// Sets of options, as JSON, that the checks run besides the defaults.
    pub variants: &'static [&'static str],
    /// The filling.
    pub shader: File,
    /// Makes it from a JSON object of options; what is left out takes its default.
    pub make: fn(&Value) -> Result<Box<T>>,
}

/// Options that know their domains: what [`options!`] makes of them.
pub(crate) trait Options {
    /// Each option against its own domain.
    fn check_domains(&self) -> Result<()>;
}

/// One option of an entry, for people. Its default is in the code alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptionDoc {
    /// Its name, as PyTorch spells it.
    pub name: &'static str,
    /// Which values are allowed: `> 0`.
    pub domain: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// The entry of that name.
///
/// # Errors
/// [`Error::Unknown`] with all names.
pub(crate) fn find<T: ?Sized>(
    kind: &str,
    list: &'static [&'static Entry<T>],
    name: &str,
) -> Result<&'static Entry<T>> {
    let found = list.iter().copied().find(|entry| entry.name == name);
    found.ok_or_else(|| Error::unknown(kind, name, list.iter().map(|entry| entry.name)))
}

/// The options struct of `owner` with the values of a JSON object set (`null` is an empty one).
///
/// # Errors
/// [`Error::Unknown`] for an option that `T` has not, [`Error::Option`] for a value of the wrong kind.
pub(crate) fn read<T>(owner: &str, documented: &[OptionDoc], given: &Value) -> Result<T>
where
    T: Default + Serialize + DeserializeOwned,
{
    let none = Map::new();
    let given = match given {
        Value::Null => &none,
        Value::Object(map) => map,
        other => return Err(Error::option(owner, "options", other, "a JSON object")),
    };
    let mut options = T::default();
    for (name, value) in given {
        let Some(option) = documented.iter().find(|option| option.name == name) else {
            return Err(Error::unknown(
                &format!("option of {owner}"),
                name,
                documented.iter().map(|option| option.name),
            ));
        };
        let mut object = write(&options);
        object[name.as_str()] = value.clone();
        options = serde_json::from_value(object)
            .map_err(|_| Error::option(owner, name, value, option.domain))?;
    }
    Ok(options)
}

/// The options as a JSON object.
pub(crate) fn write(options: &impl Serialize) -> Value {
    // A struct without options is `null` in JSON; one that could not be written does not exist: the fields are numbers and words.
    match serde_json::to_value(options) {
        Ok(Value::Object(map)) => Value::Object(map),
        _ => Value::Object(Map::new()),
    }
}

/// A list: `catalogue! { /// Doc. pub static LIST: dyn Trait = relu::Relu, …; }`
macro_rules! catalogue {
    ($(#[$doc:meta])* pub static $list:ident: $kind:ty = $($module:ident :: $name:ident),+ $(,)?;) => {
        $(mod $module; pub use $module::$name;)+

        $(#[$doc])*
        pub static $list: &[&$crate::catalogue::Entry<$kind>] = &[$(&$module::ENTRY),+];
    };
}
pub(crate) use catalogue;

/// An options struct: `name: kind = default, "domain" if |value| condition;` for each option, with its doc line above.
macro_rules! options {
    (
        $(#[$meta:meta])*
        pub struct $name:ident of $owner:literal {
            $($(#[doc = $doc:literal])+ $field:ident: $kind:ty = $default:expr, $domain:literal if |$value:pat_param| $holds:expr;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $($field: $kind,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            pub(crate) const OPTIONS: &'static [$crate::catalogue::OptionDoc] = &[$($crate::catalogue::OptionDoc {
                name: stringify!($field),
                domain: $domain,
                meaning: concat!($($doc),+).trim_ascii_start(),
            },)*];

            /// With the default options.
            pub fn new() -> Self {
                Self::default()
            }

            $($(#[doc = $doc])+
            #[doc = concat!("\n\nDefault `", stringify!($default), "`; ", $domain, ".")]
            #[must_use]
            pub fn $field(mut self, $field: impl Into<$kind>) -> Self {
                self.$field = $field.into();
                self
            })*

        }

        impl $crate::catalogue::Options for $name {
            fn check_domains(&self) -> $crate::Result<()> {
                $({
                    // A list among the options is no Copy.
                    let $value = Clone::clone(&self.$field);
                    if !$holds {
                        let found = format!("{:?}", self.$field);
                        return Err($crate::Error::option($owner, stringify!($field), found, $domain));
                    }
                })*
                Ok(())
            }
        }
    };
}
pub(crate) use options;
