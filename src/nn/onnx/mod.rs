//! Models as ONNX files, for onnxruntime and every other runtime that reads them.

mod activations;
mod attention;
mod format;
mod images;
mod norms;
mod ops;
mod step;
#[cfg(test)]
mod tests;
mod writer;

use std::ops::Range;
use std::path::Path;

use prost::Message;

use crate::Result;
use crate::data::TargetEncoding;
use crate::nn::graph::nodes::{Graph, Value};
use crate::nn::graph::op::GradientKind;
use crate::nn::model::Model;
use crate::nn::onnx::format::{
    DataType, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, ValueInfoProto,
    value_info,
};
use crate::nn::onnx::step::Step;
use crate::nn::onnx::writer::{Attribute, Tensors, Writer, refused};
use crate::runtime::files;

/// The version of ONNX's operators: the first with layer norm, of 2022.
const OPERATORS: i64 = 17;

/// The version of the file's form that came with them.
const FORM: i64 = 8;

/// A protocol buffer has at most 2³¹ − 1 bytes.
const MOST_BYTES: usize = i32::MAX as usize;

impl Model {
    /// The model as the bytes of an ONNX file (operators of version 17), as
    /// [`Model::save_onnx`] writes them.
    ///
    /// ```
    /// use gradus::{Dense, Device, Sequential, activations::Relu};
    /// let model = Sequential::new(4)
    ///     .then(Dense::new(8).activation(Relu))
    ///     .then(Dense::new(3))
    ///     .on(&Device::cpu())?;
    /// let bytes = model.to_onnx()?;
    /// assert!(bytes.windows(4).any(|name| name == b"Gemm"));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::save_onnx`], without those of the file.
    pub fn to_onnx(&self) -> Result<Vec<u8>> {
        let message = self.onnx()?;
        let bytes = message.encoded_len();
        if bytes > MOST_BYTES {
            return Err(refused(
                "the model",
                format!("takes {bytes} bytes"),
                "up to 2147483647, the limit of the form; save_weights has none",
            ));
        }
        Ok(message.encode_to_vec())
    }

    /// Writes the model as an ONNX file (operators of version 17), which is replaced as a whole.
    ///
    /// The graph predicts any number of rows: its first axis is named `rows`. Its input `input` is
    /// what [`Model::predict`] takes, of f32, or ids of i64: features [rows, features], images
    /// [rows, height, width, channels], whose pixels are from 0 to 1. An input scaling is part of
    /// the graph. Its outputs are
    ///
    /// * `output`, what [`Model::predict`] gives, with the axes of the last layer and not flat;
    /// * `prediction` of f64, if the model's encoding has standardized the targets: the output in
    ///   their unit;
    /// * `label` of words, if the encoding has named classes: that of the greatest output.
    ///
    /// Columns of a table are not encoded in the graph: its input are the encoded features. Weights
    /// are the parameters themselves, not their average: export [`Model::averaged`] for it. Dropout
    /// and noise are left out and batch norm takes its running statistics, as in prediction. Names of
    /// features, classes and the target stand in the metadata under `features`, `classes`, `target`.
    ///
    /// # Errors
    /// [`crate::Error::Input`] with the path of a layer whose op ONNX does not have, that is, a
    /// [`CustomOp`](crate::layers::CustomOp), and for a file of more than 2³¹ − 1 bytes;
    /// [`crate::Error::Io`] with the path; device errors.
    pub fn save_onnx(&self, path: impl AsRef<Path>) -> Result<()> {
        files::write(path, &self.to_onnx()?)
    }

    fn onnx(&self) -> Result<ModelProto> {
        let (graph, mut writer) = (&self.graph, Writer::default());
        let numbers = self.engine.parameters()?;
        let shape = graph.shape(graph.input()).clone();
        let kind = if graph.takes_ids() { DataType::Int64 } else { DataType::Float };
        writer.path = "scaling".into();
        let mut name = "input".to_string();
        if let Some(scaling) = &self.scaling {
            // In f64 and then rounded, as here.
            let wide = [("to", Attribute::Int(DataType::Double as i64))];
            name = writer.node("Cast", &[&name], &wide);
            let mean = writer.doubles(&shape, &scaling.mean);
            name = writer.node("Sub", &[&name, &mean], &[]);
            let scale = writer.doubles(&shape, &scaling.scale);
            name = writer.node("Div", &[&name, &scale], &[]);
            let narrow = [("to", Attribute::Int(DataType::Float as i64))];
            name = writer.node("Cast", &[&name], &narrow);
        }
        let input = Tensors::last(&shape, name);
        let mut last = body(&mut writer, graph, input, &numbers)?;
        writer.path = "output".into();
        let name = writer.last(&mut last);
        writer.named("Identity", &[&name], "output");
        let mut output = vec![value_info("output", DataType::Float, last.shape())];
        output.extend(self.decoded(&mut writer));
        let graph = GraphProto {
            node: writer.nodes,
            name: "gradus".into(),
            initializer: writer.initializers,
            input: vec![value_info("input", kind, &shape)],
            output,
        };
        Ok(ModelProto {
            ir_version: Some(FORM),
            producer_name: env!("CARGO_PKG_NAME").into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(OPERATORS),
            }],
            metadata_props: self.metadata(),
        })
    }

    /// The output as the encoding's target: in its unit, or the name of the class.
    fn decoded(&self, writer: &mut Writer) -> Option<ValueInfoProto> {
        let columns = self.outputs();
        match self.encoding.as_ref()?.target() {
            // Targets that were not standardized need no second output: with a loss of logarithms
            // it would be one.
            TargetEncoding::Numbers { center, scale, .. }
                if center.len() == columns
                    && (center.iter().any(|&x| x != 0.0) || scale.iter().any(|&x| x != 1.0)) =>
            {
                let wide = [("to", Attribute::Int(DataType::Double as i64))];
                let name = writer.node("Cast", &["output"], &wide);
                let scale = writer.doubles(&[columns], scale);
                let name = writer.node("Mul", &[&name, &scale], &[]);
                let center = writer.doubles(&[columns], center);
                writer.named("Add", &[&name, &center], "prediction");
                Some(value_info("prediction", DataType::Double, &[columns]))
            }
            TargetEncoding::Classes { classes, .. }
                if classes.len() == columns && self.predicts_classes() =>
            {
                let attributes = [("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(0))];
                let place = writer.node("ArgMax", &["output"], &attributes);
                let words = writer.words(classes);
                writer.named("Gather", &[&words, &place], "label");
                Some(value_info("label", DataType::String, &[]))
            }
            _ => None,
        }
    }

    fn metadata(&self) -> Vec<StringStringEntryProto> {
        let names = &self.names;
        let list = |names: &[String]| (!names.is_empty()).then(|| serde_json::json!(names));
        let all = [
            ("features", list(&names.features).map(|names| names.to_string())),
            ("classes", list(&names.classes).map(|names| names.to_string())),
            ("target", names.target.clone()),
        ];
        let entry = |(key, value): (&str, Option<String>)| {
            let value = Some(value?);
            Some(StringStringEntryProto { key: Some(key.into()), value })
        };
        all.into_iter().filter_map(entry).collect()
    }
}

/// The nodes of a network; returns its output.
fn body(writer: &mut Writer, graph: &Graph, input: Tensors, numbers: &[f64]) -> Result<Tensors> {
    let mut values = vec![input];
    for (number, node) in graph.nodes.iter().enumerate() {
        let ranges = ranges(graph, number);
        let output = &graph.shape(Value(number + 1)).clone();
        let statistics = graph.all_length();
        let step = Step { node, output, ranges: &ranges, numbers, statistics };
        let mut inputs: Vec<Tensors> =
            node.inputs.iter().map(|value| values[value.0].clone()).collect();
        writer.path.clone_from(&node.path);
        let made = ops::write(writer, &step, &mut inputs)?;
        // An order of axes that one reader asked for is there for the others.
        for (value, tensors) in node.inputs.iter().zip(inputs) {
            values[value.0] = tensors;
        }
        values.push(made);
    }
    values.pop().ok_or_else(|| refused("the model", "is empty".into(), "a layer"))
}

/// Where the parameters of a node are: in the flat buffer, or its table behind it.
fn ranges(graph: &Graph, number: usize) -> Vec<Range<usize>> {
    let table = graph.table().filter(|(node, _)| *node == number);
    let of_rows =
        || graph.parameters.iter().find(|parameter| parameter.gradient == GradientKind::Rows);
    match table.and_then(|_| of_rows()) {
        Some(parameter) => vec![graph.range(parameter)],
        None => graph.nodes[number].ranges.clone(),
    }
}
