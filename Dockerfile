# Agent, generator and LLM, each with the extras that docker-compose.yml names.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
RUN python3 -m venv /opt/propriety
ENV PATH=/opt/propriety/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
ARG EXTRAS=postgres,redis,tracing,pictures
ARG BUILD=cpu
ARG PIP_EXTRA_INDEX_URL
COPY pyproject.toml constraints.txt ./
# What is needed comes with a distribution that is still empty, so that a change of the source does not fetch it anew.
# The constraints are those of the CPU build, in which vLLM has no use for triton, and pip resolves the other three for
# another build of torch, with which transformers and vllm then fail at import.
RUN touch README.md \
    && if [ "${BUILD}" = cpu ]; then set -- -c constraints.txt; fi \
    && { pip install -q "$@" ".[${EXTRAS}]" || { \
      echo "Where torch==…+cpu was not found, set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU wheels (README.md)."; \
      exit 1; }; } \
    && if [ "${BUILD}" = cpu ]; then pip uninstall -q -y triton torchvision torchaudio torchcodec; fi
COPY README.md ./
COPY agent agent
COPY generator generator
COPY policies policies
COPY evaluation evaluation
RUN pip install -q --no-deps --force-reinstall .

FROM ${PYTHON_IMAGE}
# vLLM's CPU build links libnuma.
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends libnuma1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /tmp propriety \
    && install -d -o propriety -g propriety /data /models
COPY --from=build /opt/propriety /opt/propriety
ENV PATH=/opt/propriety/bin:$PATH PYTHONUNBUFFERED=1 PROPRIETY_DATA_DIR=/data PROPRIETY_MODELS_DIR=/models
USER propriety
