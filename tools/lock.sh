#!/bin/sh
# Write locks/ci.txt anew: every package of the test environment at the version of constraints.txt, with its hashes.
#
#   sh tools/lock.sh            needs uv (python -m pip install uv)
#
# PyTorch and the CUDA packages that its build on PyPI brings along are left out: continuous integration takes PyTorch's
# own build for the CPU, at the version of constraints.txt, see tools/setup.sh.
set -eu
cd "$(dirname "$0")/.."

without=""
for package in torch torchvision triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
    nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver \
    nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx; do
    without="$without --no-emit-package $package"
done
mkdir -p locks
{
    echo "# Made by tools/lock.sh from pyproject.toml and constraints.txt; PyTorch is left out, see there."
    # shellcheck disable=SC2086  # a list of options is meant
    uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --constraint constraints.txt \
        --extra all --extra simulation --extra distributed --extra test \
        --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links $without
} >locks/ci.txt.part
mv locks/ci.txt.part locks/ci.txt
