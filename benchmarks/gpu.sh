#!/usr/bin/env bash
# What only a GPU can measure: the tests marked cuda, training speed, `paper` on screw and
# transistor with three seeds, and `best` on both. About 30 minutes on an H100 (estimated).
#
#   ln -s /path/to/shared .gpu      # or copy: data/mvtec_ad_256, data/dtd_256, weights
#   benchmarks/gpu.sh
#
# `.gpu` is ignored by git. Where a command may take 10 minutes only, call it three times with
# BUDGET=570: finished results are kept in OUT, trainings go on from their checkpoints in runs/gpu.
# Where only a copy of the repository travels (64 MiB at most), copy, do not link: screw 14,
# transistor 24 and the weights 11 MB, and as much of DTD's 21 MB as fits.
#
# Needed beside torch: pydantic, filelock, click and rich of this version (constraints.txt), which a
# machine without a network gets as wheels.
#
#   OUT     folder of the result files        (benchmarks/results/gpu)
#   BUDGET  seconds after which it stops      (1740)
#   PYTHON  interpreter with flawmap[train]   (python3)
set -u
cd "$(dirname "$0")/.."
OUT=${OUT:-benchmarks/results/gpu}
BUDGET=${BUDGET:-1740}
PYTHON=${PYTHON:-python3}
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export FLAWMAP_WEIGHTS="$PWD/.gpu/weights"
mkdir -p "$OUT" runs/gpu
failed=0

# Run a command for what is left of the budget; Ctrl-C at its end makes trainings keep a checkpoint.
stage() {
  local left=$((BUDGET - SECONDS))
  if [ "$left" -lt 30 ]; then
    echo "gpu.sh: no time left for: $*"
    failed=1
    return
  fi
  echo "gpu.sh: $* (at $SECONDS s)"
  timeout --signal INT --kill-after 20 "$((left - 20))" "$@" || failed=1
}

for needed in data/mvtec_ad_256/screw data/mvtec_ad_256/transistor data/dtd_256 weights; do
  if [ ! -e ".gpu/$needed" ]; then
    echo "gpu.sh: .gpu/$needed is missing: see the top of benchmarks/gpu.sh" >&2
    exit 2
  fi
done
if ! "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  echo "gpu.sh: torch sees no NVIDIA GPU here" >&2
  exit 2
fi

if [ ! -e runs/gpu/tested ]; then
  stage "$PYTHON" -m pytest -q -m cuda tests/training/steps
  touch runs/gpu/tested
fi
if [ ! -e "$OUT/speed_cuda.json" ]; then
  stage "$PYTHON" benchmarks/speed.py --device cuda --shared .gpu --batch 32 --repeats 20
  mv -f benchmarks/results/speed_cuda.json "$OUT/" 2>/dev/null
fi
for grid in paper best; do
  stage "$PYTHON" -m flawmap bench grid "benchmarks/gpu_$grid.yaml" --out "$OUT" --work runs/gpu
done
echo "gpu.sh: $(ls "$OUT" | wc -l) result files in $OUT after $SECONDS s"
exit "$failed"
