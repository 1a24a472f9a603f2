#!/bin/sh
# The installed product on the oldest Python with the lowest declared versions, and on the newest with the newest:
# sh tests/lowest.sh UV [PYTHON:RESOLUTION ...]
set -eu
uv=$1
shift
[ $# -gt 0 ] || set -- 3.10:lowest-direct 3.13:highest
for each in "$@"; do
    folder=$(mktemp -d)
    echo "Python ${each%:*}, ${each#*:} versions"
    "$uv" venv --quiet --python "${each%:*}" "$folder/environment"
    "$uv" pip install --quiet --python "$folder/environment" --resolution "${each#*:}" .
    (
        cd "$folder"
        naswot=environment/bin/naswot
        $naswot search --config quickstart --samples 4 --batch_size 16 --wandb.mode offline --run_dir run
        $naswot train --config quickstart --top 1 --epochs 1 --wandb.mode offline --run_dir run
        $naswot export --run_dir run
        environment/bin/python -c "import naswot_lightning as nl; print(nl.load('model').classes)"
    )
    rm -rf "$folder"
done
