#!/bin/sh
# Make the shipped models again: copper first, then silver, which starts from copper's weights.
# About an hour on two cores; stopped, the same command goes on from the checkpoint. Deterministic for the seed on one
# machine with one number of threads.
set -e
cd "$(dirname "$0")/.."
napari-4dstem-orient train --phase Cu --voltage 300 --k-max 2.1 --patterns 2400000 \
    --output resources/models/cu_300kV.safetensors
napari-4dstem-orient train --phase Ag --voltage 200 --k-max 1.5 --precession 1 --patterns 800000 \
    --start-from resources/models/cu_300kV.safetensors --output resources/models/ag_200kV_precession.safetensors
