#!/bin/sh
# Write sbom/napari-polarmap.cdx.json: what an empty environment holds after the wheel in dist/ was installed into it.
#
#   sh tools/sbom.sh            after make dist
set -eu
cd "$(dirname "$0")/.."
ls dist/*.whl >/dev/null 2>&1 || { echo "there is no wheel in dist/; make dist first" >&2; exit 1; }

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
${PYTHON:-python3} -m venv "$room/user"
${PYTHON:-python3} -m venv "$room/tools"
"$room/tools/bin/python" -m pip install --quiet cyclonedx-bom
pip="$room/user/bin/python -m pip install --quiet --constraint constraints.txt"
$pip --no-deps --retries 1 --timeout 15 \
    --extra-index-url "${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}" torch torchvision
for wheel in dist/*.whl; do
    $pip "$wheel[all]"
done
mkdir -p sbom
"$room/tools/bin/cyclonedx-py" environment --pyproject pyproject.toml --mc-type application --output-reproducible \
    --of JSON --output-file sbom/napari-polarmap.cdx.json "$room/user/bin/python"
