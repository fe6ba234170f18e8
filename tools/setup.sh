#!/bin/sh
# Set up what the Makefile needs, once.
#
#   tools/setup.sh python EXTRAS   .venv with napari-polarmap[EXTRAS] at the versions of constraints.txt; with LOCKED=1
#                                  the test environment takes only what has a hash in locks/
#   tools/setup.sh system          the libraries and the virtual display that a window needs on Linux
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "$*" >&2
    exit 1
}

# Print the packages among the arguments that dpkg does not have; Debian 13 renamed some to *t64.
missing_packages() {
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" "${package}t64" 2>/dev/null |
            grep -qx installed || printf ' %s' "$package"
    done
}

# Install Debian packages as root; otherwise say how to and stop.
need_packages() {
    packages=$(missing_packages "$@")
    [ -n "$packages" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        fail "system packages are missing; run this line and try again:
    sudo apt-get update && sudo apt-get install --no-install-recommends -y$packages"
    fi
    echo "installing system packages:$packages"
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of words is meant
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends -y $packages >/dev/null
}

on_debian() {
    command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1
}

system() {
    [ "$(uname -s)" = Linux ] || return 0
    if on_debian; then
        need_packages xvfb xauth libgl1 libegl1 libglib2.0-0 libfontconfig1 libdbus-1-3 libxcb-cursor0 \
            libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxkbcommon-x11-0
    elif ! command -v Xvfb >/dev/null 2>&1; then
        fail "Xvfb is missing; install it with the package manager of this system (often called xvfb or xorg-x11-server-Xvfb)"
    fi
}

check_python() {
    command -v "$PYTHON" >/dev/null 2>&1 || fail "$PYTHON is missing; install Python 3.11 or later, or name one with PYTHON="
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$PYTHON" --version) is too old; napari-polarmap needs 3.11 or later (name one with PYTHON=)"
    if ! "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
        on_debian || fail "$PYTHON has no venv module; install it with the package manager of this system"
        need_packages python3-venv
    fi
}

# An environment that was moved, belongs to another Python or is not whole is made anew.
venv_fits() {
    version=$("$PYTHON" -c 'import platform; print(platform.python_version())')
    grep -qx "command = .* $PWD/.venv" .venv/pyvenv.cfg 2>/dev/null &&
        grep -qx "version = $version" .venv/pyvenv.cfg &&
        .venv/bin/python -m pip --version >/dev/null 2>&1
}

python() {
    extras=$1
    stamp=.venv/.ready-$extras
    key=$({ cat pyproject.toml constraints.txt locks/*.txt tools/setup.sh; "$PYTHON" --version; pwd; } 2>&1 | cksum)
    if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then
        return 0
    fi
    check_python
    echo "setting up .venv (a few minutes the first time)"
    venv_fits || "$PYTHON" -m venv --clear .venv
    pip="env PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install --quiet --constraint constraints.txt"
    $pip pip
    locked="env PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install --quiet --no-deps --require-hashes"
    # PyTorch comes first and by itself: PyPI's build for Linux brings CUDA along, gigabytes that are not needed here
    cpu=""
    if [ "$(uname -s)" = Linux ] && [ -n "$TORCH_INDEX" ]; then
        cpu="--retries 1 --timeout 15 --extra-index-url $TORCH_INDEX"
    fi
    if [ -n "$LOCKED" ] && [ "$extras" = "$TESTED" ]; then
        # Fetched before it is checked: where it has the choice, pip prefers a build whose index tells its hash.
        wheels=$(mktemp -d)
        # shellcheck disable=SC2086  # a list of options is meant
        env PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip download --quiet --no-deps --only-binary :all: \
            --dest "$wheels" --constraint constraints.txt $cpu torch torchvision
        $locked --no-index --find-links "$wheels" --requirement locks/torch.txt
        rm -r "$wheels"
        $locked --requirement locks/ci.txt
        $pip --no-deps --no-build-isolation --editable .
    else
        # shellcheck disable=SC2086
        [ -z "$cpu" ] || $pip --no-deps $cpu torch torchvision
        $pip --build-constraint constraints.txt --editable ".[$extras]"
    fi
    echo "$key" >"$stamp"
}

PYTHON=${PYTHON:-python3}
TORCH_INDEX=${TORCH_INDEX:-}
LOCKED=${LOCKED:-}
TESTED=all,simulation,distributed,test
case ${1:-} in
python) python "${2:?which extras}" ;;
system) system ;;
*) fail "usage: tools/setup.sh python EXTRAS | system" ;;
esac
