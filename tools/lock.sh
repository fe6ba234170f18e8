#!/bin/sh
# Write the locks of continuous integration anew: what it installs, at the versions of constraints.txt, with hashes.
#
#   sh tools/lock.sh            needs uv (python -m pip install uv)
#
# locks/torch.txt has PyTorch and torchvision: those on PyPI, and what the index of builds for the CPU gives to this
# machine, which should be of the kind that continuous integration runs on. locks/ci.txt has all other packages but
# those of CUDA, which only the build on PyPI needs.
set -eu
cd "$(dirname "$0")/.."

without=""
for package in torch torchvision triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
    nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver \
    nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx; do
    without="$without --no-emit-package $package"
done
mkdir -p locks
compile="uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
    --no-emit-index-url --no-emit-find-links"

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$room" --constraint constraints.txt \
    --retries 1 --timeout 15 --extra-index-url "${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}" torch torchvision
{
    echo "# Made by tools/lock.sh from constraints.txt: builds on PyPI, and for the CPU."
    for package in torch torchvision; do
        here=$(sha256sum "$room/$package"-*.whl | cut -d " " -f 1)
        hashes=$(grep "^$package==" constraints.txt | $compile --no-deps -)
        case $hashes in
        *"$here"*) echo "$hashes" ;;
        *) echo "$hashes" | sed "1a\    --hash=sha256:$here \\\\" ;;
        esac
    done
} >locks/torch.txt.part
mv locks/torch.txt.part locks/torch.txt

{
    echo "# Made by tools/lock.sh from pyproject.toml and constraints.txt; PyTorch is in torch.txt."
    # shellcheck disable=SC2086  # a list of options is meant
    $compile pyproject.toml --constraint constraints.txt \
        --extra all --extra simulation --extra distributed --extra test $without
} >locks/ci.txt.part
mv locks/ci.txt.part locks/ci.txt
