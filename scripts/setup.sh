#!/bin/sh
# Makes the project's own virtual environment and installs the project into it, editable.
#
#   scripts/setup.sh .venv 'convert,dev'
#
# Needs a Python that the converter runs on, and nothing else: uv is used where it is on the
# PATH, else the interpreter's own venv. Debian ships venv's pip apart (python3-venv); where
# that is missing, pip comes from the system's pip or out of Debian's package, unpacked under
# .cache without installing anything.
set -eu

venv=${1:?usage: setup.sh FOLDER EXTRAS}
extras=${2:?usage: setup.sh FOLDER EXTRAS}
oldest=3.11 # the oldest that the current Keras and JAX take

say() { printf '%s\n' "$*" >&2; }

# True for a command that starts and is a Python new enough (a pyenv shim may do neither).
suits() {
    "$1" -c "import sys; sys.exit(sys.version_info[:2] < tuple(map(int, '$oldest'.split('.'))))" \
        >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if suits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    say "Hornbeam's converter needs Python $oldest or newer; none was found${PYTHON:+ at $PYTHON}."
    say "Install one (Debian: apt install python3, macOS: brew install python), or install uv,"
    say "which brings its own, or name one: make PYTHON=/path/to/python3."
    return 1
}

# Prints the path of Debian's own pip, unpacked under .cache.
unpack_debian_pip() {
    command -v apt-get >/dev/null || return 1
    mkdir -p .cache/debian-pip
    (
        cd .cache/debian-pip
        apt-get download python3-pip-whl >&2 || {
            # A bare container has no package lists yet, and only root may fetch them.
            [ "$(id -u)" = 0 ] && apt-get update >&2 && apt-get download python3-pip-whl >&2
        }
        dpkg-deb --extract python3-pip-whl_*.deb .
    ) || return 1
    find "$PWD/.cache/debian-pip" -name 'pip-*.whl' | head -n 1 | grep .
}

make_with_venv() {
    python=$(find_python)
    say "Making $venv with $python"
    if "$python" -c 'import ensurepip; ensurepip.version()' 2>/dev/null; then
        "$python" -m venv "$venv"
        return
    fi
    "$python" -m venv --without-pip "$venv"
    if "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip --python "$venv/bin/python" install --quiet pip
    elif wheel=$(unpack_debian_pip); then
        PYTHONPATH=$wheel "$venv/bin/python" -m pip install --quiet pip
    else
        rm -rf "$venv"
        say "$python cannot make a virtual environment with pip in it."
        say "Install what Debian ships apart, then try again: sudo apt install python3-venv"
        return 1
    fi
}

if [ -e "$venv" ] && ! suits "$venv/bin/python"; then
    say "Making $venv anew: its Python does not start or is older than $oldest"
    rm -rf "$venv"
fi

if command -v uv >/dev/null; then
    if [ ! -e "$venv" ]; then
        uv venv --python "${PYTHON:->=$oldest}" "$venv"
    fi
    say "Installing into $venv with uv (about 1 GB)"
    uv pip install --quiet --python "$venv/bin/python" --editable ".[$extras]"
else
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        rm -rf "$venv"
        make_with_venv
    fi
    say "Installing into $venv with pip (about 1 GB)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
fi
