#!/bin/sh
# What a GPU does for the program, beside the CPU of the same machine, in under nine minutes:
#
#     tools/gpu_check.sh [--device cuda] [--out FOLDER] [--minutes 8.5] [--largest 1024]
#
# The folder ($OUT, or gpu_check) gets gpu_check.md, gpu_check.json and the tests' output. Nothing need be installed but
# what the program imports; PYTHON names another python3.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
resources="$root/src/napari_4dstem_orient/resources"
[ -e "$resources" ] || ln -s ../../resources "$resources" # as an editable install does
export PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec "${PYTHON:-python3}" "$root/tools/gpu_check.py" "$@"
