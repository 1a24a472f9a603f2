#!/bin/sh
# Install into a virtual environment, as make does: sh install.sh PYTHON FOLDER WHAT, such as python3 .venv '.[dev]'.
# What goes wrong is one line with its cure, and exit code 2. What an attempt left half made, the next one repairs.
set -u
python=$1 folder=$2 what=$3
needed='import sys; sys.exit(sys.version_info < (3, 10))'

fail() {
    echo "install: $*" >&2
    exit 2
}

made_with() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

make_environment() {
    command -v "$python" > /dev/null || fail "$python not found: install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3"
    "$python" -c "$needed" || fail "$python is Python $(made_with "$python"), expected 3.10 or newer: make PYTHON=python3.12"
    "$python" -c 'import venv, ensurepip' 2> /dev/null ||
        fail "$python has no venv module: apt install python3-venv (Debian, Ubuntu), or name another Python: make PYTHON=python3.12"
    said=$("$python" -m venv --clear "$folder" 2>&1) || fail "$folder could not be made: $(echo "$said" | tail -n 1)"
}

install() {
    log=$folder/install.log
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e "$what" > "$log" 2>&1 && return
    why="check the network, HTTPS_PROXY and PIP_INDEX_URL, and run make again (pip's own words: $log)"
    missing=$(sed -n 's/.*requirement \(.*\) (from versions: none.*/\1/p' "$log" | head -n 1)
    [ -n "$missing" ] && fail "no package index could be reached, or it has no $missing: $why"
    grep -qE 'ConnectionError|Timeout|ResolutionError|ProxyError|SSLError|IncompleteRead|ConnectionReset' "$log" &&
        fail "the connection to the package index broke: $why"
    fail "$(grep -i '^error' "$log" | head -n 1 | cut -c 8-) (pip's own words: $log); run make again when that is mended"
}

# No environment, or one whose making was cut off: pip comes last.
"$folder/bin/python" -m pip --version > /dev/null 2>&1 || make_environment
"$folder/bin/python" -c "$needed" ||
    fail "$folder was made with Python $(made_with "$folder/bin/python"), expected 3.10 or newer: make clean, then make PYTHON=python3.12"
echo "Installing into $folder: some minutes the first time, torch is large"
install
