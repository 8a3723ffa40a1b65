#!/bin/sh
# How good a model is after so many minutes of training from a CIF file alone, on as many threads as OMP_NUM_THREADS
# says, with template matching beside it: one metal of each common structure, unless others are named.
#
#     tools/time_from_cif.sh [MINUTES [FOLDER [CRYSTAL,K_MAX …]]]
set -e
cd "$(dirname "$0")/.."
minutes=${1:-20}
out=${2:-build/from_cif}
[ $# -gt 2 ] && shift 2 || set -- Ti,1.7 Cu,2.1 Fe,2.1 Si,1.4
mkdir -p "$out"
for crystal in "$@"; do
    name=${crystal%,*}
    napari-4dstem-orient train --phase "resources/crystals/$name.cif" --voltage 300 --k-max "${crystal#*,}" \
        --minutes "$minutes" --output "$out/$name.safetensors"
    napari-4dstem-orient evaluate --model "$out/$name.safetensors" --patterns 512 --template-patterns 4 \
        > "$out/$name.txt"
    cat "$out/$name.txt"
done
