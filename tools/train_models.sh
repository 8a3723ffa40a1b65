#!/bin/sh
# Make the shipped models again: one for each crystal structure, trained on several of its crystals and beams so that it
# scales with the crystal; fcc first, from which the others start. About four hours on one quiet core; stopped, the same command goes
# on from the checkpoint. Deterministic for the seed on one machine with one number of threads. The verifier, which
# serves all of them, is made by tools/train_verifier.py; tools/renew_cards.py measures the cards anew when that changes.
set -e
cd "$(dirname "$0")/.."
out=resources/models
train() { name=$1; shift; napari-4dstem-orient train "$@" --output "$out/$name.safetensors"; }
train fcc --phase Cu --voltage 300 --k-max 2.1 --patterns 1600000 --also Cu,200 --also Ag,200 --also Ag,200,1 \
    --also Au,300 --also Au,200 --also Al,300 --also Al,200,0.5 --also Ni,200 --also Ni,300 --also Ag,300,0.5 --also Cu,300
train bcc --phase Fe --voltage 300 --k-max 2.1 --patterns 200000 --start-from $out/fcc.safetensors \
    --also Fe,200 --also W,200 --also Mo,300
train diamond --phase Si --voltage 300 --k-max 1.4 --patterns 200000 --start-from $out/fcc.safetensors \
    --also Si,200 --also Ge,200
train hcp --phase Ti --voltage 300 --k-max 1.7 --patterns 100000 --start-from $out/fcc.safetensors --also Ti,200
train cu2o --phase Cu2O --voltage 300 --k-max 1.5 --patterns 100000 --start-from $out/fcc.safetensors
train cu_cu2o --phase Cu --phase Cu2O --voltage 300 --k-max 2.1 --patterns 500000 --start-from $out/fcc.safetensors
# Once more, from where they are:
train bcc --phase Fe --voltage 300 --k-max 2.1 --patterns 200000 --start-from $out/bcc.safetensors \
    --also Fe,200 --also W,200 --also Mo,300
train diamond --phase Si --voltage 300 --k-max 1.4 --patterns 200000 --start-from $out/diamond.safetensors \
    --also Si,200 --also Ge,200
train hcp --phase Ti --voltage 300 --k-max 1.7 --patterns 200000 --start-from $out/hcp.safetensors --also Ti,200
train cu2o --phase Cu2O --voltage 300 --k-max 1.5 --patterns 200000 --start-from $out/cu2o.safetensors
train cu_cu2o --phase Cu --phase Cu2O --voltage 300 --k-max 2.1 --patterns 400000 --start-from $out/cu_cu2o.safetensors
# And the joint model twice more: what it lacks are hypotheses for Cu2O.
for seed in 0 1; do
    train cu_cu2o --phase Cu --phase Cu2O --voltage 300 --k-max 2.1 --patterns 1000000 --seed $seed --start-from $out/cu_cu2o.safetensors
done
