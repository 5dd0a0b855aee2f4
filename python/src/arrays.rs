//! Arrays of NumPy's, borrowed where gradus takes them as they are.

use gradus::{Inputs, Targets};
use ndarray::{ArrayD, ArrayViewD};
use numpy::{
    Element, PyArrayDescr, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn,
    PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use crate::errors::refused;

/// An array of one of the types that gradus takes: borrowed from NumPy, or converted.
pub enum Array<'py> {
    F32(PyReadonlyArrayDyn<'py, f32>),
    F64(PyReadonlyArrayDyn<'py, f64>),
    I64(PyReadonlyArrayDyn<'py, i64>),
    Bool(PyReadonlyArrayDyn<'py, bool>),
    U8(PyReadonlyArrayDyn<'py, u8>),
    OwnF64(ArrayD<f64>),
    OwnI64(ArrayD<i64>),
}

/// What is seen of it without Python.
#[derive(Clone)]
pub enum View<'a> {
    F32(ArrayViewD<'a, f32>),
    F64(ArrayViewD<'a, f64>),
    I64(ArrayViewD<'a, i64>),
    Bool(ArrayViewD<'a, bool>),
    U8(ArrayViewD<'a, u8>),
}

/// Borrows an array of exactly this type, aligned and in the machine's order of bytes.
fn borrowed<'py, T: Element>(
    name: &str,
    object: &Bound<'py, PyAny>,
) -> PyResult<Option<PyReadonlyArrayDyn<'py, T>>> {
    let Ok(array) = object.cast::<PyArrayDyn<T>>() else { return Ok(None) };
    if !array.as_untyped().is_aligned() {
        return Ok(None);
    }
    let found = array.try_readonly();
    found.map(Some).map_err(|_| {
        refused("arrays", name, "is written to at the same time", "give another `out`")
    })
}

/// True for bfloat16 and the floats of 8 bits and fewer that the package `ml_dtypes` adds to NumPy.
fn is_small_float(dtype: &Bound<'_, PyArrayDescr>) -> PyResult<bool> {
    let name: String = dtype.getattr("name")?.extract()?;
    Ok(name.starts_with("bfloat16") || name.starts_with("float"))
}

impl<'py> Array<'py> {
    /// An array, or whatever `numpy.asarray` takes.
    pub fn new(name: &str, object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Some(found) = Self::exact(name, object)? {
            return Ok(found);
        }
        let py = object.py();
        let numpy = py.import("numpy")?;
        let array = numpy.call_method1("asarray", (object,))?;
        let dtype = array.cast::<PyUntypedArray>()?.dtype();
        let wanted = match dtype.kind() {
            b'f' if dtype.itemsize() <= 4 => "float32",
            b'f' => "float64",
            b'u' if dtype.itemsize() == 1 => "uint8",
            b'i' | b'u' => "int64",
            b'b' => "bool",
            b'V' if is_small_float(&dtype)? => "float32",
            _ => {
                let found = format!("holds {}", array.getattr("dtype")?);
                return Err(refused("arrays", name, &found, "it must hold numbers"));
            }
        };
        let array = numpy.call_method1("require", (array, wanted, ["ALIGNED"]))?;
        Self::exact(name, &array)?
            .ok_or_else(|| refused("arrays", name, "is no array", "it must hold numbers"))
    }

    fn exact(name: &str, object: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        if let Some(array) = borrowed(name, object)? {
            return Ok(Some(Array::F32(array)));
        }
        if let Some(array) = borrowed(name, object)? {
            return Ok(Some(Array::I64(array)));
        }
        if let Some(array) = borrowed(name, object)? {
            return Ok(Some(Array::F64(array)));
        }
        if let Some(array) = borrowed(name, object)? {
            return Ok(Some(Array::Bool(array)));
        }
        Ok(borrowed(name, object)?.map(Array::U8))
    }

    /// As numbers where whole numbers and truth values mean numbers: targets of a regression.
    pub fn into_floats(self) -> Self {
        match self.view() {
            View::I64(array) => Array::OwnF64(array.mapv(|x| x as f64)),
            View::Bool(array) => Array::OwnF64(array.mapv(|x| f64::from(u8::from(x)))),
            View::U8(array) => Array::OwnF64(array.mapv(f64::from)),
            View::F32(_) | View::F64(_) => self,
        }
    }

    /// As labels where truth values and bytes mean classes.
    pub fn into_labels(self) -> Self {
        match self.view() {
            View::Bool(array) => Array::OwnI64(array.mapv(i64::from)),
            View::U8(array) => Array::OwnI64(array.mapv(i64::from)),
            _ => self,
        }
    }

    pub fn view(&self) -> View<'_> {
        match self {
            Array::F32(array) => View::F32(array.as_array()),
            Array::F64(array) => View::F64(array.as_array()),
            Array::I64(array) => View::I64(array.as_array()),
            Array::Bool(array) => View::Bool(array.as_array()),
            Array::U8(array) => View::U8(array.as_array()),
            Array::OwnF64(array) => View::F64(array.view()),
            Array::OwnI64(array) => View::I64(array.view()),
        }
    }
}

impl<'a> View<'a> {
    pub fn shape(&self) -> &[usize] {
        match self {
            View::F32(array) => array.shape(),
            View::F64(array) => array.shape(),
            View::I64(array) => array.shape(),
            View::Bool(array) => array.shape(),
            View::U8(array) => array.shape(),
        }
    }

    /// As an input of a loss or the targets of a model.
    pub fn targets(&self) -> Targets<'a> {
        match self.clone() {
            View::F32(array) => Targets::Dense(array),
            View::F64(array) => Targets::Wide(array),
            View::I64(array) => Targets::Labels(array.into()),
            View::Bool(array) => Targets::Labels(array.mapv(i64::from).into()),
            View::U8(array) => Targets::Labels(array.mapv(i64::from).into()),
        }
    }
}

/// Adds an array to the inputs of a loss.
pub fn add_input<'a>(
    inputs: Inputs<'a>,
    loss: &str,
    name: &'a str,
    view: &'a View<'a>,
) -> PyResult<Inputs<'a>> {
    Ok(match (name, view) {
        ("weight", View::F32(array)) => inputs.weight(array),
        ("weight", View::F64(array)) => inputs.weight(array),
        ("upstream", View::F32(array)) => inputs.upstream(array),
        ("upstream", View::F64(array)) => inputs.upstream(array),
        ("mask", View::Bool(array)) => inputs.mask(array),
        ("class_mask", View::Bool(array)) => inputs.class_mask(array),
        ("weight" | "upstream", _) => {
            return Err(refused(loss, name, "holds no floats", "it must be float32 or float64"));
        }
        ("mask" | "class_mask", _) => {
            return Err(refused(
                loss,
                name,
                "holds numbers",
                "it must be an array of bool, true where an element counts",
            ));
        }
        _ => inputs.input(name, view.targets()),
    })
}
