# Each target sets up what it needs. `make demo` first, then `make test`.

GUEST_TARGET := wasm32-wasip2
PLUGINS := $(notdir $(patsubst %/,%,$(dir $(wildcard plugins/*/Cargo.toml))))
TEST_GUESTS := $(notdir $(patsubst %/,%,$(dir $(wildcard tests/guests/*/Cargo.toml))))
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
PLUGIN_DIR := $(TARGET_DIR)/$(GUEST_TARGET)/plugin
FUZZ_SECONDS ?= 10

# What compiles for minutes the first time says so. $(1): the directory of its results, $(2): what it
# is, $(3): how long that takes.
first = @test -d $(TARGET_DIR)/$(1)/deps || echo 'Compiling $(2) for the first time: about $(3) on two cores. After that it takes seconds.'

.PHONY: demo test lint bench fuzz plugins guests toolchain weir help

help: ## What can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: plugins weir ## The main job on the embedded bus, with recorded events
	@$(TARGET_DIR)/debug/weir demo --plugins $(PLUGIN_DIR) --directory $(TARGET_DIR)/demo

test: guests ## All tests, with a RabbitMQ that is started for them
	@tests/with-rabbitmq cargo test --workspace

lint: toolchain ## Formatting and lints, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

bench: plugins ## What Weir costs, side by side with what it is compared to
	$(call first,release,the optimised program,ten minutes)
	cargo build --release -p weir -p weir-bench
	@tests/with-rabbitmq $(TARGET_DIR)/release/weir-bench

fuzz: toolchain ## Every decoder against arbitrary bytes, FUZZ_SECONDS each
	@runtime/event/fuzz/run $(FUZZ_SECONDS)

plugins: toolchain ## The plugins, as components
	$(call first,$(GUEST_TARGET)/plugin,the plugins,one minute)
	cargo build --profile plugin --target $(GUEST_TARGET) $(addprefix -p ,$(PLUGINS))

guests: toolchain ## The plugins and the misbehaving guests of the tests
	cargo build --profile plugin --target $(GUEST_TARGET) $(addprefix -p ,$(PLUGINS) $(TEST_GUESTS))

weir: toolchain ## The program
	$(call first,debug,wasmtime (the sandbox) and the program,ten to fifteen minutes)
	cargo build -p weir

# With rustup, rust-toolchain.toml has everything installed at the first call of cargo.
toolchain:
	@command -v cargo >/dev/null || { echo 'Rust is missing: see https://rustup.rs' >&2; exit 1; }
	@test -d "$$(rustc --print sysroot)/lib/rustlib/$(GUEST_TARGET)" || rustup target add $(GUEST_TARGET)
