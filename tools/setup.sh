# Sourced by the commands in tools/: where things are cached, and how what is missing gets installed.
# Plain POSIX sh. Callers set `root`, the checkout, before they read this file.
# shellcheck shell=sh disable=SC2154

umask 022 # servers that root starts run as another user, who has to read what is cached

# The same rule as pgtv.cluster.binaries.cache.
if [ -n "${PGTV_CACHE:-}" ]; then
    cache=$PGTV_CACHE
elif [ "$(id -u)" = 0 ]; then
    cache=/var/cache/pgtv
else
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/pgtv
fi
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac
export PGTV_CACHE="$cache"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

say() { printf '%s\n' "$*" >&2; }

# Prerequisites that this user cannot install: exit 3, so that callers tell it from a failure.
missing() {
    say "$@"
    exit 3
}

is_root() { [ "$(id -u)" = 0 ]; }

# packages NAME…: makes Debian packages be there. Root installs them, others are told the line.
packages() {
    command -v dpkg-query >/dev/null 2>&1 || return 0 # another system: trust what is there
    absent=
    for package in "$@"; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
            *' installed') ;;
            *) absent="$absent $package" ;;
        esac
    done
    [ -n "$absent" ] || return 0
    is_root || missing "missing Debian packages; install them with:
    sudo apt-get install --no-install-recommends$absent"
    say "installing Debian packages:$absent"
    # shellcheck disable=SC2086
    {
        apt-get update -q &&
            DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $absent
    } >"$cache/log/apt" 2>&1 || {
        tail -n 20 "$cache/log/apt" >&2
        missing "apt-get could not install:$absent"
    }
}

# wanted NAME…: Debian packages without which some tests say SKIPPED. Only root gets them.
wanted() { ! is_root || (packages "$@") || :; }

# unpacked NAME LIBRARY…: like `wanted`, for a service: only its libraries are installed, its own files go
# to $cache/deb/NAME, so that nothing is started on this machine.
unpacked() {
    name=$1
    shift
    [ ! -d "$cache/deb/$name" ] && is_root && command -v dpkg-deb >/dev/null 2>&1 || return 0
    wanted "$@"
    new=$cache/deb/$name.new
    rm -rf "$new"
    mkdir -p "$new" &&
        (cd "$new" && apt-get download -q "$name" && dpkg-deb -x "$name"_*.deb . && rm -f ./*.deb) \
            >"$cache/log/$name" 2>&1 && mv "$new" "$cache/deb/$name" || rm -rf "$new"
}

# How much can be written to /dev/shm, in kB: its room, or less where less memory is left.
kilobytes_in_memory() {
    [ -d /dev/shm ] && [ -w /dev/shm ] && df -Pk /dev/shm 2>/dev/null | awk '
        FNR == NR { if ($1 == "MemAvailable:") left = $2; next }
        $1 == "tmpfs" { room = $4 }
        END { print int(room < left ? room : left) }' /proc/meminfo - || echo 0
}

# alone NAME: nobody else does NAME until this process ends (flock is part of every Debian).
alone() {
    mkdir -p "$cache/lock" || missing "cannot write to the cache $cache (set PGTV_CACHE to another folder)"
    exec 9>"$cache/lock/$1"
    flock -n 9 || {
        say "waiting for another run ($1)"
        flock 9
    }
}

# Sets `python` to an interpreter of version 3.11 or later: $PYTHON, or the first on the path.
find_python() {
    for python in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3; do
        [ -n "$python" ] && command -v "$python" >/dev/null 2>&1 &&
            "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return 0
    done
    packages python3
    python=python3
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        missing "Python 3.11 or later is needed; set PYTHON to one"
}

# environment NAME [EXTRA…]: sets `venv` to a virtual environment with what pyproject.toml asks for under
# these extras (`base`: the dependencies of pgtv itself), made once for each such list and each Python.
environment() {
    name=$1
    shift
    find_python
    wanted=$cache/log/requirements-$name.$$
    requirements "$@" >"$wanted"
    key=$({
        "$python" -c 'import sys; print(sys.version, sys.executable)'
        cat "$wanted"
    } | sha256sum | cut -c1-16)
    venv=$cache/venv/$name-$key
    if [ ! -e "$venv/.complete" ]; then
        alone "venv-$name"
        [ -e "$venv/.complete" ] || make_environment
        exec 9>&-
    fi
    rm -f "$wanted"
}

make_environment() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null || packages python3-venv
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        missing "$python cannot make virtual environments (no ensurepip)"
    say "setting up Python packages in $venv"
    # those of earlier lists, a week later
    find "$cache/venv" -mindepth 1 -maxdepth 1 -name "$name-*" -mtime +7 -exec rm -rf {} + 2>/dev/null || :
    rm -rf "$venv"
    mkdir -p "$cache/venv"
    "$python" -m venv "$venv" &&
        "$venv/bin/python" -m pip install -q --prefer-binary pip -r "$wanted" >"$cache/log/pip-$name" 2>&1 || {
        tail -n 20 "$cache/log/pip-$name" >&2
        say "pip could not install what is needed; the log: $cache/log/pip-$name"
        exit 1
    }
    : >"$venv/.complete"
}

requirements() {
    [ $# -gt 0 ] || return 0
    "$python" - "$root/pyproject.toml" "$@" <<'PY'
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path(sys.argv[1]).read_text())["project"]
extras = project["optional-dependencies"] | {"base": project["dependencies"]}


def of(names):
    for name in names:
        for line in extras[name]:
            if line.startswith("pgtv["):
                yield from of(line[5:-1].split(","))
            else:
                yield line


print("\n".join(of(sys.argv[2:])))
PY
}

mkdir -p "$cache/log" 2>/dev/null || missing "cannot write to the cache $cache (set PGTV_CACHE to another folder)"
