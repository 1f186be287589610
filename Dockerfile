# Agent, generator and LLM, each with the extras that docker-compose.yml names.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
RUN python3 -m venv /opt/propriety
ENV PATH=/opt/propriety/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
ARG EXTRAS=postgres,redis,tracing,pictures
ARG CONSTRAINTS=constraints.txt
ARG PIP_EXTRA_INDEX_URL
COPY pyproject.toml constraints.txt ./
# What is needed comes with a distribution that is still empty, so that a change of the source does not fetch it anew.
# pip resolves the last three for another build of torch, with which transformers and vllm then fail at import.
RUN touch README.md \
    && { pip install -q -c "${CONSTRAINTS}" ".[${EXTRAS}]" || { \
      echo "Where torch==…+cpu was not found, set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU wheels (README.md)."; \
      exit 1; }; } \
    && pip uninstall -q -y torchvision torchaudio torchcodec
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
