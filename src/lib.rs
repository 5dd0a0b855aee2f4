//! Loss functions with gradients on any GPU, and the training of networks: dense, convolutional and
//! transformers.
//!
//! A loss function is bound to a device once and then called with arrays. One pass over the data
//! returns value and gradient:
//!
//! ```
//! use gradus::{Device, Reduction, losses::{Huber, Loss}};
//! use ndarray::array;
//!
//! let criterion = Huber::new().delta(1.0).on(&Device::cpu())?.reduction(Reduction::Sum);
//! let step = criterion.value_and_gradient(&array![0.5, 3.0], &array![0.0, 0.0])?;
//! assert_eq!(step.value(), 2.625); // 0.125 + 2.5
//! assert_eq!(step.gradient.as_slice().unwrap(), [0.5, 1.0]);
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! # Index
//!
//! | task | API |
//! |---|---|
//! | select a device | [`Device`]: [`Device::auto`], [`Device::gpu`], [`Device::cpu`], [`Device::reference`] (f64) |
//! | call a loss on arrays | [`losses`], [`Criterion`]; weights, masks and several inputs go through [`Inputs`] |
//! | call a loss on tensors on the device | [`Tensor`], [`Criterion::backward`], [`Criterion::evaluate_tensors`], [`Plan`] |
//! | define a custom loss | [`losses::custom`], [`testing::check`] |
//! | train a model | [`Sequential`], [`Model::fit`], [`Fit`], [`optimizers`], [`schedules`], [`activations`] |
//! | networks of images and sequences | [`layers`], [`zoo`], [`Sequential::images`], [`Sequential::tokens`] |
//! | test and measure a layer | [`testing::check_layer`], [`testing::LayerPass`] |
//! | read and write PyTorch's weights | [`Model::load_weights`], [`Model::save_weights`], [`WeightOrder`] |
//! | train many models together | [`Population`] |
//! | find a learning rate, diagnose a training | [`rates`], [`History::diagnosis`] |
//! | explain the loss of a model | [`explain`], [`Model::evaluate_rows`], [`Fit::watch_rows`] |
//! | choose a loss for a data set | [`advise::advise`], or `gradus advise` on the command line |
//! | search for loss, optimizer and network | [`tune::Tune`] |
//! | read files | [`data::read`], [`data::Table`] and [`data::Encoding`] |
//! | rank documents, recommend items | [`Targets::grouped`], [`metrics`]; [`recommend`] |
//! | test and benchmark a device | [`testing`], or `gradus check` and `gradus bench` on the command line |
//!
//! # Losses by purpose
//!
//! `gradus losses NAME` prints formula, inputs, options and equivalents of one loss;
//! `docs/losses.md` lists all of them in tables.
//!
//! | purpose | losses |
//! |---|---|
//! | regression | [`Mse`](losses::Mse), [`Mae`](losses::Mae), [`Huber`](losses::Huber), [`SmoothL1`](losses::SmoothL1), [`LogCosh`](losses::LogCosh), [`PseudoHuber`](losses::PseudoHuber), [`Cauchy`](losses::Cauchy), [`Barron`](losses::Barron), [`Lp`](losses::Lp) |
//! | quantiles, tolerances, uncertainty | [`Quantile`](losses::Quantile), [`Expectile`](losses::Expectile), [`EpsilonInsensitive`](losses::EpsilonInsensitive), [`SquaredEpsilonInsensitive`](losses::SquaredEpsilonInsensitive), [`GaussianNll`](losses::GaussianNll) |
//! | counts, amounts, ratios | [`PoissonNll`](losses::PoissonNll), [`GammaDeviance`](losses::GammaDeviance), [`Tweedie`](losses::Tweedie), [`Aft`](losses::Aft), [`Mape`](losses::Mape), [`Msle`](losses::Msle) |
//! | two classes, or many labels at once | [`BceWithLogits`](losses::BceWithLogits), [`Bce`](losses::Bce), [`BinaryFocal`](losses::BinaryFocal), [`Asymmetric`](losses::Asymmetric), [`MultilabelSoftMargin`](losses::MultilabelSoftMargin), [`Hinge`](losses::Hinge) and its variants |
//! | one class of many | [`CrossEntropy`](losses::CrossEntropy), [`Nll`](losses::Nll), [`Focal`](losses::Focal), [`GeneralizedCrossEntropy`](losses::GeneralizedCrossEntropy), [`LogitAdjustedCrossEntropy`](losses::LogitAdjustedCrossEntropy), [`Ldam`](losses::Ldam), [`MultiMargin`](losses::MultiMargin), [`Ordinal`](losses::Ordinal), [`Sparsemax`](losses::Sparsemax), [`Entmax`](losses::Entmax) |
//! | distributions, distillation, overlap of masks | [`KlDiv`](losses::KlDiv), [`GeneralizedKl`](losses::GeneralizedKl), [`Jsd`](losses::Jsd), [`Distillation`](losses::Distillation), [`TotalVariation`](losses::TotalVariation), [`Dice`](losses::Dice), [`GeneralizedDice`](losses::GeneralizedDice), [`Tversky`](losses::Tversky) |
//! | ranking | [`LambdaRank`](losses::LambdaRank), [`ListNet`](losses::ListNet), [`ListMle`](losses::ListMle), [`ApproxNdcg`](losses::ApproxNdcg), [`RankXendcg`](losses::RankXendcg), [`PairwiseLogistic`](losses::PairwiseLogistic), [`Bpr`](losses::Bpr), [`MarginRanking`](losses::MarginRanking) |
//! | embeddings and similarity | [`InfoNce`](losses::InfoNce), [`SupCon`](losses::SupCon), [`TripletMargin`](losses::TripletMargin), [`Contrastive`](losses::Contrastive), [`CosineEmbedding`](losses::CosineEmbedding), [`Circle`](losses::Circle), [`ProxyNca`](losses::ProxyNca), [`ProxyAnchor`](losses::ProxyAnchor), [`NPairs`](losses::NPairs), [`BarlowTwins`](losses::BarlowTwins), [`Vicreg`](losses::Vicreg) |
//! | boxes of detectors | [`Giou`](losses::Giou), [`Diou`](losses::Diou), [`Ciou`](losses::Ciou), [`Iou`](losses::Iou) |
//! | survival | [`Cox`](losses::Cox) |
//! | sequences | [`Ctc`](losses::Ctc), [`Rnnt`](losses::Rnnt) |
//! | preferences between completions | [`Dpo`](losses::Dpo), [`Simpo`](losses::Simpo), [`Orpo`](losses::Orpo), [`Cpo`](losses::Cpo), [`Kto`](losses::Kto) |
//! | reinforcement learning of language models | [`Grpo`](losses::Grpo), [`Bnpo`](losses::Bnpo), [`DrGrpo`](losses::DrGrpo), [`Dapo`](losses::Dapo), [`Cispo`](losses::Cispo), [`Sapo`](losses::Sapo) |
//! | large vocabularies: fused with the last linear layer | [`LinearCrossEntropy`](losses::LinearCrossEntropy), [`LinearDistillation`](losses::LinearDistillation), [`LinearDpo`](losses::LinearDpo), [`LinearGrpo`](losses::LinearGrpo) and its kin |
//!
//! # Tensors on the device
//!
//! [`Criterion::backward`] and [`Criterion::evaluate_tensors`], which accepts every input of a
//! loss, take [`Tensor`]s and return tensors. Neither waits for the device. Reading a result waits,
//! and reports an invalid label:
//!
//! ```
//! use gradus::{Device, Tensor, TensorInputs, losses::{InfoNce, Loss}};
//! use ndarray::array;
//!
//! let device = Device::auto();
//! let query = Tensor::from_array(&device, array![[1.0_f32, 0.0], [0.0, 1.0], [5.0, 5.0]].view().into_dyn())?;
//! let key = Tensor::from_array(&device, array![[2.0_f32, 0.0], [0.0, 2.0], [1.0, 0.0]].view().into_dyn())?;
//! let mask = Tensor::from_mask(&device, &array![true, true, false])?;
//! let inputs = TensorInputs::named("first", &query).input("second", &key).mask(&mask);
//! let step = InfoNce::new().temperature(1.0).on(&device)?.evaluate_tensors(&inputs)?; // nothing is waited for
//! let of_keys = step.gradient_of("second").unwrap(); // a tensor on the device
//! assert_eq!(of_keys.shape(), [3, 2]);
//! assert_eq!(step.count()?, 2);
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! # Half precision
//!
//! [`Tensor::from_half`] and [`Tensor::from_array_as_half`] store numbers in f16. Pointwise and
//! row-wise losses accept them in [`Criterion::backward`] and related calls. Predictions, targets
//! and gradient then move half the bytes; all arithmetic is in f32. No adapter feature is required.
//!
//! ```
//! use gradus::{Device, Reduction, Tensor, losses::{Huber, Loss}};
//! use ndarray::array;
//!
//! let device = Device::cpu();
//! let predictions = Tensor::from_array_as_half(&device, array![0.5, 3.0].view().into_dyn())?;
//! let targets = Tensor::from_array_as_half(&device, array![0.0, 0.0].view().into_dyn())?;
//! let step = Huber::new().on(&device)?.reduction(Reduction::Sum).backward(&predictions, &targets)?;
//! assert_eq!(step.value()?, 2.625);
//! assert!(step.gradient.is_half());
//! assert_eq!(step.gradient.to_array()?.as_slice().unwrap(), [0.5, 1.0]);
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! The gradient is rounded once, to the nearest f16: magnitudes below 3e-8 become 0, magnitudes of
//! 65,520 or more become infinite. A mean over many elements has gradients that small: use
//! [`Reduction::Sum`] or [`Criterion::backward_with_upstream`] for it.
//!
//! # Models
//!
//! [`Sequential`] describes the layers, [`Sequential::on`] creates them on a device,
//! [`Model::compile`] sets loss and optimizer, [`Model::fit`] trains. See [`Sequential`] for a
//! runnable example.
//!
//! # Networks
//!
//! [`layers`] has convolutions, pooling, norms, attention, embeddings and dropout; [`zoo`] has
//! LeNet, VGG, ResNet and GPT. A sample is a row of features ([`Sequential::new`]), an image [height,
//! width, channels] ([`Sequential::images`]) or a sequence of ids ([`Sequential::tokens`]). Layers
//! nest: [`Sequential::block`], [`Residual`](layers::Residual) and [`closure`](layers::closure) are
//! layers, and so is any type with the trait [`Layer`](layers::Layer).
//!
//! ```
//! use gradus::layers::{BatchNorm, Builder, Conv2d, GlobalAvgPool2d, Residual, Value, closure};
//! use gradus::{Dense, Device, Fit, Sequential, activations::Relu, losses::CrossEntropy, optimizers::Adam};
//! use ndarray::{Array1, Array4};
//!
//! let network = || {
//!     let branch = Sequential::block()
//!         .named("conv", Conv2d::new(4, 3).padding(1).bias(false))
//!         .named("bn", BatchNorm::new());
//!     let head = closure(|builder: &mut Builder, x: Value| {
//!         let channels = builder.shape(x)[2]; // of [height, width, channels]
//!         let x = builder.layer("pool", &GlobalAvgPool2d::new(), x)?;
//!         builder.layer("fc", &Dense::new(channels / 2), x)
//!     });
//!     Sequential::images([6, 6, 1])
//!         .named("stem", Conv2d::new(4, 3).padding(1).activation(Relu))
//!         .named("block", Residual::new(branch).activation(Relu)) // relu(branch(x) + x)
//!         .named("head", head)
//! };
//! // Stripes that lie (class 0) or stand (class 1).
//! let stripe = |(row, y, x, _): (usize, usize, usize, usize)| (if row % 2 == 0 { y } else { x } % 2) as f32;
//! let images = Array4::from_shape_fn((8, 6, 6, 1), stripe);
//! let labels = Array1::from_shape_fn(8, |row| (row % 2) as i64);
//! let mut model = network().on(&Device::cpu())?.compile(CrossEntropy::new(), Adam::new().learning_rate(0.03))?;
//! model.fit(&images, &labels, Fit::new().epochs(40).batch_size(8))?;
//! assert_eq!(model.evaluate(&images, &labels)?.accuracy, Some(1.0));
//!
//! // Weights in a safetensors file with the names and axes of PyTorch's `state_dict`.
//! let path = std::env::temp_dir().join(format!("gradus-network-{}.safetensors", std::process::id()));
//! model.save_weights(&path)?;
//! let mut again = network().seed(99).on(&Device::cpu())?;
//! again.load_weights(&path)?;
//! assert_eq!(again.predict(&images)?, model.predict(&images)?);
//! assert_eq!(again.named_parameters()?[2].0, "block.conv.weight");
//! # std::fs::remove_file(&path).unwrap();
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! A model of sequences has an output for each token; labels are [rows, tokens]:
//!
//! ```
//! use gradus::layers::{LayerNorm, PositionEmbedding, Residual, SelfAttention, TokenEmbedding};
//! use gradus::{Dense, Device, Fit, Sequential, losses::CrossEntropy, optimizers::Adam};
//! use ndarray::Array2;
//!
//! let attention = Sequential::block().then(LayerNorm::new()).then(SelfAttention::new(2).causal(true));
//! let mut model = Sequential::tokens(4)
//!     .then(TokenEmbedding::new(5, 8))
//!     .then(PositionEmbedding::new())
//!     .then(Residual::new(attention))
//!     .then(Dense::new(5))
//!     .on(&Device::cpu())?
//!     .compile(CrossEntropy::new(), Adam::new().learning_rate(0.03))?;
//! let ids = Array2::from_shape_fn((5, 4), |(row, token)| ((row + token) % 5) as f32);
//! let next = ids.mapv(|id| (id as i64 + 1) % 5);
//! model.fit(&ids, &next, Fit::new().epochs(60).batch_size(5))?;
//! assert_eq!(model.evaluate(&ids, &next)?.accuracy, Some(1.0));
//! assert_eq!(model.predict(&ids)?.shape(), [5, 4 * 5]);
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! # Populations
//!
//! [`Population`] trains many models of one shape on the same rows, with different seeds, learning
//! rates, or options of the optimizer or the loss. Each member gets the same result as when trained
//! alone. On a GPU small members run in the same dispatches.
//!
//! ```
//! use gradus::{Dense, Device, Fit, Member, Population, Sequential, losses::Mse, optimizers::Adam};
//! use ndarray::array;
//!
//! let (x, y) = (array![[0.0], [1.0], [2.0], [3.0]], array![[1.0], [3.0], [5.0], [7.0]]); // y = 2x + 1
//! let rates = [1e-4, 1e-2, 0.3];
//! let members = rates.map(|rate| Member::new().learning_rate(rate));
//! let mut population = Population::new(Sequential::new(1).then(Dense::new(1)), members, &Device::cpu())?
//!     .compile(Mse::new(), Adam::new())?;
//! let histories = population.fit(&x, &y, Fit::new().epochs(200).batch_size(2))?;
//! assert_eq!(histories.len(), 3);
//! assert_eq!(population.best(), Some(2)); // the smaller rates are still on their way
//! let mut model = population.member(2)?; // a model like any other
//! assert!((model.predict(&array![[4.0]])?[[0, 0]] - 9.0).abs() < 0.2);
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! # Data
//!
//! With the feature `data`, [`data::read`] reads a folder of IDX files (with MNIST's names), CSV
//! tables, `.npy`, `.npz` and SVMlight files, plain or gzip, selected by file extension. An invalid
//! file is an error with line and column. A [`data::Dataset`] is an array of features and a
//! [`data::Target`]: classes or numbers. The feature `parquet` adds Parquet and Arrow files. A
//! table larger than memory is a [`data::LargeTable`], and [`Model::fit_blocks`] trains on rows
//! that arrive in blocks.
//!
//! ```
//! # #[cfg(feature = "data")] {
//! use gradus::data::{self, ReadOptions, Standardization};
//!
//! let path = std::env::temp_dir().join(format!("gradus-manual-{}.csv", std::process::id()));
//! std::fs::write(&path, "size,rooms,kind\n30,1,flat\n90,3,house\n50,2,flat\n120,5,house\n").unwrap();
//! let homes = data::read(&path, &ReadOptions::default().target("kind"))?.train;
//! assert_eq!(homes.feature_names, ["size", "rooms"]);
//! assert_eq!((homes.classes()?, homes.labels()?.to_vec()), (vec!["flat".into(), "house".into()], vec![0, 1, 0, 1]));
//!
//! let (train, validation) = homes.shuffled(7)?.split(0.25)?; // the last quarter of a shuffled table
//! assert_eq!((train.rows(), validation.rows()), (3, 1));
//! let mut features = homes.features.clone();
//! Standardization::fit(&homes.features)?.apply(&mut features)?; // mean 0, standard deviation 1 in each column
//! assert!(features.column(0).sum().abs() < 1e-6);
//! let error = data::read(&path, &ReadOptions::default().target("price")).unwrap_err().to_string();
//! assert!(error.ends_with("known: size, rooms, kind"));
//! # std::fs::remove_file(&path).unwrap();
//! # }
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! Tables with text, blanks and targets of any size are read into a [`data::Table`] of columns. A
//! [`data::Encoding`] is fitted on the training rows, encodes them and every later table as
//! numbers, and is saved with the model ([`Model::set_encoding`]). The command line tool trains
//! with encodings.
//!
//! ```
//! # #[cfg(feature = "data")] {
//! use gradus::data::{Encoding, EncodingOptions, Table, TableOptions, TargetKind};
//!
//! let path = std::env::temp_dir().join(format!("gradus-encoding-{}.csv", std::process::id()));
//! std::fs::write(&path, "size;ocean;price\n30,5;near;120000\n90;far;200000\n;near;150000\n").unwrap();
//! let table = Table::read(&path, &TableOptions::default())?;
//! let options = EncodingOptions::default().target("price").kind(TargetKind::Standardized);
//! let encoding = Encoding::fit(&table, &[0, 1, 2], &options)?;
//! let homes = encoding.apply(&table)?;
//! assert_eq!(homes.feature_names, ["size", "size is blank", "ocean=far", "ocean=near"]);
//! assert!((encoding.decode(&homes.values()?)[[1, 0]] - 200_000.0).abs() < 0.1); // in dollars again
//! # std::fs::remove_file(&path).unwrap();
//! # }
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! # Learning to rank
//!
//! A list-wise loss (`lambda_rank`, `list_net`, `approx_ndcg` …) orders the rows of each query by
//! one score per row. [`Targets::grouped`] defines the groups of rows; a batch is a number of
//! queries. [`metrics::ndcg`] and [`metrics::mrr`] measure the order.
//!
//! ```
//! use gradus::metrics::{NoneRelevant, ndcg};
//! use gradus::{Dense, Device, Fit, Sequential, Targets, losses::LambdaRank, optimizers::Adam};
//! use ndarray::array;
//!
//! // Two queries of three documents; the second feature is what makes a document relevant.
//! let documents = array![[0.3, 0.1], [0.9, 0.8], [0.5, 0.4], [0.2, 0.9], [0.8, 0.2], [0.1, 0.5]];
//! let (relevance, groups) = (array![[0.0], [2.0], [1.0], [2.0], [0.0], [1.0]], [3, 3]);
//! let mut model = Sequential::new(2)
//!     .then(Dense::new(1))
//!     .on(&Device::cpu())?
//!     .compile(LambdaRank::new(), Adam::new().learning_rate(0.1))?;
//! model.fit(&documents, Targets::grouped(&relevance, &groups), Fit::new().epochs(50).batch_size(2))?;
//! let scores: Vec<f32> = model.predict(&documents)?.iter().copied().collect();
//! let grades: Vec<f32> = relevance.iter().copied().collect();
//! assert_eq!(ndcg(&scores, &grades, &groups, 3, NoneRelevant::One)?, 1.0); // in the right order
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! # Recommenders
//!
//! [`recommend`] learns from user–item interactions. A [`recommend::Recommender`] describes the
//! model. It is trained on [`recommend::Interactions`]: pairs of rows, or the ratings of a file
//! (`data::read_ratings`). [`recommend::Ids`] converts the ids of the file to rows and back.
//!
//! ```
//! use gradus::Device;
//! use gradus::recommend::{Interactions, Loss, Model, Recommender};
//!
//! // Even users like even items, odd users odd ones; each has not yet met one of theirs.
//! let met = |user: u32, item: u32| user % 2 == item % 2 && item / 2 != user / 2;
//! let pairs: Vec<(u32, u32)> = (0..64).map(|pair| (pair / 8, pair % 8)).filter(|&(user, item)| met(user, item)).collect();
//! let interactions = Interactions::new(8, 8, &pairs)?;
//! let mut model = Recommender::new(8, 8).components(4).loss(Loss::Warp).on(&Device::cpu())?;
//! model.fit(&interactions, 100)?;
//! assert_eq!(model.recommend(2, 1, true)?[0].item, 2); // the even item that user 2 has not met
//! assert_eq!(model.similar_items(5, 3)?.iter().filter(|found| found.item % 2 == 1).count(), 3);
//!
//! let path = std::env::temp_dir().join(format!("gradus-manual-{}.safetensors", std::process::id()));
//! model.save(&path)?; // with what it has seen and the ids of the file
//! let again = Model::load(&path, &Device::cpu())?;
//! assert_eq!(again.recommend(2, 3, true)?, model.recommend(2, 3, true)?);
//! # std::fs::remove_file(&path).unwrap();
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! The equivalent on the command line is `gradus recommend --interactions ratings.csv --out MODEL`,
//! then `gradus recommend --model MODEL --user ID` or `--similar-to ITEM`, with the ids of the
//! file.
//!
//! # Equivalents in other libraries
//!
//! | PyTorch | Keras | gradus |
//! |---|---|---|
//! | `torch.device("cuda")` | | [`Device::gpu`] |
//! | `x.half()` | `mixed_float16` | [`Tensor::from_half`] |
//! | `CrossEntropyLoss(label_smoothing=0.1)` | `CategoricalCrossentropy(label_smoothing=0.1)` | `CrossEntropy::new().label_smoothing(0.1)` |
//! | `reduction="none"`, `"sum"`, `"mean"` | `reduction=None`, `"sum"`, `"sum_over_batch_size"` | [`Reduction`] |
//! | `loss.backward()` | | the gradient is in the [`Evaluation`] |
//! | `nn.Sequential(nn.Linear(784, 10), nn.ReLU())` | `Sequential([Dense(10, "relu")])` | `Sequential::new(784).then(Dense::new(10).activation(Relu))` |
//! | | `model.compile`, `fit`, `evaluate`, `predict`, `summary` | the same names on [`Model`] |
//! | `nn.Conv2d(3, 16, 3, padding=1)`, images [rows, channels, height, width] | `Conv2D(16, 3, padding="same")` | `Conv2d::new(16, 3).padding(1)`, images [rows, height, width, channels]: [`layers`] |
//! | `model.train()`, `model.eval()` | `training=True` | [`Model::fit`] trains, [`Model::evaluate`] and [`Model::predict`] do not |
//! | `state_dict`, `torch.save` | `model.save` | [`Model::save`], [`Model::load`]: safetensors with the optimizer's state |
//! | `safetensors.torch.save_file` of the `state_dict`, `load_model` | | [`Model::save_weights`], [`Model::load_weights`] |
//! | `lr_scheduler.CosineAnnealingLR` | `schedules.CosineDecay` | `Fit::new().schedule(Cosine::new().steps(1000_u64))`: [`schedules`] |
//! | `clip_grad_norm_`, `clip_grad_value_` | `global_clipnorm`, `clipvalue` | [`Fit::clip_norm`], [`Fit::clip_value`] |
//! | `swa_utils.AveragedModel` | `use_ema` | [`Fit::average`], [`Model::averaged`] |
//! | `optax.adam(1e-3)` (optax) | `Adam(1e-3)` | `Adam::new().learning_rate(1e-3)` |
//!
//! # Errors
//!
//! All errors are one type, [`Error`], with the operation, the value found and the values allowed.
//! Invalid input never panics. A device is never silently replaced by another. A GPU failure
//! (device lost, out of memory, rejected shader) is an error, never a panic of wgpu.
//!
//! # Cache on disk
//!
//! Stored in `GRADUS_CACHE_DIR`, otherwise in `gradus` in the system's cache folder
//! (`$XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`), for later processes on
//! the same adapter and driver. Deleting it only costs time. It holds:
//!
//! * pipelines compiled by the driver, if the driver exports them (Vulkan); disabled by
//!   `GRADUS_PIPELINE_CACHE=off`;
//! * the fastest tile per matrix product size, found once by timing a few candidates within half a
//!   second on hardware; `GRADUS_AUTOTUNE=off` or [`Gpu::set_autotune`] selects the built-in rule.
//!   The choice does not change a bit of any result.
//!
//! # Features
//!
//! `cli` (default) adds the command line tool and the progress bar; `data` adds the readers of .gz,
//! CSV and .npz files. Without both, the dependencies are wgpu, ndarray, the CPU matrix product
//! (gemm, pulp, rayon) and model files (safetensors, serde).
//!
//! # Architecture
//!
//! Loops over data are written once per kernel template (pointwise, row-wise, list-wise …), in WGSL
//! and for the CPU. A loss, an activation or an optimizer is one short function in each, in files
//! with the same stem. The Rust function runs as f64 for the reference and as vectorised f32 on the
//! CPU. A network is a static graph of ops; a layer adds ops to it. `ARCHITECTURE.md` describes the
//! folders, the sequence of a training step and the location of the tests; `CONTRIBUTING.md`
//! describes adding a loss, an optimizer, a layer, an op.
#![warn(missing_docs)]

#[doc(hidden)]
pub mod cpu;
pub(crate) mod nn;
pub(crate) mod runtime;
pub(crate) mod templates;

pub mod advise;
mod catalogue;
mod criterion;
pub mod data;
mod error;
pub mod explain;
pub mod losses;
pub mod metrics;
pub mod recommend;
pub mod testing;
pub mod tune;

#[doc(hidden)]
pub use cpu::random;
#[doc(hidden)]
pub use error::text;
pub use nn::weight_file::{LoadWeights, WeightOrder};
pub use nn::{activations, layers, optimizers, rates, schedules, zoo};
#[doc(hidden)]
pub use runtime::{files, memory};
#[doc(hidden)]
pub use testing::{bench, cases};

pub use catalogue::{Entry, OptionDoc};
pub use cpu::real::Real;
pub use criterion::inputs::{FloatElement, Floats, Inputs, TargetElement, Targets};
pub use criterion::{
    Auxiliaries, Criterion, DeviceEvaluation, Evaluation, OnEmpty, Reduction, TensorInputs,
    Upstream, Values,
};
pub use error::{Error, Result};
/// A 16-bit float: 11 significant bits, up to 65,504.
pub use half::f16;
pub use nn::embedding::Embedding;
pub use nn::generate::Generate;
pub use nn::layers::sequential::Sequential;
pub use nn::layers::{Dense, Initializer};
pub use nn::memory::Memory;
pub use nn::model::{HeldOut, Model, Names};
pub use nn::ops::gather::augment::Augment;
pub use nn::optimizers::ParameterGroups;
pub use nn::plan::{DensePass, Plan};
pub use nn::population::{Member, Population};
#[cfg(feature = "mpi")]
pub use nn::train::Mpi;
pub use nn::train::{
    Average, Baseline, ClassWeight, EarlyStopping, Epoch, FeatureArray, FeatureElement, Fit,
    History, Reduce, RowClassHistory, RowClasses, RowHistory, RowResults, Score, StepReport, Stop,
    TensorBoard,
};
pub use runtime::device::{Device, Gpu, GpuOptions, adapters};
pub use runtime::tensor::Tensor;

/// A shader's file, as the entry of a loss names it.
#[doc(hidden)]
pub mod wgsl {
    pub use crate::runtime::wgsl::File;
}

/// The examples of README.md, run as doctests.
#[cfg(all(doctest, feature = "data"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The examples of docs/networks.md.
#[cfg(doctest)]
#[doc = include_str!("../docs/networks.md")]
struct Networks;

/// The examples of docs/library.md.
#[cfg(all(doctest, feature = "data"))]
#[doc = include_str!("../docs/library.md")]
struct Library;
