#!/usr/bin/env bash
# sbatch slurm.sh DATA TABLE: the closed forms on many nodes. DATA and TABLE must be on a file
# system that all nodes see under the same name. Submit it again if it ends early: it goes on.
#SBATCH --job-name=ecgnb
#SBATCH --ntasks=33
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=1500M
#SBATCH --time=04:00:00
set -euo pipefail
data=$1 table=$2
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

mkdir -p "$(dirname "$table")"
place=$(dirname "$table")/scheduler-${SLURM_JOB_ID}.json
dask scheduler --scheduler-file "$place" --no-dashboard &
srun --ntasks=$((SLURM_NTASKS - 1)) dask worker --scheduler-file "$place" --nthreads 1 \
  --no-dashboard --local-directory "${TMPDIR:-/tmp}" --death-timeout 120 &
until [ -s "$place" ]; do sleep 1; done
address=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' "$place")

ecgnb run reconstruction --data "$data" --out "$table" --methods closed_forms --dry-run
ecgnb run reconstruction --data "$data" --out "$table" --methods closed_forms \
  --scheduler "$address"
