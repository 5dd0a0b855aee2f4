# demo: see it work. test: the whole suite. bench: numbers. lint: what a change must pass.
.PHONY: demo test bench lint driver card card-pack

# Unset, as in containers, it makes Mesa's device-select layer write a line for each device that is opened.
export XDG_RUNTIME_DIR ?= /tmp

demo:
	cargo run --release --quiet -- demo

# Built once, with the features that the tests ask of the packages: `cargo run` before it would build most of them twice.
test:
	cargo test --release --no-run
	@$(MAKE) --no-print-directory driver
	@if $(HAS_ADAPTER); then export GRADUS_REQUIRE_GPU=1; fi; set -x; cargo test --release

# A table here and a page with plots in target/bench.html; then criterion over the catalogue.
bench:
	cargo build --release --quiet
	@if $(HAS_ADAPTER); then device=gpu; else device=cpu; fi; set -x; \
	  cargo run --release --quiet -- bench --device $$device --html target/bench.html
	cargo bench -- --quick

lint:
	rustfmt --edition 2024 --check $$(git ls-files '*.rs')
	cargo clippy --release --all-targets -- -D warnings
	cargo clippy --release --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --quiet

# Asks gradus itself, as it was built: a driver may be installed and have no device.
TARGET = $$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
HAS_ADAPTER = "$(TARGET)/release/gradus" devices --json | grep -q '"backend"'

# The tests want an adapter. Where the machine has none a software one is installed; without any the parts of the tests
# that need a GPU say that they are ignored, and with one they must run (GRADUS_REQUIRE_GPU).
driver:
	@if $(HAS_ADAPTER); then \
	    true; \
	elif [ "$$(uname)" = Linux ] && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    echo "no GPU adapter: installing a software Vulkan driver (mesa-vulkan-drivers)"; \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1 >/dev/null \
	      || echo "could not install it: the GPU parts of the tests will be ignored"; \
	else \
	    echo "no GPU adapter: the GPU parts of the tests will be ignored; install a Vulkan driver (Debian, as root: apt-get install mesa-vulkan-drivers libvulkan1)"; \
	fi

# Measures a card that is at hand for minutes, ends by itself after eight: benches/card/README.md.
card: card-pack
	bash "$(TARGET)/card/run.sh" "$(TARGET)/card-results"
	python3 benches/card/report.py "$(TARGET)/card-results"

card-pack:
	bash benches/card/pack.sh
