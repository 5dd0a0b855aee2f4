# demo: see it work. test: the whole suite. bench: numbers. lint: what a change must pass.
# wheel: the Python package. test-python: its tests. test-peers: the calls of the peers' own tests.
.PHONY: demo test bench lint driver card card-pack wheel python-requirements test-python test-peers test-peers-ranking

# Unset, as in containers, it makes Mesa's device-select layer write a line for each device that is opened.
export XDG_RUNTIME_DIR ?= /tmp

demo:
	cargo run --release --quiet -- demo

# Built once, with the features that the tests ask of the packages: `cargo run` before it would build most of them twice.
# With an adapter the tests that need one must run; without, each of them says that it is ignored.
test:
	cargo test --release --no-run
	@$(MAKE) --no-print-directory driver
	@$(FIND_ADAPTER); if [ $$adapter = yes ]; then export GRADUS_REQUIRE_GPU=1; fi; set -x; cargo test --release

# A table here and a page with plots in target/bench.html; then criterion over the catalogue.
bench:
	cargo build --release --quiet
	@$(FIND_ADAPTER); if [ $$adapter = yes ]; then device=gpu; else device=cpu; fi; set -x; \
	  cargo run --release --quiet -- bench --device $$device --html target/bench.html
	cargo bench -- --quick

lint:
	rustfmt --edition 2024 --check $$(git ls-files '*.rs')
	cargo clippy --release --all-targets -- -D warnings
	cargo clippy --release --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --quiet

# Asks gradus itself, as it was built: a driver may be installed and have no device. A probe that fails says nothing of
# adapters: its error is shown, and nothing goes on as if there were none.
TARGET = $$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
FIND_ADAPTER = program="$(TARGET)/release/gradus"; found=$$("$$program" devices --json) || { \
	    echo "'$$program devices' failed, so it is not known whether there is a GPU adapter; its error stands above" >&2; \
	    exit 1; \
	}; case "$$found" in *'"backend"'*) adapter=yes;; *) adapter=no;; esac

# The tests want an adapter. Where the machine has none a software one is installed, with all that apt-get says.
driver:
	@$(FIND_ADAPTER); \
	if [ $$adapter = yes ]; then \
	    true; \
	elif [ "$$(uname)" = Linux ] && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    echo "no GPU adapter: installing a software Vulkan driver (mesa-vulkan-drivers)"; \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1 \
	      || echo "could not install it, for the reason above: the GPU tests will be ignored"; \
	else \
	    echo "no GPU adapter: the GPU tests will be ignored; install a Vulkan driver (Debian, as root: apt-get install mesa-vulkan-drivers libvulkan1)"; \
	fi

# Measures a card that is at hand for minutes, ends by itself after eight: benches/card/README.md.
card: card-pack
	bash "$(TARGET)/card/run.sh" "$(TARGET)/card-results"
	python3 benches/card/report.py "$(TARGET)/card-results"

card-pack:
	bash benches/card/pack.sh

# The Python package, in a virtual environment of its own; no other target needs Python. `TORCH='--index-url URL torch'`
# takes a build of PyTorch without CUDA, `TORCH=` leaves it out, and its tests are skipped then; so do `BOOSTING=` and `EXTRAS=`.
PYTHON ?= python3
TORCH ?= torch
BOOSTING ?= lightgbm 'xgboost-cpu; sys_platform != "darwin"'
EXTRAS ?= onnx onnxruntime tensorboard optuna mlflow-skinny pandas nbclient ipykernel
VENV = python/.venv

$(VENV)/bin/maturin:
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet 'maturin>=1.7,<2'

wheel: $(VENV)/bin/maturin
	rm -rf python/dist
	$(VENV)/bin/maturin build --release --manifest-path python/Cargo.toml --target-dir "$(TARGET)" --interpreter $(VENV)/bin/python --out python/dist

python-requirements: $(VENV)/bin/maturin
	$(VENV)/bin/pip install --quiet numpy scipy scikit-learn pytest mypy $(EXTRAS) $(BOOSTING)
	$(if $(TORCH),$(VENV)/bin/pip install --quiet $(TORCH))

test-python: python-requirements wheel
	$(VENV)/bin/pip install --quiet --force-reinstall --no-deps python/dist/*.whl
	$(VENV)/bin/python -m pytest -q -rs python/tests

# The calls that the own tests of PyTorch, Keras, optax and scikit-learn make, through `gradus eval` on each device. Half an hour,
# most of it in optax' tests; PEERS=pytorch asks for one.
PEERS ?= pytorch keras sklearn optax
PEERS_VENV = tests/peers/.venv

$(PEERS_VENV)/bin/python:
	$(PYTHON) -m venv $(PEERS_VENV)
	$(PEERS_VENV)/bin/pip install --quiet numpy scipy scikit-learn pytest expecttest optax jax keras $(TORCH)

test-peers: $(PEERS_VENV)/bin/python
	cargo build --release --quiet
	$(PEERS_VENV)/bin/python -W ignore tests/peers $(PEERS) --gradus "$(TARGET)/release/gradus"
	@if [ -n "$(GRADUS_TF_RANKING)" ]; then $(MAKE) --no-print-directory test-peers-ranking; else \
	  echo "TF-Ranking is left out: GRADUS_TF_RANKING names no checkout of github.com/tensorflow/ranking"; fi

# Its tests are in its repository alone, and it needs TensorFlow 2.15, which is not for every Python (3.9 to 3.11):
# git clone --depth 1 https://github.com/tensorflow/ranking FOLDER && make test-peers-ranking GRADUS_TF_RANKING=FOLDER
RANKING_VENV = tests/peers/.venv-ranking

$(RANKING_VENV)/bin/python:
	$(PYTHON) -m venv $(RANKING_VENV)
	$(RANKING_VENV)/bin/pip install --quiet tensorflow-cpu==2.15.1 "numpy<2" six absl-py
	$(RANKING_VENV)/bin/pip install --quiet --no-deps tensorflow-ranking==0.5.5

test-peers-ranking: $(RANKING_VENV)/bin/python
	cargo build --release --quiet
	GRADUS_TF_RANKING=$(GRADUS_TF_RANKING) $(RANKING_VENV)/bin/python -W ignore tests/peers ranking --gradus "$(TARGET)/release/gradus"
