#!/bin/sh
# Installs msctl for this user; needs no root.
#
# In a checkout it builds with cargo. Anywhere else it takes a release archive:
#   <base>/msctl-<version>-<target>.tar.gz and <base>/msctl-<version>-<target>.tar.gz.sha256
set -eu

usage() {
  cat <<'USAGE'
Usage: install.sh [--to DIR] [--from URL [--version V]] [--tour]

  --to DIR      where the program goes        (or MSCTL_INSTALL_DIR; default: ~/.local/bin)
  --from URL    base URL of release archives  (or MSCTL_INSTALL_FROM); in a checkout the
                default is to build with cargo
  --version V   the release to take           (or MSCTL_INSTALL_VERSION; default: latest)
  --tour        then run `msctl tour`
USAGE
}

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "error: $1"
  [ $# -lt 2 ] || say "  hint: $2"
  exit 2
}
has() { command -v "$1" >/dev/null 2>&1; }
need() { has "$1" || fail "\`$1\` is missing" "$2"; }

to=${MSCTL_INSTALL_DIR:-}
from=${MSCTL_INSTALL_FROM:-}
version=${MSCTL_INSTALL_VERSION:-latest}
tour=no
while [ $# -gt 0 ]; do
  case $1 in
  --to | --from | --version)
    [ $# -ge 2 ] || fail "\`$1\` needs a value" "./install.sh --help"
    case $1 in --to) to=$2 ;; --from) from=$2 ;; --version) version=$2 ;; esac
    shift
    ;;
  --tour) tour=yes ;;
  -h | --help)
    usage
    exit 0
    ;;
  *) fail "\`$1\` is not an option" "./install.sh --help" ;;
  esac
  shift
done
if [ -z "$to" ]; then
  [ -n "${HOME:-}" ] || fail "HOME is not set" "./install.sh --to DIR"
  to=$HOME/.local/bin
fi

work=$(mktemp -d) || fail "cannot make a temporary directory"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fetch() { # url file
  if has curl; then
    curl --fail --silent --show-error --location --output "$2" "$1"
  elif has wget; then
    wget --quiet --output-document="$2" "$1"
  else
    fail "neither \`curl\` nor \`wget\` is there" "apt-get install curl"
  fi || fail "cannot fetch $1" "check the address given by --from, and the version"
}

sha256() { # file
  if has sha256sum; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

from_release() {
  has sha256sum || need shasum "apt-get install coreutils"
  need tar "apt-get install tar"
  case $(uname -s)-$(uname -m) in
  Linux-x86_64) target=x86_64-unknown-linux-gnu ;;
  Linux-aarch64) target=aarch64-unknown-linux-gnu ;;
  Darwin-arm64) target=aarch64-apple-darwin ;;
  Darwin-x86_64) target=x86_64-apple-darwin ;;
  *) fail "no release is made for $(uname -s) on $(uname -m)" "build it: cargo install --path . in a checkout" ;;
  esac
  archive=msctl-$version-$target.tar.gz
  fetch "${from%/}/$archive" "$work/$archive"
  fetch "${from%/}/$archive.sha256" "$work/sum"
  want=$(cut -d ' ' -f 1 <"$work/sum")
  got=$(sha256 "$work/$archive")
  [ "$want" = "$got" ] || fail "$archive has SHA-256 $got, its .sha256 file says ${want:-nothing}; not installed"
  tar -xzf "$work/$archive" -C "$work" msctl || fail "$archive holds no \`msctl\`"
}

from_checkout() {
  need cargo "install Rust from your distribution or with rustup: https://rustup.rs"
  need cc "apt-get install build-essential"
  say "Building msctl from $here (some minutes the first time)"
  cargo build --release --locked --manifest-path "$here/Cargo.toml" || fail "the build failed"
  built=${CARGO_TARGET_DIR:-$here/target}/release/msctl
  cp "$built" "$work/msctl"
}

here=$(cd "$(dirname "$0")" && pwd)
if [ -n "$from" ]; then
  from_release
elif [ -f "$here/Cargo.toml" ] && grep -q '^name = "msctl"$' "$here/Cargo.toml"; then
  from_checkout
else
  fail "this is no checkout, and no release was named" "./install.sh --from URL"
fi

mkdir -p "$to" 2>/dev/null || fail "cannot make \`$to\`" "./install.sh --to DIR"
to=$(cd "$to" && pwd)
chmod 755 "$work/msctl"
"$work/msctl" --version >"$work/version" 2>/dev/null || fail "the program does not run on this machine"
# Beside its place and then renamed: a running msctl keeps its file, a full disk leaves the old one.
if ! { cp "$work/msctl" "$to/.msctl.new" && mv "$to/.msctl.new" "$to/msctl"; } 2>/dev/null; then
  rm -f "$to/.msctl.new"
  fail "cannot write \`$to/msctl\`" "./install.sh --to DIR"
fi
say "Installed $(cat "$work/version"): $to/msctl"
case :${PATH:-}: in
*":$to:"*) ;;
*) say "  $to is not on your PATH yet: export PATH=\"$to:\$PATH\"" ;;
esac

if [ "$tour" = yes ]; then
  "$to/msctl" tour
fi
