# syntax=docker/dockerfile:1
#
#   docker build -t af3opt .
#   mkdir -p -m 700 ~/.cache/af3opt    # else Docker makes it, and root owns it
#   docker run --rm --gpus all -u "$(id -u):$(id -g)" \
#     -v ~/.cache/af3opt:/cache -v "$PWD:/work" -v ~/models:/models:ro \
#     af3opt run --json_path=input.json --output_dir=out --model_dir=/models
#
# CUDA's libraries come with JAX as wheels; the base image gives the driver's hooks.
ARG BASE=nvidia/cuda:12.6.3-base-ubuntu24.04

FROM ${BASE} AS hmmer
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates curl gcc libc6-dev make patch \
  && rm -rf /var/lib/apt/lists/*
COPY scripts/build-hmmer.sh /tmp/
RUN /tmp/build-hmmer.sh /opt/hmmer

FROM ${BASE} AS python
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends \
    gcc libc6-dev python3.12 python3.12-dev python3.12-venv \
  && rm -rf /var/lib/apt/lists/*
RUN python3.12 -m venv /opt/af3opt
# Dependencies first: they change less often than the code, and their layer is large.
COPY requirements/engine-cuda12.txt /tmp/
RUN /opt/af3opt/bin/pip install --no-cache-dir --no-deps -r /tmp/engine-cuda12.txt
COPY pyproject.toml README.md LICENSE /src/
COPY configs /src/configs
COPY af3opt /src/af3opt
RUN /opt/af3opt/bin/pip install --no-cache-dir --no-deps /src

FROM ${BASE}
LABEL org.opencontainers.image.title="af3opt" \
  org.opencontainers.image.description="Run AlphaFold 3 on HPC clusters" \
  org.opencontainers.image.licenses="Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends libcifpp-data python3.12 \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --uid 10001 --create-home af3opt \
  && install -d -o af3opt -g af3opt -m 700 /cache \
  && install -d -o af3opt -g af3opt /work
COPY --from=hmmer /opt/hmmer /opt/hmmer
COPY --from=python /opt/af3opt /opt/af3opt
ENV PATH=/opt/af3opt/bin:/opt/hmmer/bin:$PATH \
  AF3OPT_HOME=/cache
USER 10001
WORKDIR /work
# Component data, compiled programs and features; private to whoever runs the container.
VOLUME /cache
ENTRYPOINT ["af3opt"]
CMD ["--help"]
