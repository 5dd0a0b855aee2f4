//! Joins shader files into one module and reads back from it what the host must know.
//!
//! The files are put one behind the other as they are: names may be used before their line in WGSL, so neither an
//! order nor an import is needed. The bindings are read from the parsed module, so they are written down once: in
//! the frame.

use wgpu::naga;

use crate::{Error, Result};

/// A shader file: its path under `shaders/` and its text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct File {
    /// The path under `shaders/`, for messages.
    pub name: &'static str,
    /// The WGSL text.
    pub text: &'static str,
    own: bool,
}

impl File {
    /// A filling from outside this crate: compiled with wgpu's bounds checks, always.
    pub const fn new(name: &'static str, text: &'static str) -> Self {
        File { name, text, own: false }
    }

    /// A file of this crate, which its tests run checked and unchecked.
    pub(crate) const fn own(name: &'static str, text: &'static str) -> Self {
        File { name, text, own: true }
    }

    /// The name alone, where the text stands in a program's header.
    pub(crate) const fn without_text(self) -> Self {
        File { text: "", ..self }
    }

    pub(crate) fn is_own(&self) -> bool {
        self.own
    }
}

/// The shader file at a path under `shaders/`, compiled into the library.
macro_rules! shader {
    ($path:literal) => {
        $crate::wgsl::File::own($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path)))
    };
}
pub(crate) use shader;

/// A storage binding of a module, in the order of its number.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The number in `@binding(…)`.
    pub number: u32,
    /// The variable's name.
    pub name: String,
    /// How the module sees it.
    pub access: Access,
}

/// How a module sees a binding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Access {
    /// `var<uniform>`
    Uniform,
    /// `var<storage, read>`
    Read,
    /// `var<storage, read_write>`
    ReadWrite,
}

/// A parsed module with its bindings.
#[derive(Clone, Debug)]
pub struct Module {
    /// naga's form of the text.
    pub ir: naga::Module,
    /// The bindings of group 0, by number.
    pub bindings: Vec<Binding>,
}

/// The text of all files, one behind the other.
pub fn join(header: &str, files: &[File]) -> String {
    let mut text = String::from(header);
    for file in files {
        text.push_str(file.text);
        text.push('\n');
    }
    text
}

/// Parses the joined files.
///
/// # Errors
/// [`Error::Gpu`] with the file and the line in it where the text is not WGSL.
pub fn parse(label: &str, header: &str, files: &[File]) -> Result<Module> {
    let text = join(header, files);
    let ir = naga::front::wgsl::parse_str(&text).map_err(|error| {
        let place = error.location(&text).map_or_else(String::new, |at| locate(header, files, at.line_number));
        Error::Gpu { kernel: label.into(), message: format!("{place}{}", error.message()) }
    })?;
    let mut bindings: Vec<Binding> = ir
        .global_variables
        .iter()
        .filter_map(|(_, variable)| {
            let number = variable.binding.as_ref()?.binding;
            let access = match variable.space {
                naga::AddressSpace::Uniform => Access::Uniform,
                naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE) => {
                    Access::ReadWrite
                }
                _ => Access::Read,
            };
            Some(Binding { number, name: variable.name.clone().unwrap_or_default(), access })
        })
        .collect();
    bindings.sort_by_key(|binding| binding.number);
    Ok(Module { ir, bindings })
}

/// Parses the joined files and checks what the parser does not: numbers of arguments, types of results.
///
/// # Errors
/// As [`parse`].
pub fn validate(label: &str, header: &str, files: &[File]) -> Result<()> {
    let module = parse(label, header, files)?.ir;
    let (flags, capabilities) = (naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all());
    match naga::valid::Validator::new(flags, capabilities).validate(&module) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = join(header, files);
            let place = error.location(&text).map_or_else(String::new, |at| locate(header, files, at.line_number));
            // The causes say what is wrong, the error itself only where.
            let mut message = error.as_inner().to_string();
            let mut cause = std::error::Error::source(error.as_inner());
            while let Some(inner) = cause {
                message = format!("{message}: {inner}");
                cause = inner.source();
            }
            Err(Error::Gpu { kernel: label.into(), message: format!("{place}{message}") })
        }
    }
}

/// `file:line: ` for a line (from 1) of the joined text.
fn locate(header: &str, files: &[File], line: u32) -> String {
    let mut first = 1 + header.matches('\n').count() as u32;
    if line < first {
        return format!("header:{line}: ");
    }
    for file in files {
        let lines = 1 + file.text.matches('\n').count() as u32;
        if line < first + lines {
            return format!("{}:{}: ", file.name, line - first + 1);
        }
        first += lines;
    }
    String::new()
}

/// Asks that a uniform's Rust struct lies in memory as the shader's does: its size, and each field's name and offset.
#[cfg(test)]
macro_rules! assert_layout {
    ($program:expr, $rust:ty as $name:literal { $($field:ident),+ $(,)? }) => {{
        let program = $program;
        let module = $crate::wgsl::parse(&program.label, &program.header, &program.files).unwrap();
        let (size, members) = $crate::wgsl::struct_layout(&module.ir, $name).expect("the shader has the struct");
        assert_eq!(size as usize, size_of::<$rust>(), "size of {}", program.label);
        let own = [$((stringify!($field).to_string(), std::mem::offset_of!($rust, $field) as u32)),+];
        assert_eq!(members, own, "fields of {}", program.label);
    }};
}
#[cfg(test)]
pub(crate) use assert_layout;

/// Size of a struct of a module, and the name and offset of each member.
#[cfg(test)]
pub(crate) fn struct_layout(module: &naga::Module, name: &str) -> Option<(u32, Vec<(String, u32)>)> {
    module.types.iter().find_map(|(_, ty)| match &ty.inner {
        naga::TypeInner::Struct { members, span } if ty.name.as_deref() == Some(name) => {
            let member = |m: &naga::StructMember| (m.name.clone().unwrap_or_default(), m.offset);
            Some((*span, members.iter().map(member).collect()))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: File = crate::wgsl::File::new(
        "good.wgsl",
        "@group(0) @binding(1) var<storage, read_write> b: array<f32>;\n@group(0) @binding(0) var<storage> a: array<f32>;\n",
    );

    #[test]
    fn bindings_come_in_the_order_of_their_numbers() {
        let module = parse("test", "const ROWS: u32 = 4u;\n", &[GOOD]).unwrap();
        let found: Vec<_> = module.bindings.iter().map(|b| (b.name.as_str(), b.access)).collect();
        assert_eq!(found, [("a", Access::Read), ("b", Access::ReadWrite)]);
    }

    #[test]
    fn an_error_names_the_file_and_its_own_line() {
        let bad = crate::wgsl::File::new("bad.wgsl", "fn f() {}\nfn g() { let x = ; }\n");
        let message = parse("test", "const ROWS: u32 = 4u;\n", &[GOOD, bad]).unwrap_err().to_string();
        assert!(message.contains("bad.wgsl:2"), "{message}");
    }
}
