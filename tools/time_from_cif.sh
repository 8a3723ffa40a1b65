#!/bin/sh
# How good a model is after so many minutes (20 by default) of training from a CIF file alone, on as many threads as
# OMP_NUM_THREADS says, with template matching beside it: one metal of each common structure.
# The tables of the README come from here.
set -e
cd "$(dirname "$0")/.."
minutes=${1:-20}
out=${2:-build/from_cif}
mkdir -p "$out"
for crystal in Ti,1.7 Cu,2.1 Fe,2.1 Si,1.4; do
    name=${crystal%,*}
    napari-4dstem-orient train --phase "resources/crystals/$name.cif" --voltage 300 --k-max "${crystal#*,}" \
        --minutes "$minutes" --output "$out/$name.safetensors"
    napari-4dstem-orient evaluate --model "$out/$name.safetensors" --patterns 512 --template-patterns 32 \
        | tee "$out/$name.txt"
done
