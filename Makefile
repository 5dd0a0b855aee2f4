# demo: see it work. test: the whole suite. bench: numbers. lint: what a change must pass.
.PHONY: demo test bench lint driver

demo:
	cargo run --release --quiet -- demo

test: driver
	cargo test --release

bench:
	cargo run --release --quiet -- bench --device gpu
	cargo bench

lint:
	rustfmt --edition 2024 --check $$(git ls-files '*.rs')
	cargo clippy --release --all-targets -- -D warnings
	cargo clippy --release --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --quiet

# The tests want an adapter. Where the machine has no Vulkan driver a software one does; without either the parts of
# the tests that need a GPU say that they are ignored.
driver:
	@if [ "$$(uname)" != Linux ] || [ -n "$$VK_DRIVER_FILES" ] || [ -n "$$VK_ICD_FILENAMES" ] \
	   || { ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json 2>/dev/null | grep -q . && ldconfig -p | grep -q libvulkan.so.1; }; then \
	    true; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    echo "no Vulkan driver: installing the software one (mesa-vulkan-drivers)"; \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1 >/dev/null \
	      || echo "could not install it: the GPU parts of the tests will be ignored"; \
	else \
	    echo "no Vulkan driver: the GPU parts of the tests will be ignored; install one (Debian: apt-get install mesa-vulkan-drivers libvulkan1)"; \
	fi
