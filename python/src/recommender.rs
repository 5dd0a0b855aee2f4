//! Recommenders.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gradus::recommend::{self, EmbeddingTable, Features, Interactions, Loss, Optimizer};
use ndarray::{Array1, Array2};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::device::{Device, device_of};
use crate::errors::{raised, refused};
use crate::threads::{Failure, Threads};

/// Rows, columns and values of a sparse matrix.
type Coo<'py> =
    (PyReadonlyArray1<'py, u32>, PyReadonlyArray1<'py, u32>, PyReadonlyArray1<'py, f32>);

/// Embeddings, biases, the optimizer's squares of both, and Adadelta's updates of both.
type Tables<'py> = (
    PyReadonlyArray2<'py, f64>,
    PyReadonlyArray1<'py, f64>,
    PyReadonlyArray2<'py, f64>,
    PyReadonlyArray1<'py, f64>,
    PyReadonlyArray2<'py, f64>,
    PyReadonlyArray1<'py, f64>,
);

/// The same, written to Python.
type NewTables<'py> = (
    Bound<'py, PyArray2<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray2<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray2<f64>>,
    Bound<'py, PyArray1<f64>>,
);

fn triples(matrix: &Coo) -> Vec<(u32, u32, f32)> {
    let (rows, columns, values) = (matrix.0.as_array(), matrix.1.as_array(), matrix.2.as_array());
    rows.iter()
        .zip(columns)
        .zip(values)
        .map(|((&row, &column), &value)| (row, column, value))
        .collect()
}

fn table(given: &Tables) -> EmbeddingTable {
    EmbeddingTable {
        embeddings: given.0.as_array().to_owned(),
        biases: given.1.as_array().to_owned(),
        embedding_squares: given.2.as_array().to_owned(),
        bias_squares: given.3.as_array().to_owned(),
        embedding_updates: given.4.as_array().to_owned(),
        bias_updates: given.5.as_array().to_owned(),
    }
}

fn named<T>(owner: &str, name: &str, known: &[(&str, T)]) -> PyResult<T>
where
    T: Copy,
{
    known.iter().find(|(known, _)| *known == name).map(|(_, found)| *found).ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        refused(
            "recommend",
            owner,
            &format!("is {name}"),
            &format!("it must be one of {}", known.join(", ")),
        )
    })
}

/// Embeddings of users and items: the engine of `gradus_ml.lightfm` and of the recommender of
/// `gradus_ml.sklearn`.
#[pyclass(frozen, module = "gradus_ml._gradus")]
pub struct Recommender {
    model: Mutex<recommend::Model>,
    threads: Threads,
}

impl Recommender {
    /// What `make` makes on a device.
    fn on(
        py: Python<'_>,
        device: &Device,
        make: impl FnOnce(&gradus::Device) -> gradus::Result<recommend::Model> + Send,
    ) -> PyResult<Self> {
        let model = device.threads.detached(py, || make(&device.device)).map_err(raised)?;
        Ok(Recommender { model: Mutex::new(model), threads: device.threads })
    }

    fn own(&self) -> MutexGuard<'_, recommend::Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn interactions(&self, matrix: &Coo) -> PyResult<Interactions> {
        let (users, items) = self.sizes();
        Interactions::weighted(users, items, &triples(matrix)).map_err(raised)
    }

    /// Numbers of users and items.
    fn sizes(&self) -> (usize, usize) {
        let model = self.own();
        (model.recommender().users(), model.recommender().items())
    }
}

#[pymethods]
impl Recommender {
    /// Sizes, then options by name; features are (count, rows, columns, values).
    #[new]
    #[pyo3(signature = (users, items, device, options, user_features=None, item_features=None))]
    fn new(
        py: Python<'_>,
        users: usize,
        items: usize,
        device: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
        user_features: Option<(usize, Coo)>,
        item_features: Option<(usize, Coo)>,
    ) -> PyResult<Self> {
        let mut description = recommend::Recommender::new(users, items);
        let (mut k, mut n) = (None, None);
        for (name, value) in options.iter() {
            let name: String = name.extract()?;
            description = match name.as_str() {
                "loss" => {
                    let known = [
                        ("warp", Loss::Warp),
                        ("warp_kos", Loss::WarpKos),
                        ("bpr", Loss::Bpr),
                        ("logistic", Loss::Logistic),
                    ];
                    description.loss(named("loss", &value.extract::<String>()?, &known)?)
                }
                "optimizer" => {
                    let known = [("adagrad", Optimizer::Adagrad), ("sgd", Optimizer::Sgd)];
                    match value.extract::<(f64, f64)>() {
                        Ok((rho, epsilon)) => {
                            description.optimizer(Optimizer::Adadelta { rho, epsilon })
                        }
                        Err(_) => description.optimizer(named(
                            "optimizer",
                            &value.extract::<String>()?,
                            &known,
                        )?),
                    }
                }
                "components" => description.components(value.extract()?),
                "learning_rate" => description.learning_rate(value.extract()?),
                "max_sampled" => description.max_sampled(value.extract()?),
                "margin" => description.margin(value.extract()?),
                "user_alpha" => description.user_alpha(value.extract()?),
                "item_alpha" => description.item_alpha(value.extract()?),
                "user_bias_gradient" => description.user_bias_gradient(value.extract()?),
                "batch_size" => match value.extract::<Option<usize>>()? {
                    Some(rows) => description.batch_size(rows),
                    None => description,
                },
                "seed" => description.seed(value.extract()?),
                "k" => {
                    k = Some(value.extract()?);
                    description
                }
                "n" => {
                    n = Some(value.extract()?);
                    description
                }
                _ => {
                    return Err(refused(
                        "recommend",
                        &name,
                        "is unknown",
                        "see help(gradus_ml.lightfm.LightFM)",
                    ));
                }
            };
        }
        description = description.k_of_n(k.unwrap_or(5), n.unwrap_or(10));
        if let Some((count, matrix)) = &user_features {
            description = description
                .user_features(Features::new(users, *count, &triples(matrix)).map_err(raised)?);
        }
        if let Some((count, matrix)) = &item_features {
            description = description
                .item_features(Features::new(items, *count, &triples(matrix)).map_err(raised)?);
        }
        let device = device_of(py, Some(device))?;
        Recommender::on(py, &device, |device| description.on(device))
    }

    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf, device: &Bound<'_, PyAny>) -> PyResult<Self> {
        let device = device_of(py, Some(device))?;
        Recommender::on(py, &device, |device| recommend::Model::load(path, device))
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: &[u8], device: &Bound<'_, PyAny>) -> PyResult<Self> {
        let device = device_of(py, Some(device))?;
        Recommender::on(py, &device, |device| recommend::Model::from_bytes(data, device))
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.threads.detached(py, || self.own().save(path)).map_err(raised)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.threads.detached(py, || self.own().to_bytes()).map_err(raised)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Trains on; the loss of each epoch. `on_epoch(number, loss)` may answer true to end it.
    #[pyo3(signature = (interactions, epochs, on_epoch=None))]
    fn fit_partial(
        &self,
        py: Python<'_>,
        interactions: Coo<'_>,
        epochs: usize,
        on_epoch: Option<Py<PyAny>>,
    ) -> PyResult<Vec<f64>> {
        let interactions = self.interactions(&interactions)?;
        let failure: Arc<Failure> = Arc::default();
        let answer = |failure: &Failure, found: PyResult<bool>| match found {
            Ok(false) if !failure.is_there() => ControlFlow::Continue(()),
            Ok(_) => ControlFlow::Break(()),
            Err(error) => {
                failure.keep(error);
                ControlFlow::Break(())
            }
        };
        let of_step = failure.clone();
        let mut fit = recommend::Fit::new().epochs(epochs).on_step(move |_, _| {
            answer(&of_step, Python::attach(|py| py.check_signals()).map(|()| false))
        });
        if let Some(call) = on_epoch {
            let of_epoch = failure.clone();
            fit = fit.on_epoch(move |number, epoch| {
                let found =
                    Python::attach(|py| call.call1(py, (number, epoch.loss))?.is_truthy(py));
                answer(&of_epoch, found)
            });
        }
        let history =
            self.threads.training(py, &failure, || self.own().train(&interactions, fit))?;
        if let Some(error) = failure.take() {
            return Err(error);
        }
        Ok(history.map_err(raised)?.epochs.iter().map(|epoch| epoch.loss).collect())
    }

    /// Scores of pairs.
    fn predict<'py>(
        &self,
        py: Python<'py>,
        users: PyReadonlyArray1<'py, u32>,
        items: PyReadonlyArray1<'py, u32>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let (users, items) = (users.as_array().to_vec(), items.as_array().to_vec());
        let found =
            self.threads.detached(py, || self.own().predict(&users, &items)).map_err(raised)?;
        Ok(found.into_pyarray(py))
    }

    /// The rank of each pair of `test`, users ascending, then items; those of `train` are left out.
    #[pyo3(signature = (test, train=None))]
    fn predict_rank<'py>(
        &self,
        py: Python<'py>,
        test: Coo<'py>,
        train: Option<Coo<'py>>,
    ) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let test = self.interactions(&test)?;
        let train = train.map(|train| self.interactions(&train)).transpose()?;
        let found = self
            .threads
            .detached(py, || self.own().predict_rank(&test, train.as_ref()))
            .map_err(raised)?;
        Ok(found.into_pyarray(py))
    }

    /// The best items of a user with their scores.
    #[pyo3(signature = (user, n, filter_seen=true))]
    fn recommend(
        &self,
        py: Python<'_>,
        user: u32,
        n: usize,
        filter_seen: bool,
    ) -> PyResult<Vec<(u32, f32)>> {
        let found = self
            .threads
            .detached(py, || self.own().recommend(user, n, filter_seen))
            .map_err(raised)?;
        Ok(found.iter().map(|found| (found.item, found.score)).collect())
    }

    /// The items most like one, with the cosines.
    fn similar_items(&self, py: Python<'_>, item: u32, n: usize) -> PyResult<Vec<(u32, f32)>> {
        let found =
            self.threads.detached(py, || self.own().similar_items(item, n)).map_err(raised)?;
        Ok(found.iter().map(|found| (found.item, found.score)).collect())
    }

    /// For users and items: embeddings, biases, the optimizer's squares of both and its updates.
    fn tables<'py>(&self, py: Python<'py>) -> PyResult<Vec<NewTables<'py>>> {
        let tables = self.threads.detached(py, || self.own().tables()).map_err(raised)?;
        let arrays = |table: EmbeddingTable| {
            let square = |array: Array2<f64>| array.into_pyarray(py);
            let flat = |array: Array1<f64>| array.into_pyarray(py);
            (
                square(table.embeddings),
                flat(table.biases),
                square(table.embedding_squares),
                flat(table.bias_squares),
                square(table.embedding_updates),
                flat(table.bias_updates),
            )
        };
        Ok(tables.into_iter().map(arrays).collect())
    }

    fn set_tables(&self, py: Python<'_>, users: Tables<'_>, items: Tables<'_>) -> PyResult<()> {
        let (users, items) = (table(&users), table(&items));
        self.threads.detached(py, || self.own().set_tables(&users, &items)).map_err(raised)
    }
}
