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

    /// The file's name without folder and ending, which the names in it begin with.
    pub fn stem(&self) -> &'static str {
        let file = self.name.rsplit('/').next().unwrap_or(self.name);
        file.strip_suffix(".wgsl").unwrap_or(file)
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
        $crate::runtime::wgsl::File::own(
            $path,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path)),
        )
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

/// As [`join`], with the place of each part as a comment before it.
pub(crate) fn join_with_places(header: &str, files: &[File]) -> String {
    let mut text = String::new();
    if !header.is_empty() {
        text += "// declarations that the library makes for this program\n";
        text += header;
        text.push('\n');
    }
    for file in files {
        let lines = file.text.lines().count();
        if lines > 0 {
            text += &format!("// shaders/{}, lines 1 to {lines}\n", file.name);
        } else {
            text +=
                &format!("// shaders/{}: its text is among the declarations above\n", file.name);
        }
        text += file.text;
        text.push('\n');
    }
    text
}

/// Parses the joined files.
///
/// # Errors
/// [`Error::Wgsl`] with the line where a text of the user's own is not WGSL, [`Error::Gpu`] with file and line where it is one of ours.
pub fn parse(label: &str, header: &str, files: &[File]) -> Result<Module> {
    let text = join(header, files);
    let ir = naga::front::wgsl::parse_str(&text).map_err(|error| {
        let at = error.location(&text).map(|at| at.line_number);
        refused(label, header, files, at, error.message())
    })?;
    let mut bindings: Vec<Binding> = ir
        .global_variables
        .iter()
        .filter_map(|(_, variable)| {
            let number = variable.binding.as_ref()?.binding;
            let access = match variable.space {
                naga::AddressSpace::Uniform => Access::Uniform,
                naga::AddressSpace::Storage { access }
                    if access.contains(naga::StorageAccess::STORE) =>
                {
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
    let (flags, capabilities) =
        (naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all());
    match naga::valid::Validator::new(flags, capabilities).validate(&module) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = join(header, files);
            let at = error.location(&text).map(|at| at.line_number);
            // The causes say what is wrong, the error itself only where.
            let mut message = error.as_inner().to_string();
            let mut cause = std::error::Error::source(error.as_inner());
            while let Some(inner) = cause {
                message = format!("{message}: {inner}");
                cause = inner.source();
            }
            Err(refused(label, header, files, at, &message))
        }
    }
}

/// The refusal of a text at a line (from 1) of the joined files. Where one of them is the user's, the fault is there: ours are compiled
/// by the tests.
fn refused(label: &str, header: &str, files: &[File], line: Option<u32>, message: &str) -> Error {
    let place = line.and_then(|line| locate(header, files, line));
    let message = one_line(message);
    match (place, files.iter().find(|file| !file.is_own())) {
        (Some((Some(file), line)), _) if !file.is_own() => {
            Error::Wgsl { name: file.name.into(), line: Some(line), message }
        }
        (_, Some(file)) => {
            let wanted = "`gradus::losses::custom` says what it must hold";
            Error::Wgsl {
                name: file.name.into(),
                line: None,
                message: format!("{message}; {wanted}"),
            }
        }
        (None, None) => Error::Gpu { kernel: label.into(), message },
        (Some((file, line)), None) => {
            let file = file.map_or("header", |file| file.name);
            Error::Gpu { kernel: label.into(), message: format!("{file}:{line}: {message}") }
        }
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The file that a line (from 1) of the joined text stands in, none for the header, and the line in it.
fn locate<'f>(header: &str, files: &'f [File], line: u32) -> Option<(Option<&'f File>, u32)> {
    let mut first = 1 + header.matches('\n').count() as u32;
    if line < first {
        return Some((None, line));
    }
    for file in files {
        let lines = 1 + file.text.matches('\n').count() as u32;
        if line < first + lines {
            return Some((Some(file), line - first + 1));
        }
        first += lines;
    }
    None
}

/// Bytes of private memory that a text of the user's own may ask for in each invocation: drivers reserve it for every lane in flight,
/// and a hundred megabytes end the process or the machine.
const MOST_PRIVATE: u32 = 16 << 10;

/// Refuses a text of the user's own that holds what a function of a loss has no use for and a kernel cannot bear: entry points, bindings,
/// types larger than 16 KiB.
///
/// # Errors
/// [`Error::Wgsl`].
pub fn check_own(file: File, helpers: &[File], header: &str) -> Result<()> {
    let files: Vec<File> = helpers.iter().copied().chain([file]).collect();
    let ir = parse(file.name, header, &files)?.ir;
    let refuse = |message: String| Err(Error::Wgsl { name: file.name.into(), line: None, message });
    if let Some(entry) = ir.entry_points.first() {
        return refuse(format!(
            "it holds the entry point `{}`; the kernel has its own: leave it out",
            entry.name
        ));
    }
    if let Some((_, variable)) =
        ir.global_variables.iter().find(|(_, variable)| variable.binding.is_some())
    {
        let name = variable.name.as_deref().unwrap_or_default();
        return refuse(format!(
            "it binds `{name}`; a loss sees its prediction and its truth alone"
        ));
    }
    let mut layouter = naga::proc::Layouter::default();
    if let Err(error) = layouter.update(ir.to_ctx()) {
        return refuse(one_line(&error.to_string()));
    }
    for (handle, ty) in ir.types.iter() {
        let size = layouter[handle].size;
        if size > MOST_PRIVATE {
            let name = ty.name.as_deref().map_or("an array".into(), |name| format!("`{name}`"));
            return refuse(format!(
                "{name} takes {} in each of thousands of invocations; at most {} are allowed",
                crate::error::text::bytes(size.into()),
                crate::error::text::bytes(MOST_PRIVATE.into())
            ));
        }
    }
    Ok(())
}

/// Asks that a uniform's Rust struct lies in memory as the shader's does: its size, and each field's name and offset.
#[cfg(test)]
macro_rules! assert_layout {
    ($program:expr, $rust:ty as $name:literal { $($field:ident),+ $(,)? }) => {{
        let program = $program;
        let module = $crate::runtime::wgsl::parse(&program.label, &program.header, &program.files).unwrap();
        let (size, members) = $crate::runtime::wgsl::struct_layout(&module.ir, $name).expect("the shader has the struct");
        assert_eq!(size as usize, size_of::<$rust>(), "size of {}", program.label);
        let own = [$((stringify!($field).to_string(), std::mem::offset_of!($rust, $field) as u32)),+];
        assert_eq!(members, own, "fields of {}", program.label);
    }};
}
#[cfg(test)]
pub(crate) use assert_layout;

/// Size of a struct of a module, and the name and offset of each member.
#[cfg(test)]
pub(crate) fn struct_layout(
    module: &naga::Module,
    name: &str,
) -> Option<(u32, Vec<(String, u32)>)> {
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

    const GOOD: File = crate::runtime::wgsl::File::new(
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
        let bad = crate::runtime::wgsl::File::new("bad.wgsl", "fn f() {}\nfn g() { let x = ; }\n");
        let message =
            parse("test", "const ROWS: u32 = 4u;\n", &[GOOD, bad]).unwrap_err().to_string();
        assert!(message.starts_with("the WGSL of `bad.wgsl`, line 2: "), "{message}");
        let ours = File { own: true, ..bad };
        let message = parse("test", "const ROWS: u32 = 4u;\n", &[ours]).unwrap_err().to_string();
        assert!(
            message.contains("bad.wgsl:2: ") && message.contains("please report it"),
            "{message}"
        );
    }
}
