# Images of agent, generator and LLM; docker-compose.yml names the extras of each.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
RUN python3 -m venv /opt/propriety
ENV PATH=/opt/propriety/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
ARG EXTRAS=postgres,redis,tracing,pictures
ARG BUILD=cpu
ARG PIP_EXTRA_INDEX_URL
COPY pyproject.toml constraints.txt ./
# Dependencies are installed with an empty package first, so that a source change does not download them again. The
# constraints are for the CPU build. In that build, vLLM does not use triton, and pip installs torchvision, torchaudio and
# torchcodec for another build of torch, which makes transformers and vllm fail at import.
RUN touch README.md \
    && if [ "${BUILD}" = cpu ]; then set -- -c constraints.txt; fi \
    && { pip install -q "$@" ".[${EXTRAS}]" || { \
      echo "If pip did not find torch==…+cpu, set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU wheels (README.md)."; \
      exit 1; }; } \
    && if [ "${BUILD}" = cpu ]; then pip uninstall -q -y triton torchvision torchaudio torchcodec; fi
COPY README.md ./
COPY propriety propriety
COPY agent agent
COPY generator generator
COPY policies policies
COPY evaluation evaluation
COPY cli cli
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
